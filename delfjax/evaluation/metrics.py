"""Metrics of ranked lists: average precision and precision at k (Sec. 5).

Positives are the correct photos of a query. Junk photos count neither as correct nor as wrong, and
are removed from a ranking before it is scored. A `Truth` holds both. Average precision has two
definitions: one of Oxford5k, Paris6k, Holidays and the revisited data sets, and one of
Google-Landmarks v2. `delfjax.evaluation.precision_recall` scores the results of all queries together.

Symbols: ``n`` is the number of positives of a query, also of those that were not found. ``ranks``
(``r`` in formulas) are the ranks of the positives that were found, from 0, after junk is removed, in
any order. A function that takes both raises a `ValueError` if there are more than ``n`` ranks, or if
a rank is negative or occurs twice.
Axes: ``q`` queries, ``p`` found positives, ``k`` cutoffs (numbers of first results).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from delfjax.datasets.benchmark import Metric
from delfjax.datasets.truth import Truth, check_photo_numbers

LIMIT = 100  # results per query that count on Google-Landmarks v2

Ranks = Int[np.ndarray, " p"]
AtEachK = Float[np.ndarray, " k"]


def remove_junk(ranks: Ranks, junk_ranks: Int[np.ndarray, " j"]) -> Ranks:
    """Return the ranks of photos after the junk, with ranks ``junk_ranks``, is removed."""
    return ranks - np.searchsorted(np.sort(junk_ranks), ranks)


def average_precision(ranks: Ranks, n: int) -> float:
    """Compute the average precision (AP) as Oxford5k defines it, with the trapezoidal rule.

    ``AP = 1/n sum_j (p_j + (j + 1)/(r_j + 1)) / 2``. The index ``j`` counts the found positives from
    0, and ``r_j`` is the rank of positive ``j``. Just before ``r_j``, the precision is ``p_j = j / r_j``,
    or 1 if ``r_j = 0``. Other libraries use the mean of ``(j + 1)/(r_j + 1)``, which is equal or
    higher. Source: ``compute_ap.cpp`` of Philbin et al., CVPR 2007.

    Returns:
        Average precision, 0 to 1. NaN if the query has no positives.
    """
    ranks, j = _sort(ranks, n), np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, j / np.maximum(ranks, 1))
    return float(np.sum(before + (j + 1) / (ranks + 1)) / (2 * n or np.nan))


def average_precision_at(ranks: Ranks, n: int, limit: int = LIMIT) -> float:
    """Compute the average precision (AP) as Google-Landmarks v2 defines it. Not in the paper.

    ``AP = 1/min(n, limit) sum_j (j + 1)/(r_j + 1)`` over the found positives ``j`` with a rank
    ``r_j < limit``. The trapezoidal rule is not used. The mean over queries is called mAP@100.
    Source: ``metrics.py`` of the data set in tensorflow/models.

    Returns:
        Average precision, 0 to 1. NaN if the query has no positives.
    """
    correct = np.isin(np.arange(limit), _sort(ranks, n))
    hits = correct.cumsum() / np.arange(1, limit + 1)
    return float(np.sum(correct * hits) / (min(n, limit) or np.nan))


def precision_at(ranks: Ranks, n: int, ks: Sequence[int], *, cap: bool = True) -> AtEachK:
    """Compute the fraction of positives (correct photos) in the first ``k`` results, for each ``k``.

    With ``cap``, ``k`` is reduced to the number of results up to the last positive, as in the code of
    the revisited data sets. Then a query with three positives can reach a precision of 1 at
    ``k = 10``. If a positive is missing from the ranking, ``k`` is not reduced.

    Returns:
        Precision at each cutoff in ``ks`` (at least 1 each), 0 to 1. NaN if the query has no positives.
    """
    ranks = _sort(ranks, n)
    depth = np.minimum(ks, ranks[-1] + 1) if cap and n and len(ranks) == n else np.asarray(ks)
    return np.searchsorted(ranks, ks) / (depth if n else np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Metrics of each query and means over queries.

    All metrics of a query without positives (correct photos) are NaN. The means leave such queries out.

    Attributes:
        ks: Cutoffs: numbers of first results for precision.
        average_precision: Average precision of each query, 0 to 1.
        precision_at: Precision of each query at each cutoff, 0 to 1.
    """

    ks: tuple[int, ...]
    average_precision: Float[np.ndarray, " q"]
    precision_at: Float[np.ndarray, "q k"]

    @property
    def mean_average_precision(self) -> float:
        """Mean average precision (mAP) over queries, 0 to 1. NaN if no query has positives."""
        return float(self._mean(self.average_precision))

    @property
    def mean_precision_at(self) -> AtEachK:
        """Mean precision over queries at each cutoff (mP@k), 0 to 1."""
        return np.asarray(self._mean(self.precision_at))

    def _mean(self, values: np.ndarray) -> np.ndarray | np.float64:
        """Average over the queries with positives. np.nanmean would warn if no query has any."""
        defined = values[~np.isnan(self.average_precision)]
        return defined.mean(axis=0) if len(defined) else np.full(values.shape[1:], np.nan)


