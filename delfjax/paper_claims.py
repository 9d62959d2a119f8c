"""What the paper says of its methods (Sec. 5), what we say beside it, and what our results say of that.

A statement is that some runs are better than others, by mAP or by the curves of Fig. 5; `delfjax.claims` decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delfjax import claims, results
from delfjax.claims import Claim, Difference, Result
from delfjax.paper_runs import GRAPH_FEATURES, HEADLINE, files, title

Runs = Mapping[str, list[Result]]  # by name: several are seeds
Reason = Callable[[Runs], str | None]


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
    runs = {name: [results.read(path) for path in found] for name, found in paths.items()}
    if missing := [title(name) for name, found in runs.items() if not found]:
        return claims.not_run(statement.claim, missing)
    if statement.curve and not all("curve" in run for found in runs.values() for run in found):
        return claims.not_run(statement.claim, ["distractor queries"])
    decided = claims.decide(statement.claim, _differences(statement, runs))
    failed = decided.evidence["verdict"] == "failed"
    if failed and statement.reason and (words := statement.reason(runs)):
        decided.evidence["reason"] = words
    return decided


def _predicted(claim: str, folder: Path, benchmark: str) -> Claim:
    """Decide whether keypoints on a landmark tell how well it is found: by each of the four methods."""
    correlate, differences = PREDICTIONS[claim], {}
    for name in METHODS:
        for path in files(name, folder, benchmark, seeds=False):
            if (found := correlate(results.read(path))) is not None:
                differences[f"{title(name)}, rank correlation in hundredths"] = found
    if len(differences) < len(METHODS):
        return claims.not_run(claim, list(map(title, METHODS)))
    return claims.decide(claim, differences)


def _of_landmarks(run: Result) -> Difference | None:
    on = run.get("on_landmark")
    if on is None:
        return None
    names = [*on["average_precision"]]
    both = (np.array([on[key][n] for n in names]) for key in ("by_landmark", "average_precision"))
    return claims.rank_correlation(*both)


def _of_queries(run: Result) -> Difference | None:
    shares = run.get("on_landmark", {}).get("by_query")
    return shares and claims.rank_correlation(np.array(shares, float), claims.per_query([run]))


PREDICTIONS = {
    "Landmarks with more keypoints on them are found better": _of_landmarks,
    "Queries with more keypoints on the landmark find more": _of_queries,
}


def _differences(statement: Statement, runs: Runs) -> dict[str, Difference]:
    compare = claims.differ_in_curve if statement.curve else claims.differ
    return {
        f"{title(one)} - {title(other)}": compare(runs[one], runs[other])
        for one, other in statement.pairs
    }
