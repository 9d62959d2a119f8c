"""Tests of the cards and the summary of the retrieval explorer."""

from dataclasses import replace

import numpy as np
import pytest
from places import place
from places import view as view_of

from delfjax.datasets.benchmark import Truth
from delfjax.features.database import Database
from delfjax.plots.retrieval import RELEVANCE_MARKS, VERDICT_MARKS
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.widgets import retrieval_state
from delfjax.widgets.retrieval_state import result_cards, summarize

CONFIG = SearchConfig(neighbors=12)
COUNT = 8


@pytest.fixture(scope="module")
def searcher():
    """Photos 0, 2, 4, 6 are views of places 0 to 3; photos 1, 3, 5, 7 have the wrong geometry."""
    photos = [
        view_of(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(COUNT)
    ]
    names = [f"photo_{n}" for n in range(COUNT)]
    return Searcher(Database.from_features(names, photos), config=CONFIG)


def test_card_has_rank_name_relevance_and_inliers_or_votes(searcher):
    truth = Truth(np.array([2]), np.array([3]))
    photo = np.zeros((48, 64, 3), np.uint8)

    def first_card(config, truth):
        result = Searcher(searcher.database, searcher.index, config)(place(1))
        (card,) = result_cards(result, searcher.database, truth, lambda name: photo, 1)
        return card, result.ranking

    card, ranking = first_card(CONFIG, truth)
    described = searcher(place(1)).verdicts[2].text
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
    result = searcher(place(1))
    photo = np.zeros((48, 64, 3), np.uint8)
    first, *_ = result_cards(result, searcher.database, None, lambda name: photo, 1)
    assert first.lines[1] == "same place" != result.verdicts[2].text


def test_the_query_itself_is_marked(searcher):
    result = searcher(searcher.database.features(4))
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
    result = searcher(place(1))
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