def score_rankings(
    rankings: Iterable[ArrayLike],
    truths: Sequence[Truth],
    *,
    ks: Sequence[int] = (1, 5, 10),
    database_size: int | None = None,
    metric: Metric = "trapezoidal_ap",
) -> Scores:
    """Compute average precision and precision at ``k`` for the ranking of each query.

    Args:
        rankings: For each query, the indices of database photos (from 0), best first. Photos at
            the end of a ranking may be left out.
        truths: Ground truth of each query.
        ks: Cutoffs of precision, from 1 to the size of the database.
        database_size: Number of photos in the database. None: 1 plus the highest index of a photo
            in ``rankings`` or ``truths``.
        metric: ``"trapezoidal_ap"`` for Oxford5k and similar benchmarks: `average_precision`, and
            precision with a capped ``k``. ``"map_at_100"`` for Google-Landmarks v2:
            `average_precision_at`, and plain precision.

    Returns:
        Metrics of each query, in the order of ``truths``.

    Raises:
        ValueError: If the numbers of rankings and truths differ, if a photo is ranked twice or is
            not in the database, or if a cutoff is out of range.
    """
    ranked = [check_photo_numbers(f"ranking of query {q}", ids) for q, ids in enumerate(rankings)]
    if len(ranked) != len(truths):
        raise ValueError(
            f"there are {len(ranked)} rankings for {len(truths)} truths (ground truths of queries); "
            "expected one ranking for each truth"
        )
    _check_size([*ranked, *(truth.positives for truth in truths)], ks, database_size)
    queries = [_positive_ranks(ids, truth) for ids, truth in zip(ranked, truths, strict=True)]
    trapezoidal = metric == "trapezoidal_ap"
    ap = average_precision if trapezoidal else average_precision_at
    return Scores(
        ks=tuple(ks),
        average_precision=np.array([ap(*query) for query in queries], float),
        precision_at=np.reshape(
            [precision_at(*query, ks, cap=trapezoidal) for query in queries],
            (len(queries), len(ks)),
        ),
    )


def _check_size(photos: list[np.ndarray], ks: Sequence[int], size: int | None) -> None:
    last = max((int(ids.max()) for ids in photos if len(ids)), default=-1)
    size = last + 1 if size is None else size
    if last >= size:
        raise ValueError(
            f"a ranking or truth contains photo {last}, but the database has {size} photos; expected "
            f"indices from 0 to {size - 1}"
        )
    if not all(1 <= k <= size for k in ks):
        raise ValueError(
            f"ks is {tuple(ks)} for a database of {size} photos; expected cutoffs from 1 to {size}. "
            "Fix: pass smaller cutoffs, or pass database_size if the database is larger"
        )


def _positive_ranks(ranking: Int[np.ndarray, " r"], truth: Truth) -> tuple[Ranks, int]:
    """Return the ranks of the found positives without junk, and the number of all positives."""
    positives, junk = (np.isin(ranking, ids) for ids in (truth.positives, truth.junk))
    ranks = remove_junk(np.flatnonzero(positives), np.flatnonzero(junk))
    return ranks, len(truth.positives)


def _sort(ranks: Ranks, n: int) -> Ranks:
    """Check ranks and sort them."""
    if len(ranks) > n:
        raise ValueError(f"n is {n}, but {len(ranks)} positives have ranks; expected at most n")
    return np.sort(check_photo_numbers("ranks", ranks))
