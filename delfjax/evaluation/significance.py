"""Estimate confidence intervals of scores and of differences between two methods. Not in the paper.

The bootstrap draws queries at random, with replacement. Two methods are compared on the same
queries. Then the bootstrap resamples the differences of their scores, not the scores of each
method. Scores differ much more between queries than between methods, so the intervals of
differences are narrower. Limitation: intervals do not cover training seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

Result = Mapping[str, Any]
"""Record of one run, as `delfjax.evaluation.report.report` returns it and `read_result` reads it."""
Verdict = Literal["passed", "failed", "undecided"]
RESAMPLES = 2000  # bootstrap resamples of an interval
LEVEL = 0.95  # fraction of the resampled statistics inside an interval
COMPARABLE_KEYS = "benchmark", "protocol", "queries"  # must be equal in compared results


class Interval(NamedTuple):
    """Lower and upper end of a 95% confidence interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """Value with the lower and upper end of its 95% confidence interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether the value is positive: ``"passed"``, ``"failed"`` or ``"undecided"``.

        ``"passed"``: the whole interval is above 0. ``"failed"``: the whole interval is below 0.
        ``"undecided"``: the interval contains 0. More queries are needed to decide.
        """
        if self.low > 0:
            return "passed"
        return "failed" if self.high < 0 else "undecided"


def bootstrap_interval(
    values: Float[np.ndarray, " q"],
    *,
    statistic: Callable[[np.ndarray], float] = np.nanmean,
    groups: Sequence[str | int] | np.ndarray | None = None,
    seed: int,
) -> Interval:
    """Compute the 95% percentile bootstrap interval of a statistic over queries.

    Args:
        values: One value per query. NaN values are left out.
        statistic: Function that computes one number from an array of values.
        groups: Group of each query, such as its landmark. Whole groups are resampled, because the
            queries of one landmark have similar scores. None: each query is a group.
        seed: Random seed of the resampling.

    Raises:
        ValueError: If ``values`` is empty or all values are NaN.
    """
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError("values is empty or all NaN; expected at least one number")
    draw = np.random.default_rng(seed).integers
    if groups is None:
        values = values[known]
        samples = (values[draw(len(values), size=len(values))] for _ in range(RESAMPLES))
    else:
        members = np.unique(np.asarray(groups)[known], return_inverse=True)[1]
        parts = [values[known][members == group] for group in range(members.max() + 1)]
        samples = (
            np.concatenate([parts[each] for each in draw(len(parts), size=len(parts))])
            for _ in range(RESAMPLES)
        )
    estimates = [*map(statistic, samples)]
    return Interval(*np.quantile(estimates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist())


def average_precisions(runs: Sequence[Result]) -> Float[np.ndarray, " q"]:
    """Return the average precision of each query in percent, as a mean over several runs.

    The average precision of a query without positives (correct photos) is NaN.

    Raises:
        ValueError: If the runs are of different queries, or if a run has no average precisions.
    """
    _check_comparable(runs, "average_precision")
    values = [np.array(run["average_precision"], float) for run in runs]
    return np.asarray(np.mean(values, axis=0))


def paired_difference(better: Sequence[Result], worse: Sequence[Result]) -> Estimate:
    """Estimate how much higher the mAP of one method is than the mAP of another method.

    Args:
        better: Runs of the method that is expected to be better, such as one run per training seed.
        worse: Runs of the other method, on the same queries.

    Returns:
        Difference ``better - worse`` in percentage points, with its 95% interval over queries.

    Raises:
        ValueError: As in `average_precisions`.
    """
    _check_comparable([*better, *worse], "average_precision")
    gain = average_precisions(better) - average_precisions(worse)
    return Estimate(float(np.nanmean(gain)), *bootstrap_interval(gain, seed=0))


def paired_curve_difference(better: Sequence[Result], worse: Sequence[Result]) -> Estimate:
    """Estimate how much higher the precision-recall curve of one method is than that of another.

    Arguments and result are those of `paired_difference`. The height of a curve (Fig. 5) is its
    mean precision. `delfjax.evaluation.precision_recall.summarize_curve` draws the same bootstrap
    resamples for all curves of a benchmark, so the resampled means can be subtracted.

    Raises:
        ValueError: If the runs are of different queries, or if a run has no curve.
    """
    _check_comparable([*better, *worse], "curve")
    means = [np.mean([run["curve"]["mean"] for run in runs]) for runs in (better, worse)]
    resamples = [
        np.mean([run["curve"]["draws"] for run in runs], axis=0) for runs in (better, worse)
    ]
    low, high = np.quantile(resamples[0] - resamples[1], [0.025, 0.975]).tolist()
    return Estimate(float(means[0] - means[1]), low, high)


def rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Estimate:
    """Estimate Spearman's rank correlation of two variables, multiplied by 100 (-100 to 100).

    The bootstrap resamples pairs of values. Pairs with a NaN or an infinite value are left out. If
    a variable is constant, the correlation is 0.
    """
    from scipy.stats import rankdata  # a slow import

    pairs = np.stack([x, y], axis=1)
    pairs = pairs[np.isfinite(pairs).all(1)]

    def spearman(rows: Float[np.ndarray, " n"]) -> float:
        # scipy.stats.spearmanr would warn about constant resamples and return NaN.
        ranks = rankdata(pairs[rows.astype(int)], axis=0)
        centered = ranks - ranks.mean(0)
        spread = np.prod(np.linalg.norm(centered, axis=0))
        return 100 * float(np.prod(centered, axis=1).sum() / spread) if spread else 0.0

    rows = np.arange(len(pairs), dtype=float)
    return Estimate(spearman(rows), *bootstrap_interval(rows, statistic=spearman, seed=0))


def _check_comparable(runs: Sequence[Result], required: str) -> None:
    """Check that results are of the same queries and have a required key."""
    for run in runs:
        if required not in run:
            raise ValueError(
                f"{_name(run)}: the result has no {required!r}. Fix: run the benchmark again "
                "(a curve needs distractor queries)"
            )
        for key in COMPARABLE_KEYS:
            if run.get(key) != runs[0].get(key):
                raise ValueError(
                    f"{key} is {runs[0].get(key)!r} in the result {_name(runs[0])!r}, but "
                    f"{run.get(key)!r} in {_name(run)!r}; expected results of the same queries. "
                    "Fix: run both on the same benchmark"
                )


def _name(run: Result) -> str:
    return str(run.get("what", "a result"))
