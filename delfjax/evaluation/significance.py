"""What a reproduction claims, as assertions with intervals. Not in the paper.

A claim is that one thing is better than another. It rests on the difference of the two over the same
queries, and on a 95% bootstrap interval of it over queries. The whole interval above 0: the claim has
*passed*. All of it below: it has *failed*, the opposite is shown. Else it is *undecided*: these queries do
not tell, and a reader should not take it for refuted. Several differences, as of an order, must all pass; one
that fails fails the claim.

Intervals are of queries alone, one by one, 95% each: seeds of training are averaged first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from delfjax.evaluation.metrics import bootstrap

Result = Mapping[str, Any]
Verdict = Literal["passed", "failed", "undecided"]
DECIMALS = 2
SAME = "benchmark", "protocol", "queries"  # what two results must share to be compared


class Difference(NamedTuple):
    """How much better one thing is than another, in percent points, with a 95% interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the interval tells of "it is better"."""
        if self.low > 0:
            return "passed"
        return "failed" if self.high < 0 else "undecided"


def per_query(runs: Sequence[Result]) -> Float[np.ndarray, " q"]:
    """Average the average precision of each query over runs, such as seeds, in percent.

    Args:
        runs: Results as `delfjax.evaluation.benchmark.Evaluation.summary` gives them, of one benchmark.

    Returns:
        One number a query; NaN where the query has nothing to find.

    Raises:
        ValueError: If results are of several benchmarks, or an old one has no such list.
    """
    _check_same(runs)
    if missing := [_name(run) for run in runs if "average_precision" not in run]:
        raise ValueError(f"{missing}: no average_precision of each query; run them again")
    return np.mean([np.array(run["average_precision"], float) for run in runs], axis=0)


def differ(better: Sequence[Result], worse: Sequence[Result], *, seed: int = 0) -> Difference:
    """Compare mean average precisions: the same queries are drawn for both.

    Args:
        better: Runs of what the claim says is better; several are seeds.
        worse: Runs of the other.
        seed: Of the draws.

    Raises:
        ValueError: If the runs cannot be compared query by query.
    """
    _check_same([*better, *worse])
    gain = per_query(better) - per_query(worse)
    return Difference(float(np.nanmean(gain)), *bootstrap(gain, seed=seed))


def differ_in_curve(better: Sequence[Result], worse: Sequence[Result]) -> Difference:
    """Compare the mean heights of curves of Fig. 5, by the draws that are kept with them.

    Args:
        better: Runs of what the claim says is better, with a ``curve`` as `delfjax.evaluation.precision_recall.curve_of` gives.
        worse: Runs of the other.

    Raises:
        ValueError: If the runs cannot be compared draw by draw.
    """
    _check_same([*better, *worse])
    if missing := [_name(run) for run in [*better, *worse] if "curve" not in run]:
        raise ValueError(f"{missing}: no curve; run them again, with distractor queries")
    one, other = (
        np.mean([run["curve"]["draws"] for run in runs], axis=0) for runs in (better, worse)
    )
    means = [np.mean([run["curve"]["mean"] for run in runs]) for runs in (better, worse)]
    return Difference(
        float(means[0] - means[1]), *np.quantile(one - other, [0.025, 0.975]).tolist()
    )


def rank_correlation(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], *, seed: int = 0
) -> Difference:
    """Correlate by rank (Spearman), in hundredths: -100 to 100. Pairs without a number are left out.

    Args:
        one: What may tell, such as how many keypoints lie on a landmark.
        other: What is told, such as how well it is found.
        seed: Of the draws, of pairs.
    """
    pairs = np.stack([one, other], axis=1)
    pairs = pairs[np.isfinite(pairs).all(1)]

    def spearman(drawn: Float[np.ndarray, " n"]) -> float:
        ranks = rankdata(pairs[drawn.astype(int)], axis=0)
        centered = ranks - ranks.mean(0)
        spread = np.prod(np.linalg.norm(centered, axis=0))
        return 100 * float(np.prod(centered, axis=1).sum() / spread) if spread else 0.0

    numbers = np.arange(len(pairs), dtype=float)
    return Difference(spearman(numbers), *bootstrap(numbers, statistic=spearman, seed=seed))


def _check_same(runs: Sequence[Result]) -> None:
    for run in runs:
        for key in SAME:
            if run.get(key) != runs[0].get(key):
                raise ValueError(
                    f"{_name(runs[0])} and {_name(run)}: {key} {runs[0].get(key)!r} and "
                    f"{run.get(key)!r}; only results of the same queries can be compared"
                )


def _name(run: Result) -> str:
    return run.get("what", "a result")
