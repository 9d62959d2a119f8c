"""A clickable sheet of thumbnails."""

from collections.abc import Sequence

import traitlets

from delfjax.plots.base import encode
from delfjax.plots.thumbnails import Card, card_at, sheet
from delfjax.widgets.canvas import Picture


class Cards(Picture):
    """A sheet that can be clicked on, or gone through by arrow keys and chosen from by the Enter key.

    Attributes:
        chosen: The card that was chosen last; observe it.
    """

    chosen = traitlets.Int(0)

    def __init__(self) -> None:
        super().__init__()
        self._sheet: Sequence[Card] = ()
        self._side = 0
        self._pointed: int | None = None
        self.observe(self._follow, names="pointer")
        self.observe(self._choose, names="clicks")
        self.observe(self._draw, names="chosen")

    def show(self, cards: Sequence[Card], *, columns: int, side: int, chosen: int) -> None:
        """Draw cards, with a frame around one of them; of no cards, nothing."""
        self._sheet, self._side, self._pointed = cards, side, None
        self.cells = (-(-len(cards) // columns), columns)
        self.layout.display = None if cards else "none"
        if self.chosen == chosen:
            self._draw()
        self.chosen = chosen

    def _draw(self, _: object = None) -> None:
        if self._sheet:
            shown = sheet(
                self._sheet,
                columns=self.cells[1],
                side=self._side,
                chosen=self.chosen,
                pointed=self._pointed,
            )
            self._size = shown.shape[:2]
            self.image = encode(shown)

    def _at(self, point: tuple[float, float] | None) -> int | None:
        if point is None or not self._sheet:
            return None
        return card_at(point, self._size, cards=len(self._sheet), columns=self.cells[1])

    def _follow(self, _: object) -> None:
        if self._at(self.pointer) != self._pointed:
            self._pointed = self._at(self.pointer)
            self._draw()

    def _choose(self, _: object) -> None:
        card = self._at(self.clicked)
        if card is not None:
            self.chosen = card
