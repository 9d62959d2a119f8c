"""Images of the attention explorer: scores that are drawn over a photo (Fig. 9).

`score_photo` runs the network on each level of the image pyramid. The other functions draw with
Pillow, because Matplotlib is too slow for a slider. A *cell* is one position of the feature map of
one level. A *row* is the index of a cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

from delfjax.features.extraction import Extractor, Selection
from delfjax.features.pyramid import STRIDE, first_centers, merge_levels, scale_points
from delfjax.models.resnet import Padding
from delfjax.plots.base import DARK, DIM, HEATMAP_COLORS, HEATMAP_RANGE, LIGHT, fit_size, pluralize
from delfjax.types import Photo

# Color maps of the menu, safe for color-blind readers. The first one is also that of the figures.
COLOR_MAPS = (HEATMAP_COLORS, "inferno", "viridis", "cividis")
MIN_SIDE, MAX_SIDE = 640, 960  # limits of the longer side of the image on screen, in pixels
RING_RADIUS = 4.0  # radius in pixels of the ring around a keypoint of scale 1


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """Settings of the image that the explorer shows.

    Attributes:
        score: Score to show: ``"attention"``, or ``"norm"``, the L2 norm of the descriptor. A model
            without attention always shows the norm.
        scale: Scale of the pyramid level to show. None merges all levels.
        count: Maximum number of keypoints.
        threshold: Minimum score of keypoints, as a quantile (0 to 1) of all shown scores.
        color_map: Name of the Matplotlib color map of the heatmap.
        opacity: Opacity of the heatmap over the photo, from 0 to 1.
    """

    score: Selection = "attention"
    scale: float | None = None
    count: int = 100
    threshold: float = 0.0
    color_map: str = COLOR_MAPS[0]
    opacity: float = 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPhoto:
    """A photo with scores from one model for ``n`` cells (feature-map positions of all levels).

    Attributes:
        photo: The photo.
        scales: Scale of each level, relative to the photo, or to the shrunk copy of a large photo.
        level_sizes: ``(height, width)`` of each level, in pixels of the level.
        maps: Score maps of all levels, by kind of score.
        levels: Index of the level of each cell, from 0.
        centers: ``(y, x)`` of the center of each cell, in pixels of the photo.
        receptive_fields: ``(y_min, x_min, y_max, x_max)`` of the receptive field of each cell, in
            pixels of the photo. A receptive field can extend beyond the photo.
        scores: Scores of all cells, by kind of score.
        padding: Padding of the network.
    """

    photo: Photo
    scales: tuple[float, ...]
    level_sizes: Int[np.ndarray, "levels 2"]
    maps: Mapping[Selection, Sequence[Float[np.ndarray, "_ _"]]]
    levels: Int[np.ndarray, " n"]
    centers: Float[np.ndarray, "n 2"]
    receptive_fields: Float[np.ndarray, "n 4"]
    scores: Mapping[Selection, Float[np.ndarray, " n"]]
    padding: Padding = "symmetric"

    @property
    def image_size(self) -> tuple[int, int]:
        """``(height, width)`` of the photo in pixels."""
        return self.photo.shape[:2]

    def to_display(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Convert points from pixels of the photo to pixels of the displayed image."""
        return scale_points(points, self.image_size, display_size(self.image_size))

    def level_pixel(self, row: int) -> Float[np.ndarray, " 2"]:
        """Return the height and width, in photo pixels, of one pixel of the level of a cell."""
        return np.asarray(self.image_size / self.level_sizes[self.levels[row]])

    def available_score(self, score: Selection) -> Selection:
        """Return the given kind of score, or ``"norm"`` if the model does not compute that kind."""
        return score if score in self.scores else "norm"


def score_photo(photo: Photo, model: Extractor) -> ScoredPhoto:
    """Run a model on a photo. Return the scores of all cells (positions of the feature maps)."""
    dense = model.score_maps(photo)
    maps: dict[Selection, list[np.ndarray]] = {"norm": dense.norms}
    if dense.attention is not None:
        maps["attention"] = dense.attention
    cells = [np.argwhere(np.ones(level.shape, bool)) for level in dense.norms]
    levels = np.repeat(np.arange(len(cells)), [len(level) for level in cells])
    sizes = dense.sizes[levels]
    on_levels = np.concatenate(cells) * STRIDE + first_centers(sizes, dense.padding)
    centers = scale_points(on_levels, sizes, dense.image_size)
    return ScoredPhoto(
        photo=photo,
        scales=dense.scales,
        level_sizes=dense.sizes,
        maps=maps,
        levels=levels,
        centers=centers,
        receptive_fields=model.receptive_field.boxes_around(centers, dense.image_size / sizes),
        scores={
            name: np.concatenate([level.ravel() for level in part]) for name, part in maps.items()
        },
        padding=dense.padding,
    )


# --- cells


def select_keypoints(scored: ScoredPhoto, settings: ViewSettings) -> Int[np.ndarray, " k"]:
    """Return the indices of the cells that are drawn as keypoints, in descending order of score."""
    scores = scored.scores[scored.available_score(settings.score)]
    rows = np.flatnonzero(np.isin(scored.levels, shown_levels(scored, settings.scale)))
    rows = rows[scores[rows] >= np.quantile(scores[rows], settings.threshold)]
    return np.asarray(rows[np.argsort(-scores[rows], kind="stable")[: settings.count]])


