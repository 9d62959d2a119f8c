"""Query expansion: ask again with what the first answer's best photos add to the query.

The paper reports DIR and siaMAC with it (Table 1: +QE), DELF never alone. Two kinds:

- of global descriptors: the query's vector becomes an average with those of its best photos, alike (Chum
  et al., "Total recall", ICCV 2007) or weighted by ``similarity^alpha`` (Radenovic et al., "Fine-tuning CNN
  image retrieval with no human annotation", PAMI 2018);
- of local features, as "Total recall" does it with visual words: features of verified photos that lie, by
  the affine map that verified them, within the query are moved into its frame and join it.

Symbols: ``A`` the affine map from query to database photo, ``s = sqrt(det A)`` how much it enlarges.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import l2_normalize
from delfjax.search.searcher import SearchResult
from delfjax.types import Features

ExpansionKind = Literal["local", "average", "alpha"]


@dataclass(frozen=True, kw_only=True)
class ExpansionConfig:
    """Whom an expansion trusts, and how far. None of the defaults is in the paper.

    Attributes:
        kind: What expands a query: ``"local"``, the features of verified photos; ``"average"`` or
            ``"alpha"``, the mean or weighted mean with the global descriptors of the best photos.
        max_photos: At most so many photos, the best ones, expand a query.
        min_inliers: And only those with at least so many inliers: one wrong photo draws in its like.
        alpha: Exponent of the similarity in the weights of kind ``"alpha"`` (Radenovic et al.: 3).
        max_growth: Of local features: at most this many times the query's own number are added.
        radius: A feature is added only if none is there already, with a descriptor nearer than `distance`
            and within so many pixels of the query photo.
        distance: See ``radius``.
    """

    kind: ExpansionKind = "local"
    max_photos: int = 5
    min_inliers: int = 20
    alpha: float = 3.0
    max_growth: float = 1.0
    radius: float = 20.0
    distance: float = 0.5


def expand_global(
    query: Float[np.ndarray, " d"],
    photos: Float[np.ndarray, "b d"],
    *,
    alpha: float = 0.0,
) -> Float[np.ndarray, " d"]:
    """Compute ``l2(q + sum_i max(0, q . v_i)^alpha v_i)``.

    Args:
        query: Unit vector.
        photos: Unit vectors of the photos that expand it; without any, the query stays as it is.
        alpha: 0 is the plain average, where all count alike; Radenovic et al. take 3.
    """
    weights = np.maximum(photos @ query, 0) ** alpha
    return l2_normalize((query + weights @ photos)[None])[0]


def trusted_photos(answer: SearchResult, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Return the verified photos that may expand a query, best first."""
    ranking = answer.ranking
    images = ranking.images[np.argsort(-ranking.inliers, kind="stable")]
    counts = np.sort(ranking.inliers)[::-1]
    return images[counts >= config.min_inliers][: config.max_photos]


def expand_local(
    query: Features, answer: SearchResult, database: Database, config: ExpansionConfig | None = None
) -> Features:
    """Add to a query the features that verified photos show within it.

    Best scores go first: of two that are alike one is added. The same input gives the same output.

    Args:
        query: Reduced features of the query.
        answer: What it found.
        database: In which it was found.
        config: Which photos are trusted_photos.

    Returns:
        The query with the new features, best score first.
    """
    config = config or ExpansionConfig()
    found = [
        map_to_query(database.features(image), answer.verifications[image].affine, query.image_size)
        for image in trusted_photos(answer, config).tolist()
    ]
    together = _joined(query, *found)
    rows = _new(together, len(query), config)
    chosen = together[np.concatenate([np.arange(len(query)), rows])]
    return chosen[np.argsort(-chosen.scores, kind="stable")]


def map_to_query(
    photo: Features, affine: Float[np.ndarray, "2 3"], size: tuple[int, int]
) -> Features:
    """Move a photo's features into the query's frame; leave out those that fall outside of it.

    Args:
        photo: Features of a database photo.
        affine: ``A``.
        size: ``(height, width)`` of the query photo.

    Returns:
        The features at ``A^-1 p``, of scale ``s`` times their own: what covers ``291 / scale`` pixels
        there covers ``s`` times fewer here.
    """
    linear = affine[:, :2].astype(float)
    positions = (photo.positions - affine[:, 2]) @ np.linalg.inv(linear).T
    seen = ((positions >= -0.5) & (positions < np.array(size) - 0.5)).all(1)  # edges of pixels
    moved = Features(
        positions=positions.astype(np.float32),
        scales=(photo.scales * np.sqrt(np.linalg.det(linear))).astype(np.float32),
        scores=photo.scores,
        descriptors=photo.descriptors,
        image_size=size,
    )
    return moved[seen]


def _joined(*photos: Features) -> Features:
    names = ("positions", "scales", "scores", "descriptors")
    parts = {name: np.concatenate([getattr(each, name) for each in photos]) for name in names}
    return Features(**parts, image_size=photos[0].image_size)


def _new(together: Features, own: int, config: ExpansionConfig) -> Int[np.ndarray, " _"]:
    """Choose, after the query's ``own`` first, the best features that nothing chosen is like."""
    kept = np.arange(len(together)) < own
    order = own + np.argsort(-together.scores[own:], kind="stable")
    added: list[int] = []
    for row in order.tolist():
        if len(added) >= config.max_growth * own:
            break
        if not _alike(together, row, config)[kept].any():
            kept[row] = True
            added.append(row)
    return np.array(added, int)


def _alike(features: Features, row: int, config: ExpansionConfig) -> Bool[np.ndarray, " n"]:
    """Tell which features are near a feature both in place and in descriptor."""
    there = np.linalg.norm(features.positions - features.positions[row], axis=1)
    apart = np.linalg.norm(features.descriptors - features.descriptors[row], axis=1)
    return (there <= config.radius) & (apart < config.distance)
