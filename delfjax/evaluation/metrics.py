"""How good a ranking is: average precision, precision and recall (the paper's Sec. 5 and Eq. 4).

The Oxford, Paris and Holidays sets share one average precision and differ in what is positive and
what is junk, which is taken out of a ranking as if the database had never held it. A protocol is
therefore a function that makes a `Truth`; `evaluate` does the rest. Google-Landmarks has no mean
over queries but one pooled curve: `precision_recall`.

Symbols: ``n`` positives of a query, ``r`` their ranks, from 0, after junk is removed. Axes: ``q``
queries, ``p`` positives found, ``k`` cutoffs, ``r`` results of all queries, ``s`` thresholds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy.typing import ArrayLike

from delfjax.datasets.truth import Truth, photo_numbers

Ranks = Int[np.ndarray, " p"]
AtEachK = Float[np.ndarray, " k"]


def remove_junk(ranks: Ranks, junk_ranks: Int[np.ndarray, " j"]) -> Ranks:
    """Return the ranks that are left without junk: each minus the junk ranked before it."""
    return ranks - np.searchsorted(np.sort(junk_ranks), ranks)


def average_precision(ranks: Ranks, n: int) -> float:
    """Compute ``AP = 1/n sum_j (p_j + (j + 1)/(r_j + 1)) / 2``, the trapezoids under the PR curve.

    ``p_j`` is the precision just before the ``j``-th positive (from 0): ``j / r_j``, and 1 where
    ``r_j = 0``. The more common mean of ``(j + 1)/(r_j + 1)`` is never lower. Source:
    ``compute_ap.cpp`` of Philbin et al., "Object retrieval with large vocabularies and fast spatial
    matching", CVPR 2007; Holidays and the revisited sets follow it.

    Args:
        ranks: Ranks of the positives that were found, from 0, without junk, in any order.
        n: How many positives there are. Those not found add 0; of none, the result is NaN.
    """
    ranks, j = _sorted(ranks, n), np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, j / np.maximum(ranks, 1))
    return float(np.sum(before + (j + 1) / (ranks + 1)) / (2 * n or np.nan))


def precision_at(ranks: Ranks, n: int, ks: Sequence[int]) -> AtEachK:
    """Compute ``hits among the first k / k``, with ``k`` capped at the last positive's rank.

    The cap, revisitop's, lets a query with three positives reach 1 at 10. It applies only if all
    were found: else the last one's rank is unknown, and to omit positives must not pay. Arguments
    and NaN as in `average_precision`.
    """
    ranks = _sorted(ranks, n)
    depth = np.minimum(ks, ranks[-1] + 1) if n and len(ranks) == n else np.asarray(ks)
    return np.searchsorted(ranks, ks) / (depth if n else np.nan)


def recall_at(ranks: Ranks, n: int, ks: Sequence[int]) -> AtEachK:
    """Compute ``hits among the first k / n``. Arguments and NaN as in `average_precision`."""
    return np.searchsorted(_sorted(ranks, n), ks) / (n or np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """The metrics of each query; NaN for queries without positives, which no mean counts."""

    ks: tuple[int, ...]
    average_precision: Float[np.ndarray, " q"]
    precision_at: Float[np.ndarray, "q k"]
    recall_at: Float[np.ndarray, "q k"]

    @property
    def mean_average_precision(self) -> float:
        """Mean over queries, mAP; NaN if none has positives."""
        return float(self._mean(self.average_precision))

    @property
    def mean_precision_at(self) -> AtEachK:
        """Mean over queries, mP@k."""
        return self._mean(self.precision_at)

    @property
    def mean_recall_at(self) -> AtEachK:
        """Mean over queries of the recall at each cutoff."""
        return self._mean(self.recall_at)

    def _mean(self, values: np.ndarray) -> np.ndarray | np.float64:
        counted = values[~np.isnan(self.average_precision)]  # nanmean would warn if that is none
        return counted.mean(axis=0) if len(counted) else np.full(values.shape[1:], np.nan)


def evaluate(
    rankings: Iterable[ArrayLike],
    truths: Sequence[Truth],
    *,
    ks: Sequence[int] = (1, 5, 10),
    database_size: int | None = None,
) -> Scores:
    """Score one ranking for each query.

    Args:
        rankings: Database photo numbers, best first, none twice; maybe truncated.
        truths: What each query should find.
        ks: Cutoffs of precision and recall, none larger than the database.
        database_size: Photos in the database. None: the fewest that the numbers in use allow.
    """
    rankings = [photo_numbers(f"ranking of query {q}", ids) for q, ids in enumerate(rankings)]
    if len(rankings) != len(truths):
        raise ValueError(f"{len(rankings)} rankings, {len(truths)} truths: expected one each")
    _check_size([*rankings, *(truth.positives for truth in truths)], ks, database_size)
    queries = [_found(ids, truth) for ids, truth in zip(rankings, truths, strict=True)]
    table = len(queries), len(ks)
    return Scores(
        ks=tuple(ks),
        average_precision=np.array([average_precision(*query) for query in queries], float),
        precision_at=np.reshape([precision_at(*query, ks) for query in queries], table),
        recall_at=np.reshape([recall_at(*query, ks) for query in queries], table),
    )


class PrecisionRecall(NamedTuple):
    """Precision, and recall as a count, of the results that score at least each threshold."""

    thresholds: Float[np.ndarray, " s"]
    precision: Float[np.ndarray, " s"]
    recall: Int[np.ndarray, " s"]


def precision_recall(
    scores: Real[np.ndarray, " r"],
    correct: Bool[np.ndarray, " r"],
    *,
    thresholds: Real[np.ndarray, " s"] | None = None,
) -> PrecisionRecall:
    """Compute ``PRE = sum_q |R_q^TP| / sum_q |R_q|`` and ``REC = sum_q |R_q^TP|`` (Eq. 4).

    ``R_q`` are the results of query ``q`` that score at least the threshold: equal scores enter
    together. A distractor query has no correct result and adds to ``|R_q|`` only.

    Args:
        scores: Of the results of all queries, distractors too, in any order.
        correct: Whether each result shows its query's landmark.
        thresholds: Where to evaluate; precision is NaN above the highest score. None: at every
            score, the highest first.
    """
    if len(scores) != len(correct) or correct.dtype != bool or np.isnan(scores).any():
        found = f"{len(scores)} scores, {len(correct)} {correct.dtype} correct"
        raise ValueError(f"{found}: expected as many bool as scores, and no NaN (leave these out)")
    sweep = np.unique(scores)[::-1] if thresholds is None else np.asarray(thresholds)
    retrieved, recall = (
        len(group) - np.searchsorted(np.sort(group), sweep) for group in (scores, scores[correct])
    )
    precision = np.where(retrieved > 0, recall / np.maximum(retrieved, 1), np.nan)
    return PrecisionRecall(sweep.astype(float), precision, recall)


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def bootstrap(
    values: Float[np.ndarray, " q"],
    *,
    statistic: Callable[[np.ndarray], float] = np.nanmean,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int,
) -> Interval:
    """Compute a percentile bootstrap interval of a statistic over queries. Not in the paper.

    Queries whose value is NaN are left out first: a draw of nothing else would have no mean. Of
    the resampled statistics, the share ``level`` lies within the interval.
    """
    values = values[~np.isnan(values)]
    if not len(values) or not 0 < level < 1:
        raise ValueError(f"{len(values)} values, level {level}: expected some, within 0 and 1")
    draws = np.random.default_rng(seed).integers
    estimates = [statistic(values[draws(len(values), size=len(values))]) for _ in range(resamples)]
    return Interval(*np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2]).tolist())


def _check_size(photos: list[np.ndarray], ks: Sequence[int], size: int | None) -> None:
    last = max((int(ids.max()) for ids in photos if len(ids)), default=-1)
    size = last + 1 if size is None else size
    if last >= size:
        raise ValueError(f"photo {last} in a database of {size}: photo numbers count from 0")
    if not all(1 <= k <= size for k in ks):
        raise ValueError(
            f"ks {tuple(ks)} in a database of {size} photos: expected 1 to {size}; pass "
            "database_size if it holds more photos than the numbers in use show"
        )


def _found(ranking: Int[np.ndarray, " r"], truth: Truth) -> tuple[Ranks, int]:
    positives, junk = (np.isin(ranking, ids) for ids in (truth.positives, truth.junk))
    ranks = remove_junk(np.flatnonzero(positives), np.flatnonzero(junk))
    return ranks, len(truth.positives)


def _sorted(ranks: Ranks, n: int) -> Ranks:
    if len(ranks) > n:
        raise ValueError(f"{len(ranks)} positives found of n = {n}: n should count them all")
    return np.sort(photo_numbers("ranks", ranks))
