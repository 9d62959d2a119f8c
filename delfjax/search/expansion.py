"""Query expansion: search, add features of the best photos to the query, and search again.

The paper expands queries (+QE in Table 1) only with a global descriptor, DIR or siaMAC.

Here, the global descriptor of the query is averaged with the descriptors of the best photos (Chum
et al., "Total recall", ICCV 2007). The weights may be ``similarity^alpha`` (Radenovic et al.,
"Fine-tuning CNN image retrieval with no human annotation", PAMI 2018). Local features of photos
with enough RANSAC inliers are added to the query, as Chum et al. do with visual words.
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
        kind: ``"local"`` adds local features of the best photos to the query. ``"average"``
            averages the global descriptors of the query and of the best photos. ``"alpha"``
            computes a weighted average; see `expand_global`.
        max_photos: Maximum number of photos that expand a query.
        min_inliers: Minimum number of inliers of a photo that expands a query, if RANSAC is used.
        alpha: Exponent of the similarity in the weights of ``"alpha"`` (Radenovic et al.: 3).
        max_growth: Maximum number of local features to add, per query feature.
        radius: Two features are duplicates if their positions differ by at most ``radius`` pixels
            of the query photo, and their descriptors by less than ``distance``. Duplicates of query
            features and of added features are not added.
        distance: Upper limit of the L2 distance between descriptors of duplicates; see ``radius``.
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
    query: Float[np.ndarray, " d"], photos: Float[np.ndarray, "b d"], config: ExpansionConfig
) -> Float[np.ndarray, " d"]:
    """Average the global descriptor of a query with those of similar photos.

    Let the unit vectors ``q`` and ``v_i`` be the descriptors of the query and of the photos. Return
    ``q + sum_i w_i v_i``, scaled to unit length. The weight ``w_i`` is 1 or, for the kind ``"alpha"``,
    ``max(0, q.v_i)^alpha``.
    """
    alpha = config.alpha if config.kind == "alpha" else 0.0
    weights = np.maximum(photos @ query, 0) ** alpha
    return l2_normalize((query + weights @ photos)[None]).squeeze(0)


def trusted_photos(result: SearchResult, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Return the database indices of the photos that may expand a query, most inliers first."""
    ranking = result.ranking
    order = np.argsort(-ranking.inliers, kind="stable")
    trusted = order[ranking.inliers[order] >= config.min_inliers]
    return ranking.images[trusted[: config.max_photos]]


def expand_local(
    query: Features, result: SearchResult, database: Database, config: ExpansionConfig
) -> Features:
    """Add local features of photos with enough RANSAC inliers to the features of a query.

    Their positions are mapped to the query photo (`map_to_query`). Features with the highest scores are
    added first. Duplicates are not added; see `ExpansionConfig`. ``result`` is the result of a first
    search. The descriptors of query and database must be reduced by the same PCA.

    Returns:
        The features of the query and the added features, highest score first.
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
    """Map features of a database photo to the query photo, and drop features that fall outside.

    ``affine = [A | t]`` maps the query photo to the database photo: a position ``x`` maps to
    ``A x + t``. So a position ``p`` in the database photo becomes ``A^-1 (p - t)``, and lengths are
    divided by ``s = sqrt(det A)``. Scales of features are inversely proportional to lengths, so
    scales are multiplied by ``s``. ``size`` is the height and width of the query photo.
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
    """Choose the rows to add, best score first. The first ``own`` rows are those of the query."""
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
