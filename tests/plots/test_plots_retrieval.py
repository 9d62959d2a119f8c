"""Tests of photo cards, and of figures of rankings."""

import numpy as np
from worlds import draw

from delfjax import plots
from delfjax.datasets.benchmark import Truth
from delfjax.plots.retrieval import Card, draw_cards, thumbnail
from delfjax.types import Ranking

PHOTO = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
WIDTH = 120  # pixels of a card
TRUTH = Truth(np.array([4]), np.array([2]))


def ranking(scores=None):
    return Ranking(
        images=np.array([4, 1, 2]),
        inliers=np.array([30, 9, -1]),
        votes=np.array([40, 41, 12]),
        scores=scores,
    )


def load(image):
    return PHOTO


def test_cards_show_rank_relevance_and_score():
    cards = plots.result_cards(ranking(), load, [0, 2, 1], TRUTH)
    assert [card.lines for card in cards] == [("1 ✓ 30",), ("3 ○ (12)",), ("2 ✗ 9",)]
    colors = [plots.RELEVANCE_MARKS[kind][1] for kind in ("correct", "junk", "wrong")]
    assert [card.color for card in cards] == colors
    by_similarity = ranking(scores=np.array([0.912, 0.5, 0.25]))
    assert plots.result_cards(by_similarity, load, [0], TRUTH)[0].lines == ("1 ✓ 0.91",)


def test_cards_without_truth_have_no_mark():
    (card,) = plots.result_cards(ranking(), load, [1])
    assert (card.lines, card.color) == (("2 9",), None)


def test_cards_load_photos_by_number():
    loaded = []
    plots.result_cards(ranking(), lambda image: loaded.append(image) or PHOTO, [0, 1])
    assert loaded == [4, 1]


def test_result_rows_have_titles():
    cards = [plots.query_card(PHOTO, "query"), *plots.result_cards(ranking(), load, [0, 1], TRUTH)]
    figure = plots.result_rows([("local", cards), ("global", cards)])
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["local", "global"]
    assert "image/jpeg" in figure._repr_mimebundle_()[0]


def make_cards(count, lines=("one", "two"), **options):
    photos = [thumbnail(draw(seed), WIDTH) for seed in range(count)]
    return [Card(photo=photo, lines=lines, **options) for photo in photos]


def test_frame_surrounds_one_card_only():
    options = {"columns": 2, "card_width": WIDTH}
    plain, selected = (draw_cards(make_cards(4), **options, selected=index) for index in (None, 3))
    y, x = np.nonzero((plain != selected).any(-1))
    assert y.min() >= len(plain) // 2
    assert x.min() >= WIDTH


def test_bar_has_the_color_of_the_card():
    colored = draw_cards(make_cards(1, color="#123456"), columns=1, card_width=WIDTH)
    assert (colored == (0x12, 0x34, 0x56)).all(-1).sum() > WIDTH
    plain = draw_cards(make_cards(1), columns=1, card_width=WIDTH)
    assert not (plain == (0x12, 0x34, 0x56)).all(-1).any()


def test_long_lines_keep_their_start_and_end():
    long, short, empty = (
        draw_cards(make_cards(1, lines=(line,)), columns=1, card_width=WIDTH)
        for line in ("12  a_name_that_has_no_end_007", "12  …end_007", "")
    )
    text_top = long.shape[0] - 30
    assert not np.array_equal(long, empty)
    assert np.array_equal(long[text_top:, :30], short[text_top:, :30])
