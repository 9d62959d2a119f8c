"""Compare the time of our RANSAC on 100 pairs of photos with that of scikit-image on one pair."""

import numpy as np
from skimage.measure import ransac
from skimage.transform import AffineTransform

from benchmarks.timing import compare
from delfjax.geometry.ransac import RansacConfig, verify
from delfjax.types import Matches

AFFINE = np.array([[0.9, -0.3, 20.0], [0.25, 1.1, -10.0]])
TRIALS = 1000  # RANSAC samples, as in the official code


def random_matches(share: float, seed: int, count: int = 1000) -> Matches:
    """Make random matches. A given share of the matches follows `AFFINE`, with noise of two pixels."""
    random = np.random.default_rng(seed)
    query = random.uniform(0, 480, (count, 2))
    database = query @ AFFINE[:, :2].T + AFFINE[:, 2] + random.normal(0, 2, (count, 2))
    wrong = random.random(count) >= share
    database[wrong] = random.uniform(0, 640, (wrong.sum(), 2))
    return Matches(
        query=query.astype(np.float32),
        database=database.astype(np.float32),
        distances=np.zeros(count, np.float32),
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

        seconds, other_seconds, ratio = compare(lambda c=candidates: verify(c), theirs)
        inliers = {"ours": verify(candidates)[0].num_inliers, "scikit-image": int(theirs().sum())}
        rows.append(
            {
                "share of inliers": share,
                "ours, 100 candidates (s)": round(seconds, 4),
                "scikit-image, 1 pair (s)": round(other_seconds, 4),
                "ratio": round(ratio, 3),
                "inliers of the first pair": inliers,
            }
        )
    return {
        "value": max(row["ratio"] for row in rows),
        "what": "time of 100 candidates, relative to one pair by scikit-image's ransac",
        "rows": rows,
        "config": {"ransac": vars(RansacConfig()), "other_trials": TRIALS, "matches": 1000},
    }
