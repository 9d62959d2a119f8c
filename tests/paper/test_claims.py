"""The paper's claims: each rests on runs that there are, and is decided by what they gave."""

import json

import numpy as np
import pytest

from delfjax import provenance
from delfjax.evaluation import significance
from delfjax.evaluation.significance import Estimate
from delfjax.files import StoreError
from delfjax.paper.claims import (
    OURS,
    PREDICTIONS,
    STATEMENTS,
    decide,
    decide_all,
    format_claims,
    not_run,
    read_claims,
    write_claims,
)
from delfjax.paper.runs import RUNS, SEEDS

HEIGHTS = {"norm": 50, "ft_norm": 70, "att": 60, "ft_att": 90, "ft_att_qe": 80}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Save time: the differences between these results are clear."""
    monkeypatch.setattr(significance, "RESAMPLES", 100)


def keep(folder, name, height):
    random = np.random.default_rng(0)
    result = {
        "what": name,
        "value": height,
        "benchmark": "rendered+places",
        "average_precision": (height + random.normal(0, 1, 20)).tolist(),
        "curve": {"mean": height, "draws": [height] * 10},
        "on_landmark": {
            "value": height / 2,
            "by_landmark": {name: float(number) for number, name in enumerate("abcdefgh")},
            "average_precision": {name: 9.0 * number for number, name in enumerate("abcdefgh")},
        },
    }
    path = folder / f"{name}.json"
    provenance.write_result(path, result)
    return path


def verdicts(folder):
    return {each.claim: each.evidence["verdict"] for each in decide_all(folder)}


def test_every_statement_is_about_runs_that_there_are():
    statements = *STATEMENTS, *OURS
    for statement in statements:
        assert {name for pair in statement.pairs for name in pair} <= {*RUNS, *SEEDS}
    names = [*PREDICTIONS, *(statement.claim for statement in statements)]
    assert len({*names}) == len(names)


def test_without_results_nothing_is_decided(tmp_path):
    assert set(verdicts(tmp_path).values()) == {"not run"}
    (joint,) = [each for each in decide_all(tmp_path) if "jointly" in each.claim]
    assert joint.evidence["missing"] == ["DELF+FT+ATT", "joint training"]


def test_results_decide(tmp_path):
    for name, height in HEIGHTS.items():
        keep(tmp_path, f"rendered+places_{name}", height)
    found = verdicts(tmp_path)
    assert found["Attention matters more than fine-tuning (mAP)"] == "failed"
    assert found["Attention matters more than fine-tuning (Fig. 5)"] == "failed"
    assert found["Fine-tuning helps where there is attention (mAP)"] == "passed"
    assert found["Query expansion helps local features"] == "failed"
    assert found["Local and global together are better than either"] == "not run"
    keep(tmp_path, "runs/joint0_attention_100", 85)
    found = verdicts(tmp_path)
    assert found["Training in two steps finds more than training jointly (mAP)"] == "passed"


def test_real_photos_without_distractor_queries_leave_claims_open(tmp_path):
    for name, height in HEIGHTS.items():
        path = keep(tmp_path, f"rendered+places_{name}", height)
        lacking = {"curve", "on_landmark"}
        provenance.write_result(
            path, {k: v for k, v in provenance.read_result(path).items() if k not in lacking}
        )
    found = {each.claim: each.evidence for each in decide_all(tmp_path)}
    decided = found["Attention matters more than fine-tuning (mAP)"]
    assert decided["verdict"] == "failed"
    assert "reason" not in decided
    open_one = found["Attention matters more than fine-tuning (Fig. 5)"]
    assert (open_one["verdict"], open_one["missing"]) == ("not run", ["distractor queries"])


def test_what_fails_gives_its_reason(tmp_path):
    for name, height in (HEIGHTS | {"ft_att_rmac": 70, "ft_rmac": 60}).items():
        keep(tmp_path, f"rendered+places_{name}", height)
    found = {each.claim: each.evidence for each in decide_all(tmp_path)}
    assert found["Attention matters more than fine-tuning (mAP)"]["reason"] == (
        "seeds averaged, % of the best 100 keypoints on the landmark: DELF-noFT+ATT 30.0, DELF+FT 35.0"
    )
    told = found["Local and global together are better than either"]["reason"]
    assert told == "mAP: DELF+FT+ATT+R-MAC 70.0, DELF+FT+ATT 90.0, R-MAC, fine-tuned 60.0"
    assert "reason" not in found["Fine-tuning helps where there is attention (mAP)"]


def test_keypoints_on_the_landmark_predict(tmp_path):
    for name, height in HEIGHTS.items():
        keep(tmp_path, f"rendered+places_{name}", height)
    found = {each.claim: each.evidence for each in decide_all(tmp_path)}
    evidence = found["Landmarks with more keypoints on them are found better"]
    assert evidence["verdict"] == "passed"
    assert len(evidence["differences"]) == 4
    assert found["Queries with more keypoints on the landmark find more"]["verdict"] == "not run"


def test_seeds_count_too(tmp_path):
    for name, height in HEIGHTS.items():
        keep(tmp_path, f"rendered+places_{name}", height)
    keep(tmp_path, "runs/att1_attention_100", 100)
    found = {each.claim: each.evidence for each in decide_all(tmp_path)}
    (difference,) = found["Attention matters more than fine-tuning (mAP)"]["differences"].values()
    assert difference["difference"] == (60 + 100) / 2 - 70
    keep(tmp_path, "runs/ftatt1_attention_100", 70)
    found = {each.claim: each.evidence for each in decide_all(tmp_path)}
    (difference,) = found["Query expansion helps local features"]["differences"].values()
    assert difference["difference"] == 80 - 90, "of one model, with and without"


# Single claims: Estimate(value, low, high) is a difference with its interval


def test_a_claim_passes_if_all_its_differences_do():
    passed, failed, undecided = Estimate(2, 1, 3), Estimate(-2, -3, -1), Estimate(1, -1, 3)
    cases = {
        "passed": [passed, passed],
        "undecided": [passed, undecided],
        "failed": [passed, undecided, failed],
    }
    for verdict, differences in cases.items():
        claim = decide("better", dict(zip("abc", differences, strict=False)))
        assert (claim.evidence["verdict"], claim.passed) == (verdict, verdict == "passed")


def test_claims_can_be_written_and_read(tmp_path):
    claims = [decide("better", {"a - b": Estimate(2.0, 1.0, 3.0)}), not_run("unknown", ["c"])]
    path = tmp_path / "claims.json"
    write_claims(claims, path)
    assert read_claims(path) == claims
    for record in json.loads(path.read_text()):
        assert set(record) == {"claim", "passed", "evidence"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}x",
        '[{"other": 1}]',
        "3",
        '[{"claim": "x", "passed": true, "evidence": 3}]',
        '[{"claim": "x", "passed": true, "evidence": {"differences": {"a - b": {}}}}]',
    ],
)
def test_a_file_without_claims_is_an_error(tmp_path, text):
    path = tmp_path / "claims.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="damaged; expected claims"):
        read_claims(path)


def test_claims_are_formatted_with_their_differences():
    claims = [
        decide("better", {"a - b": Estimate(2.0, 1.0, 3.0)}),
        decide("worse", {"b - a": Estimate(-2.0, -3.0, -1.0)}),
        not_run("unknown", ["c", "d"]),
    ]
    assert format_claims(claims).splitlines() == [
        "PASSED     better",
        "             a - b: +2.0 [+1.0, +3.0]",
        "FAILED     worse",
        "             b - a: -2.0 [-3.0, -1.0]",
        "NOT RUN    unknown",
        "             missing: c, d",
    ]
