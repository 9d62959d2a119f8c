"""Draw a query with its features, and two photos with their matches.

Pillow draws fast enough to update an image while a slider moves. A notebook shows an image at about
half its width. Scaling down smooths the hard edges that Pillow draws.
"""

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw

from delfjax.features.pyramid import scale_points
from delfjax.plots.base import DARK, DIM, Figure, RgbImage, fit_size, photos, resize
from delfjax.search.matching import PairMatch
from delfjax.types import Box, Features, Matches

QUERY_SIZE = 560, 840  # pixels: maximum height and width of the query
PAIR_WIDTH, PAIR_MAX_HEIGHT = 1800, 760  # pixels: maximum size of a pair of photos
GAP = 24  # pixels between the two photos
INLIER_COLOR, OUTLIER_COLOR = (255, 214, 64, 240), (255, 255, 255, 130)  # RGBA
MAX_DOTS, MAX_LINES = 200, 200  # more dots or lines would hide the photos


def matches(
    photo_a: RgbImage, photo_b: RgbImage, pair: PairMatch | Matches, *, title: str | None = None
) -> Figure:
    """Draw the matches between two photos as lines.

    Inliers (matches that agree with a geometric model) are bright, and other matches are faint.
    Without geometric verification, all matches are bright. At most 200 bright lines are drawn.

    Args:
        photo_a: The query, in the size from which features were extracted.
        photo_b: The database photo, in the size from which features were extracted.
        pair: The result of `delfjax.search.matching.match`, or matches without verification.
        title: Title of the figure. None writes the number of matches and inliers.
    """
    if isinstance(pair, PairMatch):
        found, inliers = pair.matches, pair.inliers
        default = f"{pair.num_inliers} inliers of {len(found)} matches"
    else:
        found, inliers, default = pair, np.ones(len(pair), bool), f"{len(pair)} matches"
    sizes = photo_a.shape[:2], photo_b.shape[:2]
    image = pair_image((photo_a, photo_b), sizes, found, inliers)
    return photos([image], [default if title is None else title], width=9.5)


def query_image(photo: RgbImage, features: Features, box: Box | None = None) -> RgbImage:
    """Draw a query photo, resized to fit into `QUERY_SIZE`, with dots at its 200 best features.

    Args:
        photo: The query photo, at any size.
        features: All features of the query, best first.
        box: Box in pixels of the photo from which features were extracted. Outside of the box, the
            image is dimmed and has no dots. None: no box.
    """
    shown = resize(photo, fit_size(photo.shape[:2], QUERY_SIZE))
    image = Image.fromarray(shown)
    if box is not None:
        features = features.inside(box)
        scale = np.tile(np.array(shown.shape[:2]) / features.image_size, 2)
        top, left, bottom, right = np.rint(np.array(box) * scale).astype(int).tolist()
        selected = image.crop((left, top, right, bottom))
        image = Image.blend(image, Image.new("RGB", image.size, DARK), DIM)
        image.paste(selected, (left, top))
    points = scale_points(features.positions[:MAX_DOTS], features.image_size, shown.shape[:2])
    _draw_dots(ImageDraw.Draw(image), points)
    return np.asarray(image)


def pair_image(
    photos: tuple[RgbImage, RgbImage],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    matches: Matches,
    inliers: Bool[np.ndarray, " m"] | None = None,
    *,
    width: int = PAIR_WIDTH,
    max_lines: int = MAX_LINES,
) -> RgbImage:
    """Draw two photos side by side, with inliers as bright lines and other matches as faint lines.

    Args:
        photos: The query and the database photo, at any size.
        sizes: ``(height, width)`` that each photo had when its features were extracted.
        matches: Matches between the two photos.
        inliers: Whether each match is an inlier. None draws all matches as faint lines.
        width: Maximum width of the image in pixels. The thickness of lines does not depend on it.
        max_lines: Maximum number of bright lines, since more would hide the photos.
    """
    height = min(round((width - GAP) / sum(w / h for h, w in sizes)), PAIR_MAX_HEIGHT)
    left, right = (
        resize(photo, (height, round(height * w / h)))
        for photo, (h, w) in zip(photos, sizes, strict=True)
    )
    offset = left.shape[1] + GAP
    image = Image.new("RGBA", (offset + right.shape[1], height), "white")
    image.paste(Image.fromarray(left), (0, 0))
    image.paste(Image.fromarray(right), (offset, 0))
    starts = scale_points(matches.query, sizes[0], left.shape[:2])
    ends = scale_points(matches.database, sizes[1], right.shape[:2]) + [0, offset]
    lines = np.stack([starts, ends], axis=1)
    inliers = np.zeros(len(matches), bool) if inliers is None else inliers
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    _draw_lines(draw, lines[~inliers], {5: (*DARK, 50), 3: OUTLIER_COLOR})
    shown = lines[inliers]
    shown = shown[np.linspace(0, len(shown) - 1, min(max_lines, len(shown))).astype(int)]
    _draw_lines(draw, shown, {7: (*DARK, 120), 4: INLIER_COLOR})
    _draw_dots(draw, shown.reshape(-1, 2))
    return np.asarray(Image.alpha_composite(image, layer).convert("RGB"))


def _draw_lines(
    draw: ImageDraw.ImageDraw,
    lines: Float[np.ndarray, "n 2 2"],
    colors: dict[int, tuple[int, int, int, int]],
) -> None:
    """Draw lines between ``(y, x)`` points, once per pair of line width and color in ``colors``."""
    for ends in lines[:, :, ::-1]:
        for width, color in colors.items():
            draw.line(ends.ravel().tolist(), color, width)


def _draw_dots(draw: ImageDraw.ImageDraw, points: Float[np.ndarray, "n 2"]) -> None:
    for y, x in points.tolist():
        for color, radius in ((DARK, 6), (INLIER_COLOR[:3], 4)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), color)
