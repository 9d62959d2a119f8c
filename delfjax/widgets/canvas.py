"""Images in a notebook that react to the pointer, clicks, dragged boxes and arrow keys.

The package anywidget connects the JavaScript module ``canvas.js`` with Python.
"""

from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets

from delfjax.plots.base import encode_jpeg
from delfjax.plots.retrieval import Card, card_at, draw_cards


def _floats(count: int) -> traitlets.Tuple:
    floats = [traitlets.Float() for _ in range(count)]
    return traitlets.Tuple(*floats, allow_none=True, default_value=None).tag(sync=True)


class ImageCanvas(anywidget.AnyWidget):
    """An image that reports the pointer, clicks and a dragged box.

    Positions are in pixels of ``image``, and do not depend on the size on screen. The point
    ``(0, 0)`` is the center of the top-left pixel. The Enter key clicks at the pointer. While the
    kernel is busy, the browser keeps only the latest pointer position.

    Attributes:
        image: Encoded image in a format that browsers display, for example JPEG.
        alt: Description of the image for screen readers.
        draws_boxes: Whether dragging draws a box. If False, dragging by touch scrolls the page.
        grid: ``(rows, columns)`` of a grid in the image. Each arrow key moves the pointer by one
            cell of the grid. ``(0, 0)``: no grid.
        pointer: ``(y, x)`` of the mouse, the finger or the position set by arrow keys, or None.
        clicked: ``(y, x)`` of the last click.
        clicks: Number of clicks so far. Observe ``clicks`` to react to every click, because
            ``clicked`` does not change if two clicks are at the same point.
        box: ``(top, left, bottom, right)`` of the dragged box, as in `delfjax.types.Box`, where
            ``(0, 0)`` is the top-left corner of the image. None before the first drag and after a
            click. Set ``box`` to draw or remove the box.
    """

    _esm = Path(__file__).with_suffix(".js")

    image = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    draws_boxes = traitlets.Bool(False).tag(sync=True)
    grid = traitlets.Tuple(traitlets.Int(), traitlets.Int(), default_value=(0, 0)).tag(sync=True)
    pointer = _floats(2)
    clicked = _floats(2)
    clicks = traitlets.Int(0).tag(sync=True)
    box = _floats(4)


class ThumbnailGrid(ImageCanvas):
    """A grid of cards (thumbnails with text). Select a card by a click, or by arrow keys and Enter.

    Attributes:
        selected: Index of the selected card, from 0.
    """

    selected = traitlets.Int(0)

    def __init__(self) -> None:
        super().__init__()
        self._cards: Sequence[Card] = ()
        self._card_width = 0
        self._hovered: int | None = None
        self.observe(self._on_pointer, names="pointer")
        self.observe(self._on_click, names="clicks")
        self.observe(self._draw, names="selected")

    def show_cards(
        self, title: str, cards: Sequence[Card], selected: int, *, columns: int, card_width: int
    ) -> None:
        """Show cards in a grid, and select the card of index ``selected``. Hide an empty grid.

        Screen readers read the title and the lines of all cards.
        """
        self.alt = f"{title}: {'; '.join(': '.join(card.lines) for card in cards)}"
        self._cards, self._card_width, self._hovered = cards, card_width, None
        self.grid = (-(-len(cards) // columns), columns)
        self.layout.display = None if cards else "none"
        if self.selected == selected:
            self._draw()
        self.selected = selected

    def _draw(self, _: object = None) -> None:
        if self._cards:
            image = draw_cards(
                self._cards,
                columns=self.grid[1],
                card_width=self._card_width,
                selected=self.selected,
                hovered=self._hovered,
            )
            self._size = image.shape[:2]
            self.image = encode_jpeg(image)

    def _card_at(self, point: tuple[float, float] | None) -> int | None:
        if point is None or not self._cards:
            return None
        return card_at(point, self._size, cards=len(self._cards), columns=self.grid[1])

    def _on_pointer(self, _: object) -> None:
        hovered = self._card_at(self.pointer)
        if hovered != self._hovered:
            self._hovered = hovered
            self._draw()

    def _on_click(self, _: object) -> None:
        if (card := self._card_at(self.clicked)) is not None:
            self.selected = card
