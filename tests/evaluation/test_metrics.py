"""Metrics: properties, agreement with the textbook definition, published numbers, errors."""

import warnings
from typing import get_args

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfjax.datasets.truth import (
    RevisitedProtocol,
    Truth,
    holidays_truth,
    oxford_truth,
    revisited_truth,
)
from delfjax.evaluation.metrics import (
    Interval,
    average_precision,
    bootstrap,
    evaluate,
    precision_at,
    precision_recall,
    recall_at,
    remove_junk,
)


def ranks(*values: int) -> np.ndarray:
    return np.array(values, int)


def truth_of(positives, junk=()) -> Truth:
    return Truth(ranks(*positives), ranks(*junk))


@pytest.fixture
def unchecked(monkeypatch):
    """Run without the shape checks of the test run, as users do: our own errors then speak."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def score(ranking, truth: Truth, **options):
    """Evaluate one query."""
    return evaluate([ranking], [truth], **options)


def textbook_average_precision(ranking, positives, junk) -> float:
    """Walk down the list; at every photo that counts, add the trapezoid between two recalls."""
    area, hits, seen, last_recall, last_precision = 0.0, 0, 0, 0.0, 1.0
    for photo in ranking:
        if photo in junk:
            continue
        hits += photo in positives
        seen += 1
        recall, precision = hits / len(positives), hits / seen
        area += (recall - last_recall) * (last_precision + precision) / 2
        last_recall, last_precision = recall, precision
    return area


def finite_sum_average_precision(found: np.ndarray, n: int) -> float:
    """Average the precisions at the positives: the other definition, never to be mixed in."""
    return float(np.sum((np.arange(len(found)) + 1) / (found + 1)) / n)


@st.composite
def found_ranks(draw) -> tuple[np.ndarray, int]:
    """Draw the ranks of the positives that were found and how many there are to find."""
    found = draw(st.lists(st.integers(0, 60), unique=True, max_size=12))
    return ranks(*sorted(found)), len(found) + draw(st.integers(0 if found else 1, 5))


@st.composite
def queries(draw) -> tuple[list[int], list[int], list[int]]:
    """Draw a ranking, maybe truncated, and its positives (one or more) and junk."""
    photos = draw(st.permutations(range(draw(st.integers(1, 25)))))
    kinds = ["positive", *draw(st.lists(st.sampled_from(["positive", "junk", "wrong"])))]
    labeled = list(zip(photos, kinds, strict=False))
    ranking = draw(st.permutations(photos))[: draw(st.integers(0, len(photos)))]
    return (
        list(ranking),
        [photo for photo, kind in labeled if kind == "positive"],
        [photo for photo, kind in labeled if kind == "junk"],
    )


# Properties


@given(found_ranks())
def test_average_precision_lies_between_0_and_1(case):
    assert 0 <= average_precision(*case) <= 1


@given(found_ranks())
def test_trapezoids_are_never_above_the_finite_sum(case):
    assert average_precision(*case) <= finite_sum_average_precision(*case) + 1e-12


@given(st.integers(1, 50))
def test_perfect_ranking_scores_1(n):
    assert average_precision(np.arange(n), n) == pytest.approx(1)
    np.testing.assert_array_equal(precision_at(np.arange(n), n, (1, 5, 10)), 1)
    assert recall_at(np.arange(n), n, [n]) == 1


@given(found_ranks())
def test_nothing_found_scores_0(case):
    _, n = case
    assert average_precision(ranks(), n) == 0
    np.testing.assert_array_equal(precision_at(ranks(), n, (1, 5)), 0)
    np.testing.assert_array_equal(recall_at(ranks(), n, (1, 5)), 0)


@given(found_ranks(), st.data())
def test_a_positive_that_moves_up_never_hurts(case, data):
    found, n = case
    movable = [r for r in found if r > 0 and r - 1 not in found]
    if not movable:
        return
    moved = np.where(found == data.draw(st.sampled_from(movable)), found - 1, found)
    assert average_precision(moved, n) > average_precision(found, n)
    assert (recall_at(moved, n, (1, 5, 10)) >= recall_at(found, n, (1, 5, 10))).all()


@given(found_ranks())
def test_one_more_positive_found_never_hurts(case):
    found, n = case
    assert average_precision(found[:-1], n) <= average_precision(found, n)
    fewer = precision_at(found[:-1], n, (1, 5, 10, 70))
    assert (fewer <= precision_at(found, n, (1, 5, 10, 70))).all()


@given(found_ranks(), st.randoms())
def test_ranks_may_come_in_any_order(case, random):
    found, n = case
    shuffled = ranks(*random.sample(found.tolist(), len(found)))
    assert average_precision(shuffled, n) == average_precision(found, n)
    np.testing.assert_array_equal(precision_at(shuffled, n, [5]), precision_at(found, n, [5]))
    np.testing.assert_array_equal(recall_at(shuffled, n, [5]), recall_at(found, n, [5]))


@given(queries())
def test_average_precision_agrees_with_the_textbook(case):
    ranking, positives, junk = case
    expected = textbook_average_precision(ranking, set(positives), set(junk))
    found = score(ranking, truth_of(positives, junk), ks=[1])
    assert found.mean_average_precision == pytest.approx(expected, abs=1e-12)


@given(queries(), st.data())
def test_junk_anywhere_changes_nothing(case, data):
    ranking, positives, junk = case
    more = list(range(100, 100 + data.draw(st.integers(0, 6))))
    longer = list(ranking)
    for photo in more:
        longer.insert(data.draw(st.integers(0, len(longer))), photo)
    options = {"ks": (1, 5, 10), "database_size": 200}
    before = score(ranking, truth_of(positives, junk), **options)
    after = score(longer, truth_of(positives, junk + more), **options)
    for name in ("average_precision", "precision_at", "recall_at"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


@given(queries())
def test_junk_may_be_absent_from_ranking_and_database(case):
    ranking, positives, junk = case
    absent = score(ranking, truth_of(positives, [*junk, 10**9]), ks=[1])
    present = score(ranking, truth_of(positives, junk), ks=[1])
    np.testing.assert_array_equal(absent.average_precision, present.average_precision)


def test_queries_without_positives_are_in_no_mean():
    empty = truth_of([], [2])
    alone = score([0, 1, 2], truth_of([0], []), ks=[1])
    both = evaluate([[0, 1, 2], [0, 1, 2]], [truth_of([0], []), empty], ks=[1])
    assert np.isnan(both.average_precision[1])
    assert both.mean_average_precision == alone.mean_average_precision
    none = score([0, 1, 2], empty, ks=[1, 2])
    assert np.isnan(none.mean_average_precision)
    assert np.isnan(none.mean_precision_at).all()
    assert none.mean_recall_at.shape == (2,)


def test_omitting_positives_does_not_pay():
    """The cap of precision@k is for lists that hold every positive."""
    assert precision_at(ranks(0), 1, [10]) == 1
    assert precision_at(ranks(0), 9, [10]) == 0.1


@pytest.mark.parametrize("ks", [(), (1,), (1, 2)])
def test_shapes_hold_for_any_number_of_queries_and_cutoffs(ks):
    found = evaluate([[0, 1]] * 3, [truth_of([0], [])] * 3, ks=ks)
    assert found.precision_at.shape == found.recall_at.shape == (3, len(ks))
    assert evaluate([], [], ks=ks, database_size=2).recall_at.shape == (0, len(ks))


# Oracles: O4 to O8


REVISITED = [([10, 56, 100], [0], [6, 90]), ([], [5], [99, 100]), ([33], [66, 99], [])]


@pytest.mark.parametrize(
    ("protocol", "positives", "junk"),
    [
        ("easy", [[10, 56, 100], [], [33]], [[6, 90, 0], [99, 100, 5], [66, 99]]),
        ("medium", [[10, 56, 100, 0], [5], [33, 66, 99]], [[6, 90], [99, 100], []]),
        ("hard", [[0], [5], [66, 99]], [[6, 90, 10, 56, 100], [99, 100], [33]]),
    ],
)
def test_revisited_truth(protocol, positives, junk):
    truths = [revisited_truth(*query, protocol) for query in REVISITED]
    assert [truth.positives.tolist() for truth in truths] == positives
    assert [truth.junk.tolist() for truth in truths] == junk


def test_remove_junk():
    left = remove_junk(ranks(0, 2, 6, 10, 20), ranks(1, 8, 9, 30))
    assert left.tolist() == [0, 1, 5, 7, 17]


def test_average_precision_of_three_positives():
    assert average_precision(ranks(0, 2, 5), 3) == pytest.approx(0.677778, abs=1e-6)


def test_precision_and_recall_at_k():
    np.testing.assert_allclose(precision_at(ranks(0, 2, 5), 3, (1, 5, 10)), [1, 0.4, 0.5])
    np.testing.assert_allclose(recall_at(ranks(0, 2, 5), 3, (1, 5, 10)), [1 / 3, 2 / 3, 1])
    assert precision_at(ranks(0, 7), 2, [10]) == 0.25
    assert recall_at(ranks(0, 7), 2, [10]) == 1


RANKINGS = [[4, 2, 0, 1, 3], [0, 2, 4, 1, 3], [0, 1, 2, 3, 4]]
TRUTHS = [truth_of([0, 1], [2]), truth_of([0, 4], []), truth_of([], [])]


def test_evaluate_of_three_queries():
    found = evaluate(RANKINGS, TRUTHS, ks=(1, 2, 5))
    nan = [np.nan] * 3
    np.testing.assert_allclose(found.average_precision, [0.416667, 0.791667, np.nan], atol=1e-6)
    np.testing.assert_allclose(found.precision_at, [[0, 0.5, 2 / 3], [1, 0.5, 2 / 3], nan])
    np.testing.assert_allclose(found.recall_at, [[0, 0.5, 1], [0.5, 0.5, 1], nan])
    assert found.mean_average_precision == pytest.approx(0.604167, abs=1e-6)
    np.testing.assert_allclose(found.mean_precision_at, [0.5, 0.5, 2 / 3])
    np.testing.assert_allclose(found.mean_recall_at, [0.25, 0.5, 1])


# Oracles: O17, photos by letter


def numbers(letters: str) -> list[int]:
    return (
        ["q", "a", "b", "c", "j", "J", "x", "y", "z"].index(letters)
        if len(letters) == 1
        else [numbers(letter) for letter in letters.split()]
    )


OXFORD = oxford_truth(good=numbers("q a"), ok=numbers("b c"), junk=numbers("j J"))


def test_oxford():
    found = score(numbers("q a j x b y J c z"), OXFORD, ks=[1])
    assert found.average_precision[0] == pytest.approx(0.8354167, abs=1e-7)


def test_oxford_is_not_the_finite_sum():
    found = ranks(0, 1, 3, 5)
    assert finite_sum_average_precision(found, 4) == pytest.approx(0.8541667, abs=1e-7)
    assert average_precision(found, 4) == pytest.approx(0.8354167, abs=1e-7)


def test_oxford_truncated():
    truth = truth_of(numbers("a b c"), [])
    found = score(numbers("a x b y"), truth, ks=[1, 4])
    assert found.average_precision[0] == pytest.approx(0.5277778, abs=1e-7)
    np.testing.assert_allclose(found.recall_at, [[1 / 3, 2 / 3]])
    np.testing.assert_allclose(found.precision_at, [[1, 2 / 4]])


@pytest.mark.parametrize(
    ("protocol", "expected", "precision"),
    [
        ("easy", 0.7083333, [1, 0.5, 0.5]),
        ("medium", 0.7111111, [1, 0.6, 0.6]),
        ("hard", 0.25, [0, 0.5, 0.5]),
    ],
)
def test_revisited(protocol, expected, precision):
    truth = revisited_truth(easy=[0, 1], hard=[2], junk=[3], protocol=protocol)
    found = score([0, 4, 3, 2, 5, 1, 6], truth, database_size=1000)
    assert found.average_precision[0] == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(found.mean_precision_at, precision)


@pytest.mark.parametrize("place", range(5))
def test_holidays_ignores_the_query_wherever_it_is(place):
    ranking = [1, 7, 8, 2]
    ranking.insert(place, 0)
    found = score(ranking, holidays_truth(0, [1, 2]), ks=[1])
    assert found.average_precision[0] == pytest.approx(0.7083333, abs=1e-7)


def test_holidays_with_one_positive_missing():
    found = score([0, 1, 7, 2], holidays_truth(0, [1, 2, 3]), ks=[1])
    assert found.average_precision[0] == pytest.approx(0.5277778, abs=1e-7)


# Of two queries and two distractors, in an order that mixes them
POOLED = np.array([5, 9, 7, 12, 8, 3]), np.array([0, 1, 0, 1, 1, 0], bool)


def test_precision_recall_counts_distractors_as_retrieved():
    curve = precision_recall(*POOLED, thresholds=np.array([8, 7, 5, 3]))
    np.testing.assert_allclose(curve.precision, [1, 0.75, 0.6, 0.5])
    assert curve.recall.tolist() == [3, 3, 3, 3]


def test_precision_recall_sweeps_every_score_from_the_highest():
    curve = precision_recall(*POOLED)
    assert curve.thresholds.tolist() == [12, 9, 8, 7, 5, 3]
    assert curve.recall.tolist() == [1, 2, 3, 3, 3, 3]
    np.testing.assert_allclose(curve.precision, [1, 1, 1, 3 / 4, 3 / 5, 3 / 6])


def test_precision_recall_takes_equal_scores_together():
    tied = np.array([4, 4, 4, 2])
    for correct in ([1, 0, 0, 1], [0, 0, 1, 1]):
        curve = precision_recall(tied, np.array(correct, bool))
        assert curve.thresholds.tolist() == [4, 2]
        assert curve.recall.tolist() == [1, 2]
        np.testing.assert_allclose(curve.precision, [1 / 3, 2 / 4])


def test_precision_is_undefined_where_nothing_is_retrieved():
    curve = precision_recall(*POOLED, thresholds=np.array([13.0]))
    assert np.isnan(curve.precision[0])
    assert curve.recall[0] == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40))
def test_precision_recall_agrees_with_counting(results):
    scores, correct = np.array(results, int).reshape(-1, 2).T
    curve = precision_recall(scores, correct.astype(bool))
    assert (np.diff(curve.recall) >= 0).all()
    for threshold, precision, recall in zip(*curve, strict=True):
        retrieved = [right for value, right in results if value >= threshold]
        assert recall == sum(retrieved)
        assert precision == pytest.approx(sum(retrieved) / len(retrieved))


# Bootstrap


VALUES = np.random.default_rng(0).normal(0.5, 0.1, size=400)


def test_bootstrap_agrees_with_the_normal_interval_of_a_mean():
    error = 1.96 * VALUES.std() / np.sqrt(len(VALUES))
    interval = bootstrap(VALUES, seed=1)
    assert interval == pytest.approx((VALUES.mean() - error, VALUES.mean() + error), abs=1e-3)


def test_bootstrap_repeats_by_seed_and_ignores_missing_queries():
    assert bootstrap(VALUES, seed=1) == bootstrap(VALUES, seed=1) != bootstrap(VALUES, seed=2)
    assert bootstrap(np.append(VALUES, np.nan), seed=1) == bootstrap(VALUES, seed=1)
    assert bootstrap(np.array([0.3, np.nan, np.nan]), seed=1) == Interval(0.3, 0.3)


def test_bootstrap_moves_with_its_options():
    wide, narrow = bootstrap(VALUES, seed=1), bootstrap(VALUES, level=0.5, seed=1)
    assert wide.low < narrow.low < narrow.high < wide.high
    highest = bootstrap(VALUES, statistic=np.max, resamples=50, seed=1)
    assert highest.high == VALUES.max()


# Errors


@pytest.mark.parametrize(
    ("ranking", "truth", "options", "message"),
    [
        ([0, 1, 0], ([0], []), {}, r"ranking of query 0: \[0\] listed twice"),
        ([0, -1], ([0], []), {}, "ranking of query 0: .* integers from 0"),
        ([0.0, 1.0], ([0], []), {}, "integers from 0"),
        ([[0, 1]], ([0], []), {}, "flat list"),
        ([True, False], ([0], []), {}, "integers from 0"),
        ([0, 5], ([0], []), {"database_size": 5}, "photo 5 in a database of 5"),
        ([0, 1], ([5], []), {"database_size": 5}, "photo 5 in a database of 5"),
        ([0, 1, 2], ([0], []), {"ks": (1, 5)}, r"ks \(1, 5\) in a database of 3 photos"),
        ([0, 1, 2], ([0], []), {"ks": (4,), "database_size": 3}, "database of 3 photos"),
        ([0, 1, 2], ([0], []), {"ks": (0,)}, "expected 1 to 3"),
    ],
)
def test_evaluate_refuses(ranking, truth, options, message):
    with pytest.raises(ValueError, match=message):
        score(ranking, truth_of(*truth), **({"ks": (1,)} | options))


def test_evaluate_wants_one_truth_for_each_ranking():
    with pytest.raises(ValueError, match="3 rankings, 2 truths"):
        evaluate(RANKINGS, TRUTHS[:2], ks=(1,))


def test_a_cutoff_above_the_database_of_the_oracle_is_an_error():
    with pytest.raises(ValueError, match=r"ks \(1, 2, 10\) in a database of 5 photos"):
        evaluate(RANKINGS, TRUTHS, ks=(1, 2, 10))


@pytest.mark.parametrize(
    ("positives", "junk", "message"),
    [
        ([1, 1], [], r"positives and junk: \[1\] listed twice"),
        ([], [-2], "positives and junk: .* integers from 0"),
        ([1, 2], [2, 3], r"positives and junk: \[2\] listed twice"),
    ],
)
def test_truth_refuses(positives, junk, message):
    with pytest.raises(ValueError, match=message):
        truth_of(positives, junk)


def test_truths_refuse_photos_of_two_kinds():
    with pytest.raises(ValueError, match=r"good and ok: \[3\]"):
        oxford_truth([3], [3], [])
    with pytest.raises(ValueError, match=r"positives and junk: \[0\]"):
        holidays_truth(0, [0, 1])
    for protocol in get_args(RevisitedProtocol):
        with pytest.raises(ValueError, match="listed twice"):
            revisited_truth([1], [1], [], protocol)


@pytest.mark.usefixtures("unchecked")
def test_revisited_truth_refuses_an_unknown_protocol():
    with pytest.raises(ValueError, match="'all': expected 'easy', 'medium' or 'hard'"):
        revisited_truth([1], [2], [3], "all")


@pytest.mark.parametrize(
    ("found", "n", "message"),
    [(ranks(0, 1), 1, "n = 1"), (ranks(2, 2), 2, "twice"), (ranks(-1), 1, "from 0")],
)
@pytest.mark.parametrize("metric", [average_precision, precision_at, recall_at])
def test_impossible_ranks_are_refused(metric, found, n, message):
    with pytest.raises(ValueError, match=message):
        metric(found, n, *([[1]] if metric is not average_precision else []))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("scores", "correct"),
    [([1.0, 2.0], [True]), ([1.0, np.nan], [True, True]), ([1.0, 2.0], [1, 0])],
)
def test_precision_recall_refuses(scores, correct):
    with pytest.raises(ValueError, match="as many bool as scores, and no NaN"):
        precision_recall(np.array(scores), np.array(correct))


@pytest.mark.parametrize(("values", "level"), [([np.nan], 0.95), ([], 0.95), ([0.5], 95.0)])
def test_bootstrap_refuses(values, level):
    with pytest.raises(ValueError, match=f"level {level}"):
        bootstrap(np.array(values, float), level=level, seed=0)


def test_no_positives_is_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(average_precision(ranks(), 0))
        assert np.isnan(precision_at(ranks(), 0, (1, 5))).all()
        assert np.isnan(recall_at(ranks(), 0, (1, 5))).all()
