"""Decide whether two verified photos show the same place. Not in the paper.

Inliers alone do not tell: photos with 1000 features have dozens by chance, and neighboring cells see
almost the same pixels, so their matches agree or disagree together. A verdict uses three numbers:

- the *distinct cells* of the inliers, which are about independent of each other,
- their *share* of the distinct cells of all matches,
- the *enrichment*: the number of inliers relative to the number that is expected by chance, if the
  same features were matched at random.

A logistic model turns them into a probability.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from delfjax.geometry.ransac import MAX_SCALE_ERROR, RansacConfig, Verification
from delfjax.types import Matches

Label = Literal["same place", "unsure", "different"]
CELL = 64  # pixels of a pyramid level: four strides
SAMPLE = 96  # features of each photo from which the matches by chance are estimated
# Fitted by `python -m benchmarks verdict` to the rendered training landmarks.
INTERCEPT = -4.85
WEIGHTS = 2.91, 3.2, 0.64  # of the logarithms of cells, share and enrichment
# From 0.95, fewer than 1% of the rendered pairs of different places are "same place", over all calibrated
# numbers of features. Among the candidates of a search, one in ten is right. Then 0.3 is a probability of 0.05.
SAME, DIFFERENT = 0.95, 0.3
FREE = 3  # matches that fit every affine map


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two photos show the same place.

    Photos of two sides of a place, or with few features, have too little in common: they get
    ``"different"`` or ``"unsure"``.

    Attributes:
        label: ``"same place"`` if the probability is at least 0.95, ``"different"`` if it is at
            most 0.3, else ``"unsure"``.
        probability: Probability that the photos show the same view of a place, 0 to 1, if half of
            all pairs did.
    """

    label: Label
    probability: float

    @property
    def text(self) -> str:
        """The verdict in a few words, such as ``"same place (98%)"``."""
        # 100% or 0% would claim more than a model of 49 landmarks can know. The percentage of "unsure"
        # is not rounded to one of another label.
        same, different = round(100 * SAME), round(100 * DIFFERENT)
        is_unsure = self.label == "unsure"
        low, high = (different + 1, same - 1) if is_unsure else (1, 99)
        percent = min(max(round(100 * self.probability), low), high)
        if self.label == "different":
            return f"different place or view ({100 - percent}%)"
        return f"{self.label} ({percent}%)"


def judge(matches: Matches, found: Verification, config: RansacConfig | None = None) -> Verdict:
    """Judge two photos by their putative matches, and by the result of RANSAC.

    ``config`` holds the settings of RANSAC. None: the defaults.
    """
    probability = probability_of(*evidence(matches, found, config or RansacConfig()))
    sure: Label = "same place" if probability >= SAME else "different"
    label = "unsure" if DIFFERENT < probability < SAME else sure
    return Verdict(label=label, probability=probability)


def probability_of(cells: float, share: float, enrichment: float) -> float:
    """Return the probability of `Verdict`. It never falls if an argument of `evidence` rises."""
    if not cells:
        return 0.0
    numbers = zip(WEIGHTS, (cells, share, enrichment), strict=True)
    logit = INTERCEPT + sum(weight * math.log(number) for weight, number in numbers)
    return 1 / (1 + math.exp(-logit))


def evidence(
    matches: Matches, found: Verification, config: RansacConfig
) -> tuple[int, float, float]:
    """Return the distinct cells of the inliers, their share of all, and their enrichment.

    They are 0 if all inliers fit any map.
    """
    excess = found.num_inliers - FREE
    if excess <= 0:
        return 0, 0.0, 0.0
    scales = matches.scales
    if scales is None:
        scales = np.ones((len(matches), 2), np.float32)
    cells, of_all = (
        min(
            _count_cells(positions[rows], scales[rows, side])
            for side, positions in enumerate((matches.query, matches.database))
        )
        for rows in (found.inliers, slice(None))
    )
    return cells, cells / of_all, excess / max(_inliers_by_chance(matches, found, config), 0.5)


def _count_cells(positions: Float[np.ndarray, "n 2"], scales: Float[np.ndarray, " n"]) -> int:
    """Count the distinct cells of 64 x 64 pixels, in a grid for each octave of scales."""
    octaves = np.floor(np.log2(scales) + 0.25)
    rows = np.column_stack([np.floor(positions * 2 ** octaves[:, None] / CELL), octaves])
    return len(np.unique(rows, axis=0))


def _inliers_by_chance(matches: Matches, found: Verification, config: RansacConfig) -> float:
    """Estimate how many inliers the map would have if the features were matched at random.

    This is an a-contrario model (Moisan and Stival, IJCV 2004) with the positions and scales of the
    matches themselves, because features are not spread evenly over a photo.
    """
    rows = np.arange(0, len(matches), -(-len(matches) // SAMPLE))
    mapped = matches.query[rows] @ found.affine[:, :2].T + found.affine[:, 2]
    distances = np.linalg.norm(mapped[:, None] - matches.database[rows], axis=-1)
    if matches.scales is not None and config.scale_aware is not False:
        query, database = matches.scales[rows].T
        zoom = np.sqrt(abs(np.linalg.det(found.affine[:, :2])))
        error = np.abs(np.log(zoom * database / query[:, None]))
        agree = (distances * database <= config.residual) & (error <= math.log(MAX_SCALE_ERROR))
    else:
        agree = distances <= config.residual
    np.fill_diagonal(agree, False)  # these are the matches themselves
    return len(matches) * float(agree.sum()) / max(len(rows) * (len(rows) - 1), 1)
