"""Late fusion: combine local inliers and global similarity in one ranking (Sec. 5: DELF+FT+ATT+DIR+QE).

The paper's best row of Table 1 fuses DELF's score with DIR's: "a weighted mean of two normalized scores,
where the weight for DELF is set to 0.25" (an author, tensorflow/models issue 6409). The normalization is
not published; here the scores of a query are scaled to 0 to 1 over the database.

Limitation: scaled scores cannot be compared between queries, as the paper's precision-recall curve does
(Eq. 4): the best photo of a query gets a high score even if nothing in the database shows the landmark.
"""

import numpy as np
from jaxtyping import Float, Real

from delfjax.search.searcher import SearchResult
from delfjax.types import Ranking

PAPER_WEIGHT = 0.25  # of the local score


def normalize(scores: Real[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Scale scores linearly to 0 to 1; equal scores to 0."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))


def rank_by_similarity(similarities: Float[np.ndarray, " t"]) -> SearchResult:
    """Rank the whole database by global descriptors alone; equal photos by index.

    Args:
        similarities: Similarity of the query's global descriptor to that of each photo.
    """
    return _rank(None, similarities, similarities, similarities)


def fuse(
    result: SearchResult, similarities: Float[np.ndarray, " t"], *, weight: float = PAPER_WEIGHT
) -> SearchResult:
    """Rank the whole database by ``w n(inliers) + (1 - w) n(similarity)``, with `normalize` as ``n``.

    Args:
        result: Result of the local features; photos not verified count as 0 inliers.
        similarities: Similarity of the query's global descriptor to that of each photo.
        weight: ``w``, the weight of the inliers, 0 to 1.

    Returns:
        A ranking of every photo with the fused scores; equal ones by similarity, then index.

    Raises:
        ValueError: If the weight is out of range.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight of the local score is {weight}; expected 0 to 1")
    inliers = np.zeros(len(similarities))
    inliers[result.ranking.images] = np.maximum(result.ranking.inliers, 0)
    fused = weight * normalize(inliers) + (1 - weight) * normalize(similarities)
    return _rank(result, fused, similarities, fused)


def append_by_similarity(
    result: SearchResult, similarities: Float[np.ndarray, " t"]
) -> SearchResult:
    """Append the photos that a result lacks, by similarity, as after `Searcher.search_subset`.

    Args:
        result: Result of the local features, whose order is kept.
        similarities: Similarity of the query's global descriptor to that of each photo.
    """
    images = result.ranking.images
    ranks = np.full(len(similarities), float(len(images)))
    ranks[images] = np.arange(len(images))
    return _rank(result, -ranks, similarities, None)


def _rank(
    result: SearchResult | None,
    key: Float[np.ndarray, " t"],
    similarities: Float[np.ndarray, " t"],
    scores: Float[np.ndarray, " t"] | None,
) -> SearchResult:
    """Rank all photos by a key, then similarity, then index; keep inliers and votes of a result."""
    count = len(key)
    order = np.lexsort((np.arange(count), -similarities, -key))
    inliers, votes = np.full(count, -1), np.zeros(count, int)
    affines = np.full((count, 2, 3), np.nan, np.float32)
    if result is not None:
        local = result.ranking
        inliers[local.images], votes[local.images] = local.inliers, local.votes
        affines[local.images] = local.affines
    ranking = Ranking(
        images=order,
        inliers=inliers[order],
        votes=votes[order],
        affines=affines[order],
        scores=None if scores is None else scores[order],
    )
    matches, verifications = ({}, {}) if result is None else (result.matches, result.verifications)
    return SearchResult(ranking=ranking, matches=matches, verifications=verifications)
