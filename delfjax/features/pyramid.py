"""The image pyramid on one mosaic (Sec. 4.1: seven scales, sqrt(2) apart, 0.25 to 2.0).

All levels of a photo are drawn side by side on one mosaic, which goes through the network once. Sheets
come in a few sizes only, so that a collection of photos of every size runs in a handful of compiled
programs; what is left blank on a mosaic is masked in the network and changes no feature.

Levels stand at multiples of the network's stride with at least one blank cell between them. Upright
photos lie on their side and run with transposed kernels: they share the programs of wide ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from delfjax.types import Photo

PAPER_SCALES = tuple(2.0 ** (step / 2) for step in range(-4, 3))  # Sec. 4.1; official config
RESAMPLING = Image.Resampling.BILINEAR  # with antialiasing where it shrinks
STRIDE = 16  # pixels a cell: conv4's stride in every ResNet of delfjax.models.backbone

# Not in the paper: the sizes mosaics are made for. Short side over long side: the shapes of cameras.
ASPECT_RATIOS = (9 / 16, 2 / 3, 3 / 4, 1.0)
# Long side over the longest: photos that are smaller than `longest` share the programs of a few sizes.
SIZE_FRACTIONS = (1.0, 0.75, 0.5, 0.25)


@dataclass(frozen=True, kw_only=True)
class PyramidConfig:
    """How a photo becomes a pyramid.

    Attributes:
        scales: Factors by which the photo is resized, level by level.
        longest: Photos with a longer side than this, in pixels, are first shrunk to it. Not in the
            paper, whose photos of Oxford and Paris have a longest side of 1024.
    """

    scales: tuple[float, ...] = PAPER_SCALES
    longest: int = 1024

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise ValueError(f"longest is {self.longest}; expected at least 1 pixel")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"scales are {self.scales}; expected at least one, all over 0")


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A photo's pyramid, ready for the network.

    Attributes:
        pixels: The drawn levels, 0 to 255; blank elsewhere.
        levels: ``(top, left, height, width)`` of each level on the mosaic, in its pixels.
        scales: The configured scale of each level.
        image_size: ``(height, width)`` of the original photo.
        transposed: Whether the photo lies on its side.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    levels: Int[np.ndarray, "levels 4"]
    scales: tuple[float, ...]
    image_size: tuple[int, int]
    transposed: bool


def build_mosaic(photo: Photo, config: PyramidConfig) -> Mosaic:
    """Draw a photo's pyramid on the mosaic of its bucket_size."""
    image_size = photo.shape[:2]
    transposed = image_size[0] > image_size[1]
    wide = photo.transpose(1, 0, 2) if transposed else photo
    base = _limit_size(wide.shape[:2], config.longest)
    shape, corners = pack_levels(bucket_size(base, config.longest), config.scales)
    pixels = np.zeros((*shape, 3), np.uint8)
    levels = np.empty((len(config.scales), 4), np.int32)
    source = Image.fromarray(np.ascontiguousarray(wide)).resize(base[::-1], RESAMPLING)
    for number, (scale, (top, left)) in enumerate(zip(config.scales, corners, strict=True)):
        height, width = level_size(base, scale)
        level = source.resize((width, height), RESAMPLING)
        pixels[top : top + height, left : left + width] = level
        levels[number] = top, left, height, width
    return Mosaic(pixels, levels, config.scales, image_size, transposed)


def _limit_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Scale a size down until no side is over ``longest``."""
    return level_size(size, min(1.0, longest / max(size)))


def level_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return the size of a pyramid level, rounded to whole pixels, at least one."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def level_sizes(image_size: tuple[int, int], config: PyramidConfig) -> Int[np.ndarray, "levels 2"]:
    """Return the ``(height, width)`` of each level of a photo, in the level's pixels."""
    base = _limit_size(image_size, config.longest)
    return np.array([level_size(base, scale) for scale in config.scales])


def bucket_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the smallest of the sizes that mosaics are made for into which a wide photo fits."""
    height, width = size
    long_side = min(side for rung in SIZE_FRACTIONS if (side := math.ceil(longest * rung)) >= width)
    sides = [math.ceil(long_side * aspect) for aspect in ASPECT_RATIOS]
    return min(side for side in sides if side >= height), long_side


@lru_cache(maxsize=256)
def pack_levels(
    size: tuple[int, int], scales: tuple[float, ...]
) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]]:
    """Place the levels of a photo of this size on the smallest mosaic found.

    Returns:
        The mosaic's ``(height, width)`` and each level's ``(top, left)``, all multiples of 16 pixels.
    """
    # In cells, with the blank row and column that keeps neighbors apart.
    boxes = [tuple(-(-side // STRIDE) + 1 for side in level_size(size, scale)) for scale in scales]
    widest = max(width for _, width in boxes)
    widths = sorted({widest} | {widest + width for _, width in boxes})
    packings = [_pack(boxes, width) for width in widths]
    (height, width), corners = min(packings, key=lambda packing: packing[0][0] * packing[0][1])
    return (height * STRIDE, width * STRIDE), tuple((y * STRIDE, x * STRIDE) for y, x in corners)


def _pack(
    boxes: list[tuple[int, int]], sheet_width: int
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Pack boxes on shelves: each goes under another of its shelf, else beside, else on a new shelf."""
    corners: list[tuple[int, int]] = [(0, 0)] * len(boxes)
    # A shelf is [top, height, columns]; a column is [left, width, height already used].
    shelves: list[tuple[int, int, list[list[int]]]] = []
    for number in sorted(range(len(boxes)), key=lambda n: boxes[n], reverse=True):
        height, width = boxes[number]
        corners[number] = _place(height, width, shelves, sheet_width)
    used = max(left + width for _, _, columns in shelves for left, width, _ in columns)
    return (sum(height for _, height, _ in shelves), used), corners


