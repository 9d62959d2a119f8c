"""Metrics of ranked lists: properties, agreement with the definitions, published numbers, errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from delfjax.datasets.benchmark import Truth
from delfjax.evaluation.metrics import (
    average_precision,
    average_precision_at,
    precision_at,
    score_rankings,
)


def ranks(*values: int) -> np.ndarray:
    return np.array(values, int)


def truth_of(positives, junk=()) -> Truth:
    return Truth(ranks(*positives), ranks(*junk))


def score(ranking, truth: Truth, **options):
    """Score the ranking of one query."""
    return score_rankings([ranking], [truth], **options)


def area_under_curve(ranking, positives, junk) -> float:
    """Return the area under the precision-recall curve: one trapezoid for each photo without junk."""
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


@st.composite
def found_ranks(draw) -> tuple[np.ndarray, int]:
    """Generate the ranks of the positives that were found, and the number of positives."""
    found = draw(st.lists(st.integers(0, 60), unique=True, max_size=12))
    return ranks(*sorted(found)), len(found) + draw(st.integers(0 if found else 1, 5))


@st.composite
def queries(draw) -> tuple[list[int], list[int], list[int]]:
    """Generate a ranking, which may be truncated, and its positives (at least one) and junk."""
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


@given(st.integers(1, 50))
def test_a_perfect_ranking_scores_1(n):
    assert average_precision(np.arange(n), n) == pytest.approx(1)
    assert average_precision_at(np.arange(n), n, 20) == pytest.approx(1)
    np.testing.assert_array_equal(precision_at(np.arange(n), n, (1, 5, 10)), 1)


@given(found_ranks())
def test_a_ranking_without_positives_scores_0(case):
    _, n = case
    assert average_precision(ranks(), n) == average_precision_at(ranks(), n) == 0
    np.testing.assert_array_equal(precision_at(ranks(), n, (1, 5)), 0)


@given(found_ranks())
def test_finding_one_more_positive_does_not_lower_a_score(case):
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


@given(queries())
def test_average_precision_is_the_area_under_the_curve(case):
    ranking, positives, junk = case
    expected = area_under_curve(ranking, set(positives), set(junk))
    found = score(ranking, truth_of(positives, junk), ks=[1])
    assert found.mean_average_precision == pytest.approx(expected, abs=1e-12)


@given(queries(), st.data())
def test_junk_does_not_change_a_score(case, data):
    ranking, positives, junk = case
    more = list(range(100, 100 + data.draw(st.integers(0, 6))))
    longer = list(ranking)
    for photo in more:
        longer.insert(data.draw(st.integers(0, len(longer))), photo)
    options = {"ks": (1, 5, 10), "database_size": 200}
    before = score(ranking, truth_of(positives, junk), **options)
    after = score(longer, truth_of(positives, junk + more), **options)
    for name in ("average_precision", "precision_at"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


@given(queries())
def test_junk_may_be_missing_from_the_database(case):
    ranking, positives, junk = case
    absent = score(ranking, truth_of(positives, [*junk, 10**9]), ks=[1])
    present = score(ranking, truth_of(positives, junk), ks=[1])
    np.testing.assert_array_equal(absent.average_precision, present.average_precision)


def test_means_leave_out_queries_without_positives():
    empty = truth_of([], [2])
    alone = score([0, 1, 2], truth_of([0], []), ks=[1])
    both = score_rankings([[0, 1, 2], [0, 1, 2]], [truth_of([0], []), empty], ks=[1])
    assert np.isnan(both.average_precision[1])
    assert both.mean_average_precision == alone.mean_average_precision
    none = score([0, 1, 2], empty, ks=[1, 2])
    assert np.isnan(none.mean_average_precision)
    assert np.isnan(none.mean_precision_at).all()
    assert none.mean_precision_at.shape == (2,)


def test_k_is_capped_only_if_all_positives_are_found():
    assert precision_at(ranks(0), 1, [10]) == 1
    assert precision_at(ranks(0), 1, [10], cap=False) == 0.1
    assert precision_at(ranks(0), 9, [10]) == 0.1


@pytest.mark.parametrize("ks", [(), (1,), (1, 2)])
def test_shapes_hold_for_any_number_of_queries_and_cutoffs(ks):
    found = score_rankings([[0, 1]] * 3, [truth_of([0], [])] * 3, ks=ks)
    assert found.precision_at.shape == (3, len(ks))
    assert score_rankings([], [], ks=ks, database_size=2).precision_at.shape == (0, len(ks))


# Published numbers: oracles O4 to O8


def test_junk_is_removed():
    truth = truth_of([0, 2, 6, 10, 20], [1, 8, 9, 30])
    scored = np.arange(31)[truth.is_scored(np.arange(31))]
    assert np.flatnonzero(np.isin(scored, truth.positives)).tolist() == [0, 1, 5, 7, 17]


def test_average_precision_of_three_positives():
    assert average_precision(ranks(0, 2, 5), 3) == pytest.approx(0.677778, abs=1e-6)


def test_precision_at_k():
    np.testing.assert_allclose(precision_at(ranks(0, 2, 5), 3, (1, 5, 10)), [1, 0.4, 0.5])
    assert precision_at(ranks(0, 7), 2, [10]) == 0.25


RANKINGS = [[4, 2, 0, 1, 3], [0, 2, 4, 1, 3], [0, 1, 2, 3, 4]]
TRUTHS = [truth_of([0, 1], [2]), truth_of([0, 4], []), truth_of([], [])]


def test_scores_of_three_queries():
    found = score_rankings(RANKINGS, TRUTHS, ks=(1, 2, 5))
    nan = [np.nan] * 3
    np.testing.assert_allclose(found.average_precision, [0.416667, 0.791667, np.nan], atol=1e-6)
    np.testing.assert_allclose(found.precision_at, [[0, 0.5, 2 / 3], [1, 0.5, 2 / 3], nan])
    assert found.mean_average_precision == pytest.approx(0.604167, abs=1e-6)
    np.testing.assert_allclose(found.mean_precision_at, [0.5, 0.5, 2 / 3])


# Published numbers: oracle O17, with letters for photos


def numbers(letters: str) -> list[int]:
    return ["qabcjJxyz".index(letter) for letter in letters.split()]


OXFORD = truth_of(numbers("q a b c"), numbers("j J"))


def test_oxford():
    found = score(numbers("q a j x b y J c z"), OXFORD, ks=[1])
    assert found.average_precision[0] == pytest.approx(0.8354167, abs=1e-7)


def test_the_two_definitions_of_average_precision_differ():
    found = ranks(0, 1, 3, 5)
    assert average_precision(found, 4) == pytest.approx(0.8354167, abs=1e-7)
    assert average_precision_at(found, 4) == pytest.approx(0.8541667, abs=1e-7)


def test_oxford_with_a_truncated_ranking():
    truth = truth_of(numbers("a b c"), [])
    found = score(numbers("a x b y"), truth, ks=[1, 4])
    assert found.average_precision[0] == pytest.approx(0.5277778, abs=1e-7)
    np.testing.assert_allclose(found.precision_at, [[1, 2 / 4]])


@pytest.mark.parametrize(
    ("positives", "junk", "expected", "precision"),
    [
        ([0, 1], [2, 3], 0.7083333, [1, 0.5, 0.5]),
        ([0, 1, 2], [3], 0.7111111, [1, 0.6, 0.6]),
        ([2], [0, 1, 3], 0.25, [0, 0.5, 0.5]),
    ],
    ids=["easy", "medium", "hard"],
)
def test_revisited(positives, junk, expected, precision):
    found = score([0, 4, 3, 2, 5, 1, 6], truth_of(positives, junk), database_size=1000)
    assert found.average_precision[0] == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(found.mean_precision_at, precision)
    assert found.ks == (1, 5, 10)


@pytest.mark.parametrize("rank", range(5))
def test_holidays_ignores_the_query_at_every_rank(rank):
    ranking = [1, 7, 8, 2]
    ranking.insert(rank, 0)
    found = score(ranking, truth_of([1, 2], [0]), ks=[1])
    assert found.average_precision[0] == pytest.approx(0.7083333, abs=1e-7)


def test_holidays_with_one_positive_missing():
    found = score([0, 1, 7, 2], truth_of([1, 2, 3], [0]), ks=[1])
    assert found.average_precision[0] == pytest.approx(0.5277778, abs=1e-7)


# Google-Landmarks v2: oracle O2, and other definitions


RETRIEVED = [[], [0, 1], [4], [3, 4]]
CORRECT = [[1, 2], [1], [3, 4, 5], [3]]


def test_google_landmarks():
    truths = [truth_of(photos) for photos in CORRECT]
    options = {"ks": (1, 2), "database_size": 6, "metric": "map_at_100"}
    found = score_rankings(RETRIEVED, truths, **options)
    np.testing.assert_allclose(found.average_precision, [0, 1 / 2, 1 / 3, 1])
    assert found.mean_average_precision == pytest.approx(0.458333, abs=1e-6)
    np.testing.assert_allclose(found.mean_precision_at, [0.5, 0.375])


def test_google_landmarks_with_one_result():
    """With a limit of 1, the mean over the four queries is 0.5."""
    found = [(ranks(), 2), (ranks(1), 1), (ranks(0), 3), (ranks(0), 1)]
    assert [average_precision_at(*query, 1) for query in found] == [0, 0, 1, 1]


def test_google_landmarks_counts_100_results():
    assert average_precision_at(ranks(99), 1) == 0.01
    assert average_precision_at(ranks(100), 1) == 0


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_at_agrees_with_scikit_learn(seed):
    """Both definitions agree on a ranking of the whole database that is below the limit."""
    random = np.random.default_rng(seed)
    size = random.integers(2, 101)
    correct = random.random(size) < 0.4
    correct[random.integers(size)] = True
    expected = average_precision_score(correct, -np.arange(size))
    found = average_precision_at(np.flatnonzero(correct), int(correct.sum()))
    assert found == pytest.approx(expected)


@given(found_ranks(), st.integers(1, 80))
def test_average_precision_at_counts_the_first_results_only(case, limit):
    found, n = case
    precisions = [(hits + 1) / (rank + 1) for hits, rank in enumerate(found) if rank < limit]
    expected = sum(precisions) / min(n, limit)
    assert average_precision_at(found, n, limit) == pytest.approx(expected)


# Errors


@pytest.mark.parametrize(
    ("ranking", "truth", "options", "message"),
    [
        ([0, 1, 0], ([0], []), {}, r"ranking of query 0: \[0\] occur more than once"),
        ([0, -1], ([0], []), {}, "ranking of query 0: .* integers from 0"),
        ([0.0, 1.0], ([0], []), {}, "integers from 0"),
        ([[0, 1]], ([0], []), {}, "flat list"),
        ([True, False], ([0], []), {}, "integers from 0"),
        ([0, 5], ([0], []), {"database_size": 5}, "photo index 5, .* 5 photos; .* from 0 to 4"),
        ([0, 1], ([9], []), {"database_size": 5}, "photo index 9, but the database has 5 photos"),
        ([], ([], []), {}, "database of 0 photos"),
        ([0, 1, 2], ([0], []), {"ks": (1, 5)}, r"ks is \(1, 5\) for a database of 3 photos"),
        ([0, 1, 2], ([0], []), {"ks": (4,), "database_size": 3}, "database of 3 photos"),
        ([0, 1, 2], ([0], []), {"ks": (0,)}, "expected cutoffs from 1 to 3"),
    ],
)
def test_invalid_rankings_and_cutoffs_are_errors(ranking, truth, options, message):
    with pytest.raises(ValueError, match=message):
        score(ranking, truth_of(*truth), **({"ks": (1,)} | options))


@pytest.mark.parametrize(("rankings", "truths"), [(3, 2), (2, 3)])
def test_each_ranking_needs_a_truth(rankings, truths):
    with pytest.raises(
        ValueError, match=f"{rankings} rankings for the ground truth of {truths} queries"
    ):
        score_rankings(RANKINGS[:rankings], TRUTHS[:truths], ks=(1,))


def test_a_cutoff_above_the_number_of_photos_in_use_is_an_error():
    with pytest.raises(ValueError, match=r"ks is \(1, 2, 10\) for a database of 5 photos"):
        score_rankings(RANKINGS, TRUTHS, ks=(1, 2, 10))


@pytest.mark.parametrize(
    ("found", "n", "message"),
    [
        (ranks(0, 1), 1, "is 1, but there are 2 ranks"),
        (ranks(2, 2), 2, "more than once"),
        (ranks(-1), 1, "from 0"),
    ],
)
@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        (average_precision, []),
        (average_precision_at, [10]),
        (precision_at, [[1]]),
    ],
)
def test_impossible_ranks_are_errors(metric, arguments, found, n, message):
    with pytest.raises(ValueError, match=message):
        metric(found, n, *arguments)


def test_a_query_without_positives_has_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(average_precision(ranks(), 0))
        assert np.isnan(average_precision_at(ranks(), 0))
        assert np.isnan(precision_at(ranks(), 0, (1, 5))).all()
