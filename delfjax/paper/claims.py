"""Decide whether the results support the claims of the paper (Sec. 5) and claims of our own.

A run is a method with its settings. A claim says that some runs are better than other runs, by mAP or
by the precision-recall curves of Fig. 5. A claim holds if the 95% intervals of all its differences
are above 0. It does not hold if one interval is below 0. Otherwise, the claim is not decided. The
intervals are over landmarks and training runs; see `delfjax.evaluation.significance`.
"""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from delfjax.evaluation.significance import paired_difference
from delfjax.files import reading
from delfjax.paper.runs import HEADLINE, LARGE, SEEDS, load_results, title
from delfjax.provenance import REPRODUCE, write_result

EXACT = "ft_att_200f_exact"  # a run
WIDTH = 74  # of formatted claims, in characters: the pages of the site have this width
FILE = "claims.json"  # in the folder of results
Source = Literal["paper", "ours"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim with its decision.

    Attributes:
        claim: The claim as a sentence.
        source: Who makes the claim: ``"paper"`` or ``"ours"``.
        decision: ``"holds"``, ``"does not hold"``, ``"not decided"``, or ``"not run"`` if results are
            missing.
        differences: Dict from two compared runs, such as ``"DELF+FT - DELF-noFT"``, to a dict:
            ``"difference"`` in percentage points, its 95% ``"interval"`` and ``"decision"``, and
            ``"runs"``, the numbers of training runs.
        map_decision: For a claim on curves: the decision by mAP, which ignores distractor queries.
            Empty for other claims, and for claims about distractor queries.
        map_differences: Like ``differences``, but for ``map_decision``.
        missing: Names of missing results.
        explanation: Why the claim does not hold here, or is not decided, and which result shows it.
    """

    claim: str
    source: Source
    decision: str
    differences: dict[str, dict[str, Any]] = field(default_factory=dict)
    map_decision: str = ""
    map_differences: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    explanation: str = ""


@dataclass(frozen=True)
class Statement:
    """A claim and the runs that decide it.

    Attributes:
        claim: The claim as a sentence.
        pairs: Pairs of run names. The claim says that the first run of each pair is better.
        curve: Whether to compare the precision-recall curves of Fig. 5 instead of mAP. The curves
            include distractor queries: queries without a correct photo.
        also_map: Whether to compare mAP, too.
        explanations: Why the claim does not hold or is not decided, by benchmark. ``{ft_att}``
            stands for the mAP of the run ``ft_att``. ``{ft_att.on_landmark}`` stands for the
            percentage of the best keypoints of this run that lie on the landmark.
    """

    claim: str
    pairs: tuple[tuple[str, str], ...]
    _: KW_ONLY
    curve: bool = False
    also_map: bool = False
    explanations: Mapping[str, str] = field(default_factory=dict)


BOTH = HEADLINE, LARGE
PAPER = (
    Statement(
        "Attention matters more than fine-tuning (Fig. 5)",
        (("att", "ft_norm"),),
        curve=True,
        also_map=True,
        explanations=dict.fromkeys(
            BOTH,
            "Fine-tuning also adapts the descriptors to the renderer, which training and evaluation "
            "share: of the best 100 keypoints by norm, {norm.on_landmark}% lie on the landmark before "
            "and {ft_norm.on_landmark}% after it, and {att.on_landmark}% by attention alone.",
        ),
    ),
    Statement(
        "Fine-tuning helps where there is attention (Fig. 5)",
        (("ft_att", "att"),),
        curve=True,
        also_map=True,
        explanations={
            HEADLINE: "The distractor queries are easy for both models, so the curves hardly differ; mAP is "
            "{att} without fine-tuning and {ft_att} with it.",
            LARGE: "The curve differs more between landmarks than mAP does, which is {att} without "
            "fine-tuning and {ft_att} with it.",
        },
    ),
    Statement(
        "Attention helps after fine-tuning, which helps by itself (Fig. 5)",
        (("ft_att", "ft_norm"), ("ft_norm", "norm")),
        curve=True,
        also_map=True,
        explanations=dict.fromkeys(
            BOTH,
            "After fine-tuning, the norm selects landmarks as well as attention does: "
            "{ft_norm.on_landmark}% and {ft_att.on_landmark}% of the best 100 keypoints lie on them.",
        ),
    ),
    Statement(
        "Inliers reject distractor queries better than global similarity does (Fig. 5)",
        (("ft_att", "ft_rmac"),),
        curve=True,
        explanations={
            HEADLINE: "The distractor queries do not resemble the landmarks, so global similarity rejects "
            "them, too; by mAP, inliers have {ft_att} and global similarity has {ft_rmac}.",
        },
    ),
    Statement(
        "With distractor queries, query expansion harms global descriptors (Fig. 5)",
        (("ft_rmac", "ft_rmac_qe"),),
        curve=True,
        explanations={
            LARGE: "Global similarity hardly rejects these distractor queries, so the curve is low with "
            "and without query expansion; by mAP, query expansion changes {ft_rmac} to {ft_rmac_qe}.",
        },
    ),
    Statement(
        "Local and global together are better than either (Table 1)",
        (("ft_att_rmac", "ft_att"), ("ft_att_rmac", "ft_rmac")),
        explanations={
            LARGE: "R-MAC is weak here, probably because its backbone was not trained for retrieval and "
            "whole buildings of one kind are alike: its mAP is {ft_rmac}, that of DELF {ft_att}, and that of "
            "both {ft_att_rmac}.",
        },
    ),
)
# The paper does not compare these runs.
OURS = tuple(
    Statement(claim, (pair,))
    for claim, pair in {
        "With step 1 through conv5, attention finds more": ("conv5_ft_att", "conv5_ft_norm"),
        "Training in two steps finds more than training jointly": ("ft_att", "joint"),
        "Verification by the paper's rule finds more than votes only": ("ft_att", "ft_att_votes"),
        "Our verification finds more than votes only": ("ft_att_aware", "ft_att_votes"),
        "Query expansion finds more": ("ft_att_qe", "ft_att"),
        "240 neighbors find more than 60": ("ft_att_240k", "ft_att"),
        "Without verification, 240 neighbors find more than 60": (
            "ft_att_240k_votes",
            "ft_att_votes",
        ),
        "100 features per photo find more than 20": ("ft_att_100f", "ft_att_20f"),
        "1000 features per photo find more than 100": ("ft_att_1000f", "ft_att_100f"),
        "40 dimensions find more than 8": ("ft_att", "ft_att_8d"),
        "40 dimensions find more than 32": ("ft_att", "ft_att_32d"),
        "An exact index finds more than one with a recall of 90%": (EXACT, "ft_att_200f_8e"),
        "An exact index finds more than one with a recall of 65%": (EXACT, "ft_att_200f_4e"),
        "Half-precision descriptors find more than 160-bit codes": ("ft_att", "ft_att_160b"),
        "Half-precision descriptors find more than 50-bit codes": ("ft_att", "ft_att_50b"),
    }.items()
)


def decide_all(folder: Path, benchmark: str = HEADLINE) -> list[Claim]:
    """Decide all claims by the results in ``folder`` on a benchmark. The paper's come first."""
    sources: dict[Source, tuple[Statement, ...]] = {"paper": PAPER, "ours": OURS}
    return [
        _decide(statement, source, folder, benchmark)
        for source, statements in sources.items()
        for statement in statements
    ]


def _decide(statement: Statement, source: Source, folder: Path, benchmark: str) -> Claim:
    decision, differences, missing = _compare(statement, folder, benchmark, statement.curve)
    map_decision = ""
    map_differences: dict[str, dict[str, Any]] = {}
    if statement.also_map and not missing:
        map_decision, map_differences, _ = _compare(statement, folder, benchmark, False)
    is_explained = decision in ("does not hold", "not decided")
    explanation = statement.explanations.get(benchmark, "") if is_explained else ""
    return Claim(
        claim=statement.claim,
        source=source,
        decision=decision,
        differences=differences,
        map_decision=map_decision,
        map_differences=map_differences,
        missing=missing,
        explanation=_explain(explanation, folder, benchmark),
    )


def _compare(
    statement: Statement, folder: Path, benchmark: str, curve: bool
) -> tuple[str, dict[str, dict[str, Any]], list[str]]:
    """Return the decision, the differences that decide, and the names of missing results."""
    missing: list[str] = []
    differences: dict[str, dict[str, Any]] = {}
    for pair in statement.pairs:
        # Several training runs of one method are compared with those of another, but a model is
        # compared with the same model under other settings. Without training, there are no runs.
        seeds = {*pair} <= {*SEEDS, "norm"}
        better, worse = (load_results(name, folder, benchmark, seeds=seeds) for name in pair)
        if curve:  # results of other training runs may lack the curve
            better, worse = ([run for run in runs if "curve" in run] for runs in (better, worse))
        if better and worse:
            found = paired_difference(better, worse, curve=curve)
            differences[" - ".join(map(title, pair))] = {
                "difference": round(found.value, 2),
                "interval": [round(found.low, 2), round(found.high, 2)],
                "decision": found.decision,
                "runs": [len(better), len(worse)],
            }
        missing += [title(n) for n, r in zip(pair, (better, worse), strict=True) if not r]
    if missing:
        return "not run", {}, list(dict.fromkeys(missing))
    order = "does not hold", "not decided", "holds"
    decision = min((each["decision"] for each in differences.values()), key=order.index)
    return decision, differences, []


def _explain(text: str, folder: Path, benchmark: str) -> str:
    """Replace the runs in an explanation by their scores. Return "" if a score is missing."""

    def score(found: re.Match[str]) -> str:
        runs = load_results(found[1], folder, benchmark)
        values = [run[found[2]]["value"] if found[2] else run["value"] for run in runs]
        return f"{sum(values) / len(values):.1f}"

    with suppress(KeyError, ZeroDivisionError):
        return re.sub(r"\{(\w+)\.?(\w*)\}", score, text)
    return ""


def format_claims(claims: Sequence[Claim]) -> str:
    """Format each claim, its decision and the differences that decide, as text for a terminal."""
    lines, source = [], None
    for each in claims:
        if each.source != source:
            source = each.source
            lines.append("Claims of the paper" if source == "paper" else "Our own claims")
        texts = [each.claim, *_format_differences(each.differences)]
        if each.map_decision:
            texts.append(f"By mAP, which has no distractor queries: {each.map_decision}")
            texts += _format_differences(each.map_differences)
        if each.missing:
            texts.append(f"missing: {', '.join(each.missing)}")
        texts += [each.explanation] if each.explanation else []
        margin = " " * 15
        wrap = partial(textwrap.fill, width=WIDTH, subsequent_indent=margin)
        lines.append(wrap(texts[0], initial_indent=f"{each.decision.upper():15}"))
        lines += [wrap(text, initial_indent=margin) for text in texts[1:]]
    return "\n".join(lines)


def _format_differences(differences: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        "{}: {:+.1f} [{:+.1f}, {:+.1f}]".format(name, found["difference"], *found["interval"])
        for name, found in differences.items()
    ]


def write_claims(claims: Sequence[Claim], path: Path) -> None:
    """Write claims to a JSON file."""
    write_result(path, [asdict(each) for each in claims])


def read_claims(path: Path) -> list[Claim]:
    """Read claims from a file that `write_claims` wrote.

    Raises:
        FileNotFoundError: If the file does not exist.
        StoreError: If the file is damaged or does not hold claims.
    """
    with reading(path, "claims", fix=REPRODUCE):
        claims = [Claim(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
        format_claims(claims)  # raises an error if a claim has values of other types
        return claims
