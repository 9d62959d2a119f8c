"""Metrics of Google-Landmarks: published numbers, agreement with other definitions, errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from delfjax.evaluation.google_landmarks import (
    Prediction,
    global_average_precision,
    score_retrieval,
    top1_accuracy,
)

# O1: five photos, three of which show landmarks


SOLUTION = {
    "0123456789abcdef": (0, 12),
    "0223456789abcdef": (100, 200, 300),
    "0323456789abcdef": (1,),
    "0423456789abcdef": (),
    "0523456789abcdef": (),
}
PREDICTIONS = {
    "0223456789abcdef": Prediction(0, 0.01),
    "0323456789abcdef": Prediction(1, 10.0),
    "0423456789abcdef": Prediction(150, 15.0),
}


def test_gap():
    assert global_average_precision(PREDICTIONS, SOLUTION) == pytest.approx(0.166667, abs=1e-6)


def test_gap_without_photos_that_show_nothing():
    found = global_average_precision(PREDICTIONS, SOLUTION, ignore_without_truth=True)
    assert found == pytest.approx(0.333333, abs=1e-6)


def test_top1_accuracy():
    assert top1_accuracy(PREDICTIONS, SOLUTION) == pytest.approx(0.333333, abs=1e-6)


# O2: four queries, one without prediction


def index(*numbers: int) -> tuple[str, ...]:
    return tuple(f"fedcba9876543{number}" for number in numbers)


WANTED = {
    "0123456789abcdef": index(210, 220),
    "0223456789abcdef": index(210),
    "0323456789abcdef": index(230, 240, 250),
    "0423456789abcdef": index(230),
}
RETRIEVED = {
    "0223456789abcdef": index(200, 210),
    "0323456789abcdef": index(240),
    "0423456789abcdef": index(230, 240),
}


def test_retrieval_state():
    found = score_retrieval(RETRIEVED, WANTED)
    np.testing.assert_allclose(found.average_precision, [0, 1 / 2, 1 / 3, 1])
    assert found.mean_average_precision == pytest.approx(0.458333, abs=1e-6)
    assert found.ks == tuple(range(1, 101))
    np.testing.assert_allclose(found.mean_precision_at[:2], [0.5, 0.375])
    assert found.first_position.tolist() == [101, 2, 1, 1]
    assert (found.mean_position, found.median_position) == (26.25, 1.5)


def test_retrieval_of_one_result():
    found = score_retrieval(RETRIEVED, WANTED, limit=1)
    assert found.mean_average_precision == 0.5
    np.testing.assert_allclose(found.mean_precision_at, [0.5])
    assert (found.mean_position, found.median_position) == (1.5, 1.5)


def test_a_result_listed_again_uses_up_a_rank():
    once = score_retrieval({"q": ["a", "x", "b"]}, {"q": ["a", "b"]}, limit=3)
    again = score_retrieval({"q": ["a", "a", "b"]}, {"q": ["a", "b"]}, limit=3)
    assert once.average_precision == again.average_precision == pytest.approx((1 + 2 / 3) / 2)
    wrong = score_retrieval({"q": ["x", "x", "a"]}, {"q": ["a"]}, limit=3)
    assert wrong.average_precision == pytest.approx(1 / 3)


def test_a_right_answer_listed_again_counts_once():
    assert score_retrieval({"q": ["a"]}, {"q": ["a", "a"]}).mean_average_precision == 1


# Order of equal scores: by photo, then by landmark


def test_equal_scores_go_by_photo():
    solution = {"a": (1,), "b": (2,), "c": (3,)}
    scores = dict.fromkeys(solution, 0.5)
    for wrong, expected in (("a", (1 / 2 + 2 / 3) / 3), ("c", (1 + 1) / 3)):
        predictions = {
            photo: Prediction(9 if photo == wrong else solution[photo][0], scores[photo])
            for photo in "cab"  # their order in the dict is none
        }
        assert global_average_precision(predictions, solution) == pytest.approx(expected)


# Against other definitions


@st.composite
def recognized(draw):
    """Photos with landmarks, maybe none, and predictions for some of them."""
    landmarks = st.sets(st.integers(0, 4), max_size=3).map(tuple)
    truth = draw(st.lists(landmarks, min_size=1, max_size=12))
    scores = st.integers(0, 5).map(float)  # many are equal
    guesses = st.none() | st.builds(Prediction, st.integers(0, 4), scores)
    made = draw(st.lists(guesses, min_size=len(truth), max_size=len(truth)))
    names = [f"{number:02}" for number in draw(st.permutations(range(len(truth))))]
    predictions = {name: guess for name, guess in zip(names, made, strict=True) if guess}
    return predictions, dict(zip(names, truth, strict=True))


@given(recognized(), st.booleans())
def test_gap_agrees_with_walking_down_the_list(case, ignore):
    predictions, solution = case
    if not any(solution.values()):
        return
    left, total, hits, seen = dict(predictions), 0.0, 0, 0
    while left:
        photo = min(left, key=lambda name: (-left[name].score, name, left[name].landmark))
        guess = left.pop(photo)
        if ignore and not solution[photo]:
            continue
        seen += 1
        if guess.landmark in solution[photo]:
            hits += 1
            total += hits / seen
    expected = total / len([1 for landmarks in solution.values() if landmarks])
    found = global_average_precision(predictions, solution, ignore_without_truth=ignore)
    assert found == pytest.approx(expected)
    assert 0 <= found <= 1


@pytest.mark.parametrize("seed", range(20))
def test_gap_agrees_with_scikit_learn(seed):
    """Where each photo has a landmark and a prediction of its own score, but for the divisor."""
    random = np.random.default_rng(seed)
    count = random.integers(2, 60)
    right, scores = random.random(count) < 0.6, random.permutation(count) / count
    right[0] = True
    solution = {str(photo): (7,) for photo in range(count)}
    predictions = {
        str(photo): Prediction(7 if right[photo] else 8, float(scores[photo]))
        for photo in range(count)
    }
    expected = average_precision_score(right, scores) * right.sum() / count
    assert global_average_precision(predictions, solution) == pytest.approx(expected)
    assert top1_accuracy(predictions, solution) == pytest.approx(right.mean())


@pytest.mark.parametrize("seed", range(20))
def test_retrieval_agrees_with_scikit_learn(seed):
    """Where the ranking is of the whole database, and no longer than the limit."""
    random = np.random.default_rng(seed)
    size, queries = random.integers(2, 101), 4
    rankings = {query: random.permutation(size).tolist() for query in range(queries)}
    wanted = {
        query: random.permutation(size)[: random.integers(1, size + 1)].tolist()
        for query in range(queries)
    }
    expected = [
        average_precision_score(np.isin(rankings[query], wanted[query]), -np.arange(size))
        for query in range(queries)
    ]
    np.testing.assert_allclose(score_retrieval(rankings, wanted).average_precision, expected)


@st.composite
def retrieved(draw):
    """Rankings, maybe short, with results listed again, or none; what is wanted; and a limit."""
    photos = st.integers(0, 9)
    count = draw(st.integers(1, 5))
    wanted = draw(st.lists(st.sets(photos), min_size=count, max_size=count))
    rankings = draw(st.lists(st.none() | st.lists(photos), min_size=count, max_size=count))
    predictions = {query: each for query, each in enumerate(rankings) if each is not None}
    return predictions, dict(enumerate(wanted)), draw(st.integers(1, 12))


@given(retrieved())
def test_retrieval_agrees_with_walking_down_the_list(case):
    predictions, wanted, limit = case
    found = score_retrieval(predictions, wanted, limit=limit)
    for query, photos in wanted.items():
        if not photos:
            assert np.isnan(found.average_precision[query])
            assert np.isnan(found.precision_at[query]).all()
            continue
        seen, total, first = set(), 0.0, limit + 1
        ranking = predictions.get(query, [])[:limit]
        for place, photo in enumerate(ranking, start=1):
            if photo in photos and photo not in seen:
                seen.add(photo)
                total += len(seen) / place
                first = min(first, place)
        assert found.average_precision[query] == pytest.approx(total / min(len(photos), limit))
        assert found.first_position[query] == first
        hits = [len(set(ranking[:k]) & photos) for k in range(1, limit + 1)]
        np.testing.assert_allclose(found.precision_at[query], hits / np.arange(1, limit + 1))
        np.testing.assert_allclose(found.recall_at[query], np.array(hits) / len(photos))


@given(retrieved())
def test_cutoffs_are_columns(case):
    predictions, wanted, limit = case
    whole, some = (score_retrieval(predictions, wanted, limit=limit, ks=ks) for ks in (None, [limit, 1]))
    for name in ("precision_at", "recall_at"):
        chosen = getattr(whole, name)[:, [limit - 1, 0]]
        np.testing.assert_array_equal(getattr(some, name), chosen)
    np.testing.assert_array_equal(some.average_precision, whole.average_precision)


# What has no truth


def test_queries_without_truth_are_in_no_mean():
    predictions = {"a": ["x"], "b": ["x"], "c": ["y"]}
    alone = score_retrieval({"a": ["x"]}, {"a": ["x"]})
    found = score_retrieval(predictions, {"b": [], "a": ["x"], "c": []})
    assert found.mean_average_precision == alone.mean_average_precision == 1
    assert (found.mean_position, found.median_position) == (1, 1)
    np.testing.assert_array_equal(found.mean_precision_at, alone.mean_precision_at)


def test_no_truth_at_all_is_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for solution in ({}, {"a": ()}):
            found = score_retrieval({}, solution)
            assert np.isnan([found.mean_average_precision, found.mean_position]).all()
            assert np.isnan(found.median_position)
            assert np.isnan(found.mean_precision_at).all()
            assert np.isnan(global_average_precision({}, solution))
            assert np.isnan(top1_accuracy({}, solution))


def test_no_predictions_score_0():
    assert global_average_precision({}, SOLUTION) == top1_accuracy({}, SOLUTION) == 0
    assert score_retrieval({}, WANTED).mean_average_precision == 0


# Errors


@pytest.mark.parametrize("metric", [global_average_precision, top1_accuracy])
def test_a_photo_that_is_not_in_the_solution(metric):
    with pytest.raises(ValueError, match="prediction for 'ffff', which the solution lacks"):
        metric(PREDICTIONS | {"ffff": Prediction(1, 1.0)}, SOLUTION)


def test_a_query_that_is_not_in_the_solution():
    with pytest.raises(ValueError, match="prediction for 'ffff', which the solution lacks"):
        score_retrieval(RETRIEVED | {"ffff": index(210)}, WANTED)


def test_a_score_that_is_no_number():
    with pytest.raises(ValueError, match="photo '0123456789abcdef': its score is NaN"):
        global_average_precision({"0123456789abcdef": Prediction(1, float("nan"))}, SOLUTION)


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 3, "ks": [4]}, {"ks": [0]}])
def test_impossible_cutoffs(options):
    with pytest.raises(ValueError, match="expected ks of 1 to the limit"):
        score_retrieval(RETRIEVED, WANTED, **options)
