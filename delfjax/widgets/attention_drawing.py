"""Pictures of the attention explorer: one in milliseconds for the screen, one with axes for keeping.

The first is made by Pillow, as Matplotlib takes longer than a slider may; Matplotlib's color maps serve
as tables of colors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image, ImageDraw

from delfjax.features.pyramid import CELL, resized
from delfjax.plots.base import DARK, DIM, HEAT, LIGHT, Drawing, figure_of, show_photo
from delfjax.widgets.attention_state import Choice, Look, heat, keypoints

COLOR_MAPS = (HEAT, "inferno", "viridis", "cividis")  # perceptual; none parts red from green
SMALLEST, LARGEST = 640, 960  # pixels of the longer side of what is shown
SPAN = (1, 99.5)  # percentiles: the very highest scores would squeeze all others into one color
RADIUS = 4.0  # pixels: of the ring of a keypoint of scale 1


@dataclass(frozen=True, kw_only=True)
class Style:
    """How heat is drawn.

    Attributes:
        colors: A color map, such as one of `COLOR_MAPS`.
        opacity: How much of the photo the heat hides, 0 to 1.
    """

    colors: str = HEAT
    opacity: float = 0.6


def shown_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the size in which a photo is shown: a small one enlarged, so that lines stay thin."""
    longest = max(image_size)
    factor = np.clip(longest, SMALLEST, LARGEST) / longest
    return tuple(max(1, round(side * factor)) for side in image_size)


def render(
    seen: Look, choice: Choice, style: Style, row: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the heat over the photo in gray, a ring a keypoint, and what one cell sees.

    Args:
        seen: The photo.
        choice: Score, scale and keypoints.
        style: Colors.
        row: A cell: what it does not see is dimmed, and its own 16 pixels are framed.

    Returns:
        An image of `shown_size`.
    """
    shades, _ = _shades(seen, seen.offered(choice.selection), choice.scale)
    colored = Image.fromarray(shades)
    colored.putpalette(_table(style.colors).tobytes())
    image = Image.blend(_gray(seen), colored.convert("RGB"), style.opacity)
    for place, scale in zip(*_rings(seen, choice), strict=True):
        for mask, color in zip(_ring(RADIUS / scale**0.5), (DARK, LIGHT), strict=True):
            corner = np.rint(place - (np.array(mask.size) - 1) / 2).astype(int)
            image.paste(color, tuple(corner[::-1].tolist()), mask)
    return np.asarray(image if row is None else _with_field(image, seen, row))


def span(seen: Look, choice: Choice) -> tuple[float, float]:
    """Return the scores of the first and the last color: the 1st and the 99.5th percentile."""
    return _shades(seen, seen.offered(choice.selection), choice.scale)[1]


def figure(
    looks: Mapping[str, Look], choice: Choice, style: Style, *, photo: str = "photo"
) -> Drawing:
    """Draw what the explorer shows as a figure with a color bar a model, to be kept.

    Args:
        looks: The photo as each model sees it, by the model's name.
        choice: Score, scale and keypoints.
        style: Colors.
        photo: The photo's name.
    """
    height, width = next(iter(looks.values())).image_size
    panel = min(6.4, 4.8 * width / height)
    drawing, axes = figure_of(
        (panel + 0.8) * len(looks), panel * height / width + 0.55, 1, len(looks)
    )
    for ax, (name, seen) in zip(axes[0], looks.items(), strict=True):
        _draw(drawing, ax, seen, choice, style, f"{photo}, {name}")
    return drawing


def words(seen: Look, choice: Choice) -> str:
    """Say what is shown: score, scale, keypoints and threshold."""
    scale = "all scales" if choice.scale is None else f"scale {choice.scale:.2f}"
    count = len(keypoints(seen, choice))
    best = f"{count} keypoint{'' if count == 1 else 's'}"
    floor = f", of the top {1 - choice.threshold:.0%} of cells" if choice.threshold else ""
    return f"{seen.offered(choice.selection)}, {scale}, {best}{floor}"


def _draw(drawing: Drawing, ax: Axes, seen: Look, choice: Choice, style: Style, title: str) -> None:
    show_photo(ax, render(seen, choice, style), f"{title}\n{words(seen, choice)}")
    colors = ScalarMappable(Normalize(*span(seen, choice)), style.colors)
    bar = drawing.colorbar(colors, ax=ax, fraction=0.035, pad=0.02, extend="both")
    bar.set_label(seen.offered(choice.selection))


def _rings(seen: Look, choice: Choice) -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """Return where the keypoints are in the image that is shown, and their scales."""
    rows = keypoints(seen, choice)[::-1]  # the best ones on top
    return _onto(seen, seen.centers[rows]), np.array(seen.scales)[seen.levels[rows]]


def _onto(seen: Look, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Bring points of the photo to the image that is shown."""
    return resized(points, np.array(seen.image_size), np.array(shown_size(seen.image_size)))


def _with_field(image: Image.Image, seen: Look, row: int) -> Image.Image:
    """Dim what a cell does not see, and frame what it sees and its own 16 pixels."""
    box = _onto(seen, seen.boxes[row].reshape(2, 2))
    own = (CELL - 1) / 2 * seen.pixel(row)
    cell = _onto(seen, seen.centers[row] + np.array([-own, own]))
    dimmed = Image.blend(image, Image.new("RGB", image.size, DARK), DIM)
    inside = box.clip(0, np.array(image.size[::-1]))
    corners = np.rint([*inside[0, ::-1], *inside[1, ::-1] + 1]).astype(int).tolist()
    dimmed.paste(image.crop(corners), corners[:2])
    draw = ImageDraw.Draw(dimmed)
    for corners in (box, cell):
        outline = np.rint(corners[:, ::-1]).ravel()
        draw.rectangle((outline + [-1, -1, 1, 1]).tolist(), outline=DARK, width=4)
        draw.rectangle(outline.tolist(), outline=LIGHT, width=2)
    return dimmed


@lru_cache(maxsize=64)
def _ring(radius: float) -> tuple[Image.Image, Image.Image]:
    """Make the masks of a ring's casing and of its line, antialiased."""
    half = int(np.ceil(radius + 3))
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    off = np.abs(np.hypot(y, x) - radius)
    masks = [(edge - off).clip(0, 1) * opacity for edge, opacity in ((2.2, 0.75), (1.3, 1.0))]
    return tuple(Image.fromarray((255 * mask).astype(np.uint8)) for mask in masks)


@lru_cache(maxsize=4)
def _table(colors: str) -> UInt8[np.ndarray, "256 3"]:
    return (255 * mpl.colormaps[colors](np.arange(256))[:, :3]).round().astype(np.uint8)


@lru_cache(maxsize=8)
def _gray(seen: Look) -> Image.Image:
    photo = Image.fromarray(seen.photo).convert("L").convert("RGB")
    return photo.resize(shown_size(seen.image_size)[::-1], Image.Resampling.BICUBIC)


@lru_cache(maxsize=32)  # two models, two scores, eight choices of scale
def _shades(
    seen: Look, selection: str, scale: float | None
) -> tuple[UInt8[np.ndarray, "h w"], tuple[float, float]]:
    """Return the heat as numbers of colors, and the scores of the first and last color."""
    scores = heat(seen, Choice(selection=selection, scale=scale), shown_size(seen.image_size))
    low, high = (float(edge) for edge in np.percentile(scores[::2, ::2], SPAN))  # heat is smooth
    shares = (scores - low) / max(high - low, np.finfo(np.float32).tiny)
    return (255 * shares.clip(0, 1)).round().astype(np.uint8), (low, high)
