"""Intervals over landmarks and training runs: hand-computed cases, coverage by simulation, errors."""

import numpy as np
import pytest
from scipy.stats import t

from delfjax.evaluation import significance
from delfjax.evaluation.significance import (
    Estimate,
    bootstrap_interval,
    mean_score,
    paired_difference,
    resample,
)

LANDMARKS = np.repeat(np.arange(11), 5)  # five queries of each
# Average precisions differ more between landmarks than between methods.
DIFFICULTY = np.random.default_rng(0).uniform(20, 80, 11)[LANDMARKS]


def run(precisions=None, gain=0.0, *, seed=0, **changes):
    """Return a random result whose average precisions are higher by a gain."""
    random = np.random.default_rng(seed)
    if precisions is None:
        precisions = DIFFICULTY + gain + random.normal(0, 2, len(LANDMARKS))
    result = {
        "what": f"mAP, gain {gain}",
        "benchmark": "random",
        "protocol": "standard",
        "queries": len(precisions),
        "landmarks": LANDMARKS[: len(precisions)].tolist(),
        "average_precision": list(precisions),
        "curve": {"mean": 50 + gain, "draws": (50 + gain + random.normal(0, 2, 100)).tolist()},
    }
    return result | changes


# Resamples


def test_queries_of_a_landmark_are_drawn_together_and_weigh_1_on_average():
    weights = np.array([*resample([7, 7, 9, 9, 9, 4], ["x", "y"])])
    assert (weights[:, :2] == weights[:, :1]).all()
    assert (weights[:, 2:5] == weights[:, 2:3]).all()
    np.testing.assert_allclose(weights[:, [0, 2, 5]].sum(1), 3)  # two draws of weight 3/2
    np.testing.assert_allclose(weights[:, 6:].sum(1), 2)  # one draw of weight 2
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.1)


