"""Images in a notebook that react to the pointer, to clicks, to dragged boxes and to arrow keys.

ipywidgets reports no pointer events; the module ``canvas.js`` beside this file does, with anywidget.
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

    All positions are in pixels of the image itself, at whatever size the browser displays it. Points
    have ``(0, 0)`` at the center of the top-left pixel. While the kernel is busy, the browser drops
    all pointer positions but the latest.

    Attributes:
        image: Encoded image, in a format that browsers display, for example JPEG.
        alt: Description of the image for screen readers.
        draws_boxes: Whether dragging draws a box. Otherwise dragging by touch scrolls the page.
        grid: ``(rows, columns)`` of an image that shows a grid: arrow keys move by one grid cell.
            ``(0, 0)``: the image is no grid. The Enter key clicks at the pointer.
        pointer: ``(y, x)`` of the mouse, the finger or the arrow keys; None outside of the image.
        clicked: ``(y, x)`` of the last click.
        clicks: Number of clicks. Observe it instead of ``clicked``, which does not change when two
            clicks are at the same point.
        box: The box: ``(top, left, bottom, right)`` with edges between pixels, 0 at the top-left
            corner, as in `delfjax.types.Box`. None before the first drag and after a click.
            Set it to draw or remove the box.
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
    """A grid of thumbnails, selected by a click, or by the arrow keys and the Enter key.

    Attributes:
        selected: Number of the selected card, from 0.
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
        self, cards: Sequence[Card], *, columns: int, card_width: int, selected: int
    ) -> None:
        """Draw cards with a number of columns, and select one; without cards, hide the grid."""
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