def cell_at(scored: ScoredPhoto, settings: ViewSettings, point: tuple[float, float]) -> int:
    """Return the index of the cell nearest to a point ``(y, x)`` in pixels of the photo.

    If several levels are shown, return the cell with the highest score among their nearest cells.
    """
    name, levels = scored.available_score(settings.score), shown_levels(scored, settings.scale)
    points = np.array([point] * len(levels))
    sizes = scored.level_sizes[levels]
    on_levels = scale_points(points, scored.image_size, sizes) - first_centers(
        sizes, scored.padding
    )
    rows = []
    for level, cell in zip(levels, np.rint(on_levels / STRIDE).astype(int), strict=True):
        shape = np.array(scored.maps[name][level].shape)
        y, x = cell.clip(0, shape - 1)
        rows.append(int(np.searchsorted(scored.levels, level) + y * shape[1] + x))
    return max(rows, key=lambda row: scored.scores[name][row])


def describe_view(scored: ScoredPhoto, settings: ViewSettings) -> str:
    """Describe a view as text: kind of score, scale, number of keypoints and threshold."""
    scale = "all scales" if settings.scale is None else f"scale {settings.scale:.2f}"
    keypoints = pluralize(len(select_keypoints(scored, settings)), "keypoint")
    top = f" from the top {1 - settings.threshold:.0%} of cells" if settings.threshold else ""
    return f"{scored.available_score(settings.score)}, {scale}, {keypoints}{top}"


def shown_levels(scored: ScoredPhoto, scale: float | None) -> Int[np.ndarray, " levels"]:
    """Return the indices of the pyramid levels with the given scale, or of all levels for None."""
    return np.flatnonzero(np.isclose(scored.scales, scored.scales if scale is None else scale))


# --- images


def heatmap(
    scored: ScoredPhoto, settings: ViewSettings, size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """Interpolate the score maps to ``size``, a ``(height, width)`` in pixels.

    If several pyramid levels are shown, each pixel gets the maximum over these levels.
    """
    levels = shown_levels(scored, settings.scale)
    score = scored.maps[scored.available_score(settings.score)]
    maps, sizes = [score[level] for level in levels], scored.level_sizes[levels]
    return merge_levels(maps, sizes, size, scored.padding)


def display_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the ``(height, width)`` at which a photo is displayed.

    Small photos are enlarged so that lines look thin. Large photos are reduced.
    """
    longest = min(max(MIN_SIDE, *image_size), MAX_SIDE)
    return fit_size(image_size, (longest, longest))


def render(
    scored: ScoredPhoto, settings: ViewSettings, row: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the heatmap over the gray photo, and a ring around each keypoint, at `display_size`.

    ``row`` is the index of a cell to highlight with two frames, one around the cell and one around
    its receptive field. The image outside of the receptive field is dimmed.
    """
    indices, _ = _color_indices(scored, scored.available_score(settings.score), settings.scale)
    colored = Image.fromarray(indices)
    colors = 255 * mpl.colormaps[settings.color_map](np.arange(256))[:, :3]
    colored.putpalette(colors.round().astype(np.uint8).tobytes())
    image = Image.blend(_gray_photo(scored), colored.convert("RGB"), settings.opacity)
    rows = select_keypoints(scored, settings)[::-1]  # draw the best keypoints last, on top
    centers = scored.to_display(scored.centers[rows])
    for center, scale in zip(centers, np.array(scored.scales)[scored.levels[rows]], strict=True):
        for mask, color in zip(_ring_masks(RING_RADIUS / scale**0.5), (DARK, LIGHT), strict=True):
            corner = np.rint(center - (np.array(mask.size) - 1) / 2).astype(int)
            image.paste(color, tuple(corner[::-1].tolist()), mask)
    return np.asarray(image if row is None else _with_receptive_field(image, scored, row))


def color_limits(scored: ScoredPhoto, settings: ViewSettings) -> tuple[float, float]:
    """Return the scores of the first and the last color of the heatmap."""
    return _color_indices(scored, scored.available_score(settings.score), settings.scale)[1]


def _with_receptive_field(image: Image.Image, scored: ScoredPhoto, row: int) -> Image.Image:
    """Dim the image outside of the receptive field of a cell. Frame both with rectangles."""
    field = scored.to_display(scored.receptive_fields[row].reshape(2, 2))
    half = (STRIDE - 1) / 2 * scored.level_pixel(row)
    cell = scored.to_display(scored.centers[row] + np.array([-half, half]))
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
    """Return two antialiased masks of a ring: a wide mask (dark border) and a thin mask (line)."""
    half = int(np.ceil(radius + 3))
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    distance = np.abs(np.hypot(y, x) - radius)
    masks = [(edge - distance).clip(0, 1) * opacity for edge, opacity in ((2.2, 0.75), (1.3, 1.0))]
    wide, thin = (Image.fromarray((255 * mask).astype(np.uint8)) for mask in masks)
    return wide, thin


@lru_cache(maxsize=8)
def _gray_photo(scored: ScoredPhoto) -> Image.Image:
    photo = Image.fromarray(scored.photo).convert("L").convert("RGB")
    return photo.resize(display_size(scored.image_size)[::-1], Image.Resampling.BICUBIC)


@lru_cache(maxsize=32)  # two models, two scores, eight choices of scale
def _color_indices(
    scored: ScoredPhoto, score: Selection, scale: float | None
) -> tuple[UInt8[np.ndarray, "h w"], tuple[float, float]]:
    """Return the color index (0 to 255) of each pixel, and the scores of the colors 0 and 255."""
    settings = ViewSettings(score=score, scale=scale)
    scores = heatmap(scored, settings, display_size(scored.image_size))
    # The heatmap is smooth, so every second pixel is enough.
    low, high = (float(edge) for edge in np.percentile(scores[::2, ::2], HEATMAP_RANGE))
    normalized = (scores - low) / max(high - low, float(np.finfo(np.float32).tiny))
    return (255 * normalized.clip(0, 1)).round().astype(np.uint8), (low, high)
