"""Estimate 95% confidence intervals of scores, and of differences between methods. Not in the paper.

Queries of one landmark have similar scores. Therefore, landmarks are resampled, not queries. An
interval says how much a score would vary with other landmarks and, if a method was trained several
times, with other training runs.

Let ``C`` be the number of landmarks. A bootstrap resample draws ``C - 1`` landmarks with replacement,
each with all its queries, and computes the score again. With ``C`` draws, the variance would be too
small by the factor ``(C - 1) / C``. All results of a benchmark use the same resamples, so scores can
be subtracted in each resample. The variance of a score, or of a difference of two scores, is

    ``V = V_landmarks + sum_m V_runs(m)``

``V_landmarks`` is the variance over the resamples. The score of a method is the mean over training
runs. ``V_runs(m)`` is ``s^2 / S`` for a method ``m`` with ``S > 1`` training runs, where ``s`` is the
standard deviation of the scores of the runs. This is the variance of a bootstrap that draws
``S - 1`` of the runs. The interval is ``score +- t sqrt(V)``, where ``t`` is the 97.5% quantile of
Student's t distribution with ``V^2 / sum_i (V_i^2 / (n_i - 1))`` degrees of freedom (Satterthwaite). The
sum is over the terms ``V_i`` of ``V``, and ``n_i`` is ``C`` or ``S``. For one run and landmarks with
equally many queries, this is the t interval of the mean over landmarks.

Limitation: the interval of a method with one training run does not include the variance of training.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import stdtrit

Result = Mapping[str, Any]
"""Record of one run, as `delfjax.evaluation.report.report` returns it and `read_result` reads it."""
Decision = Literal["holds", "does not hold", "not decided"]
Scores = tuple[Float[np.ndarray, " _"], Float[np.ndarray, "_ resamples"]]  # per run; resampled
RESAMPLES = 1000  # bootstrap resamples
COMPARABLE_KEYS = "benchmark", "protocol", "queries", "landmarks"  # equal in compared results


class Estimate(NamedTuple):
    """Value with the lower and upper end of its 95% confidence interval."""

    value: float
    low: float
    high: float

    @property
    def decision(self) -> Decision:
        """Whether the value is positive, according to its confidence interval.

        ``"holds"``: the whole interval is above 0. ``"does not hold"``: the whole interval is below 0.
        ``"not decided"``: the interval contains 0. More landmarks or training runs are needed.
        """
        if self.low > 0:
            return "holds"
        return "does not hold" if self.high < 0 else "not decided"


def resample(*strata: ArrayLike, seed: int = 0) -> Iterator[Float[np.ndarray, " q"]]:
    """Yield the weights of all queries in each of `RESAMPLES` bootstrap resamples.

    Each of the ``strata`` lists the landmark of each query in a group. A group is resampled alone:
    ``C - 1`` of its ``C`` landmarks are drawn with replacement. The weight of a query is
    ``C / (C - 1)`` times the number of draws of its landmark: 1 on average, always 1 if ``C`` is 1.
    """
    random = np.random.default_rng(seed)
    rows = [np.unique(each, return_inverse=True)[1] for each in strata]
    counts = [int(each.max(initial=-1)) + 1 for each in rows]
    for _ in range(RESAMPLES):
        weights = (
            random.multinomial(n - 1, np.full(n, 1 / n)) * n / (n - 1) if n > 1 else np.ones(n)
            for n in counts
        )
        yield np.concatenate([each[row] for each, row in zip(weights, rows, strict=True)])


def bootstrap_interval(
    values: Float[np.ndarray, " q"], *, groups: ArrayLike | None = None, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95% interval of a mean over queries or photos, as the module describes.

    Args:
        values: One value per query. NaN values are left out.
        groups: Landmark of each query. None: each query shows another landmark.
        seed: Random seed of the resamples.

    Returns:
        Lower and upper end of the interval around the mean; infinite if all queries show one landmark.

    Raises:
        ValueError: If ``values`` is empty or all values are NaN.
    """
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError("values is empty or all NaN; expected at least one number")
    landmarks = np.arange(len(values)) if groups is None else np.asarray(groups)
    estimate = _estimate([_means(values[None], landmarks, seed)], landmarks[known])
    return estimate.low, estimate.high


