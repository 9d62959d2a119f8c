"""Score rankings by average precision and by precision of the first ``k`` results (Sec. 5).

Positives are the correct photos of a query. Junk photos count neither as correct nor as wrong. Junk
is removed from a ranking before the ranking is scored. Average precision has two definitions.
Oxford5k, Paris6k, Holidays and the revisited data sets share one definition. Google-Landmarks v2
has another. `delfjax.evaluation.precision_recall` scores the results of all queries together.

Axes: ``q`` queries, ``p`` found positives, ``k`` cutoffs (numbers of first results).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from delfjax.datasets.benchmark import Metric, Truth, check_photo_numbers

LIMIT = 100  # results per query that count on Google-Landmarks v2

Ranks = Int[np.ndarray, " p"]
AtEachK = Float[np.ndarray, " k"]


def average_precision(ranks: Ranks, n: int) -> float:
    """Compute the average precision (AP) by the trapezoidal rule, as Oxford5k defines it.

    Let ``r_j`` be the rank of the ``j``-th found positive. Ranks and ``j`` count from 0. Just
    before this positive, the precision is ``p_j = j / r_j``, or 1 if ``r_j = 0``. With this
    positive, the precision is ``(j + 1)/(r_j + 1)``. Then
    ``AP = 1/n sum_j (p_j + (j + 1)/(r_j + 1)) / 2``. Other libraries leave out ``p_j``:
    ``1/n sum_j (j + 1)/(r_j + 1)``, which is equal or higher. Source: ``compute_ap.cpp``.

    Args:
        ranks: Ranks of the found positives (correct photos), from 0, without junk, in any order.
        n: Number of positives of the query, found or not.

    Returns:
        Average precision, 0 to 1. NaN if ``n`` is 0.

    Raises:
        ValueError: If there are more than ``n`` ranks, or a rank is negative or occurs twice.
    """
    ranks, j = _sort(ranks, n), np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, j / np.maximum(ranks, 1))
    return float(np.sum(before + (j + 1) / (ranks + 1)) / (2 * n or np.nan))


def average_precision_at(ranks: Ranks, n: int, limit: int = LIMIT) -> float:
    """Compute the average precision (AP) of the first results, as Google-Landmarks v2 defines it.

    Let ``r_j`` be the rank of the ``j``-th found positive. Ranks and ``j`` count from 0. Then
    ``AP = 1/min(n, limit) sum_j (j + 1)/(r_j + 1)``, summed over the positives with
    ``r_j < limit``. The mean over queries is called mAP@100. Not in the paper. Source:
    ``metrics.py`` of tensorflow/models. For arguments and errors, see `average_precision`.
    ``limit`` is the number of results that count.
    """
    correct = np.isin(np.arange(limit), _sort(ranks, n))
    hits = correct.cumsum() / np.arange(1, limit + 1)
    return float(np.sum(correct * hits) / (min(n, limit) or np.nan))


def precision_at(ranks: Ranks, n: int, ks: Sequence[int], *, cap: bool = True) -> AtEachK:
    """Compute the precision of the first ``k`` results for each ``k`` in ``ks``.

    Precision is the fraction of the ``k`` results that are positives (correct photos). With ``cap``,
    if all positives are found, ``k`` is at most the rank of the last one (from 1), as in the code of
    the revisited data sets. A query with three positives can then reach a precision of 1 at
    ``k = 10``. For ``ranks``, ``n`` and errors, see `average_precision`.

    Returns:
        Precision for each ``k``, 0 to 1. NaN if ``n`` is 0.
    """
    ranks = _sort(ranks, n)
    depth = np.minimum(ks, ranks[-1] + 1) if cap and n and len(ranks) == n else np.asarray(ks)
    return np.searchsorted(ranks, ks) / (depth if n else np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Metrics of each query, and their means over queries.

    The metrics of queries without positives (correct photos) are NaN. Means leave them out.

    Attributes:
        ks: Numbers of first results whose precision is measured (cutoffs).
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
        rankings: Indices of database photos for each query, best first. Photos may be left out.
        truths: Ground truth of each query.
        ks: Numbers of first results for precision, from 1 to the size of the database.
        database_size: Number of photos in the database. None: 1 plus the highest index found.
        metric: ``"trapezoidal_ap"`` computes `average_precision`, and `precision_at` with ``cap``,
            for Oxford5k and similar benchmarks. ``"map_at_100"`` computes `average_precision_at`,
            and `precision_at` without ``cap``, for Google-Landmarks v2.

    Returns:
        Metrics of each query, in the order of ``truths``.

    Raises:
        ValueError: If the numbers of rankings and truths differ, if a photo is ranked twice or is
            not in the database, or if a number in ``ks`` is out of range.
    """
    ranked = [check_photo_numbers(f"ranking of query {q}", ids) for q, ids in enumerate(rankings)]
    if len(ranked) != len(truths):
        raise ValueError(
            f"there are {len(ranked)} rankings for the ground truth of {len(truths)} queries; expected one "
            "ranking for each query"
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
            f"a ranking or truth contains the photo index {last}, but the database has {size} photos; "
            f"expected indices from 0 to {size - 1}"
        )
    if not all(1 <= k <= size for k in ks):
        raise ValueError(
            f"ks is {tuple(ks)} for a database of {size} photos; expected cutoffs from 1 to {size}. "
            "Fix: pass smaller cutoffs, or pass database_size if the database is larger"
        )


def _positive_ranks(ranking: Int[np.ndarray, " r"], truth: Truth) -> tuple[Ranks, int]:
    """Return the ranks of the found positives, without junk, and the number of all positives."""
    scored = ranking[truth.is_scored(ranking)]
    return np.flatnonzero(np.isin(scored, truth.positives)), len(truth.positives)


def _sort(ranks: Ranks, n: int) -> Ranks:
    """Check ranks and sort them."""
    if len(ranks) > n:
        raise ValueError(
            f"n, the number of positives, is {n}, but there are {len(ranks)} ranks; expected at most n"
        )
    return np.sort(check_photo_numbers("ranks", ranks))
