"""Tests of searches with cached neighbors, and of the retrieval explorer's cards and summary."""

from dataclasses import replace

import numpy as np
import pytest
from places import place
from places import view as view_of

from delfjax.datasets.benchmark import Truth
from delfjax.features.database import Database
from delfjax.plots.retrieval import RELEVANCE_MARKS, VERDICT_MARKS
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.types import Box
from delfjax.widgets import retrieval_state
from delfjax.widgets.retrieval_state import (
    CachedSearch,
    result_cards,
    summarize,
)

CONFIG = SearchConfig(neighbors=12)
COUNT = 8
BOX = Box(50.0, 80.0, 300.0, 330.0)


@pytest.fixture(scope="module")
def searcher():
    """Photos 0, 2, 4, 6 are views of places 0 to 3; photos 1, 3, 5, 7 have the wrong geometry."""
    photos = [
        view_of(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(COUNT)
    ]
    names = [f"photo_{n}" for n in range(COUNT)]
    return Searcher(Database.from_features(names, photos), config=CONFIG)


def assert_same(result, other):
    for part in ("images", "inliers", "votes"):
        np.testing.assert_array_equal(getattr(result.ranking, part), getattr(other.ranking, part))
    assert result.matches.keys() == other.matches.keys()
    for image in result.matches:
        inliers = (each.verifications[image].inliers for each in (result, other))
        np.testing.assert_array_equal(*inliers)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"neighbors": 3},
        {"neighbors": 1, "max_distance": 0.3},
        {"max_distance": 0.2, "one_to_one": False},
        {"ratio": 0.8},
        {"verified": 1},
        {"verified": 0},
    ],
)
def test_results_are_those_of_a_searcher_with_the_same_settings(searcher, changes):
    config = replace(CONFIG, **changes)
    cached = CachedSearch(searcher, place(1), 20)
    expected = Searcher(searcher.database, searcher.index, config)(place(1))
    assert_same(cached.search(config), expected)
    assert_same(cached.search(config), expected)


def test_box_keeps_the_features_inside_it(searcher):
    query = place(1)
    cached = CachedSearch(searcher, query, 60, BOX)
    part = query.inside(BOX)
    assert 0 < len(part) < len(query)
    np.testing.assert_array_equal(cached.features.positions, part.positions)
    assert_same(cached.search(CONFIG), searcher(part))


def test_matches_are_those_of_the_search_and_exist_for_unverified_photos(searcher):
    cached = CachedSearch(searcher, place(1), 60)
    result = cached.search(CONFIG)
    for image, expected in result.matches.items():
        matches = cached.matches(image, CONFIG)
        np.testing.assert_array_equal(expected.query, matches.query)
        np.testing.assert_array_equal(expected.database, matches.database)
    unverified = cached.matches(2, replace(CONFIG, verified=0))
    assert len(unverified) == len(result.matches[2])


def test_more_neighbors_than_cached_are_refused(searcher):
    cached = CachedSearch(searcher, place(1), 5)
    with pytest.raises(ValueError, match="neighbors is 12; expected at most 5"):
        cached.search(CONFIG)


def test_small_database_can_have_fewer_features_than_neighbors():
    database = Database.from_features(["one"], [place(0, count=7)])
    searcher = Searcher(database, config=CONFIG)
    assert_same(CachedSearch(searcher, place(0), 60).search(CONFIG), searcher(place(0)))


# --- captions


def test_card_has_rank_name_relevance_and_inliers_or_votes(searcher):
    cached, truth = CachedSearch(searcher, place(1), 60), Truth(np.array([2]), np.array([3]))
    photo = np.zeros((48, 64, 3), np.uint8)

    def first_card(config, truth):
        result = cached.search(config)
        (card,) = result_cards(result, searcher.database, truth, lambda name: photo, 1)
        return card, result.ranking

    card, ranking = first_card(CONFIG, truth)
    described = cached.search(CONFIG).verdicts[2].text
    assert card.lines == ("1  photo_2", described, f"✓ {ranking.inliers[0]} inliers")
    assert card.color == RELEVANCE_MARKS["correct"][1]
    card, ranking = first_card(CONFIG, None)
    assert card.lines[1:] == (described, f"{ranking.inliers[0]} inliers")
    assert card.color == VERDICT_MARKS["same place"][1]
    card, ranking = first_card(replace(CONFIG, verified=0), truth)
    assert card.lines[1] == "not verified"
    assert card.lines[2] == f"✓ {ranking.votes[0]} votes"
    assert first_card(replace(CONFIG, verified=0), None)[0].color is None


def test_a_long_verdict_on_a_card_has_no_percentage(searcher, monkeypatch):
    monkeypatch.setattr(retrieval_state, "LINE_LENGTH", 12)
    result = CachedSearch(searcher, place(1), 60).search(CONFIG)
    photo = np.zeros((48, 64, 3), np.uint8)
    first, *_ = result_cards(result, searcher.database, None, lambda name: photo, 1)
    assert first.lines[1] == "same place" != result.verdicts[2].text


def test_the_query_itself_is_marked(searcher):
    result = CachedSearch(searcher, searcher.database.features(4), 60).search(CONFIG)
    photo = np.zeros((48, 64, 3), np.uint8)
    for itself, described in ((4, "the query itself"), (None, "same place"), (5, "same place")):
        first, *others = result_cards(
            result, searcher.database, None, lambda name: photo, 9, itself
        )
        assert first.lines[0] == "1  photo_4"
        assert first.lines[1].startswith(described)
        marked = sum(card.lines[1] == "the query itself" for card in (first, *others))
        assert marked == (itself in result.ranking.images)


def test_summary_has_counts_time_and_average_precision(searcher):
    result = CachedSearch(searcher, place(1), 60).search(CONFIG)
    truth, no_positives = (Truth(np.array(each, int), np.array([3])) for each in ([2], []))
    found = len(result.ranking)
    summary = summarize(result, searcher.database, truth, 0.123)
    assert f"{found} of 8 photos have votes" in summary
    assert f"{found} verified" in summary
    assert "123 ms" in summary
    assert "average precision 100.0%" in summary
    assert "compilation" in summarize(result, searcher.database, truth, 3.0)
    for unknown in (None, no_positives):
        assert "precision" not in summarize(result, searcher.database, unknown, 0.1)
