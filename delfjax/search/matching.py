"""Match the features of two photos by mutual nearest neighbors, and verify the matches by RANSAC.

`delfjax.search.searcher` matches a query with a whole database, as in the paper.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from delfjax.features.pca import PAPER_DIMENSIONS, PCA, l2_normalize
from delfjax.geometry.ransac import RansacConfig, Verification, verify
from delfjax.ranges import RATIO, Range, check_number
from delfjax.search.exact import ExactIndex
from delfjax.search.verdict import Verdict, judge
from delfjax.types import Features, Matches

DISTANCE = Range(at_least=0, at_most=2)  # of two unit vectors
MAX_DISTANCE = 0.8  # as in match_images of the official code


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMatch(Verification):
    """Matches between photos ``a`` and ``b``, and the map that RANSAC fitted to the matches.

    Attributes:
        matches: Putative matches (before RANSAC). ``matches.query`` holds positions in photo ``a``,
            ``matches.database`` holds positions in photo ``b``.
        inliers: Whether each match agrees with the map.
        affine: Affine map from ``(y, x, 1)`` in ``a`` to ``(y, x)`` in ``b``. NaN if RANSAC found
            no map.
        verdict: Whether the photos show the same place.
    """

    matches: Matches
    verdict: Verdict


def match(
    a: Features,
    b: Features,
    *,
    pca: PCA | None = None,
    max_distance: float = MAX_DISTANCE,
    ratio: float = 1.0,
    ransac: RansacConfig | None = None,
) -> PairMatch:
    """Match the features of two photos, and verify the matches by RANSAC.

    Two features are a putative match if each feature is the nearest neighbor of the other feature.
    The official code requires only one direction. A `Searcher` selects matches by other rules, so
    its numbers of inliers differ.

    Args:
        a: Features of the first photo, as a model or a feature store returns them.
        b: Features of the second photo.
        pca: PCA that reduces the descriptors. Descriptors that are already reduced are not changed.
            None: descriptors of more than 40 dimensions are reduced by a PCA fitted to both photos,
            or only L2-normalized if both photos together have fewer than 40 features.
        max_distance: Maximum L2 distance between the two descriptors of a match, from 0 to 2.
        ratio: Maximum ratio of two distances: from a feature of ``a`` to its nearest and to its
            second nearest neighbor in ``b`` (Lowe, "Distinctive image features from scale-invariant
            keypoints", IJCV 2004). 1 disables the test.
        ransac: Settings of the verification by RANSAC. None: the defaults.

    Raises:
        ValueError: If ``max_distance`` or ``ratio`` is out of range, or if the descriptors of the
            two photos have different numbers of dimensions or do not fit the PCA.
    """
    check_number("max_distance", max_distance, DISTANCE)
    check_number("ratio", ratio, RATIO)
    matches, _ = mutual_matches(*_reduce(a, b, pca), max_distance=max_distance, ratio=ratio)
    found = verify([matches], ransac)[0]
    return PairMatch(matches=matches, verdict=judge(matches, found, ransac), **vars(found))


def mutual_matches(
    a: Features, b: Features, *, max_distance: float = MAX_DISTANCE, ratio: float = 1.0
) -> tuple[Matches, Int[np.ndarray, "m 2"]]:
    """Return the putative matches of `match`, and the rows of the two features of each match.

    The descriptors of ``a`` and ``b`` must be unit vectors with equal numbers of dimensions.
    """
    rows_a, rows_b, distances = (np.empty(0, int), np.empty(0, int), np.empty(0, np.float32))
    if len(a) and len(b):
        nearest, near = ExactIndex(b.descriptors).search(a.descriptors, min(2, len(b)))
        back, _ = ExactIndex(a.descriptors).search(b.descriptors, 1)
        mutual = back[nearest[:, 0], 0] == np.arange(len(a))
        # If b has a single feature, there is no second nearest feature to compare with.
        distinct = (near[:, 0] < ratio * near[:, -1]) | (ratio >= 1) | (len(b) < 2)
        rows_a = np.flatnonzero(mutual & distinct & (near[:, 0] <= max_distance))
        rows_b, distances = nearest[rows_a, 0], near[rows_a, 0]
    matches = Matches(
        query=a.positions[rows_a],
        database=b.positions[rows_b],
        distances=distances,
        scales=np.stack([a.scales[rows_a], b.scales[rows_b]], axis=1),
    )
    return matches, np.column_stack([rows_a, rows_b])


def _reduce(a: Features, b: Features, pca: PCA | None) -> tuple[Features, Features]:
    """Reduce the descriptors of two photos as `match` describes for ``pca``."""
    width = a.descriptors.shape[1]
    if b.descriptors.shape[1] != width:
        raise ValueError(
            f"the descriptors of the two photos have {width} and {b.descriptors.shape[1]} dimensions; "
            "expected equal numbers. Fix: extract both photos with the same model"
        )
    if pca is None:
        if width <= PAPER_DIMENSIONS:
            return a, b
        if len(a) + len(b) < PAPER_DIMENSIONS:
            one, other = l2_normalize(a.descriptors), l2_normalize(b.descriptors)
            return a.with_descriptors(one), b.with_descriptors(other)
        pca = PCA.fit(np.concatenate([a.descriptors, b.descriptors]))
    reduced, full = pca.components.shape
    if width == full:
        return a.with_descriptors(pca(a.descriptors)), b.with_descriptors(pca(b.descriptors))
    if width == reduced:
        return a, b
    raise ValueError(
        f"the descriptors have {width} dimensions; expected {full} or {reduced}, because the PCA reduces "
        f"{full} dimensions to {reduced}. Fix: use the PCA of the model that extracted the descriptors"
    )
