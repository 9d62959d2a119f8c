"""Decide whether two verified photos show the same place. Not in the paper.

Inliers alone do not tell: photos with 1000 features have dozens by chance, and neighboring cells see
almost the same pixels, so their matches agree or disagree together. A verdict uses two numbers:

- the *distinct cells* of the inliers, which are about independent of each other,
- the *enrichment*: the number of inliers relative to the number that is expected by chance, if the
  same features were matched at random.

A logistic model turns both into a probability.
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
INTERCEPT, CELLS_WEIGHT, ENRICHMENT_WEIGHT = -12.86, 4.14, 1.35
# Share of pairs that are the same place. In a search of that set, a tenth of the 100 verified photos is.
MATCH_PRIOR, SEARCH_PRIOR = 0.5, 0.1
SAME, DIFFERENT = 0.95, 0.05  # probabilities from which, and up to which, a verdict is sure
FREE = 3  # matches that fit every affine map


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two photos show the same place.

    Photos of two sides of a place, or with few features, have too little in common: they get
    ``"different"`` or ``"unsure"``.

    Attributes:
        label: ``"same place"`` if the probability is at least 0.95, ``"different"`` if it is at
            most 0.05, else ``"unsure"``.
        probability: Probability that the photos show the same view of a place, 0 to 1. Before they
            are compared, it is a half for two photos alone, and a tenth for a photo that a search
            verifies, because most of its candidates are of other places.
    """

    label: Label
    probability: float

    @property
    def text(self) -> str:
        """The verdict in a few words, such as ``"same place (98%)"``."""
        # 100% or 0% would claim more than a model of 49 landmarks can know.
        percent = min(max(round(100 * self.probability), 1), 99)
        if self.label == "different":
            return f"different place or view ({100 - percent}%)"
        return f"{self.label} ({percent}%)"


def judge(
    matches: Matches,
    found: Verification,
    config: RansacConfig | None = None,
    *,
    prior: float = MATCH_PRIOR,
) -> Verdict:
    """Judge two photos by their putative matches, and by the result of RANSAC.

    Args:
        matches: Putative matches of the two photos.
        found: Result of RANSAC for these matches.
        config: Settings of RANSAC. None: the defaults.
        prior: Probability of the same place before the photos are compared, between 0 and 1.
    """
    cells, enrichment = evidence(matches, found, config or RansacConfig())
    probability = probability_of(cells, enrichment, prior)
    sure: Label = "same place" if probability >= SAME else "different"
    label = "unsure" if DIFFERENT < probability < SAME else sure
    return Verdict(label=label, probability=probability)


def probability_of(cells: float, enrichment: float, prior: float = MATCH_PRIOR) -> float:
    """Return the probability of `Verdict`. It never falls if an argument rises.

    ``enrichment`` is the number of inliers relative to that by chance.
    """
    if not cells or not enrichment:
        return 0.0
    likelihood = INTERCEPT + CELLS_WEIGHT * math.log(cells)
    likelihood += ENRICHMENT_WEIGHT * math.log(enrichment)
    return 1 / (1 + (1 - prior) / prior * math.exp(-likelihood))


def evidence(matches: Matches, found: Verification, config: RansacConfig) -> tuple[int, float]:
    """Return the number of distinct cells of the inliers, and their enrichment. Both may be 0."""
    excess = found.num_inliers - FREE
    if excess <= 0:
        return 0, 0.0
    scales = matches.scales
    if scales is None:
        scales = np.ones((len(matches), 2), np.float32)
    cells = min(
        _count_cells(positions[found.inliers], scales[found.inliers, side])
        for side, positions in enumerate((matches.query, matches.database))
    )
    return cells, excess / max(_inliers_by_chance(matches, found, config), 0.5)


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
