"""Late fusion: rank photos by RANSAC inliers of local features and similarity of global descriptors.

The best row of the paper's Table 1 (DELF+FT+ATT+DIR+QE) fuses the scores of DELF and of DIR, a global
descriptor: "a weighted mean of two normalized scores, where the weight for DELF is set to 0.25" (an author,
tensorflow/models issue 6409). The normalization is not published. Here, the scores of all database photos
for a query are scaled so that the lowest is 0 and the highest is 1.

Limitation: scaled scores cannot be compared between queries. The best photo of a query gets a high score
even if no photo shows the landmark. The paper's precision-recall curve (Eq. 4) compares between queries.
"""

import numpy as np
from jaxtyping import Float, Real

from delfjax.search.searcher import SearchResult
from delfjax.types import Ranking

PAPER_WEIGHT = 0.25  # weight of the local score


def normalize(scores: Real[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Scale scores linearly so that the lowest is 0 and the highest is 1. If all are equal, return zeros."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))


def rank_by_similarity(similarities: Float[np.ndarray, " t"]) -> SearchResult:
    """Rank all database photos by the similarity of global descriptors. Equal photos keep their order."""
    return _rank(None, similarities, similarities, similarities)


def fuse(
    result: SearchResult, similarities: Float[np.ndarray, " t"], *, weight: float = PAPER_WEIGHT
) -> SearchResult:
    """Rank all photos of the database by a weighted mean of inliers and global similarity.

    The score is ``weight * n(inliers) + (1 - weight) * n(similarity)``, where ``n`` is `normalize`, and
    ``weight`` is from 0 to 1. Photos that were not verified have 0 inliers. Ties are sorted by
    similarity, then by index.
    """
    inliers = np.zeros(len(similarities))
    inliers[result.ranking.images] = np.maximum(result.ranking.inliers, 0)
    fused = weight * normalize(inliers) + (1 - weight) * normalize(similarities)
    return _rank(result, fused, similarities, fused)


def append_by_similarity(
    result: SearchResult, similarities: Float[np.ndarray, " t"]
) -> SearchResult:
    """Append the photos that a ranking of `Searcher.search_subset` lacks, by global similarity."""
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
    """Rank all photos by key, then similarity, then index. Copy inliers and votes from the result."""
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
