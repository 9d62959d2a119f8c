"""Precision and recall over the results of all queries together (Sec. 5: Eq. 4 and Fig. 5).

A query to which nothing in the database is the answer, a distractor query, can only lower precision:
here a method shows whether its score knows a wrong result from a right one.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from delfjax.evaluation import Evaluation
from delfjax.metrics import Interval, Truth, bootstrap, precision_recall


class Pooled(NamedTuple):
    """Results of all queries, with the number of the query that each belongs to."""

    scores: Real[np.ndarray, " r"]
    correct: Bool[np.ndarray, " r"]
    queries: Int[np.ndarray, " r"]


def pool(evaluation: Evaluation, protocol: str | None = None) -> Pooled:
    """Put the verified results of all queries together, distractor queries last, junk left out.

    Of rankings by another score than inliers: all results.
    """
    benchmark = evaluation.benchmark
    nothing = Truth(np.empty(0, int), np.empty(0, int))
    truths = [*benchmark.truths[protocol or benchmark.protocol]]
    truths += [nothing] * len(benchmark.strangers)
    parts = []
    for number, (answer, truth) in enumerate(zip(evaluation.answers, truths, strict=True)):
        images, inliers = answer.ranking.images, answer.ranking.inliers
        scores = inliers if answer.ranking.scores is None else answer.ranking.scores
        counted = (inliers >= 0) | (answer.ranking.scores is not None)
        kept = counted & ~np.isin(images, truth.junk)
        found = np.isin(images[kept], truth.positives)
        parts.append((scores[kept], found, np.full(kept.sum(), number)))
    return Pooled(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def precision_at(pooled: Pooled, recall: int) -> float:
    """Compute the precision at the highest threshold that finds ``recall`` right results (Fig. 5).

    NaN if not so many are found at all.
    """
    curve = precision_recall(pooled.scores, pooled.correct)
    enough = curve.recall >= recall  # thresholds fall, so the first is the highest
    return float(curve.precision[enough.argmax()]) if enough.any() else np.nan


def precision_intervals(
    pooled: Pooled,
    recalls: Int[np.ndarray, " k"],
    *,
    queries: int,
    resamples: int = 500,
    seed: int,
) -> list[Interval]:
    """Compute a 95% bootstrap interval of `precision_at` each recall, over queries. Not in the paper.

    Queries are drawn with all their results, distractor queries among them. Where a draw does not reach a
    recall its precision counts as 0, so near the highest recall intervals reach far down.

    Args:
        pooled: Results.
        recalls: Numbers of right results.
        queries: How many queries there were; some may have no result.
        resamples: Number of draws.
        seed: Of the draws.

    Raises:
        ValueError: A recall is not reached by all the queries.
    """
    rows = [np.flatnonzero(pooled.queries == query) for query in range(queries)]
    if not all(pooled.correct.sum() >= recall for recall in recalls):
        raise ValueError(
            f"recalls {recalls} of {pooled.correct.sum()} right results: expected fewer"
        )

    def at(recall: int, drawn: Float[np.ndarray, " q"]) -> float:
        chosen = np.concatenate([rows[int(query)] for query in drawn])
        found = precision_at(Pooled(*(column[chosen] for column in pooled)), recall)
        return 0.0 if np.isnan(found) else found

    numbers = np.arange(len(rows), dtype=float)
    return [
        bootstrap(
            numbers, statistic=lambda drawn, r=r: at(r, drawn), resamples=resamples, seed=seed
        )
        for r in recalls.tolist()
    ]