def mean_score(runs: Sequence[Result], *, curve: bool = False) -> Estimate:
    """Estimate the mAP of a method in percent.

    Args:
        runs: Results of the method, such as one result per training run, on the same queries.
        curve: Whether to estimate the mean precision of the precision-recall curve (Fig. 5) instead
            of the mAP; see `delfjax.evaluation.precision_recall.mean_precision`.

    Raises:
        ValueError: If the results are of different queries, or if a result lacks the scores.
    """
    return _compare([runs], curve)


def paired_difference(
    better: Sequence[Result], worse: Sequence[Result], *, curve: bool = False
) -> Estimate:
    """Estimate the mAP of ``better`` minus the mAP of ``worse``, in percentage points.

    ``better`` and ``worse`` are the results of two methods, such as one result per training run, on
    the same queries. For ``curve`` and errors, see `mean_score`.
    """
    return _compare([better, worse], curve)


def _compare(methods: Sequence[Sequence[Result]], curve: bool) -> Estimate:
    runs = [run for each in methods for run in each]
    _check_comparable(runs, "curve" if curve else "average_precision")
    landmarks, scores = np.array(runs[0]["landmarks"]), []
    if not curve:
        precisions = [[run["average_precision"] for run in each] for each in methods]
        scores = [_means(np.array(each, float), landmarks) for each in precisions]
        landmarks = landmarks[~np.isnan(np.array(precisions[0][0], float))]
    for each in methods if curve else ():
        mean, draws = ([run["curve"][key] for run in each] for key in ("mean", "draws"))
        scores.append((np.array(mean, float), np.array(draws, float)))
    value, low, high = _estimate(scores, landmarks)
    return Estimate(value, max(low, 0 if len(methods) == 1 else -100), min(high, 100))


def _means(values: Float[np.ndarray, "s q"], landmarks: np.ndarray, seed: int = 0) -> Scores:
    """Return the mean over queries of each run, and this mean in each resample."""
    known = ~np.isnan(values[0])
    draws = [
        values[:, known] @ weights / weights.sum()
        for weights in resample(landmarks[known], seed=seed)
    ]
    return values[:, known].mean(1), np.transpose(draws)


def _estimate(methods: Sequence[Scores], landmarks: np.ndarray) -> Estimate:
    """Return the score of the first method, minus that of the second method if there is one."""
    value, draws = (
        np.subtract(*each) if len(methods) > 1 else each[0]
        for each in zip(*((s.mean(), draws.mean(0)) for s, draws in methods), strict=True)
    )
    count = len(np.unique(landmarks))
    if count == 1:
        return Estimate(float(value), -np.inf, np.inf)
    terms = [(np.var(draws), count - 1)]
    terms += [(s.var(ddof=1) / len(s), len(s) - 1) for s, _ in methods if len(s) > 1]
    variance = sum(term for term, _ in terms)
    freedom = variance**2 / max(sum(term**2 / degrees for term, degrees in terms), 1e-300)
    margin = float(stdtrit(max(freedom, 1), 0.975) * np.sqrt(variance))
    return Estimate(float(value), float(value) - margin, float(value) + margin)


def _check_comparable(runs: Sequence[Result], required: str) -> None:
    """Check that results are of the same queries and have the required keys."""
    for run in runs:
        for key in (required, "landmarks"):
            if key not in run:
                raise ValueError(
                    f"{_name(run)}: the result has no {key!r}. Fix: run the benchmark again; for 'curve', use "
                    "a benchmark with distractor queries"
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
