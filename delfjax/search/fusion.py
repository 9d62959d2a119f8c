"""Local inliers and global similarity in one ranking: late fusion (Sec. 5: DELF+FT+ATT+DIR+QE).

The paper's best row of Table 1 fuses DELF's score with DIR's: "a weighted mean of two normalized scores,
where the weight for DELF is set to 0.25" (an author, tensorflow/models issue 6409). How the scores are
normalized nobody says; here each query's scores are stretched to 0 to 1 over the whole database.

That makes two rankings comparable, and takes from the score what is the paper's own measure with
distractor queries (Eq. 4): a query with nothing to find has a best photo of score 1 too.
"""

import numpy as np
from jaxtyping import Float, Real

from delfjax.search.searcher import SearchResult
from delfjax.types import Ranking

PAPER_WEIGHT = 0.25  # of the local score


def normalize(scores: Real[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Stretch scores to 0 to 1; where all are alike, to 0."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))


def rank_by_similarity(similarities: Float[np.ndarray, " t"]) -> SearchResult:
    """Rank the whole database by global descriptors alone; equal photos by number."""
    return _reordered(None, similarities, similarities, similarities)


def fuse(
    answer: SearchResult, similarities: Float[np.ndarray, " t"], *, weight: float = PAPER_WEIGHT
) -> SearchResult:
    """Rank the whole database by ``w n(inliers) + (1 - w) n(similarity)``, with `normalize` for ``n``.

    Args:
        answer: What local features found; photos that were not verified have no inliers.
        similarities: Of the query's global descriptor to that of each database photo.
        weight: ``w``, of the inliers: 0 ranks by similarity alone, 1 by inliers.

    Returns:
        Every database photo, with the fused scores; equal ones by similarity, then by number.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight of the local score is {weight}; expected 0 to 1")
    inliers = np.zeros(len(similarities))
    inliers[answer.ranking.images] = np.maximum(answer.ranking.inliers, 0)
    fused = weight * normalize(inliers) + (1 - weight) * normalize(similarities)
    return _reordered(answer, fused, similarities, fused)


def append_by_similarity(
    answer: SearchResult, similarities: Float[np.ndarray, " t"]
) -> SearchResult:
    """Let the photos that an answer leaves out follow by similarity: the first stage's ranking.

    For an answer of `Searcher.among`, which has verified a shortlist of the most similar photos.
    """
    images = answer.ranking.images
    places = np.full(len(similarities), float(len(images)))
    places[images] = np.arange(len(images))
    return _reordered(answer, -places, similarities, None)


def _reordered(
    answer: SearchResult | None,
    key: Float[np.ndarray, " t"],
    similarities: Float[np.ndarray, " t"],
    scores: Float[np.ndarray, " t"] | None,
) -> SearchResult:
    """Rank all photos by a key, then by similarity, then by number; keep what an answer says of them."""
    count = len(key)
    order = np.lexsort((np.arange(count), -similarities, -key))
    inliers, votes = np.full(count, -1), np.zeros(count, int)
    affines = np.full((count, 2, 3), np.nan, np.float32)
    if answer is not None:
        known = answer.ranking
        inliers[known.images], votes[known.images] = known.inliers, known.votes
        affines[known.images] = known.affines
    ranking = Ranking(
        images=order,
        inliers=inliers[order],
        votes=votes[order],
        affines=affines[order],
        scores=None if scores is None else scores[order],
    )
    matches, verifications = ({}, {}) if answer is None else (answer.matches, answer.verifications)
    return SearchResult(ranking=ranking, matches=matches, verifications=verifications)
