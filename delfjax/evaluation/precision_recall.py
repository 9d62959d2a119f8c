"""Precision and recall over the results of all queries together (Sec. 5: Eq. 4 and Fig. 5).

A query to which nothing in the database is the answer, a distractor query, can only lower precision:
here a method shows whether its score knows a wrong result from a right one.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from delfjax.datasets.truth import Truth
from delfjax.evaluation.benchmark import Evaluation
from delfjax.evaluation.metrics import Interval, bootstrap, precision_recall

FIRST = 10  # right results at which Fig. 5's axis begins
POINTS = 60  # of a curve that is kept, evenly spaced on its axis; not in the paper
DRAWS = 500  # of queries, kept with a curve; not in the paper


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
    truths += [nothing] * len(benchmark.distractor_queries)
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
    return float(precisions_at(pooled, np.array([recall]))[0])


def precisions_at(pooled: Pooled, recalls: Real[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Compute `precision_at` each recall."""
    curve = precision_recall(pooled.scores, pooled.correct)
    first = np.searchsorted(curve.recall, recalls)  # thresholds fall: the first is the highest
    return np.append(curve.precision, np.nan)[first]


def mean_precision(
    pooled: Pooled, positives: int, drawn: Int[np.ndarray, "draws q"] | None = None
) -> Float[np.ndarray, " draws"]:
    """Compute the mean height of a curve of Fig. 5 over its log axis. Not in the paper.

    From 10 right results to all there are; where these are not found precision counts as 0.

    Args:
        pooled: Results.
        positives: How many right results all queries have.
        drawn: How often each query counts, draw by draw; once each where None.
    """
    order = np.argsort(-pooled.scores, kind="stable")
    scores, correct, queries = (column[order] for column in pooled)
    last = np.flatnonzero(np.diff(scores, append=-1))  # equal scores enter together
    recalls = np.geomspace(min(FIRST, positives), positives, POINTS)

    def mean(counts: Int[np.ndarray, " r"]) -> float:
        found, right = np.cumsum(counts)[last], np.cumsum(counts * correct)[last]
        precision = np.append(right / np.maximum(found, 1), 0.0)
        return precision[np.searchsorted(right, recalls)].mean()

    once = np.ones((1, queries.max(initial=0) + 1), int)
    return np.array([mean(each[queries]) for each in (once if drawn is None else drawn)])


def curve_of(pooled: Pooled, *, positives: int, queries: int, seed: int = 0) -> dict[str, Any]:
    """Return what is worth keeping of a curve of Fig. 5, in percent.

    Args:
        pooled: Results.
        positives: How many right results all queries have.
        queries: How many there are, distractor queries too; some may have no result.
        seed: Of the draws.

    Returns:
        ``precisions`` at some ``recalls``; ``mean``, the `mean_precision`, and its 95% ``interval``; and
        ``draws`` of it over queries. All results of one benchmark have the same draws, one by one, so
        that the differences of two of them are paired.
    """
    recalls = np.geomspace(1, max(1, int(pooled.correct.sum())), POINTS).round().astype(int)
    recalls = np.unique(recalls)
    drawn = np.random.default_rng(seed).multinomial(queries, np.full(queries, 1 / queries), DRAWS)
    draws = mean_precision(pooled, positives, drawn)
    return {
        "recalls": recalls.tolist(),
        "precisions": _percent(np.nan_to_num(precisions_at(pooled, recalls))),
        "positives": positives,
        "mean": _percent(mean_precision(pooled, positives))[0],
        "interval": _percent(np.quantile(draws, [0.025, 0.975])),
        "draws": _percent(draws),
    }


def _percent(values: Float[np.ndarray, " _"]) -> list[float]:
    return (100 * values).round(2).tolist()


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