def test_only_another_seed_gives_other_resamples():
    first, again, other = (np.array([*resample(LANDMARKS, seed=seed)]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_one_landmark_has_the_weight_1():
    assert {weight for weights in resample([3, 3]) for weight in weights} == {1}


# Hand-computed intervals


def test_one_run_has_the_t_interval_of_its_landmarks():
    """Landmarks with means 40, 50, 60, 90: mean 60, standard deviation sqrt(1400/3) = 21.60."""
    precisions = [30, 50, 45, 55, 60, 60, 80, 100]
    pairs = np.repeat(np.arange(4), 2).tolist()
    value, low, high = mean_score([run(precisions, landmarks=pairs)])
    margin = t.ppf(0.975, 3) * np.sqrt(1400 / 3 / 4)  # 34.4
    assert value == 60
    assert (low, high) == pytest.approx((60 - margin, 60 + margin), abs=1.5)
    assert bootstrap_interval(np.array(precisions, float), groups=pairs) == pytest.approx(
        (low, high)
    )


def test_training_runs_add_their_variance():
    """Two runs with mAP 50 and 54 that agree on the order of landmarks: s^2 / S = 8 / 2 = 4."""
    one = run([40.0, 60, 50], landmarks=[0, 1, 2])
    other = run([44.0, 64, 54], landmarks=[0, 1, 2])
    value, low, high = mean_score([one, other])
    landmarks = 100 / 3
    freedom = (landmarks + 4) ** 2 / (landmarks**2 / 2 + 4**2 / 1)
    margin = t.ppf(0.975, freedom) * np.sqrt(landmarks + 4)
    assert value == 52
    assert (low, high) == pytest.approx((52 - margin, 52 + margin), abs=1.5)


def test_a_difference_has_the_variance_of_the_runs_of_both_methods():
    """The methods differ by the same on all landmarks, so only training runs vary."""
    better = [run(DIFFICULTY + gain) for gain in (3, 5)]
    worse = [run(DIFFICULTY + gain) for gain in (0, 2)]
    value, low, high = paired_difference(better, worse)
    margin = t.ppf(0.975, 2) * np.sqrt(2 / 2 + 2 / 2)
    assert (value, low, high) == pytest.approx((3, 3 - margin, 3 + margin))


def test_queries_and_landmarks_without_a_value_do_not_count():
    precisions = np.array([30.0, 50, 40, 60, 70, 90])
    expected = bootstrap_interval(precisions, groups=list("aabbcc"))
    with_nan = np.append(precisions, [np.nan, np.nan])
    assert bootstrap_interval(with_nan, groups=list("aabbccdd")) == expected
    better, worse = run(gain=5), run()
    for each in (better, worse):
        each["average_precision"][3] = None
    assert mean_score([better]).value == pytest.approx(
        np.nanmean(np.array(better["average_precision"], float))
    )
    assert paired_difference([better], [worse]).value == pytest.approx(5)


def test_one_landmark_tells_nothing_about_others():
    assert bootstrap_interval(np.array([0.3, 0.5]), groups=[1, 1]) == (-np.inf, np.inf)
    one = run([30, 50], landmarks=[0, 0])
    assert mean_score([one]) == (40, 0, 100)
    assert paired_difference([one], [one]) == (0, -100, 100)


@pytest.mark.parametrize("values", [[np.nan], []])
def test_an_interval_needs_a_value(values):
    with pytest.raises(ValueError, match="values is empty or all NaN; expected at least one"):
        bootstrap_interval(np.array(values, float))


# Coverage


def coverage(landmarks, runs, monkeypatch, *, groups=True):
    """Return the share of simulated benchmarks whose interval contains the true mAP, 50."""
    random, found, trials = np.random.default_rng(0), 0, 200
    rows = np.repeat(np.arange(landmarks), 5)
    shown = rows if groups else np.arange(len(rows))
    weights = [*resample(shown)][:300]
    monkeypatch.setattr(significance, "resample", lambda *_, **__: weights)  # to save time
    for _ in range(trials):
        queries = 50 + random.normal(0, 10, landmarks)[rows] + random.normal(0, 10, len(rows))
        spread = 3 if runs > 1 else 0
        trained = queries + random.normal(0, spread, (runs, 1))
        trained = trained + random.normal(0, spread, (runs, landmarks))[:, rows]
        _, low, high = mean_score([run(each, landmarks=shown.tolist()) for each in trained])
        found += low <= 50 <= high
    return found / trials


@pytest.mark.parametrize(("landmarks", "runs"), [(6, 3), (11, 1), (11, 3)])
def test_intervals_contain_the_true_value_in_95_percent(landmarks, runs, monkeypatch):
    """One run without variance between runs, or three runs that vary."""
    assert 0.91 < coverage(landmarks, runs, monkeypatch) < 0.99


def test_intervals_over_queries_would_be_too_narrow(monkeypatch):
    assert coverage(11, 3, monkeypatch, groups=False) < 0.9


# Differences


def test_the_decision_follows_from_the_interval():
    assert Estimate(2, 1, 3).decision == "holds"
    assert Estimate(-2, -3, -1).decision == "does not hold"
    assert Estimate(2, -1, 3).decision == Estimate(0, 0, 0).decision == "not decided"


def test_paired_differences_detect_a_gain_that_separate_means_do_not():
    """A gain of 3 percentage points on landmarks that differ by 60."""
    better, worse = run(gain=3, seed=1), run(seed=2)
    difference = paired_difference([better], [worse])
    assert difference.decision == "holds"
    assert difference.value == pytest.approx(3, abs=1.5)
    assert mean_score([better]).low < mean_score([worse]).high, "the intervals overlap"
    assert paired_difference([worse], [better]).decision == "does not hold"


def test_a_method_does_not_differ_from_itself():
    assert paired_difference([run()], [run()]) == (0, 0, 0)
    assert paired_difference([run()], [run()], curve=True) == (0, 0, 0)


def test_curves_are_compared_resample_by_resample():
    difference = paired_difference([run(gain=4)], [run()], curve=True)
    assert difference == pytest.approx((4, 4, 4))
    value, low, high = mean_score([run()], curve=True)
    assert value == 50
    assert high - low == pytest.approx(2 * t.ppf(0.975, 10) * np.std(run()["curve"]["draws"]))


@pytest.mark.parametrize(
    "change", [{"benchmark": "other"}, {"queries": 41}, {"protocol": "hard"}, {"landmarks": [0]}]
)
def test_results_of_other_queries_are_an_error(change):
    (key,) = change
    with pytest.raises(ValueError, match=rf"{key} is .*; expected results of the same queries"):
        paired_difference([run()], [run(**change)])


@pytest.mark.parametrize("part", ["average_precision", "curve", "landmarks"])
def test_a_result_without_the_needed_part_is_an_error(part):
    incomplete = run()
    del incomplete[part]
    with pytest.raises(ValueError, match=rf"has no '{part}'. Fix: run the benchmark again"):
        paired_difference([run()], [incomplete], curve=part == "curve")
