"""Images of a query and of its matches, drawn with Pillow, which is fast enough for a slider.

Images have about twice the pixels of their place on a page: Pillow draws hard edges, and the browser
smooths them when it scales the image down.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw

from delfjax.datasets.truth import Relevance
from delfjax.features.pyramid import scale_points
from delfjax.plots.base import COLORS, DARK, DIM, NEUTRAL, Figure, RgbImage, photos
from delfjax.plots.thumbnails import BACKGROUND, Card, draw_cards, fit, resize
from delfjax.types import Box, Features, Matches

RELEVANCE_MARKS: dict[
    Relevance, tuple[str, str]
] = {  # a mark and a color; no color is red or green
    "correct": ("✓", COLORS[0]),
    "wrong": ("✗", COLORS[1]),
    "junk": ("○", NEUTRAL),
}
QUERY_SIZE = 560, 840  # pixels: maximum height and width of the query
PAIR_WIDTH, PAIR_MAX_HEIGHT = 1800, 760  # pixels
GAP = 24  # pixels between the two photos
INLIER_COLOR, OUTLIER_COLOR = (255, 214, 64, 240), (255, 255, 255, 130)  # RGBA
MAX_INLIER_LINES = 200  # more lines would hide the photos
CARD_WIDTH = 320  # pixels
FIGURE_COLUMNS = 6  # cards per row of `result_figure`


def query_image(photo: RgbImage, features: Features, box: Box | None = None) -> RgbImage:
    """Draw a query photo with a dot at each feature of the search, dimmed outside its box.

    Args:
        photo: The query photo, at any size.
        features: All features of the query.
        box: The part to search by, in pixels of the original photo. None: all of it.

    Returns:
        An image of at most `QUERY_SIZE`.
    """
    shown = fit(photo, QUERY_SIZE)
    image = Image.fromarray(shown)
    if box is not None:
        features = features.inside(box)
        scale = np.tile(np.array(shown.shape[:2]) / features.image_size, 2)
        top, left, bottom, right = np.rint(np.array(box) * scale).astype(int).tolist()
        selected = image.crop((left, top, right, bottom))
        image = Image.blend(image, Image.new("RGB", image.size, DARK), DIM)
        image.paste(selected, (left, top))
    points = _to_image(features.positions, features.image_size, shown)
    _draw_dots(ImageDraw.Draw(image), points)
    return np.asarray(image)


def pair_image(
    photos: tuple[RgbImage, RgbImage],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    matches: Matches,
    inliers: Bool[np.ndarray, " m"] | None = None,
    *,
    width: int = PAIR_WIDTH,
) -> RgbImage:
    """Draw two photos side by side: inliers as bright lines with dots, other matches as faint lines.

    Args:
        photos: The query and the database photo, at any size.
        sizes: ``(height, width)`` of the original photos, in whose pixels the matches are.
        matches: Matches between the two.
        inliers: Which matches agree with the geometric model. None: not verified, all lines are faint.
        width: Maximum width of the image in pixels. Lines have the same thickness at any width.
    """
    height = round((width - GAP) / sum(wide / tall for tall, wide in sizes))
    height = min(height, PAIR_MAX_HEIGHT)
    left, right = (
        resize(photo, (height, round(height * wide / tall)))
        for photo, (tall, wide) in zip(photos, sizes, strict=True)
    )
    offset = left.shape[1] + GAP
    image = Image.new("RGB", (offset + right.shape[1], height), BACKGROUND)
    image.paste(Image.fromarray(left), (0, 0))
    image.paste(Image.fromarray(right), (offset, 0))
    starts = _to_image(matches.query, sizes[0], left)
    ends = _to_image(matches.database, sizes[1], right) + [0, offset]
    inliers = np.zeros(len(matches), bool) if inliers is None else inliers
    return np.asarray(_draw_lines(image, np.stack([starts, ends], axis=1), inliers))


def result_figure(cards: Sequence[Card], pair: RgbImage, titles: tuple[str, str]) -> Figure:
    """Draw a query with its results as cards, and one matched pair below them.

    Args:
        cards: The query, then the results, best first, of width `CARD_WIDTH`. Cards of an incomplete
            second or later row are left out.
        pair: The image of `pair_image`.
        titles: Titles of the two images.
    """
    cards = cards[: max(1, len(cards) // FIGURE_COLUMNS) * FIGURE_COLUMNS]
    results = draw_cards(cards, columns=FIGURE_COLUMNS, card_width=CARD_WIDTH, selected=0)
    return photos([results, pair], titles, columns=1, width=8)


def _draw_lines(
    image: Image.Image, lines: Float[np.ndarray, "m 2 2"], inliers: Bool[np.ndarray, " m"]
) -> Image.Image:
    """Draw lines between ``(y, x)`` points; inliers come on top, with a dark outline."""
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    for ends in lines[~inliers, :, ::-1]:
        for color, width in (((*DARK, 50), 5), (OUTLIER_COLOR, 3)):
            draw.line(ends.ravel().tolist(), color, width)
    shown = lines[inliers]
    shown = shown[np.linspace(0, len(shown) - 1, min(MAX_INLIER_LINES, len(shown))).astype(int)]
    for ends in shown[:, :, ::-1]:
        for color, width in (((*DARK, 120), 7), (INLIER_COLOR, 4)):
            draw.line(ends.ravel().tolist(), color, width)
    _draw_dots(draw, shown.reshape(-1, 2))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _draw_dots(draw: ImageDraw.ImageDraw, points: Float[np.ndarray, "n 2"]) -> None:
    for y, x in points.tolist():
        for color, radius in ((DARK, 6), (INLIER_COLOR[:3], 4)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), color)


def _to_image(
    points: Float[np.ndarray, "n 2"], size: tuple[int, int], shown: RgbImage
) -> Float[np.ndarray, "n 2"]:
    """Map points from the original photo to its resized image."""
    return scale_points(points, np.array(size), np.array(shown.shape[:2]))