def _place(
    height: int, width: int, shelves: list[tuple[int, int, list[list[int]]]], sheet_width: int
) -> tuple[int, int]:
    for top, shelf_height, columns in shelves:
        for column in columns:
            if width <= column[1] and column[2] + height <= shelf_height:
                column[2] += height
                return top + column[2] - height, column[0]
        left = columns[-1][0] + columns[-1][1]
        if left + width <= sheet_width:
            columns.append([left, width, height])
            return top, left
    top = sum(shelf_height for _, shelf_height, _ in shelves)
    shelves.append((top, height, [[0, width, height]]))
    return top, 0


def cell_positions(
    mosaic: Mosaic, cells: Int[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, " n"]]:
    """Return where on the original photo cells of the mosaic's feature map look, and their levels."""
    corners, sizes = mosaic.levels[:, :2], mosaic.levels[:, 2:]
    inside = cells[:, None] * STRIDE - corners
    number = np.argmax(((inside >= 0) & (inside < sizes)).all(-1), axis=1)
    offset = np.take_along_axis(inside, number[:, None, None], axis=1)[:, 0]
    photo_size = mosaic.image_size[::-1] if mosaic.transposed else mosaic.image_size
    positions = scale_points(offset, sizes[number], np.array(photo_size))
    return positions[:, ::-1] if mosaic.transposed else positions, number


def scale_points(
    points: Float[np.ndarray, "n 2"] | Int[np.ndarray, "n 2"],
    size: Int[np.ndarray, "... 2"],
    other: Int[np.ndarray, "... 2"],
) -> Float[np.ndarray, "n 2"]:
    """Return where points of an image of one size lie after it is resized to another.

    A point ``p`` of an image of height ``h`` comes to ``(p + 1/2) H / h - 1/2`` at height ``H``: resizing
    keeps edges, not pixel centers, in place.
    """
    return (points + 0.5) * other / size - 0.5


def upsample_map(
    level: Float[np.ndarray, "y x"], size: tuple[int, int], other: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """Spread a level's map over an image, each cell's value at the pixel that the cell looks at.

    Linear in between, so that a map is highest where a cell is, and nowhere beyond the cells' values.

    Args:
        level: A value a cell.
        size: ``(height, width)`` of the level in its pixels: cell ``i`` looks at pixel ``16 i``.
        other: ``(height, width)`` of the image.
    """
    # In Pillow's coordinates, where cell i reaches from i to i + 1; the last ones are repeated, as
    # the level may end up to 15 pixels after its last cell's center.
    padded = Image.fromarray(np.pad(level, ((0, 1), (0, 1)), mode="edge").astype(np.float32))
    start, (bottom, right) = 0.5 - 0.5 / STRIDE, (0.5 + (side - 0.5) / STRIDE for side in size)
    box = (start, start, right, bottom)
    return np.asarray(padded.resize(other[::-1], Image.Resampling.BILINEAR, box=box))


def merge_levels(
    maps: Sequence[Float[np.ndarray, "_ _"]],
    sizes: Int[np.ndarray, "levels 2"],
    image_size: tuple[int, int],
) -> Float[np.ndarray, "h w"]:
    """Spread every level's map over an image, and keep the highest value of each pixel.

    Args:
        maps: A map a level.
        sizes: ``(height, width)`` of each level, in its pixels.
        image_size: ``(height, width)`` of the image.
    """
    spread = [
        upsample_map(level, tuple(size), image_size)
        for level, size in zip(maps, sizes.tolist(), strict=True)
    ]
    return np.max(spread, axis=0)


def split_levels(
    mosaic: Mosaic, values: Float[np.ndarray, "y x"]
) -> list[Float[np.ndarray, "_ _"]]:
    """Cut a map over the whole mosaic into one upright map a level, of ``ceil(side / 16)`` cells."""
    maps = []
    for top, left, height, width in -(-mosaic.levels // STRIDE):
        level = values[top : top + height, left : left + width]
        maps.append(level.T if mosaic.transposed else level)
    return maps
