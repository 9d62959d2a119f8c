"""A sheet of small photos to choose from, as one picture: many widgets would be slow, and a page full of them.

All cards of a sheet have one size, so that a place on it says which card is there. Drawn by Pillow with
about twice the pixels that a page gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from delfjax.plots.base import DARK, NEUTRAL

Pixels = UInt8[np.ndarray, "_ _ 3"]
"""An RGB picture of any size: not a `Photo`, as pictures of several sizes meet here."""

RATIO = 3 / 4  # of the room that a photo has, height to width
PAPER, SHADE = (255, 255, 255), (238, 239, 242)  # behind the cards, and around a photo in its room
FRAME = 4  # pixels
SMALLEST = 16  # pixels: text that can still be read at half its size
HEAD = 4  # characters that stay of a line that is too long, such as a rank


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """A photo of a sheet, and what stands below it.

    Attributes:
        photo: Small, as `thumbnail` makes it.
        lines: Of text.
        color: Of a bar between the two; None: no bar.
    """

    photo: Pixels
    lines: tuple[str, ...]
    color: str | None = None


def thumbnail(photo: Pixels, side: int) -> Pixels:
    """Fit a photo into the room that it has on a card of that width."""
    return fitted(photo, (round(RATIO * _inner(side)), _inner(side)))


def fitted(photo: Pixels, room: tuple[int, int]) -> Pixels:
    """Resize a photo so that it just fits into a height and a width."""
    return resize(photo, fitted_size(photo.shape[:2], room))


def fitted_size(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width that something gets that is made to just fit into a room."""
    factor = min(room[0] / size[0], room[1] / size[1])
    return max(1, round(factor * size[0])), max(1, round(factor * size[1]))


def resize(photo: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a photo to a height and a width."""
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BICUBIC))


def sheet(
    cards: Sequence[Card],
    *,
    columns: int,
    side: int,
    chosen: int | None = None,
    pointed: int | None = None,
) -> Pixels:
    """Lay out cards row by row.

    Args:
        cards: The photos, one at least, all with as many lines of text.
        columns: Cards a row.
        side: Width of a card in pixels.
        chosen: The card with a dark frame.
        pointed: The card with a light one.
    """
    height = _height(side, len(cards[0].lines))
    paper = Image.new("RGB", (side * columns, height * -(-len(cards) // columns)), PAPER)
    draw = ImageDraw.Draw(paper)
    corners = [(n % columns * side, n // columns * height) for n in range(len(cards))]
    for card, corner in zip(cards, corners, strict=True):
        paper.paste(_drawn(card, side), corner)
    for number, color in ((pointed, NEUTRAL), (chosen, DARK)):
        if number is not None:
            left, top = corners[number]
            edges = (left + 1, top + 1, left + side - 2, top + height - 2)
            draw.rounded_rectangle(edges, radius=_margin(side), outline=color, width=FRAME)
    return np.asarray(paper)


def card_at(
    point: tuple[float, float], size: tuple[int, int], *, cards: int, columns: int
) -> int | None:
    """Return the number of the card at a point of a sheet; None where there is none.

    Args:
        point: ``(y, x)``, 0 at the center of the top left pixel.
        size: ``(height, width)`` of the sheet.
        cards: How many it has.
        columns: Cards a row.
    """
    shape = -(-cards // columns), columns
    row, column = (
        min(int((at + 0.5) * count / edge), count - 1)
        for at, count, edge in zip(point, shape, size, strict=True)
    )
    number = row * columns + column
    return number if number < cards else None


def _drawn(card: Card, side: int) -> Image.Image:
    margin, inner = _margin(side), _inner(side)
    below = margin + round(RATIO * inner)
    image = Image.new("RGB", (side, _height(side, len(card.lines))), PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((margin, margin, margin + inner - 1, below - 1), fill=SHADE)
    rows, columns = card.photo.shape[:2]
    corner = margin + (inner - columns) // 2, margin + (below - margin - rows) // 2
    image.paste(Image.fromarray(card.photo), corner)
    if card.color is not None:
        draw.rectangle((margin, below, margin + inner - 1, below + margin // 2), fill=card.color)
    for number, line in enumerate(card.lines):
        top = below + margin + number * _line_height(side)
        draw.text((margin, top), _cut(line, _font(side), inner), font=_font(side), fill=DARK)
    return image


def _margin(side: int) -> int:
    return max(side // 24, FRAME + 2)


def _inner(side: int) -> int:
    return side - 2 * _margin(side)


def _line_height(side: int) -> int:
    return round(1.35 * _font(side).size)


def _height(side: int, lines: int) -> int:
    return round(RATIO * _inner(side)) + 3 * _margin(side) + lines * _line_height(side)


@lru_cache(maxsize=16)
def _font(side: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), max(side // 12, SMALLEST))


def _cut(line: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """Cut out of a line that is too long what follows its head: names of photos differ at their ends."""
    if font.getlength(line) <= room:
        return line
    shorter = (f"{line[:HEAD]}…{line[n:]}" for n in range(HEAD + 1, len(line)))
    return next((cut for cut in shorter if font.getlength(cut) <= room), line[:HEAD])
