"""Query expansion: search, add features of the best photos to the query, and search again.

The paper reports query expansion (+QE in Table 1) for the methods DIR and siaMAC, never for DELF alone.
The global descriptor of a query is averaged with those of the best photos (Chum et al., "Total recall",
ICCV 2007). The average may have weights ``similarity^alpha`` (Radenovic et al., "Fine-tuning CNN image
retrieval with no human annotation", PAMI 2018). The local features of a query are extended by those of
photos with enough RANSAC inliers. The positions of these features are mapped to the query photo by the
affine map that RANSAC found. Chum et al. do the same with visual words.

Symbols: ``A`` is the affine map from query to database photo. ``s = sqrt(det A)`` is the scale of ``A``.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import l2_normalize
from delfjax.ranges import COUNT_OR_0, NOT_NEGATIVE, Range, check_fields
from delfjax.search.searcher import SearchResult
from delfjax.types import ARRAYS, Features

ExpansionKind = Literal["local", "average", "alpha"]


@dataclass(frozen=True, kw_only=True)
class ExpansionConfig:
    """Settings of query expansion. The defaults are not in the paper.

    Attributes:
        kind: ``"local"`` adds local features of the best photos to the query. ``"average"`` replaces the
            global descriptor of the query by the mean of the global descriptors of the query and the
            best photos, ``"alpha"`` by a weighted mean.
        max_photos: Maximum number of photos that expand a query.
        min_inliers: Minimum number of RANSAC inliers of these photos, if local features are searched. A
            wrong photo would add features that match other wrong photos.
        alpha: Exponent of the similarity in the weights of ``"alpha"`` (Radenovic et al.: 3).
        max_growth: Maximum number of local features to add, divided by the number of query features.
        radius: Maximum distance of two duplicate features, in pixels of the query photo. A feature is
            not added if it is a duplicate of one that the query already has.
        distance: Upper limit of the L2 distance between the descriptors of two duplicate features.
    """

    kind: ExpansionKind = "local"
    max_photos: int = 5
    min_inliers: int = 20
    alpha: float = 3.0
    max_growth: float = 1.0
    radius: float = 20.0
    distance: float = 0.5

    def __post_init__(self) -> None:
        limits = {"max_photos": COUNT_OR_0, "min_inliers": COUNT_OR_0, "max_growth": NOT_NEGATIVE}
        limits |= {"radius": NOT_NEGATIVE, "distance": NOT_NEGATIVE}
        check_fields(self, alpha=Range(at_least=0, at_most=1000), **limits)


def expand_global(
    query: Float[np.ndarray, " d"], photos: Float[np.ndarray, "b d"], *, alpha: float = 0.0
) -> Float[np.ndarray, " d"]:
    """Expand a query: average its global descriptor with those of similar photos.

    The result is ``q + sum_i max(0, q . v_i)^alpha v_i``, scaled to unit length. The descriptor ``q``
    of the query and those of the photos, ``v_i``, are unit vectors. An ``alpha`` of 0 gives equal weights.
    """
    weights = np.maximum(photos @ query, 0) ** alpha
    return l2_normalize((query + weights @ photos)[None]).squeeze(0)


def trusted_photos(result: SearchResult, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Return the indices of the photos with enough inliers to expand a query, most inliers first."""
    ranking = result.ranking
    order = np.argsort(-ranking.inliers, kind="stable")
    trusted = order[ranking.inliers[order] >= config.min_inliers]
    return ranking.images[trusted[: config.max_photos]]


def expand_local(
    query: Features, result: SearchResult, database: Database, config: ExpansionConfig
) -> Features:
    """Expand a query: add local features of photos with enough inliers, mapped to the query photo.

    Features with higher scores are added first. Duplicates are not added; see `ExpansionConfig`. Query
    and database are reduced by the same PCA.

    Returns:
        Features of the query and added features, highest score first.
    """
    added = [
        map_to_query(database.features(image), result.verifications[image].affine, query.image_size)
        for image in trusted_photos(result, config).tolist()
    ]
    arrays = {
        name: np.concatenate([getattr(each, name) for each in (query, *added)]) for name in ARRAYS
    }
    features = Features(**arrays, image_size=query.image_size)
    rows = _choose_new(features, len(query), config)
    expanded = features[np.concatenate([np.arange(len(query)), rows])]
    return expanded[np.argsort(-expanded.scores, kind="stable")]


def map_to_query(
    photo: Features, affine: Float[np.ndarray, "2 3"], size: tuple[int, int]
) -> Features:
    """Map features of a database photo to the query photo, and drop those that fall outside.

    A position ``p`` becomes ``A^-1 p``. Scales are multiplied by ``s``, because the receptive field of a
    feature covers ``1 / s`` as many query pixels. The ``size`` of the query photo is ``(height, width)``.
    """
    linear = affine[:, :2].astype(float)
    positions = (photo.positions - affine[:, 2]) @ np.linalg.inv(linear).T
    inside = ((positions >= -0.5) & (positions < np.array(size) - 0.5)).all(1)  # edges of the photo
    moved = Features(
        positions=positions.astype(np.float32),
        scales=(photo.scales * np.sqrt(np.linalg.det(linear))).astype(np.float32),
        scores=photo.scores,
        descriptors=photo.descriptors,
        image_size=size,
    )
    return moved[inside]


def _choose_new(features: Features, own: int, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Choose the rows to add, best score first, without duplicates. The first ``own`` rows are the query's."""
    kept = np.arange(len(features)) < own
    order = own + np.argsort(-features.scores[own:], kind="stable")
    added: list[int] = []
    for row in order.tolist():
        if len(added) >= config.max_growth * own:
            break
        pixels = np.linalg.norm(features.positions - features.positions[row], axis=1)
        distances = np.linalg.norm(features.descriptors - features.descriptors[row], axis=1)
        if not (kept & (pixels <= config.radius) & (distances < config.distance)).any():
            kept[row] = True
            added.append(row)
    return np.array(added, int)
