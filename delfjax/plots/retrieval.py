"""Figures of retrieval (Secs. 4.4 and 5): photo cards and ranked results.

A card is a photo with lines of text below it. `draw_cards` draws all cards as one image. Figures
show the image at half its width and height, so that it is sharp on high-resolution screens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from delfjax.datasets.benchmark import Relevance, Truth, relevance
from delfjax.plots.base import COLORS, DARK, NEUTRAL, Figure, RgbImage, fit_size, photos, resize
from delfjax.types import Photo, Ranking

ASPECT = 3 / 4  # height divided by width of the photo area of a card
MAT = (238, 239, 242)  # color of the photo area around the photo
FRAME_WIDTH = 4  # width of the frame of a selected card, in pixels
MIN_FONT_SIZE = 16  # pixels: legible when a notebook shows the image at half its size
PREFIX_LENGTH = 4  # characters kept at the start of a shortened line, such as the rank
CARD_WIDTH, RESULT_CARD_WIDTH = 320, 160  # pixels
FIGURE_COLUMNS = 6  # cards per row of `result_figure`
RELEVANCE_MARKS: dict[Relevance, tuple[str, str]] = {  # symbol and color; safe for color blindness
    "correct": ("✓", COLORS[0]),
    "wrong": ("✗", COLORS[1]),
    "junk": ("○", NEUTRAL),
}
# Symbol and color of each label of a verdict; safe for color blindness, readable with white text.
VERDICT_MARKS = {
    "same place": ("✓", COLORS[0]),
    "unsure": ("?", "#b35c00"),
    "different": ("✗", "#626974"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """A small photo with lines of text below it.

    Attributes:
        photo: The photo, resized by `thumbnail`.
        lines: Lines of text.
        color: Color of a bar between photo and text. None draws no bar.
    """

    photo: RgbImage
    lines: tuple[str, ...]
    color: str | None = None


def thumbnail(photo: RgbImage, card_width: int) -> RgbImage:
    """Resize a photo to fit on a card that is ``card_width`` pixels wide."""
    width = card_width - 2 * _margin(card_width)
    return resize(photo, fit_size(photo.shape[:2], (round(ASPECT * width), width)))


def draw_cards(
    cards: Sequence[Card],
    *,
    columns: int,
    card_width: int,
    selected: int | None = None,
) -> RgbImage:
    """Draw cards (photos with lines of text) in rows, as one image.

    Args:
        cards: At least one card. All cards must have the same number of text lines.
        columns: Number of cards per row.
        card_width: Width of a card in pixels.
        selected: Index of a card to draw with a dark frame, or None.
    """
    font, margin = _load_font(max(card_width // 12, MIN_FONT_SIZE)), _margin(card_width)
    line_height, width = round(1.35 * font.size), card_width - 2 * margin
    photo_height = round(ASPECT * width)
    height = photo_height + 3 * margin + len(cards[0].lines) * line_height
    image = Image.new("RGB", (card_width * columns, height * -(-len(cards) // columns)), "white")
    draw = ImageDraw.Draw(image)
    for number, card in enumerate(cards):
        left, top = number % columns * card_width, number // columns * height
        x, y = left + margin, top + margin
        bottom = y + photo_height
        draw.rectangle((x, y, x + width - 1, bottom - 1), fill=MAT)
        photo = Image.fromarray(card.photo)
        image.paste(photo, (x + (width - photo.width) // 2, y + (photo_height - photo.height) // 2))
        if card.color is not None:
            draw.rectangle((x, bottom, x + width - 1, bottom + margin // 2), fill=card.color)
        for row, line in enumerate(card.lines):
            corner = x, bottom + margin + row * line_height
            draw.text(corner, _shorten(line, font, width), font=font, fill=DARK)
        if number == selected:
            edges = (left + 1, top + 1, left + card_width - 2, top + height - 2)
            draw.rounded_rectangle(edges, radius=margin, outline=DARK, width=FRAME_WIDTH)
    return np.asarray(image)


def result_cards(
    ranking: Ranking,
    load: Callable[[int], Photo],
    rows: Sequence[int],
    truth: Truth | None = None,
) -> list[Card]:
    """Create cards of ranked results. The text of a card is the rank, a mark and the score.

    The mark is ✓ for correct, ✗ for wrong, and ○ for junk (ignored by the metrics). The score is
    ``ranking.scores``. Without these, it is the number of inliers or, without geometric
    verification, the number of votes (matched features) in brackets.

    Args:
        ranking: The ranked database photos.
        load: Function that maps the index of a database photo to the photo.
        rows: Positions in the ranking, from 0, for which cards are created.
        truth: Ground truth of the query. None omits the marks.
    """
    cards = []
    for row in rows:
        image, inliers = int(ranking.images[row]), ranking.inliers[row]
        score = f"{inliers}" if inliers >= 0 else f"({ranking.votes[row]})"
        if ranking.scores is not None:
            score = f"{ranking.scores[row]:.2f}"
        mark, color = ("", None) if truth is None else RELEVANCE_MARKS[relevance(truth, image)]
        line = " ".join(filter(None, (str(row + 1), mark, score)))
        photo = thumbnail(load(image), RESULT_CARD_WIDTH)
        cards.append(Card(photo=photo, lines=(line,), color=color))
    return cards


def query_card(photo: Photo, *lines: str) -> Card:
    """Create the card of a query photo, with the given lines of text below the photo."""
    return Card(photo=thumbnail(photo, RESULT_CARD_WIDTH), lines=lines)


def result_rows(rows: Sequence[tuple[str, Sequence[Card]]]) -> Figure:
    """Draw rows of cards with a title above each row, as in Figs. 6 and 7.

    Args:
        rows: Title and cards of each row. All rows must have the same number of cards. All cards
            must have the same number of text lines.
    """
    titles, cards = zip(*rows, strict=True)
    images = [draw_cards(row, columns=len(row), card_width=RESULT_CARD_WIDTH) for row in cards]
    return photos(images, titles, columns=1, width=6.4)


def result_figure(cards: Sequence[Card], pair: RgbImage, titles: tuple[str, str]) -> Figure:
    """Draw the cards of a query and its results, above an image of a matched pair of photos.

    ``cards`` have the width `CARD_WIDTH`. An incomplete row is left out, unless it is the first.
    """
    cards = cards[: max(1, len(cards) // FIGURE_COLUMNS) * FIGURE_COLUMNS]
    shown = draw_cards(cards, columns=FIGURE_COLUMNS, card_width=CARD_WIDTH, selected=0)
    return photos([shown, pair], titles, columns=1, width=8)


def _margin(card_width: int) -> int:
    """Return the width of the space around the photo of a card, in pixels."""
    return max(card_width // 24, FRAME_WIDTH + 2)


@lru_cache(maxsize=16)
def _load_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def _shorten(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Replace the middle of a too wide line by an ellipsis, since photo names differ at the end."""
    if font.getlength(line) <= width:
        return line
    prefix = line[:PREFIX_LENGTH]
    shorter = (f"{prefix}…{line[n:]}" for n in range(PREFIX_LENGTH + 1, len(line)))
    return next((text for text in shorter if font.getlength(text) <= width), prefix)
