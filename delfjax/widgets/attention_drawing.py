"""Images of the attention explorer: a fast one for the screen, and a figure with axes to save.

Pillow draws the image for the screen, because Matplotlib is too slow to follow a slider. Matplotlib
provides only the color tables.
"""

from collections.abc import Mapping
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image, ImageDraw

from delfjax.features.pyramid import STRIDE, scale_points
from delfjax.plots.base import DARK, DIM, LIGHT, Figure, draw_photo, subplots
from delfjax.widgets.attention_state import (
    ScoredPhoto,
    ViewSettings,
    describe_view,
    heatmap,
    select_keypoints,
)

MIN_SIDE, MAX_SIDE = 640, 960  # limits of the longer side of the image on screen, in pixels
COLOR_RANGE = (1, 99.5)  # percentiles: a few extreme scores would compress all others to one color
RING_RADIUS = 4.0  # radius in pixels of the ring around a keypoint of scale 1


def display_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the size at which a photo is displayed.

    Small photos are enlarged, so that lines stay thin. Large photos are reduced.
    """
    longest = max(image_size)
    factor = np.clip(longest, MIN_SIDE, MAX_SIDE) / longest
    return tuple(max(1, round(side * factor)) for side in image_size)


def render(
    scored: ScoredPhoto, settings: ViewSettings, row: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the heatmap over the gray photo, a ring around each keypoint, and one receptive field.

    Args:
        scored: The photo and its scores.
        settings: What to show.
        row: Row of a cell to highlight. Everything outside of its receptive field is dimmed; the
            receptive field and the cell's own 16 pixels are framed.

    Returns:
        An image of `display_size`.
    """
    indices, _ = _color_indices(scored, scored.available_score(settings.score), settings.scale)
    colored = Image.fromarray(indices)
    colored.putpalette(_color_table(settings.color_map).tobytes())
    image = Image.blend(_gray_photo(scored), colored.convert("RGB"), settings.opacity)
    rows = select_keypoints(scored, settings)[::-1]  # draw the best keypoints last, on top
    centers = _to_display(scored, scored.centers[rows])
    for center, scale in zip(centers, np.array(scored.scales)[scored.levels[rows]], strict=True):
        for mask, color in zip(_ring_masks(RING_RADIUS / scale**0.5), (DARK, LIGHT), strict=True):
            corner = np.rint(center - (np.array(mask.size) - 1) / 2).astype(int)
            image.paste(color, tuple(corner[::-1].tolist()), mask)
    return np.asarray(image if row is None else _with_receptive_field(image, scored, row))


def color_limits(scored: ScoredPhoto, settings: ViewSettings) -> tuple[float, float]:
    """Return the scores of the first and the last color: the 1st and the 99.5th percentile."""
    return _color_indices(scored, scored.available_score(settings.score), settings.scale)[1]


def figure(
    scored: Mapping[str, ScoredPhoto], settings: ViewSettings, *, photo: str = "photo"
) -> Figure:
    """Draw the view of the explorer as a figure, with one panel and color bar per model.

    Args:
        scored: The photo with the scores of each model, by the model's name.
        settings: What to show.
        photo: Name of the photo, for the titles.
    """
    height, width = next(iter(scored.values())).image_size
    panel = min(6.4, 4.8 * width / height)  # inches
    drawn, axes = subplots(
        (panel + 0.8) * len(scored), panel * height / width + 0.55, 1, len(scored)
    )
    for ax, (model, part) in zip(axes[0], scored.items(), strict=True):
        title = f"{photo}, {model}\n{describe_view(part, settings)}"
        draw_photo(ax, render(part, settings), title)
        colors = ScalarMappable(Normalize(*color_limits(part, settings)), settings.color_map)
        bar = drawn.colorbar(colors, ax=ax, fraction=0.035, pad=0.02, extend="both")
        bar.set_label(part.available_score(settings.score))
    return drawn


def _to_display(scored: ScoredPhoto, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Convert points from pixels of the photo to pixels of the displayed image."""
    return scale_points(
        points, np.array(scored.image_size), np.array(display_size(scored.image_size))
    )


def _with_receptive_field(image: Image.Image, scored: ScoredPhoto, row: int) -> Image.Image:
    """Dim the outside of a cell's receptive field; frame the field and the cell's 16 pixels."""
    field = _to_display(scored, scored.receptive_fields[row].reshape(2, 2))
    half = (STRIDE - 1) / 2 * scored.level_pixel(row)
    cell = _to_display(scored, scored.centers[row] + np.array([-half, half]))
    dimmed = Image.blend(image, Image.new("RGB", image.size, DARK), DIM)
    inside = field.clip(0, np.array(image.size[::-1]))
    corners = np.rint([*inside[0, ::-1], *inside[1, ::-1] + 1]).astype(int).tolist()
    dimmed.paste(image.crop(corners), corners[:2])
    draw = ImageDraw.Draw(dimmed)
    for box in (field, cell):
        outline = np.rint(box[:, ::-1]).ravel()
        draw.rectangle((outline + [-1, -1, 1, 1]).tolist(), outline=DARK, width=4)
        draw.rectangle(outline.tolist(), outline=LIGHT, width=2)
    return dimmed


@lru_cache(maxsize=64)
def _ring_masks(radius: float) -> tuple[Image.Image, Image.Image]:
    """Return antialiased masks of a ring: a wide one for its dark border, a thin one for its line."""
    half = int(np.ceil(radius + 3))
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    distance = np.abs(np.hypot(y, x) - radius)
    masks = [(edge - distance).clip(0, 1) * opacity for edge, opacity in ((2.2, 0.75), (1.3, 1.0))]
    return tuple(Image.fromarray((255 * mask).astype(np.uint8)) for mask in masks)


@lru_cache(maxsize=4)
def _color_table(color_map: str) -> UInt8[np.ndarray, "256 3"]:
    return (255 * mpl.colormaps[color_map](np.arange(256))[:, :3]).round().astype(np.uint8)


@lru_cache(maxsize=8)
def _gray_photo(scored: ScoredPhoto) -> Image.Image:
    photo = Image.fromarray(scored.photo).convert("L").convert("RGB")
    return photo.resize(display_size(scored.image_size)[::-1], Image.Resampling.BICUBIC)


@lru_cache(maxsize=32)  # two models, two scores, eight choices of scale
def _color_indices(
    scored: ScoredPhoto, score: str, scale: float | None
) -> tuple[UInt8[np.ndarray, "h w"], tuple[float, float]]:
    """Return the index of each pixel's color, and the scores of the first and the last color."""
    settings = ViewSettings(score=score, scale=scale)
    scores = heatmap(scored, settings, display_size(scored.image_size))
    # The heatmap is smooth, so every second pixel is enough.
    low, high = (float(edge) for edge in np.percentile(scores[::2, ::2], COLOR_RANGE))
    normalized = (scores - low) / max(high - low, np.finfo(np.float32).tiny)
    return (255 * normalized.clip(0, 1)).round().astype(np.uint8), (low, high)
