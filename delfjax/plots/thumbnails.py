"""Photo cards: thumbnails with a few lines of text, drawn together as one image.

A single image is faster in a notebook than one widget per photo. All cards of an image have the same size,
so `card_at` can compute which card was clicked. A page shows the image at half its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from delfjax.plots.base import DARK, NEUTRAL, RgbImage

ASPECT = 3 / 4  # height over width of the area that holds the photo
BACKGROUND, MAT = (255, 255, 255), (238, 239, 242)  # behind the cards; around a photo on its card
FRAME_WIDTH = 4  # pixels
MIN_FONT_SIZE = 16  # pixels: still legible when the page shows the image at half its size
PREFIX_LENGTH = 4  # characters kept at the start of a line that is cut, so that the rank stays


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """A thumbnail with lines of text below it.

    Attributes:
        photo: The photo, in the size that `thumbnail` returns.
        lines: Lines of text.
        color: Color of a bar between photo and text, or None for no bar.
    """

    photo: RgbImage
    lines: tuple[str, ...]
    color: str | None = None


def thumbnail(photo: RgbImage, card_width: int) -> RgbImage:
    """Resize a photo to fit a card of a given width in pixels."""
    width = _photo_width(card_width)
    return fit(photo, (round(ASPECT * width), width))


def fit(photo: RgbImage, bounds: tuple[int, int]) -> RgbImage:
    """Resize a photo to the largest size within a height and a width, keeping its aspect ratio."""
    return resize(photo, fit_size(photo.shape[:2], bounds))


def fit_size(size: tuple[int, int], bounds: tuple[int, int]) -> tuple[int, int]:
    """Scale ``(height, width)`` to the largest size within bounds, keeping the aspect ratio."""
    factor = min(bounds[0] / size[0], bounds[1] / size[1])
    return max(1, round(factor * size[0])), max(1, round(factor * size[1]))


def resize(photo: RgbImage, size: tuple[int, int]) -> RgbImage:
    """Resize a photo to a height and a width in pixels."""
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BICUBIC))


def draw_cards(
    cards: Sequence[Card],
    *,
    columns: int,
    card_width: int,
    selected: int | None = None,
    hovered: int | None = None,
) -> RgbImage:
    """Draw cards in rows as one image.

    Args:
        cards: At least one card. All must have the same number of text lines.
        columns: Cards per row.
        card_width: Width of a card in pixels.
        selected: Number of the card that gets a dark frame.
        hovered: Number of the card that gets a gray frame.
    """
    height = _card_height(card_width, len(cards[0].lines))
    image = Image.new("RGB", (card_width * columns, height * -(-len(cards) // columns)), BACKGROUND)
    draw = ImageDraw.Draw(image)
    corners = [(n % columns * card_width, n // columns * height) for n in range(len(cards))]
    for card, corner in zip(cards, corners, strict=True):
        image.paste(_draw_card(card, card_width), corner)
    for number, color in ((hovered, NEUTRAL), (selected, DARK)):
        if number is not None:
            left, top = corners[number]
            edges = (left + 1, top + 1, left + card_width - 2, top + height - 2)
            radius = _margin(card_width)
            draw.rounded_rectangle(edges, radius=radius, outline=color, width=FRAME_WIDTH)
    return np.asarray(image)


def card_at(
    point: tuple[float, float], size: tuple[int, int], *, cards: int, columns: int
) -> int | None:
    """Return the number of the card at a point of an image made by `draw_cards`.

    Args:
        point: ``(y, x)`` in pixels; ``(0, 0)`` is the center of the top-left pixel.
        size: ``(height, width)`` of the image in pixels.
        cards: Number of cards.
        columns: Cards per row.

    Returns:
        The number, or None if the point lies in an empty place of the last row.
    """
    shape = -(-cards // columns), columns
    row, column = (
        min(int((at + 0.5) * count / edge), count - 1)
        for at, count, edge in zip(point, shape, size, strict=True)
    )
    number = row * columns + column
    return number if number < cards else None


def _draw_card(card: Card, card_width: int) -> Image.Image:
    margin, width = _margin(card_width), _photo_width(card_width)
    bottom = margin + round(ASPECT * width)
    image = Image.new("RGB", (card_width, _card_height(card_width, len(card.lines))), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.rectangle((margin, margin, margin + width - 1, bottom - 1), fill=MAT)
    rows, columns = card.photo.shape[:2]
    corner = margin + (width - columns) // 2, margin + (bottom - margin - rows) // 2
    image.paste(Image.fromarray(card.photo), corner)
    if card.color is not None:
        draw.rectangle((margin, bottom, margin + width - 1, bottom + margin // 2), fill=card.color)
    font = _font(card_width)
    for number, line in enumerate(card.lines):
        top = bottom + margin + number * _line_height(card_width)
        draw.text((margin, top), _shorten(line, font, width), font=font, fill=DARK)
    return image


def _margin(card_width: int) -> int:
    return max(card_width // 24, FRAME_WIDTH + 2)


def _photo_width(card_width: int) -> int:
    return card_width - 2 * _margin(card_width)


def _line_height(card_width: int) -> int:
    return round(1.35 * _font(card_width).size)


def _card_height(card_width: int, lines: int) -> int:
    photo = round(ASPECT * _photo_width(card_width))
    return photo + 3 * _margin(card_width) + lines * _line_height(card_width)


@lru_cache(maxsize=16)
def _font(card_width: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), max(card_width // 12, MIN_FONT_SIZE))


def _shorten(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Replace the middle of a line that is too wide by an ellipsis: photo names differ at their ends."""
    if font.getlength(line) <= width:
        return line
    prefix = line[:PREFIX_LENGTH]
    shorter = (f"{prefix}…{line[n:]}" for n in range(PREFIX_LENGTH + 1, len(line)))
    return next((text for text in shorter if font.getlength(text) <= width), prefix)
