"""What the paper says of its methods (Sec. 5), and what our results say of that.

A statement is that some runs are better than others, by mAP or by the curves of Fig. 5; `delfjax.claims` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delfjax import claims, results
from delfjax.claims import Claim, Difference
from delfjax.paper_runs import HEADLINE, files, title


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Something to be decided.

    Attributes:
        claim: In words.
        pairs: Names of runs: in each pair, the first is better than the second.
        curve: Whether by the curves of Fig. 5, where distractor queries count, and not by mAP.
        seeds: Whether all seeds of training count. Not where one side has been run with one seed alone, on the
            same model: then a seed must not be taken for a gain.
    """

    claim: str
    pairs: tuple[tuple[str, str], ...]
    curve: bool = False
    seeds: bool = True


def _by_both(claim: str, *pairs: tuple[str, str]) -> tuple[Statement, Statement]:
    """State the same of the curves of Fig. 5, where the paper has it from, and of mAP."""
    return (
        Statement(claim=f"{claim} (Fig. 5)", pairs=pairs, curve=True),
        Statement(claim=f"{claim} (mAP)", pairs=pairs),
    )


STATEMENTS = (
    *_by_both("Attention matters more than fine-tuning", ("att", "ft_norm")),
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
    ),
    Statement(
        claim="Query expansion helps local features",
        pairs=(("ft_att_qe", "ft_att"),),
        seeds=False,
    ),
    Statement(
        claim="Training in two steps is better than training jointly", pairs=(("ft_att", "joint"),)
    ),
)


def decide_all(folder: Path, benchmark: str = HEADLINE) -> list[Claim]:
    """Decide every statement by the results of a folder; those that lack one are "not run"."""
    return [_decide(statement, folder, benchmark) for statement in STATEMENTS]


def _decide(statement: Statement, folder: Path, benchmark: str) -> Claim:
    names = list(dict.fromkeys(name for pair in statement.pairs for name in pair))
    paths = {name: files(name, folder, benchmark, seeds=statement.seeds) for name in names}
    runs = {name: [results.read(path) for path in found] for name, found in paths.items()}
    if missing := [title(name) for name, found in runs.items() if not found]:
        return claims.not_run(statement.claim, missing)
    return claims.decide(statement.claim, _differences(statement, runs))


def _differences(
    statement: Statement, runs: Mapping[str, list[Mapping[str, Any]]]
) -> dict[str, Difference]:
    compare = claims.differ_in_curve if statement.curve else claims.differ
    return {
        f"{title(one)} - {title(other)}": compare(runs[one], runs[other])
        for one, other in statement.pairs
    }
