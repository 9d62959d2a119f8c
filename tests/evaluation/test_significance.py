"""Bootstrap intervals, paired differences and rank correlations: known values, properties, errors."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from delfjax.evaluation.significance import (
    Estimate,
    Interval,
    average_precisions,
    bootstrap_interval,
    paired_curve_difference,
    paired_difference,
    rank_correlation,
)

QUERIES = 40
# Average precisions differ more between queries than between methods.
DIFFICULTY = np.random.default_rng(0).uniform(20, 80, QUERIES)
VALUES = np.random.default_rng(0).normal(0.5, 0.1, size=400)


def run(gain=0.0, *, seed=0, noise=2.0, **changes):
    """Return a random result whose average precisions are higher by a gain."""
    random = np.random.default_rng(seed)
    precisions = (DIFFICULTY + gain + random.normal(0, noise, QUERIES)).tolist()
    draws = 50 + gain + random.normal(0, noise, 100)
    result = {
        "what": f"mAP, gain {gain}",
        "benchmark": "random",
        "protocol": "standard",
        "queries": QUERIES,
        "average_precision": precisions,
        "curve": {"mean": 50 + gain, "draws": draws.tolist()},
    }
    return result | changes


# Bootstrap intervals


def test_the_interval_of_a_mean_agrees_with_the_normal_distribution():
    error = 1.96 * VALUES.std() / np.sqrt(len(VALUES))
    interval = bootstrap_interval(VALUES, seed=1)
    assert interval == pytest.approx((VALUES.mean() - error, VALUES.mean() + error), abs=1e-3)


def test_an_interval_depends_on_the_seed():
    first = bootstrap_interval(VALUES, seed=1)
    assert first == bootstrap_interval(VALUES, seed=1) != bootstrap_interval(VALUES, seed=2)


def test_an_interval_ignores_queries_without_a_value():
    with_nan = np.append(VALUES, np.nan)
    assert bootstrap_interval(with_nan, seed=1) == bootstrap_interval(VALUES, seed=1)
    one_value = np.array([0.3, np.nan, np.nan])
    assert bootstrap_interval(one_value, seed=1) == Interval(0.3, 0.3)


def test_groups_are_resampled_as_a_whole():
    names = [f"landmark {number}" for number in range(100)]
    repeated = np.repeat(VALUES[:100], 5)  # five queries of a landmark that agree
    grouped = bootstrap_interval(repeated, groups=np.repeat(names, 5), seed=1)
    assert grouped == pytest.approx(bootstrap_interval(VALUES[:100], seed=1), abs=3e-3)
    alone = bootstrap_interval(repeated, seed=1)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    with_nan = np.append(repeated, np.nan)
    assert grouped == bootstrap_interval(with_nan, groups=[*np.repeat(names, 5), "x"], seed=1)


def test_an_interval_of_another_statistic():
    assert bootstrap_interval(VALUES, statistic=np.max, seed=1).high == VALUES.max()


@pytest.mark.parametrize("values", [[np.nan], []])
def test_an_interval_needs_a_value(values):
    with pytest.raises(ValueError, match="values is empty or all NaN; expected at least one"):
        bootstrap_interval(np.array(values, float), seed=0)


# Differences


def test_the_verdict_follows_from_the_interval():
    assert Estimate(2, 1, 3).verdict == "passed"
    assert Estimate(-2, -3, -1).verdict == "failed"
    assert Estimate(2, -1, 3).verdict == Estimate(0, 0, 0).verdict == "undecided"


def test_paired_differences_detect_a_gain_that_separate_means_do_not():
    """A gain of 3 percentage points on queries that differ by 60."""
    better, worse = run(3, seed=1), run(seed=2)
    difference = paired_difference([better], [worse])
    assert difference.verdict == "passed"
    assert difference.value == pytest.approx(3, abs=1.5)
    (low, _), (_, high) = (
        bootstrap_interval(average_precisions([each]), seed=0) for each in (better, worse)
    )
    assert low < high, "the intervals of the two methods overlap"
    assert paired_difference([worse], [better]).verdict == "failed"
    assert paired_difference([better], [worse]) == difference


def test_swapping_the_methods_changes_the_sign():
    first, second = [run(3)], [run(seed=1)]
    gain, loss = paired_difference(first, second), paired_difference(second, first)
    assert gain.value == pytest.approx(-loss.value)
    np.testing.assert_allclose([gain.low, gain.high], [-loss.high, -loss.low])


def test_a_method_does_not_differ_from_itself():
    assert paired_difference([run()], [run()]) == (0, 0, 0)
    assert paired_curve_difference([run()], [run()]) == (0, 0, 0)


def test_seeds_are_averaged_per_query():
    first, second = run(seed=1), run(seed=2)
    expected = (average_precisions([first]) + average_precisions([second])) / 2
    np.testing.assert_allclose(average_precisions([first, second]), expected)


def test_a_query_without_positives_does_not_count():
    better, worse = run(5), run()
    for each in (better, worse):
        each["average_precision"][3] = None
    assert np.isnan(average_precisions([better])[3])
    assert paired_difference([better], [worse]).value == pytest.approx(5)


def test_curves_are_compared_resample_by_resample():
    difference = paired_curve_difference([run(4, noise=0)], [run(noise=0)])
    assert difference == pytest.approx((4, 4, 4))


@pytest.mark.parametrize("change", [{"benchmark": "other"}, {"queries": 41}, {"protocol": "hard"}])
def test_results_of_other_queries_are_an_error(change):
    (key,) = change
    with pytest.raises(ValueError, match=rf"{key} is .*; expected results of the same queries"):
        paired_difference([run()], [run(**change)])


@pytest.mark.parametrize(
    ("part", "compare"),
    [("average_precision", paired_difference), ("curve", paired_curve_difference)],
)
def test_a_result_without_the_needed_part_is_an_error(part, compare):
    incomplete = run()
    del incomplete[part]
    with pytest.raises(ValueError, match=rf"has no '{part}'. Fix: run the benchmark again"):
        compare([run()], [incomplete])


# Rank correlation


def test_a_rank_correlation_depends_on_the_order_only():
    x = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 5.0])
    correlation = rank_correlation(x, np.exp(x))
    assert (correlation.value, correlation.high) == pytest.approx((100, 100))
    assert correlation.verdict == "passed"
    assert rank_correlation(x, -x).value == pytest.approx(-100)


def test_a_constant_has_no_rank_correlation():
    assert rank_correlation(np.arange(6.0), np.ones(6)) == (0, 0, 0)


def test_rank_correlation_agrees_with_scipy():
    x, y = np.random.default_rng(0).normal(size=(2, 60))
    correlation = rank_correlation(x, y)
    assert correlation.value == pytest.approx(100 * spearmanr(x, y).statistic)
    assert correlation.verdict == "undecided"
