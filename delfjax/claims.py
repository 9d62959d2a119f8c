"""What a reproduction claims, as assertions with intervals. Not in the paper.

A claim is that one thing is better than another. It rests on the difference of the two over the same
queries, and on a 95% bootstrap interval of it over queries. The whole interval above 0: the claim has
*passed*. All of it below: it has *failed*, the opposite is shown. Else it is *undecided*: these queries do
not tell, and a reader should not take it for refuted. Several differences, as of an order, must all pass; one
that fails fails the claim.

Intervals are of queries alone, one by one, 95% each: seeds of training are averaged first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from delfjax import results
from delfjax.metrics import bootstrap

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


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim and what became of it.

    Attributes:
        claim: In words.
        passed: Whether it holds; False where it is undecided, too: ``evidence["verdict"]`` tells.
        evidence: Numbers with intervals.
    """

    claim: str
    passed: bool
    evidence: dict[str, Any] = field(default_factory=dict)


def per_query(runs: Sequence[Result]) -> Float[np.ndarray, " q"]:
    """Average the average precision of each query over runs, such as seeds, in percent.

    Args:
        runs: Results as `delfjax.evaluation.Evaluation.summary` gives them, of one benchmark.

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
        better: Runs of what the claim says is better, with a ``curve`` as `delfjax.pooled.curve_of` gives.
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
        centred = ranks - ranks.mean(0)
        spread = np.prod(np.linalg.norm(centred, axis=0))
        return 100 * float(np.prod(centred, axis=1).sum() / spread) if spread else 0.0

    numbers = np.arange(len(pairs), dtype=float)
    return Difference(spearman(numbers), *bootstrap(numbers, statistic=spearman, seed=seed))


def decide(claim: str, differences: Mapping[str, Difference]) -> Claim:
    """Make a claim of differences that must all be above 0, by what each of them compares.

    Raises:
        ValueError: If there is none.
    """
    if not differences:
        raise ValueError(f"{claim!r}: rests on no difference; expected at least two methods")
    verdicts = {each.verdict for each in differences.values()}
    verdict = next(each for each in ("failed", "undecided", "passed") if each in verdicts)
    shown = {
        name: {
            "difference": round(each.value, DECIMALS),
            "interval": [round(each.low, DECIMALS), round(each.high, DECIMALS)],
            "verdict": each.verdict,
        }
        for name, each in differences.items()
    }
    return Claim(
        claim=claim,
        passed=verdict == "passed",
        evidence={"verdict": verdict, "differences": shown},
    )


def ordered(claim: str, runs: Mapping[str, Sequence[Result]], *, curve: bool = False) -> Claim:
    """Claim that methods come in an order, best first: each is better than the next.

    Args:
        claim: In words.
        runs: Results of each method, by name, best first.
        curve: Whether they are compared by their curves (Fig. 5), and not by mAP.
    """
    compare = differ_in_curve if curve else differ
    return decide(
        claim,
        {f"{one} - {other}": compare(runs[one], runs[other]) for one, other in pairwise(runs)},
    )


def not_run(claim: str, missing: Sequence[str]) -> Claim:
    """Keep a claim that nothing can be said of yet, with the results that it waits for."""
    return Claim(claim=claim, passed=False, evidence={"verdict": "not run", "missing": [*missing]})


def told(claims: Sequence[Claim]) -> str:
    """Say of each claim what became of it, and by how much."""
    lines = []
    for each in claims:
        lines.append(f"{each.evidence.get('verdict', '').upper():10} {each.claim}")
        for name, found in each.evidence.get("differences", {}).items():
            low, high = found["interval"]
            lines.append(f"{'':13}{name}: {found['difference']:+.1f} [{low:+.1f}, {high:+.1f}]")
        if "reason" in each.evidence:
            lines.append(f"{'':13}{each.evidence['reason']}")
        if "missing" in each.evidence:
            lines.append(f"{'':13}waits for {', '.join(each.evidence['missing'])}")
    return "\n".join(lines)


def write(claims: Sequence[Claim], path: Path) -> None:
    """Write claims as a JSON list, whole or not at all."""
    results.write(path, [asdict(each) for each in claims])


def read(path: Path) -> list[Claim]:
    """Read what `write` wrote.

    Raises:
        ValueError: If the file holds something else.
    """
    try:
        return [Claim(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no claims ({error}); run the notebook of the tables") from error


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
