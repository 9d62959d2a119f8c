"""Decide whether two verified photos show the same place. Not in the paper.

The number of inliers is not enough. Two photos with 1000 features have dozens of inliers by chance.
Neighboring features see almost the same pixels: their matches are not independent. We use:

- the number of distinct *squares* of 64 x 64 pixels with inliers,
- the *share*: this number, divided by the number of squares with any matches,
- the *enrichment*: the number of inliers above three, divided by the number that is expected if the
  same features are matched at random.

A logistic model turns these three numbers into a probability.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from delfjax.geometry.ransac import MAX_SCALE_ERROR, RansacConfig, Verification
from delfjax.types import Matches

Label = Literal["same place", "unsure", "different"]
SQUARE = 64  # side in pixels of a pyramid level: four cells
SAMPLE = 96  # number of matches from which the inliers by chance are estimated
# Fitted by `python -m benchmarks verdict` to the rendered training landmarks.
INTERCEPT = -4.85
WEIGHTS = 2.91, 3.2, 0.64  # of the logarithms of squares, share and enrichment
# With 0.95, fewer than 1% of the rendered pairs of different places are "same place". If only one of ten
# candidates of a search is correct, 0.3 stands for a probability of 0.05.
SAME, DIFFERENT = 0.95, 0.3
FREE = 3  # an affine map fits any three matches


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two photos show the same place.

    Limitation: photos of two sides of a place, or with few features, have too few common features.
    Their verdict is ``"different"`` or ``"unsure"``.

    Attributes:
        label: ``"same place"`` if the probability is at least 0.95, ``"different"`` if it is at
            most 0.3, else ``"unsure"``.
        probability: Probability from 0 to 1 that the photos show the same view of a place, if half
            of all pairs of photos do.
    """

    label: Label
    probability: float

    @property
    def text(self) -> str:
        """The verdict in a few words, such as ``"same place (98%)"``."""
        # Not 100% or 0%: the model was fitted to 49 landmarks only. "unsure" is not rounded to another label.
        is_unsure = self.label == "unsure"
        low, high = (DIFFERENT + 0.01, SAME - 0.01) if is_unsure else (0.01, 0.99)
        percent = round(100 * min(max(self.probability, low), high))
        if self.label == "different":
            return f"different place or view ({100 - percent}%)"
        return f"{self.label} ({percent}%)"


def judge(matches: Matches, found: Verification, config: RansacConfig | None = None) -> Verdict:
    """Decide whether two photos show the same place, by their putative matches and RANSAC.

    ``config`` holds the settings with which RANSAC found the result. None: the defaults.
    """
    probability = probability_of(*evidence(matches, found, config or RansacConfig()))
    sure: Label = "same place" if probability >= SAME else "different"
    label = "unsure" if DIFFERENT < probability < SAME else sure
    return Verdict(label=label, probability=probability)


def probability_of(squares: float, share: float, enrichment: float) -> float:
    """Return the probability of `Verdict`. It rises with each of the numbers of `evidence`."""
    if not squares:
        return 0.0
    numbers = zip(WEIGHTS, (squares, share, enrichment), strict=True)
    logit = INTERCEPT + sum(weight * math.log(number) for weight, number in numbers)
    return 1 / (1 + math.exp(-logit))


def evidence(
    matches: Matches, found: Verification, config: RansacConfig
) -> tuple[int, float, float]:
    """Return squares, share (0 to 1) and enrichment, as defined at the top of this module.

    All are 0 for at most three inliers, because an affine map fits any three matches.
    """
    excess = found.num_inliers - FREE
    if excess <= 0:
        return 0, 0.0, 0.0
    scales = matches.scales
    if scales is None:
        scales = np.ones((len(matches), 2), np.float32)
    squares, of_all = (
        min(
            _count_squares(positions[rows], scales[rows, side])
            for side, positions in enumerate((matches.query, matches.database))
        )
        for rows in (found.inliers, slice(None))
    )
    return squares, squares / of_all, excess / max(_inliers_by_chance(matches, found, config), 0.5)


def _count_squares(positions: Float[np.ndarray, "n 2"], scales: Float[np.ndarray, " n"]) -> int:
    """Count the distinct squares of 64 x 64 pixels, in a grid for each octave of scales."""
    octaves = np.floor(np.log2(scales) + 0.25)
    rows = np.column_stack([np.floor(positions * 2 ** octaves[:, None] / SQUARE), octaves])
    return len(np.unique(rows, axis=0))


def _inliers_by_chance(matches: Matches, found: Verification, config: RansacConfig) -> float:
    """Estimate the number of inliers of the map if the features were matched at random.

    This is an a-contrario model (Moisan and Stival, IJCV 2004) with the positions and scales of the
    matches themselves, because features are not spread evenly over a photo.
    """
    rows = np.arange(0, len(matches), -(-len(matches) // SAMPLE))
    mapped = matches.query[rows] @ found.affine[:, :2].T + found.affine[:, 2]
    distances = np.linalg.norm(mapped[:, None] - matches.database[rows], axis=-1)
    if matches.scales is not None and config.scale_aware:
        query, database = matches.scales[rows].T
        zoom = np.sqrt(abs(np.linalg.det(found.affine[:, :2])))
        error = np.abs(np.log(zoom * database / query[:, None]))
        agree = (distances * database <= config.residual) & (error <= math.log(MAX_SCALE_ERROR))
    else:
        agree = distances <= config.residual
    np.fill_diagonal(agree, False)  # these are the matches themselves
    return len(matches) * float(agree.sum()) / max(len(rows) * (len(rows) - 1), 1)
