"""Match two photos: mutual nearest neighbors, verified by RANSAC (Sec. 4.4).

The paper matches a query against a whole database; `delfjax.search.searcher` does that. Matching a
single pair needs no index and no votes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from delfjax.features.pca import PAPER_DIMENSIONS, PCA
from delfjax.geometry.ransac import RansacConfig, verify
from delfjax.search.exact import ExactIndex
from delfjax.types import Features, Matches

MAX_DISTANCE = 0.8  # official match_images


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMatch:
    """The matches between two photos and the geometric model they agree on.

    Attributes:
        matches: Putative matches: positions in photo ``a`` (``query``) and ``b`` (``database``).
        inliers: Which of them agree with the model.
        affine: Map from ``a`` to ``b`` on homogeneous ``(y, x, 1)``; NaN if RANSAC found none. For a
            homography, its first-order approximation at the centroid of the inliers.
        homography: Map from ``a`` to ``b`` if ``RansacConfig.model`` is ``"homography"``, else None.
    """

    matches: Matches
    inliers: Bool[np.ndarray, " m"]
    affine: Float[np.ndarray, "2 3"]
    homography: Float[np.ndarray, "3 3"] | None = None

    @property
    def num_inliers(self) -> int:
        """Number of inliers: the paper's similarity score."""
        return int(self.inliers.sum())


def match(
    a: Features,
    b: Features,
    *,
    pca: PCA | None = None,
    max_distance: float = MAX_DISTANCE,
    ratio: float = 1.0,
    ransac: RansacConfig | None = None,
) -> PairMatch:
    """Match the features of two photos and verify the matches geometrically.

    A pair of features is a putative match if each is the other's nearest neighbor. The official code
    requires one direction only.

    Args:
        a: Features of the first photo, as the extractor or a feature store returns them.
        b: Features of the second photo.
        pca: PCA that reduces both photos' descriptors; descriptors of its output size are used as
            they are. If None, descriptors of more than 40 dimensions (the paper's size) are reduced
            by a PCA fitted to the two photos, and smaller ones are used as they are.
        max_distance: Maximum L2 distance of a match, 0 to 2.
        ratio: Maximum ratio of the distance to that of the second nearest feature of ``b`` (Lowe,
            "Distinctive image features from scale-invariant keypoints", IJCV 2004). 1 disables the test.
        ransac: Verification settings. None: the defaults.

    Raises:
        ValueError: If the descriptors of the two photos differ in size, do not fit the PCA, or are
            too few to fit one.
    """
    a, b = _reduce(a, b, pca)
    rows_a, rows_b, distances = (np.empty(0, int), np.empty(0, int), np.empty(0, np.float32))
    if len(a) and len(b):
        nearest, near = ExactIndex(b.descriptors).search(a.descriptors, min(2, len(b)))
        back, _ = ExactIndex(a.descriptors).search(b.descriptors, 1)
        mutual = back[nearest[:, 0], 0] == np.arange(len(a))
        # With a single feature in b there is no second nearest to compare with.
        distinct = (near[:, 0] < ratio * near[:, -1]) | (ratio >= 1) | (len(b) < 2)
        rows_a = np.flatnonzero(mutual & distinct & (near[:, 0] <= max_distance))
        rows_b, distances = nearest[rows_a, 0], near[rows_a, 0]
    matches = Matches(query=a.positions[rows_a], database=b.positions[rows_b], distances=distances)
    verification = verify([matches], ransac)[0]
    return PairMatch(
        matches=matches,
        inliers=verification.inliers,
        affine=verification.affine,
        homography=verification.homography,
    )


def _reduce(a: Features, b: Features, pca: PCA | None) -> tuple[Features, Features]:
    """Reduce the descriptors of two photos; see `match` for the rule."""
    width = a.descriptors.shape[1]
    if b.descriptors.shape[1] != width:
        raise ValueError(
            f"descriptors of the two photos have {width} and {b.descriptors.shape[1]} dimensions; "
            "expected the same. Fix: extract both photos with one model"
        )
    if pca is None:
        if width <= PAPER_DIMENSIONS:
            return a, b
        pca = PCA.fit(np.concatenate([a.descriptors, b.descriptors]))
    reduced, full = pca.components.shape
    if width == full:
        return tuple(each.with_descriptors(pca(each.descriptors)) for each in (a, b))
    if width == reduced:
        return a, b
    raise ValueError(
        f"descriptors have {width} dimensions, but the PCA maps {full} to {reduced}. Fix: use the PCA "
        "of the model that extracted them"
    )
