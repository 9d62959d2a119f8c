"""Compare the time of our RANSAC on 100 pairs of photos with that of scikit-image on one pair.

The scales of the features make no difference to the matches. With them, the time is compared with
that of the paper's rule on the same 100 pairs.
"""

import numpy as np
from skimage.measure import ransac
from skimage.transform import AffineTransform

from benchmarks.timing import compare
from delfjax.features.pyramid import PAPER_SCALES
from delfjax.geometry.ransac import RansacConfig, verify
from delfjax.types import Matches

AFFINE = np.array([[0.9, -0.3, 20.0], [0.25, 1.1, -10.0]])
PAPER = RansacConfig(scale_aware=False)
TRIALS = 1000  # RANSAC samples, as in the official code


def random_matches(share: float, seed: int, count: int = 1000) -> Matches:
    """Make random matches. A given share of the matches follows `AFFINE`, with noise of two pixels.

    The map enlarges lengths by 3%, so the two scales of a match are equal.
    """
    random = np.random.default_rng(seed)
    query = random.uniform(0, 480, (count, 2))
    database = query @ AFFINE[:, :2].T + AFFINE[:, 2] + random.normal(0, 2, (count, 2))
    wrong = random.random(count) >= share
    database[wrong] = random.uniform(0, 640, (wrong.sum(), 2))
    return Matches(
        query=query.astype(np.float32),
        database=database.astype(np.float32),
        distances=np.zeros(count, np.float32),
        scales=random.choice(PAPER_SCALES, (count, 1)).repeat(2, axis=1).astype(np.float32),
    )


def run() -> dict:
    """Measure our RANSAC and that of scikit-image at several shares of inliers."""
    rows = []
    for share in (0.5, 0.2, 0.1):
        candidates = [random_matches(share, seed) for seed in range(100)]
        points = candidates[0].query, candidates[0].database
        options = {"min_samples": 3, "residual_threshold": 20, "max_trials": TRIALS, "rng": 0}

        def theirs(points: tuple = points, options: dict = options) -> np.ndarray:
            return ransac(points, AffineTransform, **options)[1]

        def ours(config: RansacConfig = PAPER, candidates: list = candidates) -> list:
            return verify(candidates, config)

        seconds, other_seconds, ratio = compare(ours, theirs)
        *_, scaled = compare(lambda ours=ours: ours(RansacConfig()), ours, rounds=15)
        inliers = {"ours": ours()[0].num_inliers, "scikit-image": int(theirs().sum())}
        rows.append(
            {
                "share of inliers": share,
                "ours, 100 candidates (s)": round(seconds, 4),
                "scikit-image, 1 pair (s)": round(other_seconds, 4),
                "ratio": round(ratio, 3),
                "scale-aware, relative to the paper's rule": round(scaled, 3),
                "inliers of the first pair": inliers,
            }
        )
    return {
        "value": max(row["ratio"] for row in rows),
        "what": "time of 100 candidates, relative to one pair by scikit-image's ransac",
        "rows": rows,
        "config": {"ransac": vars(PAPER), "other_trials": TRIALS, "matches": 1000},
    }
