"""Sheets of cards: where each is, what is drawn, and how one is chosen."""

import io

import numpy as np
import pytest
import worlds
from PIL import Image

from delfjax.plots.thumbnails import Card, card_at, fitted_size, sheet, thumbnail
from delfjax.widgets.card_sheet import Cards

SIDE = 120


def deck(count, lines=("one", "two"), **more):
    return [
        Card(photo=thumbnail(worlds.draw(seed), SIDE), lines=lines, **more) for seed in range(count)
    ]


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (4, 4), (7, 4), (12, 5)])
def test_the_card_at_the_middle_of_each_place_is_that_card(count, columns):
    shape = sheet(deck(count), columns=columns, side=SIDE).shape[:2]
    rows = -(-count // columns)
    height, width = shape[0] // rows, SIDE
    assert shape == (height * rows, width * columns)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        point = (row + 0.5) * height, (column + 0.5) * width
        found = card_at(point, shape, cards=count, columns=columns)
        assert found == (place if place < count else None)


def test_edges_belong_to_the_cards_beside_them():
    size = (200, 400)  # two rows of four
    at = [card_at(point, size, cards=8, columns=4) for point in ((-0.5, -0.5), (99.4, 99.4))]
    assert at == [0, 0]
    assert card_at((99.5, 99.5), size, cards=8, columns=4) == 5
    assert card_at((199.5, 399.5), size, cards=8, columns=4) == 7


def test_a_frame_goes_around_one_card_and_touches_no_other():
    plain, framed = (sheet(deck(4), columns=2, side=SIDE, chosen=each) for each in (None, 3))
    y, x = np.nonzero((plain != framed).any(-1))
    assert y.min() >= len(plain) // 2
    assert x.min() >= SIDE
    pointed = sheet(deck(4), columns=2, side=SIDE, pointed=3)
    assert not np.array_equal(pointed, framed)


def test_the_bar_has_the_color_that_is_asked_for():
    shown = sheet(deck(1, color="#123456"), columns=1, side=SIDE)
    assert (shown == (0x12, 0x34, 0x56)).all(-1).sum() > SIDE
    plain = sheet(deck(1), columns=1, side=SIDE)
    assert not (plain == (0x12, 0x34, 0x56)).all(-1).any()


@pytest.mark.parametrize("size", [(48, 64), (64, 20), (9, 1000)])
def test_what_is_fitted_fills_one_side_and_keeps_its_shape(size):
    height, width = fitted_size(size, (300, 400))
    assert height == 300 or width == 400
    assert height <= 300
    assert width <= 400
    assert height == pytest.approx(width * size[0] / size[1], abs=1)


def test_of_a_line_that_is_too_long_the_rank_and_the_end_stay():
    """The same is drawn as of the line that is left."""
    long, cut = (
        sheet(deck(1, lines=(line,)), columns=1, side=SIDE)
        for line in ("12  a_name_that_has_no_end_007", "12  …end_007")
    )
    start = long.shape[0] - 30
    assert not np.array_equal(long, sheet(deck(1, lines=("",)), columns=1, side=SIDE))
    assert np.array_equal(long[start:, :30], cut[start:, :30])


def test_a_card_is_chosen_by_a_click_and_framed_under_the_pointer():
    cards = Cards()
    cards.show(deck(5), columns=3, side=SIDE, chosen=1)
    assert (cards.chosen, cards.cells) == (1, (2, 3))
    before = cards.image
    height = Image.open(io.BytesIO(before)).height
    cards.pointer = (0.75 * height, 60.0)
    framed = cards.image
    assert framed != before
    cards.pointer = (0.8 * height, 70.0)  # still the same card
    assert cards.image is framed
    click(cards, (0.75 * height, 60.0))
    assert cards.chosen == 3
    click(cards, (0.75 * height, 2.5 * SIDE))  # no card is there
    assert cards.chosen == 3
    cards.pointer = None
    cards.show(deck(5), columns=3, side=SIDE, chosen=1)
    assert cards.image == before


def test_no_cards_are_not_shown_and_cannot_be_chosen():
    cards = Cards()
    cards.show([], columns=3, side=SIDE, chosen=0)
    assert cards.layout.display == "none"
    click(cards, (1.0, 1.0))
    cards.pointer = (1.0, 1.0)
    assert cards.chosen == 0
    cards.show(deck(1), columns=3, side=SIDE, chosen=0)
    assert cards.layout.display is None
    assert cards.image


def click(cards, point):
    with cards.hold_trait_notifications():
        cards.clicked, cards.clicks = point, cards.clicks + 1
