"""Decide whether the results support the claims of the paper (Sec. 5) and claims of our own.

A run is a method with its settings. Most claims say that some runs are better than other runs, by
mAP or by the precision-recall curves of Fig. 5. The others say that a rank correlation is positive.
A claim passes if the 95% intervals of all differences or correlations are above 0. A claim fails if
one interval is below 0. Otherwise, the claim is undecided.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from delfjax.evaluation import significance
from delfjax.evaluation.significance import Estimate, Result
from delfjax.files import reading
from delfjax.paper.runs import HEADLINE, load_results, title
from delfjax.provenance import write_result

FILE = "claims.json"  # in the folder of results
DECIMALS = 2  # of the differences and intervals in a claim's evidence
Runs = Mapping[str, Sequence[Result]]  # results by run name, one per training seed
Reason = Callable[[Runs], str | None]  # explains a failed claim; None: no explanation


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim with its verdict.

    Attributes:
        claim: The claim as a sentence.
        passed: Whether the verdict is ``"passed"``.
        evidence: Dict with the ``"verdict"``: ``"not run"``, ``"passed"``, ``"failed"`` or
            ``"undecided"``. Other keys, if any: ``"differences"``, ``"missing"``, ``"reason"``.
    """

    claim: str
    passed: bool
    evidence: dict[str, Any]


def decide(claim: str, differences: Mapping[str, Estimate]) -> Claim:
    """Decide the claim that all differences are above 0. ``differences`` must not be empty."""
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
    evidence = {"verdict": verdict, "differences": shown}
    return Claim(claim=claim, passed=verdict == "passed", evidence=evidence)


def not_run(claim: str, missing: Sequence[str]) -> Claim:
    """Return a claim that cannot be decided because results are missing."""
    return Claim(claim=claim, passed=False, evidence={"verdict": "not run", "missing": [*missing]})


def format_claims(claims: Sequence[Claim]) -> str:
    """Format claims, with verdicts and differences, as text for a terminal."""
    lines = []
    for each in claims:
        lines.append(f"{each.evidence.get('verdict', '').upper():10} {each.claim}")
        for name, found in each.evidence.get("differences", {}).items():
            low, high = found["interval"]
            lines.append(f"{'':13}{name}: {found['difference']:+.1f} [{low:+.1f}, {high:+.1f}]")
        if "reason" in each.evidence:
            lines.append(f"{'':13}{each.evidence['reason']}")
        if "missing" in each.evidence:
            lines.append(f"{'':13}missing: {', '.join(each.evidence['missing'])}")
    return "\n".join(lines)


def write_claims(claims: Sequence[Claim], path: Path) -> None:
    """Write claims to a JSON file."""
    write_result(path, [asdict(each) for each in claims])


