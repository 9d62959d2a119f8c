"""Query expansion: add to a query what its best results show, and search again.

The paper reports it for DIR and siaMAC (Table 1: +QE), never for DELF alone. A global descriptor is averaged
with those of the best photos (Chum et al., "Total recall", ICCV 2007), or with weights
``similarity^alpha`` (Radenovic et al., "Fine-tuning CNN image retrieval with no human annotation", PAMI
2018). To local features are added those of verified photos, moved into the query by the affine map that
verified the photo, as "Total recall" does with visual words.

Symbols: ``A`` is the affine map from query to database photo, ``s = sqrt(det A)`` its scale.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import l2_normalize
from delfjax.search.index import check_minimums
from delfjax.search.searcher import SearchResult
from delfjax.types import Features

ExpansionKind = Literal["local", "average", "alpha"]


@dataclass(frozen=True, kw_only=True)
class ExpansionConfig:
    """Which photos expand a query, and by how much. The defaults are not in the paper.

    Attributes:
        kind: What expands a query: ``"local"``, the features of verified photos; ``"average"`` or
            ``"alpha"``, the mean or weighted mean with the global descriptors of the best photos.
        max_photos: Maximum number of photos that expand a query.
        min_inliers: Minimum number of inliers of such a photo: one wrong photo attracts others like it.
        alpha: Exponent of the similarity in the weights of kind ``"alpha"`` (Radenovic et al.: 3).
        max_growth: Maximum number of local features added, as a multiple of the query's own.
        radius: A feature is a duplicate of another if it lies within this many pixels of the query
            photo and their descriptors are nearer than ``distance``. Duplicates are not added.
        distance: L2 distance of descriptors; see ``radius``.

    Raises:
        ValueError: If a value is out of range.
    """

    kind: ExpansionKind = "local"
    max_photos: int = 5
    min_inliers: int = 20
    alpha: float = 3.0
    max_growth: float = 1.0
    radius: float = 20.0
    distance: float = 0.5

    def __post_init__(self) -> None:
        check_minimums(self, max_photos=0, min_inliers=0)
        check_minimums(self, alpha=0.0, max_growth=0.0, radius=0.0, distance=0.0)


def expand_global(
    query: Float[np.ndarray, " d"],
    photos: Float[np.ndarray, "b d"],
    *,
    alpha: float = 0.0,
) -> Float[np.ndarray, " d"]:
    """Average a query's global descriptor with others: ``l2(q + sum_i max(0, q . v_i)^alpha v_i)``.

    Args:
        query: Unit vector ``q``.
        photos: Unit vectors ``v_i`` of the photos that expand it. Without any, ``q`` is returned.
        alpha: Exponent of the weights; 0 is the plain average, Radenovic et al. take 3.
    """
    weights = np.maximum(photos @ query, 0) ** alpha
    return l2_normalize((query + weights @ photos)[None])[0]


def trusted_photos(result: SearchResult, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Return the verified photos that may expand a query, most inliers first."""
    ranking = result.ranking
    images = ranking.images[np.argsort(-ranking.inliers, kind="stable")]
    inliers = np.sort(ranking.inliers)[::-1]
    return images[inliers >= config.min_inliers][: config.max_photos]


def expand_local(
    query: Features,
    result: SearchResult,
    database: Database,
    config: ExpansionConfig | None = None,
) -> Features:
    """Add to a query the local features that its verified photos show within its frame.

    Features with higher scores are added first; see `ExpansionConfig` for duplicates.

    Args:
        query: Features of the query, reduced like the database.
        result: Its search result.
        database: The database that was searched.
        config: Which photos expand the query, and by how much.

    Returns:
        The query with the added features, highest score first.
    """
    config = config or ExpansionConfig()
    added = [
        map_to_query(database.features(image), result.verifications[image].affine, query.image_size)
        for image in trusted_photos(result, config).tolist()
    ]
    features = _concatenate(query, *added)
    rows = _choose_new(features, len(query), config)
    expanded = features[np.concatenate([np.arange(len(query)), rows])]
    return expanded[np.argsort(-expanded.scores, kind="stable")]


def map_to_query(
    photo: Features, affine: Float[np.ndarray, "2 3"], size: tuple[int, int]
) -> Features:
    """Move a photo's features into the query's frame, and drop those that fall outside.

    Args:
        photo: Features of a database photo.
        affine: ``A``.
        size: ``(height, width)`` of the query photo in pixels.

    Returns:
        The features at ``A^-1 p``, with ``s`` times their scale: a receptive field of ``291 / scale``
        pixels of the photo covers ``s`` times fewer pixels of the query.
    """
    linear = affine[:, :2].astype(float)
    positions = (photo.positions - affine[:, 2]) @ np.linalg.inv(linear).T
    inside = ((positions >= -0.5) & (positions < np.array(size) - 0.5)).all(1)  # edges of pixels
    moved = Features(
        positions=positions.astype(np.float32),
        scales=(photo.scales * np.sqrt(np.linalg.det(linear))).astype(np.float32),
        scores=photo.scores,
        descriptors=photo.descriptors,
        image_size=size,
    )
    return moved[inside]


def _concatenate(*photos: Features) -> Features:
    names = ("positions", "scales", "scores", "descriptors")
    arrays = {name: np.concatenate([getattr(each, name) for each in photos]) for name in names}
    return Features(**arrays, image_size=photos[0].image_size)


def _choose_new(features: Features, own: int, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Choose rows after the query's ``own`` first, best score first, without duplicates."""
    kept = np.arange(len(features)) < own
    order = own + np.argsort(-features.scores[own:], kind="stable")
    added: list[int] = []
    for row in order.tolist():
        if len(added) >= config.max_growth * own:
            break
        if not _find_duplicates(features, row, config)[kept].any():
            kept[row] = True
            added.append(row)
    return np.array(added, int)


def _find_duplicates(
    features: Features, row: int, config: ExpansionConfig
) -> Bool[np.ndarray, " n"]:
    """Return which features are near one feature in both position and descriptor."""
    pixels = np.linalg.norm(features.positions - features.positions[row], axis=1)
    distances = np.linalg.norm(features.descriptors - features.descriptors[row], axis=1)
    return (pixels <= config.radius) & (distances < config.distance)
