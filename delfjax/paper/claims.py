"""What the paper says of its methods (Sec. 5), what we say beside it, and what our results say of that.

A statement is that some runs are better than others, by mAP or by the curves of Fig. 5; `delfjax.evaluation.significance` decides.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from delfjax import provenance
from delfjax.evaluation import significance
from delfjax.evaluation.significance import DECIMALS, Difference, Result, differ, differ_in_curve
from delfjax.paper.runs import GRAPH_FEATURES, HEADLINE, files, title

Runs = Mapping[str, list[Result]]  # by name: several are seeds
Reason = Callable[[Runs], str | None]


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
    provenance.write(path, [asdict(each) for each in claims])


def read(path: Path) -> list[Claim]:
    """Read what `write` wrote.

    Raises:
        ValueError: If the file holds something else.
    """
    try:
        return [Claim(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no claims ({error}); run the notebook of the tables") from error


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Something to be decided.

    Attributes:
        claim: In words.
        pairs: Names of runs: in each pair, the first is better than the second.
        curve: Whether by the curves of Fig. 5, where distractor queries count, and not by mAP.
        seeds: Whether all seeds of training count. Not where one side has been run with one seed alone, on the
            same model: then a seed must not be taken for a gain.
        reason: What our results tell, in words, of why it fails, if it does.
    """

    claim: str
    pairs: tuple[tuple[str, str], ...]
    curve: bool = False
    seeds: bool = True
    reason: Reason | None = None


def _alone(runs: Runs) -> str:
    """Say what each method of a statement is worth by itself."""
    return "mAP: " + ", ".join(f"{title(name)} {_mean(found):.1f}" for name, found in runs.items())


def _keypoints(runs: Runs) -> str | None:
    """Say how many keypoints of each method lie on the landmark, which only a rendered set can tell."""
    if not all("on_landmark" in run for found in runs.values() for run in found):
        return None
    shares = {name: [run["on_landmark"]["value"] for run in found] for name, found in runs.items()}
    told = ", ".join(f"{title(name)} {np.mean(found):.1f}" for name, found in shares.items())
    return f"seeds averaged, % of the best 100 keypoints on the landmark: {told}"


def _graph(degree: int) -> tuple[str, str]:
    """Name the runs of exact search and of a graph of so few edges a node."""
    return f"ft_att_{GRAPH_FEATURES}f_exact", f"ft_att_{GRAPH_FEATURES}f_{degree}e"


def _mean(runs: list[Result]) -> float:
    return float(np.mean([run["value"] for run in runs]))


def _by_both(
    claim: str, *pairs: tuple[str, str], reason: Reason | None = None
) -> tuple[Statement, Statement]:
    """State the same of the curves of Fig. 5, where the paper has it from, and of mAP."""
    return (
        Statement(claim=f"{claim} (Fig. 5)", pairs=pairs, curve=True, reason=reason),
        Statement(claim=f"{claim} (mAP)", pairs=pairs, reason=reason),
    )


