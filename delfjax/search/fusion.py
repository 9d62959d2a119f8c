"""Late fusion: rank photos by both RANSAC inliers and similarity of global descriptors.

The best row of the paper's Table 1 (DELF+FT+ATT+DIR+QE) fuses the scores of DELF and of DIR, a
global descriptor: "a weighted mean of two normalized scores, where the weight for DELF is set to
0.25" (an author, tensorflow/models issue 6409). The normalization is not published.

Here, the local score is the number of inliers, divided by the number of features of the query. The
global score is the cosine similarity. The precision-recall curve (Eq. 4) compares the scores of
different queries. Scores that are rescaled for each query, from 0 to 1, cannot be compared: the
best photo has a high score even if no photo shows the landmark. `WEIGHT` was chosen on synthetic
photos (``docs/differences.md``), with one inlier threshold for all matches, as in the paper.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Real

from delfjax.search.searcher import SearchResult
from delfjax.types import Ranking

WEIGHT = 0.75  # weight of the local score


def rank_by_similarity(similarities: Float[np.ndarray, " p"]) -> SearchResult:
    """Rank all database photos by their global similarity to a query. Ties are sorted by index."""
    return _rank(None, similarities, similarities, similarities)


def fuse(
    result: SearchResult,
    similarities: Float[np.ndarray, " p"],
    *,
    features: int,
    weight: float = WEIGHT,
) -> SearchResult:
    """Rank all database photos by a weighted mean of local and global scores.

    The score of a photo is ``weight * inliers / features + (1 - weight) * similarity``. Photos that
    were not verified have 0 inliers. Ties are sorted by similarity.

    Args:
        result: Result of a search by local features.
        similarities: Cosine similarity of each database photo to the query, by global descriptors.
        features: Number of local features of the query.
        weight: Weight of the local score, 0 to 1.
    """
    local = np.zeros(len(similarities))
    local[result.ranking.images] = np.maximum(result.ranking.inliers, 0) / max(features, 1)
    fused = weight * local + (1 - weight) * similarities
    return _rank(result, fused, similarities, fused)


def append_by_similarity(
    result: SearchResult, similarities: Float[np.ndarray, " p"]
) -> SearchResult:
    """Append the database photos that a ranking does not contain, sorted by global similarity.

    If the ranking has scores, the score of an appended photo is -1.
    """
    images, known = result.ranking.images, result.ranking.scores
    ranks = np.full(len(similarities), float(len(images)))
    ranks[images] = np.arange(len(images))
    scores = None
    if known is not None:
        scores = np.full(len(similarities), -1, known.dtype)
        scores[images] = known
    return _rank(result, -ranks, similarities, scores)


def _rank(
    result: SearchResult | None,
    key: Float[np.ndarray, " p"],
    similarities: Float[np.ndarray, " p"],
    scores: Real[np.ndarray, " p"] | None,
) -> SearchResult:
    """Rank all photos by key, then similarity, then index. Copy inliers and votes."""
    count = len(key)
    order = np.lexsort((np.arange(count), -similarities, -key))
    inliers, votes = np.full(count, -1), np.zeros(count, int)
    if result is not None:
        local = result.ranking
        inliers[local.images], votes[local.images] = local.inliers, local.votes
    ranking = Ranking(
        images=order,
        inliers=inliers[order],
        votes=votes[order],
        scores=None if scores is None else scores[order],
    )
    if result is None:
        return SearchResult(ranking=ranking, matches={}, verifications={})
    return replace(result, ranking=ranking)
