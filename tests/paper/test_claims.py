"""The claims of the paper and ours: each rests on runs that there are, and is decided by their results."""

import json
from itertools import product

import numpy as np
import pytest

from delfjax import provenance
from delfjax.evaluation import significance
from delfjax.files import StoreError
from delfjax.paper import claims as module
from delfjax.paper.claims import (
    FILE,
    OURS,
    PAPER,
    Claim,
    Statement,
    decide_all,
    format_claims,
    read_claims,
    write_claims,
)
from delfjax.paper.runs import HEADLINE, LARGE, RUNS, SEEDS
from delfjax.provenance import RESULTS

HEIGHTS = {"norm": 50, "ft_norm": 70, "att": 60, "ft_att": 90, "ft_att_qe": 80}
FINE_TUNING = "Fine-tuning helps where there is attention (Fig. 5)"
ATTENTION = "Attention matters more than fine-tuning (Fig. 5)"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Save time: the differences between these results are clear."""
    monkeypatch.setattr(significance, "RESAMPLES", 50)


def keep(folder, name, height, **changes):
    random = np.random.default_rng(0)
    result = {
        "what": name,
        "value": height,
        "benchmark": "rendered+places",
        "landmarks": np.repeat(np.arange(4), 5).tolist(),
        "average_precision": (height + random.normal(0, 1, 20)).tolist(),
        "curve": {"mean": height, "draws": [height] * 10},
        "on_landmark": {"value": height / 2},
    }
    path = folder / f"{name}.json"
    kept = {key: value for key, value in (result | changes).items() if value is not None}
    provenance.write_result(path, kept)
    return path


def keep_all(folder, **changes):
    for name, height in HEIGHTS.items():
        keep(folder, f"rendered+places_{name}", height, **changes)


def found(folder):
    return {each.claim: each for each in decide_all(folder)}


def test_every_statement_is_about_runs_that_there_are():
    for statement in (*PAPER, *OURS):
        assert {name for pair in statement.pairs for name in pair} <= {*RUNS, *SEEDS}
    assert len({each.claim for each in (*PAPER, *OURS)}) == len(PAPER) + len(OURS)


def test_explanations_have_all_their_numbers(tmp_path):
    assert len(PAPER) == 6
    for name, benchmark in product({*RUNS, *SEEDS}, (HEADLINE, LARGE)):
        keep(tmp_path, f"{benchmark}_{name}", 50)
    for statement in PAPER:
        for benchmark, text in statement.explanations.items():
            assert module._explain(text, tmp_path, benchmark)


@pytest.mark.parametrize("folder", ["", "full"])
def test_every_claim_of_the_paper_is_decided_or_explained(folder):
    claims = [each for each in read_claims(RESULTS / folder / FILE) if each.source == "paper"]
    assert len(claims) == len(PAPER)
    for claim in claims:
        assert claim.decision == "holds" or claim.explanation


def test_without_results_nothing_is_decided(tmp_path):
    assert {each.decision for each in decide_all(tmp_path)} == {"not run"}
    (joint,) = [each for each in decide_all(tmp_path) if "jointly" in each.claim]
    assert joint.missing == ["DELF+FT+ATT", "joint training"]


def test_results_decide(tmp_path):
    keep_all(tmp_path)
    claims = found(tmp_path)
    assert claims[ATTENTION].decision == "does not hold"
    assert claims[FINE_TUNING].decision == "holds"
    assert claims[ATTENTION].map_decision == "does not hold"
    assert claims["Query expansion finds more"].decision == "does not hold"
    assert claims["Our verification finds more than votes only"].decision == "not run"
    assert [each.source for each in claims.values()] == ["paper"] * 6 + ["ours"] * len(OURS)
    keep(tmp_path, "runs/joint0_attention_100", 85)
    joint = found(tmp_path)["Training in two steps finds more than training jointly"]
    assert joint.decision == "holds"


def test_one_difference_that_does_not_hold_decides(tmp_path, monkeypatch):
    keep_all(tmp_path)
    pairs = ("ft_att", "norm"), ("norm", "att")
    monkeypatch.setattr(module, "PAPER", (Statement("both", pairs),))
    claim = found(tmp_path)["both"]
    assert claim.decision == "does not hold"
    assert [each["decision"] for each in claim.differences.values()] == ["holds", "does not hold"]


def test_without_distractor_queries_claims_on_curves_are_not_run(tmp_path):
    keep_all(tmp_path, curve=None)
    claims = found(tmp_path)
    assert claims["Query expansion finds more"].decision == "does not hold"
    assert claims[FINE_TUNING].decision == "not run"
    assert claims[FINE_TUNING].map_decision == ""
    assert claims[FINE_TUNING].missing == ["DELF+FT+ATT", "DELF-noFT+ATT"]


def test_what_does_not_hold_is_explained(tmp_path, monkeypatch):
    keep_all(tmp_path)
    text = "mAP {att} and {ft_norm}; on landmarks: {att.on_landmark}."
    statements = [
        Statement(name, (pair,), explanations={HEADLINE: text})
        for name, pair in {"wrong": ("att", "ft_norm"), "right": ("ft_norm", "att")}.items()
    ]
    missing = {HEADLINE: "{joint} or {att.other}"}
    unknown = Statement("unknown", (("att", "ft_norm"),), explanations=missing)
    monkeypatch.setattr(module, "PAPER", (*statements, unknown))
    claims = found(tmp_path)
    assert claims["wrong"].explanation == "mAP 60.0 and 70.0; on landmarks: 30.0."
    assert claims["right"].explanation == claims["unknown"].explanation == ""


def test_training_runs_count_only_between_trained_methods(tmp_path):
    keep_all(tmp_path)
    keep(tmp_path, "runs/att1_attention_100", 100)
    (difference,) = found(tmp_path)[ATTENTION].map_differences.values()
    assert difference["difference"] == (60 + 100) / 2 - 70
    assert difference["runs"] == [2, 1]
    keep(tmp_path, "runs/ftatt1_attention_100", 70, curve=None)
    (difference,) = found(tmp_path)["Query expansion finds more"].differences.values()
    assert difference["difference"] == 80 - 90, "of one model, with and without"
    (difference,) = found(tmp_path)[FINE_TUNING].differences.values()
    assert difference["runs"] == [1, 2], "a run without a curve does not count"


CLAIMS = [
    Claim(
        claim="better",
        source="paper",
        decision="holds",
        differences={"a - b": {"difference": 2.0, "interval": [1.0, 3.0]}},
    ),
    Claim(
        claim="worse",
        source="paper",
        decision="does not hold",
        differences={"b - a": {"difference": -2.0, "interval": [-3.0, -1.0]}},
        map_decision="holds",
        map_differences={"b - a": {"difference": 4.0, "interval": [3.0, 5.0]}},
        explanation="Because.",
    ),
    Claim(claim="unknown", source="ours", decision="not run", missing=["c", "d"]),
]


def test_claims_can_be_written_and_read(tmp_path):
    path = tmp_path / "claims.json"
    write_claims(CLAIMS, path)
    assert read_claims(path) == CLAIMS
    assert [record["source"] for record in json.loads(path.read_text())] == ["paper"] * 2 + ["ours"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}x",
        '[{"other": 1}]',
        "3",
        '[{"claim": "x", "source": "paper", "decision": 3}]',
        '[{"claim": "x", "source": "ours", "decision": "holds", "differences": {"a - b": {}}}]',
        '[{"claim": "x", "passed": true, "evidence": {}}]',
    ],
)
def test_a_file_without_claims_is_an_error(tmp_path, text):
    path = tmp_path / "claims.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="damaged; expected claims"):
        read_claims(path)


def test_claims_are_formatted_with_their_differences():
    assert format_claims(CLAIMS).splitlines() == [
        "Claims of the paper",
        "HOLDS          better",
        "               a - b: +2.0 [+1.0, +3.0]",
        "DOES NOT HOLD  worse",
        "               b - a: -2.0 [-3.0, -1.0]",
        "               By mAP, which has no distractor queries: holds",
        "               b - a: +4.0 [+3.0, +5.0]",
        "               Because.",
        "Our own claims",
        "NOT RUN        unknown",
        "               missing: c, d",
    ]
