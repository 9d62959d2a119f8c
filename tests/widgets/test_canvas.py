"""Tests of the photo with a box and of the cards, without a browser."""

import numpy as np

from delfjax.plots.retrieval import Card
from delfjax.widgets.canvas import BoxCanvas, CardGrid


def test_canvas_accepts_lists_as_a_browser_sends_them():
    canvas = BoxCanvas()
    assert canvas.box is None
    canvas.set_state({"box": [0, 1, 2.5, 3]})
    assert canvas.box == (0, 1, 2.5, 3)
    canvas.set_state({"box": None})
    assert canvas.box is None


def test_cards_are_sent_as_text_and_images():
    grid = CardGrid()
    photo = np.zeros((30, 40, 3), np.uint8)
    grid.show(
        [Card(photo=photo, lines=("one", "<b>")), Card(photo=photo, lines=(), color="red")], 1
    )
    assert [card["lines"] for card in grid.cards] == [["one", "<b>"], []]
    assert [card["color"] for card in grid.cards] == [None, "red"]
    assert all(card["image"].startswith("data:image/jpeg;base64,") for card in grid.cards)
    assert grid.selected == 1
