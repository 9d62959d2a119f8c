"""Claims: what passes, what fails, and what these queries cannot tell."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from delfjax import provenance
from delfjax.evaluation.metrics import bootstrap
from delfjax.evaluation.significance import (
    Difference,
    differ,
    differ_in_curve,
    per_query,
    rank_correlation,
)
from delfjax.paper import claims, tables
from delfjax.paper.claims import Claim, decide, ordered

QUERIES = 40
HARDNESS = np.random.default_rng(0).uniform(20, 80, QUERIES)  # queries differ more than methods do


def run(gain=0.0, *, seed=0, noise=2.0, **changes):
    random = np.random.default_rng(seed)
    found = (HARDNESS + gain + random.normal(0, noise, QUERIES)).tolist()
    draws = 50 + gain + random.normal(0, noise, 100)
    result = {
        "what": f"mAP, gain {gain}",
        "benchmark": "drawn",
        "protocol": "standard",
        "queries": QUERIES,
        "average_precision": found,
        "curve": {"mean": 50 + gain, "draws": draws.tolist()},
    }
    return result | changes


def test_three_verdicts():
    assert Difference(2, 1, 3).verdict == "passed"
    assert Difference(-2, -3, -1).verdict == "failed"
    assert Difference(2, -1, 3).verdict == Difference(0, 0, 0).verdict == "undecided"


def test_pairs_show_what_means_apart_do_not():
    """A gain of 3 points, on queries that differ by 60."""
    better, worse = run(3, seed=1), run(seed=2)
    found = differ([better], [worse])
    assert found.verdict == "passed"
    assert found.value == pytest.approx(3, abs=1.5)
    (low, _), (_, high) = (bootstrap(per_query([each]), seed=0) for each in (better, worse))
    assert low < high, "the intervals of the two alone overlap"
    assert differ([worse], [better]).verdict == "failed"
    assert differ([better], [worse]) == found, "the same seed gives the same interval"


def test_a_difference_turns_its_sign_with_its_sides():
    one, other = differ([run(3)], [run(seed=1)]), differ([run(seed=1)], [run(3)])
    assert one.value == pytest.approx(-other.value)
    np.testing.assert_allclose([one.low, one.high], [-other.high, -other.low])


def test_a_thing_is_no_better_than_itself():
    assert differ([run()], [run()]) == (0, 0, 0)
    assert differ_in_curve([run()], [run()]) == (0, 0, 0)


def test_a_rank_correlation_minds_order_alone():
    one = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 5.0])
    found = rank_correlation(one, np.exp(one))
    assert (found.value, found.high) == pytest.approx((100, 100))
    assert found.verdict == "passed"
    assert rank_correlation(one, -one).value == pytest.approx(-100)
    assert rank_correlation(one, np.ones(6)) == (0, 0, 0), (
        "what is the same everywhere tells nothing"
    )
    random = np.random.default_rng(0).normal(size=(2, 60))
    assert rank_correlation(*random).verdict == "undecided"
    expected = spearmanr(*random).statistic
    assert rank_correlation(*random).value == pytest.approx(100 * expected)


def test_seeds_are_averaged_query_by_query():
    one, two = run(seed=1), run(seed=2)
    both = per_query([one, two])
    np.testing.assert_allclose(both, (per_query([one]) + per_query([two])) / 2)


def test_a_query_with_nothing_to_find_counts_for_neither():
    better, worse = run(5), run()
    for each in (better, worse):
        each["average_precision"][3] = None
    assert np.isnan(per_query([better])[3])
    assert differ([better], [worse]).value == pytest.approx(5)


def test_curves_are_compared_draw_by_draw():
    found = differ_in_curve([run(4, noise=0)], [run(noise=0)])
    assert found == pytest.approx((4, 4, 4))


def test_an_order_is_as_good_as_its_weakest_step():
    runs = {"a": [run(20, seed=1)], "b": [run(10, seed=2)], "c": [run(0, seed=3)]}
    for curve in (False, True):
        claim = ordered("a, b, c", runs, curve=curve)
        assert claim.passed
        assert list(claim.evidence["differences"]) == ["a - b", "b - c"]
    wrong = ordered("a, c, b", {name: runs[name] for name in "acb"})
    assert (wrong.passed, wrong.evidence["verdict"]) == (False, "failed")
    unknown = decide("both", {"one": Difference(2, 1, 3), "other": Difference(1, -1, 3)})
    assert (unknown.passed, unknown.evidence["verdict"]) == (False, "undecided")


@pytest.mark.parametrize("change", [{"benchmark": "other"}, {"queries": 41}, {"protocol": "hard"}])
def test_results_of_other_queries_cannot_be_compared(change):
    with pytest.raises(
        ValueError, match=rf"{next(iter(change))} .*only results of the same queries"
    ):
        differ([run()], [run(**change)])


@pytest.mark.parametrize(
    ("part", "compare"), [("average_precision", differ), ("curve", differ_in_curve)]
)
def test_an_old_result_must_be_run_again(part, compare):
    old = run()
    del old[part]
    with pytest.raises(ValueError, match="run them again"):
        compare([run()], [old])


def test_written_claims_are_a_list_and_no_result(tmp_path):
    made = [decide("better", {"a - b": Difference(2.0, 1.0, 3.0)}), Claim(claim="x", passed=False)]
    path = tmp_path / provenance.CLAIMS
    claims.write(made, path)
    assert claims.read(path) == made
    assert [set(each) for each in json.loads(path.read_text())] == [
        {"claim", "passed", "evidence"}
    ] * 2
    provenance.write(tmp_path / "one.json", {"value": 1, "what": "one"})
    assert "claims" not in [name for name, *_ in tables.rows(tmp_path)]


@pytest.mark.parametrize("text", ["", "{}x", '[{"other": 1}]', "3"])
def test_what_is_no_claims_is_an_error(tmp_path, text):
    path = tmp_path / "claims.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="no claims"):
        claims.read(path)


def test_an_order_of_one_claims_nothing():
    with pytest.raises(ValueError, match="rests on no difference"):
        ordered("alone", {"a": [run()]})


def test_claims_are_told_with_their_numbers():
    made = [
        decide("better", {"a - b": Difference(2.0, 1.0, 3.0)}),
        decide("worse", {"b - a": Difference(-2.0, -3.0, -1.0)}),
        claims.not_run("unknown", ["c", "d"]),
    ]
    assert claims.told(made).splitlines() == [
        "PASSED     better",
        "             a - b: +2.0 [+1.0, +3.0]",
        "FAILED     worse",
        "             b - a: -2.0 [-3.0, -1.0]",
        "NOT RUN    unknown",
        "             waits for c, d",
    ]
    assert not made[2].passed