def read_claims(path: Path) -> list[Claim]:
    """Read claims from a file that `write_claims` wrote.

    Raises:
        FileNotFoundError: The file does not exist.
        StoreError: The file is damaged or does not hold claims.
    """
    with reading(path, "claims", fix="run notebooks/07_tables.ipynb"):
        claims = [Claim(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
        format_claims(claims)  # raises an error if a claim has values of other types
        return claims


@dataclass(frozen=True)
class Statement:
    """A claim and the runs that decide it.

    Attributes:
        claim: The claim as a sentence.
        pairs: Pairs of run names. The claim says that the first run of each pair is better.
        curve: Whether to compare the precision-recall curves of Fig. 5 instead of mAP. The curves
            include distractor queries: queries without a correct photo.
        seeds: Whether to average the results of all training seeds, if there are several.
        reason: Function that explains a failed claim. It takes the results and returns a text.
    """

    claim: str
    pairs: tuple[tuple[str, str], ...]
    _: KW_ONLY
    curve: bool = False
    seeds: bool = True
    reason: Reason | None = None


def _scores(runs: Runs) -> str:
    return f"mAP: {_listed_means(runs, lambda run: run['value'])}"


def _keypoints(runs: Runs) -> str | None:
    """Return the mean share of keypoints on the landmark for each run as text, if measured."""
    if not all("on_landmark" in run for found in runs.values() for run in found):
        return None
    listed = _listed_means(runs, lambda run: run["on_landmark"]["value"])
    return f"seeds averaged, % of the best 100 keypoints on the landmark: {listed}"


def _listed_means(runs: Runs, value: Callable[[Result], float]) -> str:
    means = {name: np.mean([value(run) for run in found]) for name, found in runs.items()}
    return ", ".join(f"{title(name)} {mean:.1f}" for name, mean in means.items())


def _curve_and_map(
    claim: str, *pairs: tuple[str, str], reason: Reason | None = None
) -> tuple[Statement, Statement]:
    """Return two statements of a claim: one for the curves of Fig. 5 and one for mAP."""
    return (
        Statement(f"{claim} (Fig. 5)", pairs, curve=True, reason=reason),
        Statement(f"{claim} (mAP)", pairs, reason=reason),
    )


STATEMENTS = (
    *_curve_and_map(
        "Attention matters more than fine-tuning", ("att", "ft_norm"), reason=_keypoints
    ),
    *_curve_and_map("Fine-tuning helps where there is attention", ("ft_att", "att")),
    *_curve_and_map(
        "Attention helps after fine-tuning, which helps by itself",
        ("ft_att", "ft_norm"),
        ("ft_norm", "norm"),
    ),
    Statement(
        "Inliers reject distractor queries better than global similarity does",
        (("ft_att", "ft_rmac"),),
        curve=True,
        seeds=False,
    ),
    Statement(
        "With distractor queries, query expansion harms global descriptors",
        (("ft_rmac", "ft_rmac_qe"),),
        curve=True,
        seeds=False,
    ),
    Statement(
        "Local and global together are better than either",
        (("ft_att_rmac", "ft_att"), ("ft_att_rmac", "ft_rmac")),
        seeds=False,
        reason=_scores,
    ),
    Statement("Query expansion helps local features", (("ft_att_qe", "ft_att"),), seeds=False),
    Statement(
        "Training in two steps finds more than training jointly (mAP)", (("ft_att", "joint"),)
    ),
    Statement(
        "With step 1 through conv5, attention helps after fine-tuning",
        (("conv5_ft_att", "conv5_ft_norm"),),
    ),
)
EXACT = "ft_att_200f_exact"
# Claims that are not in the paper: it does not vary the numbers of features, dimensions and bits.
OURS = tuple(
    Statement(claim, (pair,), seeds=False)
    for claim, pair in {
        "100 features per photo find more than 20": ("ft_att_100f", "ft_att_20f"),
        "1000 features per photo find more than 100": ("ft_att_1000f", "ft_att_100f"),
        "40 dimensions find more than 8": ("ft_att", "ft_att_8d"),
        "40 dimensions find more than 32": ("ft_att", "ft_att_32d"),
        "An exact index finds more than one with a recall of about 90%": (EXACT, "ft_att_200f_8e"),
        "An exact index finds more than one with a recall of about 65%": (EXACT, "ft_att_200f_4e"),
        "Half-precision descriptors find more than 160-bit codes": ("ft_att", "ft_att_160b"),
        "Half-precision descriptors find more than the paper's 50-bit codes": (
            "ft_att",
            "ft_att_50b",
        ),
    }.items()
)
METHODS = ("ft_att", "att", "ft_norm", "norm")


def decide_all(folder: Path, benchmark: str = HEADLINE) -> list[Claim]:
    """Decide all claims from the results of one benchmark in a folder."""
    decided = [_decide(statement, folder, benchmark) for statement in (*STATEMENTS, *OURS)]
    return decided + [_predicted(claim, folder, benchmark) for claim in PREDICTIONS]


def _decide(statement: Statement, folder: Path, benchmark: str) -> Claim:
    names = list(dict.fromkeys(chain(*statement.pairs)))
    runs = {name: load_results(name, folder, benchmark, seeds=statement.seeds) for name in names}
    if missing := [title(name) for name, found in runs.items() if not found]:
        return not_run(statement.claim, missing)
    compare = significance.paired_difference
    if statement.curve:
        compare = significance.paired_curve_difference
        if not all("curve" in run for found in runs.values() for run in found):
            return not_run(statement.claim, ["distractor queries"])
    differences = {
        f"{title(one)} - {title(other)}": compare(runs[one], runs[other])
        for one, other in statement.pairs
    }
    decided = decide(statement.claim, differences)
    failed = decided.evidence["verdict"] == "failed"
    if failed and statement.reason and (words := statement.reason(runs)):
        decided.evidence["reason"] = words
    return decided


def _predicted(claim: str, folder: Path, benchmark: str) -> Claim:
    """Decide a claim of `PREDICTIONS`: for each method, the rank correlation must be above 0."""
    differences = {}
    for name in METHODS:
        for run in load_results(name, folder, benchmark, seeds=False):
            if (found := PREDICTIONS[claim](run)) is not None:
                differences[f"{title(name)}, rank correlation in hundredths"] = found
    if len(differences) < len(METHODS):
        return not_run(claim, list(map(title, METHODS)))
    return decide(claim, differences)


def _of_landmarks(run: Result) -> Estimate | None:
    if (on := run.get("on_landmark")) is None:
        return None
    precisions, shares = on["average_precision"], on["by_landmark"]
    pairs = np.array([(shares[name], precisions[name]) for name in precisions])
    return significance.rank_correlation(*pairs.T)


def _of_queries(run: Result) -> Estimate | None:
    if (shares := run.get("on_landmark", {}).get("by_query")) is None:
        return None
    precisions = significance.average_precisions([run])
    return significance.rank_correlation(np.array(shares, float), precisions)


PREDICTIONS = {
    "Landmarks with more keypoints on them are found better": _of_landmarks,
    "Queries with more keypoints on the landmark find more": _of_queries,
}
