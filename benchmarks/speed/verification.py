"""RANSAC of 100 candidates, each with 1,000 matches: delfjax, OpenCV, scikit-image and PoseLib.

The peers and "paper's rule" have one threshold of 20 pixels. "Default rule" also uses the scales of the
matches. All use all cores, except scikit-image, which uses one. PoseLib has no affine maps and fits
homographies.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec

import numpy as np
from skimage.measure import ransac
from skimage.transform import AffineTransform

from benchmarks.speed.race import Row, race
from delfjax.features.pyramid import PAPER_SCALES
from delfjax.geometry.ransac import RansacConfig, verify
from delfjax.types import Matches

AFFINE = np.array([[0.9, -0.3, 20.0], [0.25, 1.1, -10.0]])
CANDIDATES, MATCHES = 100, 1000
SHARES = (0.5, 0.2, 0.1)  # of inliers among the matches
THRESHOLD = RansacConfig().residual  # pixels
TRIALS = 1000  # of scikit-image: the number in the official code
FEW = 5  # candidates of scikit-image, whose time is multiplied
SCIKIT_IMAGE = f"scikit-image, from {FEW} candidates"


def random_matches(share: float, seed: int) -> Matches:
    """Make random matches. A given share of the matches follows `AFFINE`, with noise of two pixels.

    The map enlarges lengths by 3%, so the two scales of a match are equal.
    """
    random = np.random.default_rng(seed)
    query = random.uniform(0, 480, (MATCHES, 2))
    database = query @ AFFINE[:, :2].T + AFFINE[:, 2] + random.normal(0, 2, (MATCHES, 2))
    wrong = random.random(MATCHES) >= share
    database[wrong] = random.uniform(0, 640, (wrong.sum(), 2))
    return Matches(
        query=query.astype(np.float32),
        database=database.astype(np.float32),
        distances=np.zeros(MATCHES, np.float32),
        scales=random.choice(PAPER_SCALES, (MATCHES, 1)).repeat(2, axis=1).astype(np.float32),
    )


def run() -> list[Row]:
    """Measure all libraries at each share of inliers."""
    rows = []
    for share in SHARES:
        candidates = [random_matches(share, seed) for seed in range(CANDIDATES)]
        ours = {
            "paper's rule": lambda c=candidates: verify(c, RansacConfig(scale_aware=False)),
            "default rule": lambda c=candidates: verify(c),
        }
        work = f"RANSAC of {CANDIDATES} candidates, {share:.0%} of {MATCHES:,} matches are inliers"
        factors = {SCIKIT_IMAGE: CANDIDATES / FEW}
        rows += race(work, ours, peers(candidates), rounds=5, factors=factors)
    return rows


def peers(candidates: Sequence[Matches]) -> dict[str, Callable[[], object]]:
    """Return the functions that verify all candidates with other libraries, on all cores."""
    made: dict[str, Callable[[Matches], object]] = {}
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
        for method in ("USAC_DEFAULT", "USAC_MAGSAC", "RANSAC"):
            made[f"OpenCV {method}"] = partial(fit_by_opencv, getattr(cv2, method))
    if find_spec("poselib"):
        import poselib

        options = {"max_reproj_error": THRESHOLD, "max_iterations": RansacConfig().hypotheses}
        points = {
            id(each): (each.query.astype(float), each.database.astype(float)) for each in candidates
        }
        made["PoseLib, homography"] = lambda matches: poselib.estimate_homography(
            *points[id(matches)], options
        )

    def all_candidates(fit: Callable[[Matches], object]) -> list[object]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(fit, candidates))

    functions = {name: lambda fit=fit: all_candidates(fit) for name, fit in made.items()}
    return functions | {SCIKIT_IMAGE: lambda: [*map(fit_by_scikit_image, candidates[:FEW])]}


def fit_by_opencv(method: int, matches: Matches) -> object:
    """Fit an affine map with OpenCV, with as many hypotheses as ours, at most."""
    import cv2

    return cv2.estimateAffine2D(
        matches.query,
        matches.database,
        method=method,
        ransacReprojThreshold=THRESHOLD,
        maxIters=RansacConfig().hypotheses,
    )


def fit_by_scikit_image(matches: Matches) -> object:
    """Fit an affine map with scikit-image."""
    return ransac(
        (matches.query, matches.database),
        AffineTransform,
        min_samples=3,
        residual_threshold=THRESHOLD,
        max_trials=TRIALS,
        rng=0,
    )
