"""A photo on which a box can be dragged, and cards that can be selected.

The package anywidget connects the JavaScript modules ``box.js`` and ``cards.js`` with Python.
"""

from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets

from delfjax.plots.base import data_url
from delfjax.plots.retrieval import Card

FOLDER = Path(__file__).parent


class BoxCanvas(anywidget.AnyWidget):
    """An image that reports a dragged box.

    Attributes:
        image: Encoded image in a format that browsers display, for example JPEG.
        alt: Description of the image for screen readers.
        box: ``(top, left, bottom, right)`` of the dragged box in pixels of ``image``, as in
            `delfjax.types.Box`, where ``(0, 0)`` is the top-left corner of the image. None before
            the first drag and after a click. Set ``box`` to draw or remove the box.
    """

    _esm = FOLDER / "box.js"

    image = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    box = traitlets.Tuple(
        *[traitlets.Float() for _ in range(4)], allow_none=True, default_value=None
    ).tag(sync=True)


class CardGrid(anywidget.AnyWidget):
    """Cards (thumbnails with text). A click, or the Enter key, selects a card.

    Attributes:
        title: Description of the cards for screen readers.
        in_row: Whether all cards are in one row, which can be scrolled.
        cards: Image (a data URL), lines of text and color of each card; see `CardGrid.show`.
        selected: Index of the selected card, from 0.
    """

    _esm = FOLDER / "cards.js"

    title = traitlets.Unicode().tag(sync=True)
    in_row = traitlets.Bool(False).tag(sync=True)
    cards = traitlets.List(traitlets.Dict()).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)

    def show(self, cards: Sequence[Card], selected: int) -> None:
        """Show cards, and select the card of index ``selected``."""
        self.cards = [
            {"image": data_url(card.photo), "lines": [*card.lines], "color": card.color}
            for card in cards
        ]
        self.selected = selected
