"""Tests of photo cards: their layout, text and frames."""

import numpy as np
import pytest
from worlds import draw

from delfjax.plots.thumbnails import Card, card_at, draw_cards, fit_size, thumbnail

WIDTH = 120


def make_cards(count, lines=("one", "two"), **options):
    photos = [thumbnail(draw(seed), WIDTH) for seed in range(count)]
    return [Card(photo=photo, lines=lines, **options) for photo in photos]


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (4, 4), (7, 4), (12, 5)])
def test_card_at_the_center_of_each_cell(count, columns):
    size = draw_cards(make_cards(count), columns=columns, card_width=WIDTH).shape[:2]
    rows = -(-count // columns)
    height = size[0] // rows
    assert size == (height * rows, WIDTH * columns)
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        point = (row + 0.5) * height, (column + 0.5) * WIDTH
        found = card_at(point, size, cards=count, columns=columns)
        assert found == (number if number < count else None)


def test_card_at_edges():
    size = (200, 400)  # two rows of four cards
    points = [(-0.5, -0.5), (99.4, 99.4), (99.5, 99.5), (199.5, 399.5)]
    assert [card_at(point, size, cards=8, columns=4) for point in points] == [0, 0, 5, 7]


def test_frame_surrounds_one_card_only():
    options = {"columns": 2, "card_width": WIDTH}
    plain, selected, hovered = (
        draw_cards(make_cards(4), **options, **frame)
        for frame in ({}, {"selected": 3}, {"hovered": 3})
    )
    y, x = np.nonzero((plain != selected).any(-1))
    assert y.min() >= len(plain) // 2
    assert x.min() >= WIDTH
    assert not np.array_equal(hovered, selected)


def test_bar_has_the_color_of_the_card():
    colored = draw_cards(make_cards(1, color="#123456"), columns=1, card_width=WIDTH)
    assert (colored == (0x12, 0x34, 0x56)).all(-1).sum() > WIDTH
    plain = draw_cards(make_cards(1), columns=1, card_width=WIDTH)
    assert not (plain == (0x12, 0x34, 0x56)).all(-1).any()


@pytest.mark.parametrize("size", [(48, 64), (64, 20), (9, 1000)])
def test_fit_size_fills_one_side_and_keeps_the_aspect_ratio(size):
    height, width = fit_size(size, (300, 400))
    assert height == 300 or width == 400
    assert height <= 300
    assert width <= 400
    assert height == pytest.approx(width * size[0] / size[1], abs=1)


def test_long_lines_keep_their_start_and_end():
    long, short, empty = (
        draw_cards(make_cards(1, lines=(line,)), columns=1, card_width=WIDTH)
        for line in ("12  a_name_that_has_no_end_007", "12  …end_007", "")
    )
    text_top = long.shape[0] - 30
    assert not np.array_equal(long, empty)
    assert np.array_equal(long[text_top:, :30], short[text_top:, :30])
