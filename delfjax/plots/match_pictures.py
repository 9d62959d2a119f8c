"""Pictures of the retrieval explorer: the query, results as cards, matches side by side.

Made by Pillow within a slider's patience, with about twice the pixels that a page gives them: Pillow's
lines have hard edges, which the browser then smooths.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw

from delfjax.datasets.truth import Grade
from delfjax.features.pyramid import resized
from delfjax.features.region import inside
from delfjax.images.reading import Box
from delfjax.plots.base import COLORS, DARK, DIM, NEUTRAL, Drawing, figure_of, show_photo
from delfjax.plots.thumbnails import PAPER, Card, Pixels, fitted, resize, sheet
from delfjax.types import Features, Matches

MARKS: dict[Grade, tuple[str, str]] = {  # and colors, none red or green
    "right": ("✓", COLORS[0]),
    "wrong": ("✗", COLORS[1]),
    "junk": ("○", NEUTRAL),
}
QUERY = 560, 840  # pixels: the room of the query, height and width
PAIR, TALLEST = 1800, 760  # pixels: width of a pair of photos, and its height at most
GAP = 24  # pixels between the two
INLIER, PUTATIVE = (255, 214, 64, 240), (255, 255, 255, 130)  # of lines; RGBA
MOST_LINES = 200  # of inliers: more would hide the photos
CARD = 320  # pixels: width of a result's card
FIGURE_COLUMNS = 6  # cards a row of the figure
FIGURE_WIDTH = 8.0  # inches
QUALITY = 62  # of the JPEG of many photos


def query_picture(photo: Pixels, features: Features, box: Box | None = None) -> Pixels:
    """Draw a query with a dot for each feature that is searched by, and dim what lies outside of a box.

    Args:
        photo: The query, at any size.
        features: All that it has.
        box: In pixels of the photo that they come from.

    Returns:
        An image that just fits into `QUERY`.
    """
    shown = fitted(photo, QUERY)
    image = Image.fromarray(shown)
    if box is not None:
        features = inside(features, box)
        scale = np.tile(np.array(shown.shape[:2]) / features.image_size, 2)
        top, left, bottom, right = np.rint(np.array(box) * scale).astype(int).tolist()
        lit = image.crop((left, top, right, bottom))
        image = Image.blend(image, Image.new("RGB", image.size, DARK), DIM)
        image.paste(lit, (left, top))
    _dot(ImageDraw.Draw(image), _onto(features.positions, features.image_size, shown))
    return np.asarray(image)


def pair_picture(
    photos: tuple[Pixels, Pixels],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    putative: Matches,
    inliers: Bool[np.ndarray, " m"] | None = None,
    *,
    width: int = PAIR,
) -> Pixels:
    """Draw two photos side by side: inliers as bright lines, other matches as faint ones.

    Args:
        photos: The query and the result, at any size.
        sizes: ``(height, width)`` of the photos that the matches were found in.
        putative: The matches.
        inliers: Which of them agree with one map of the query; None: nobody asked.
        width: Of the picture in pixels, at most; lines are as thick in a small one.
    """
    height = round((width - GAP) / sum(wide / tall for tall, wide in sizes))
    height = min(height, TALLEST)
    left, right = (
        resize(photo, (height, round(height * wide / tall)))
        for photo, (tall, wide) in zip(photos, sizes, strict=True)
    )
    shift = left.shape[1] + GAP
    paper = Image.new("RGB", (shift + right.shape[1], height), PAPER)
    paper.paste(Image.fromarray(left), (0, 0))
    paper.paste(Image.fromarray(right), (shift, 0))
    starts = _onto(putative.query, sizes[0], left)
    ends = _onto(putative.database, sizes[1], right) + [0, shift]
    agree = np.zeros(len(putative), bool) if inliers is None else inliers
    return np.asarray(_with_lines(paper, np.stack([starts, ends], axis=1), agree))


def figure(cards: Sequence[Card], pair: Pixels, titles: tuple[str, str]) -> Drawing:
    """Draw a query with its results, and one pair below them, to be kept.

    Args:
        cards: The query, then the results, best first; of width `CARD`. A last row that is not full is left out.
        pair: Of `pair_picture`.
        titles: Of the two.
    """
    cards = cards[: max(1, len(cards) // FIGURE_COLUMNS) * FIGURE_COLUMNS]
    pictures = sheet(cards, columns=FIGURE_COLUMNS, side=CARD, chosen=0), pair
    inches = [FIGURE_WIDTH * picture.shape[0] / picture.shape[1] for picture in pictures]
    drawing, axes = figure_of(FIGURE_WIDTH, sum(inches) + 0.7, 2, 1, height_ratios=inches)
    drawing.quality = QUALITY
    for ax, picture, title in zip(axes[:, 0], pictures, titles, strict=True):
        show_photo(ax, picture, title)
    return drawing


def _with_lines(
    image: Image.Image, lines: Float[np.ndarray, "m 2 2"], agree: Bool[np.ndarray, " m"]
) -> Image.Image:
    """Draw lines from ``(y, x)`` to ``(y, x)``; those that agree on top, cased, with dots at their ends."""
    veil = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(veil)
    for ends in lines[~agree, :, ::-1]:
        draw.line(ends.ravel().tolist(), PUTATIVE, 3)
    bright = lines[agree]
    bright = bright[np.linspace(0, len(bright) - 1, min(MOST_LINES, len(bright))).astype(int)]
    for ends in bright[:, :, ::-1]:
        for color, width in (((*DARK, 120), 7), (INLIER, 4)):
            draw.line(ends.ravel().tolist(), color, width)
    _dot(draw, bright.reshape(-1, 2))
    return Image.alpha_composite(image.convert("RGBA"), veil).convert("RGB")


def _dot(draw: ImageDraw.ImageDraw, points: Float[np.ndarray, "n 2"]) -> None:
    for y, x in points.tolist():
        for color, radius in ((DARK, 6), (INLIER[:3], 4)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), color)


def _onto(
    points: Float[np.ndarray, "n 2"], size: tuple[int, int], shown: Pixels
) -> Float[np.ndarray, "n 2"]:
    """Bring points of a photo to the picture of it that is shown."""
    return resized(points, np.array(size), np.array(shown.shape[:2]))