STATEMENTS = (
    *_by_both("Attention matters more than fine-tuning", ("att", "ft_norm"), reason=_keypoints),
    *_by_both("Fine-tuning helps where there is attention", ("ft_att", "att")),
    *_by_both(
        "Attention helps after fine-tuning, which helps by itself",
        ("ft_att", "ft_norm"),
        ("ft_norm", "norm"),
    ),
    Statement(
        claim="Inliers reject distractor queries better than global similarity does",
        pairs=(("ft_att", "ft_rmac"),),
        curve=True,
        seeds=False,
    ),
    Statement(
        claim="With distractor queries, query expansion harms global descriptors",
        pairs=(("ft_rmac", "ft_rmac_qe"),),
        curve=True,
        seeds=False,
    ),
    Statement(
        claim="Local and global together are better than either",
        pairs=(("ft_att_rmac", "ft_att"), ("ft_att_rmac", "ft_rmac")),
        seeds=False,
        reason=_alone,
    ),
    Statement(
        claim="Query expansion helps local features",
        pairs=(("ft_att_qe", "ft_att"),),
        seeds=False,
    ),
    Statement(
        claim="Training in two steps finds more than training jointly (mAP)",
        pairs=(("ft_att", "joint"),),
    ),
    Statement(
        claim="With step 1 through conv5, attention helps after fine-tuning",
        pairs=(("conv5_ft_att", "conv5_ft_norm"),),
    ),
)
# Not in the paper, which gives one number of features, of dimensions and of bits, without others beside it.
OURS = tuple(
    Statement(claim=claim, pairs=(pair,), seeds=False)
    for claim, pair in {
        "A hundred features of a photo find more than twenty": ("ft_att_100f", "ft_att_20f"),
        "A thousand features of a photo find more than a hundred": ("ft_att_1000f", "ft_att_100f"),
        "Forty dimensions find more than eight": ("ft_att", "ft_att_8d"),
        "Forty dimensions find more than thirty-two": ("ft_att", "ft_att_32d"),
        "An exact index finds more than one that misses a tenth": _graph(8),
        "An exact index finds more than one that misses a third": _graph(4),
        "Half-precision numbers find more than codes of 160 bits": ("ft_att", "ft_att_160b"),
        "Half-precision numbers find more than the paper's 50 bits": ("ft_att", "ft_att_50b"),
    }.items()
)
METHODS = ("ft_att", "att", "ft_norm", "norm")


def decide_all(folder: Path, benchmark: str = HEADLINE) -> list[Claim]:
    """Decide every statement by the results of a folder; those that lack one are "not run"."""
    decided = [_decide(statement, folder, benchmark) for statement in (*STATEMENTS, *OURS)]
    return decided + [_predicted(claim, folder, benchmark) for claim in PREDICTIONS]


def _decide(statement: Statement, folder: Path, benchmark: str) -> Claim:
    names = list(dict.fromkeys(name for pair in statement.pairs for name in pair))
    paths = {name: files(name, folder, benchmark, seeds=statement.seeds) for name in names}
    runs = {name: [provenance.read(path) for path in found] for name, found in paths.items()}
    if missing := [title(name) for name, found in runs.items() if not found]:
        return not_run(statement.claim, missing)
    if statement.curve and not all("curve" in run for found in runs.values() for run in found):
        return not_run(statement.claim, ["distractor queries"])
    decided = decide(statement.claim, _differences(statement, runs))
    failed = decided.evidence["verdict"] == "failed"
    if failed and statement.reason and (words := statement.reason(runs)):
        decided.evidence["reason"] = words
    return decided


def _predicted(claim: str, folder: Path, benchmark: str) -> Claim:
    """Decide whether keypoints on a landmark tell how well it is found: by each of the four methods."""
    correlate, differences = PREDICTIONS[claim], {}
    for name in METHODS:
        for path in files(name, folder, benchmark, seeds=False):
            if (found := correlate(provenance.read(path))) is not None:
                differences[f"{title(name)}, rank correlation in hundredths"] = found
    if len(differences) < len(METHODS):
        return not_run(claim, list(map(title, METHODS)))
    return decide(claim, differences)


def _of_landmarks(run: Result) -> Difference | None:
    on = run.get("on_landmark")
    if on is None:
        return None
    names = [*on["average_precision"]]
    both = (np.array([on[key][n] for n in names]) for key in ("by_landmark", "average_precision"))
    return significance.rank_correlation(*both)


def _of_queries(run: Result) -> Difference | None:
    shares = run.get("on_landmark", {}).get("by_query")
    return shares and significance.rank_correlation(
        np.array(shares, float), significance.per_query([run])
    )


PREDICTIONS = {
    "Landmarks with more keypoints on them are found better": _of_landmarks,
    "Queries with more keypoints on the landmark find more": _of_queries,
}


def _differences(statement: Statement, runs: Runs) -> dict[str, Difference]:
    compare = significance.differ_in_curve if statement.curve else significance.differ
    return {
        f"{title(one)} - {title(other)}": compare(runs[one], runs[other])
        for one, other in statement.pairs
    }
