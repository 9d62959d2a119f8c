"""Tests of the image canvas and the thumbnail grid, without a browser."""

import io

import worlds
from PIL import Image

from delfjax.plots.retrieval import Card, thumbnail
from delfjax.widgets.canvas import ImageCanvas, ThumbnailGrid

WIDTH = 120  # of a card, in pixels


def cards(count):
    photos = [thumbnail(worlds.draw(seed), WIDTH) for seed in range(count)]
    return [Card(photo=photo, lines=("one", "two")) for photo in photos]


def click(canvas, point):
    with canvas.hold_trait_notifications():
        canvas.clicked, canvas.clicks = point, canvas.clicks + 1


def test_canvas_accepts_lists_as_a_browser_sends_them():
    canvas = ImageCanvas()
    assert (canvas.pointer, canvas.clicked, canvas.box) == (None, None, None)
    canvas.set_state({"pointer": [1, 2.5], "clicked": [3.0, 4.0], "box": [0, 1, 2, 3]})
    assert (canvas.pointer, canvas.clicked) == ((1, 2.5), (3.0, 4.0))
    assert canvas.box == (0, 1, 2, 3)
    canvas.set_state({"pointer": None})
    assert canvas.pointer is None


def test_javascript_module_is_found():
    assert "export default { render }" in str(ImageCanvas._esm)


def test_pointer_frames_a_card_and_click_selects_it():
    grid = ThumbnailGrid()
    grid.show_cards("photos", cards(5), 1, columns=3, card_width=WIDTH)
    assert (grid.selected, grid.grid) == (1, (2, 3))
    assert grid.alt.startswith("photos: one: two; one: two;")
    before = grid.image
    height = Image.open(io.BytesIO(before)).height
    grid.pointer = (0.75 * height, 60.0)
    framed = grid.image
    assert framed != before
    grid.pointer = (0.8 * height, 70.0)  # the same card: the grid is not drawn again
    assert grid.image is framed
    click(grid, (0.75 * height, 60.0))
    assert grid.selected == 3
    click(grid, (0.75 * height, 2.5 * WIDTH))  # an empty place of the last row
    assert grid.selected == 3
    grid.pointer = None
    grid.show_cards("photos", cards(5), 1, columns=3, card_width=WIDTH)
    assert grid.image == before


def test_grid_without_cards_is_hidden_and_ignores_clicks():
    grid = ThumbnailGrid()
    grid.show_cards("photos", [], 0, columns=3, card_width=WIDTH)
    assert grid.layout.display == "none"
    click(grid, (1.0, 1.0))
    grid.pointer = (1.0, 1.0)
    assert grid.selected == 0
    grid.show_cards("photos", cards(1), 0, columns=3, card_width=WIDTH)
    assert grid.layout.display is None
    assert grid.image
