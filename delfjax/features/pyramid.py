"""Resize a photo to the levels of an image pyramid, and place all levels on one image, the mosaic.

The paper uses seven scales from 0.25 to 2 (Sec. 4.1). The network runs once on the mosaic instead
of once per level, and masks the area between the levels. Mosaics have only a few sizes, so photos
of all sizes share a few compiled programs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped, UInt8
from PIL import Image

from delfjax.models.resnet import CELL_CENTER, CELL_END, Padding
from delfjax.ranges import PIXELS, SCALE, check_fields
from delfjax.types import Photo

PAPER_SCALES = tuple(2.0 ** (step / 2) for step in range(-4, 3))  # Sec. 4.1; official configuration
RESAMPLING = Image.Resampling.BILINEAR  # Pillow filters against aliasing when it shrinks
STRIDE = 16  # pixels between two cells: the stride of conv4 in every ResNet of delfjax.models

Resizing = Literal["antialiased", "tensorflow1"]

# Sizes of mosaics; not in the paper.
ASPECT_RATIOS = (9 / 16, 2 / 3, 3 / 4, 1.0)  # short to long side, as cameras have them
SIZE_FRACTIONS = (1.0, 0.75, 0.5, 0.25)  # long side to PyramidConfig.longest


@dataclass(frozen=True, kw_only=True)
class PyramidConfig:
    """Settings of the image pyramid, which consists of resized copies (levels) of a photo.

    Attributes:
        scales: Factors by which the photo is resized, one per level, 0.01 to 16.
        longest: Maximum length of the longer side of a photo, 16 to 16,384 pixels. Larger photos are
            shrunk before ``scales`` are applied. The default is the size of Oxford and Paris photos.
        resizing: ``"antialiased"`` is bilinear with a filter against aliasing. ``"tensorflow1"`` is
            bilinear without a filter, and aligns the top left pixels of both images. Resizing and
            positions are then as in the official code of 2017.
    """

    scales: tuple[float, ...] = PAPER_SCALES
    longest: int = 1024
    resizing: Resizing = field(default="antialiased", metadata={"missing": "antialiased"})

    def __post_init__(self) -> None:
        check_fields(self, scales=SCALE, longest=PIXELS)


@dataclass(frozen=True, eq=False)
class Mosaic:
    """One image that contains all pyramid levels (resized copies) of a photo.

    Attributes:
        pixels: RGB values from 0 to 255, whole numbers if the levels are antialiased. Pixels between
            the levels are 0.
        levels: ``(top, left, height, width)`` of each level, in pixels of the mosaic.
        scales: Scale of each level.
        image_size: ``(height, width)`` of the original photo in pixels.
        transposed: Whether rows and columns of the levels are swapped. Portrait photos are
            transposed, so that they share the compiled programs of landscape photos.
        base_size: ``(height, width)`` of the level of scale 1, transposed if the levels are.
        resizing: How the levels were resized.
        padding: Padding of the network. With ``"tensorflow"``, a level with an odd side starts one
            pixel later. So all cell centers are at pixels ``16 n + 3`` of the mosaic.
    """

    pixels: UInt8[np.ndarray, "h w 3"] | Float32[np.ndarray, "h w 3"]
    levels: Int[np.ndarray, "levels 4"]
    scales: tuple[float, ...]
    image_size: tuple[int, int]
    transposed: bool
    base_size: tuple[int, int]
    resizing: Resizing
    padding: Padding


def build_mosaic(photo: Photo, config: PyramidConfig, padding: Padding = "symmetric") -> Mosaic:
    """Resize a photo to all levels of its pyramid, and place them on one image.

    ``padding`` is the padding of the network that will run on the mosaic.
    """
    check_photo(photo)
    image_size = photo.shape[:2]
    transposed = image_size[0] > image_size[1]
    landscape = photo.transpose(1, 0, 2) if transposed else photo
    base = limit_size(landscape.shape[:2], config.longest)
    shape, corners = pack_levels(bucket_size(base, config.longest), config.scales)
    sizes = level_sizes(base, config)
    starts = np.array(corners) + CELL_CENTER[padding] - first_centers(sizes, padding)
    levels = np.column_stack([starts, sizes]).astype(np.int32)
    antialiased = config.resizing == "antialiased"
    pixels = np.zeros((*shape, 3), np.uint8 if antialiased else np.float32)
    source = Image.fromarray(np.ascontiguousarray(landscape)).resize(base[::-1], RESAMPLING)
    for top, left, height, width in levels.tolist():
        pixels[top : top + height, left : left + width] = (
            source.resize((width, height), RESAMPLING)
            if antialiased
            else _interpolate(np.asarray(source, np.float32), (height, width))
        )
    return Mosaic(
        pixels, levels, config.scales, image_size, transposed, base, config.resizing, padding
    )


def _interpolate(
    image: Float32[np.ndarray, "_ _ 3"], size: tuple[int, int]
) -> Float32[np.ndarray, "_ _ 3"]:
    """Resize an image like ``tf.image.resize_bilinear`` of TensorFlow 1, without a filter."""
    for axis, count in enumerate(size):
        side = image.shape[axis]
        places = np.arange(count, dtype=np.float32) * np.float32(side / count)
        before = places.astype(int)
        weights = np.expand_dims(places - before.astype(np.float32), (1 - axis, 2))
        first = image.take(before, axis)
        image = first + weights * (image.take(np.minimum(before + 1, side - 1), axis) - first)
    return image


def check_photo(photo: object) -> None:
    """Raise a `ValueError` if an array is not of type uint8 and shape ``(height, width, 3)``."""
    shape: tuple[int, ...] = getattr(photo, "shape", ())
    kind = getattr(photo, "dtype", type(photo).__name__)
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or kind != np.uint8:
        raise ValueError(
            f"found the type {kind} and the shape {shape}; expected a photo, an array of type uint8 and "
            "shape (height, width, 3). Fix: read the photo with delfjax.read_image"
        )


def limit_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Shrink a ``(height, width)`` in proportion, so that no side exceeds ``longest`` pixels."""
    return level_size(size, shrink_factor(size, longest))


def shrink_factor(size: tuple[int, int], longest: int) -> float:
    """Return the factor, at most 1, by which a photo of ``(height, width)`` is shrunk."""
    return min(1.0, longest / max(size))


def level_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Multiply a ``(height, width)`` by a scale. Round to whole pixels, at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def level_sizes(image_size: tuple[int, int], config: PyramidConfig) -> Int[np.ndarray, "levels 2"]:
    """Return the ``(height, width)`` in pixels of each pyramid level of a photo."""
    base = limit_size(image_size, config.longest)
    return np.array([level_size(base, scale) for scale in config.scales])


def bucket_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the smallest of a few fixed sizes ``(height, width)`` for a landscape photo of ``size``.

    ``longest`` is the maximum length of the longer side of all photos.
    """
    height, width = size
    long_side = min(
        side for fraction in SIZE_FRACTIONS if (side := math.ceil(longest * fraction)) >= width
    )
    sides = [math.ceil(long_side * ratio) for ratio in ASPECT_RATIOS]
    return min(side for side in sides if side >= height), long_side


@lru_cache(maxsize=256)
def pack_levels(
    size: tuple[int, int], scales: tuple[float, ...]
) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]]:
    """Place the pyramid levels of a photo in a small rectangle. Levels do not overlap.

    ``size`` is the ``(height, width)`` of the photo. Return, in pixels, the ``(height, width)`` of
    the rectangle and the ``(top, left)`` corner of each level. All are multiples of `STRIDE`.
    """
    # Sizes in cells. One more row and column separate a level from the next.
    sizes = [level_size(size, scale) for scale in scales]
    boxes = [(-(-height // STRIDE) + 1, -(-width // STRIDE) + 1) for height, width in sizes]
    widest = max(width for _, width in boxes)
    widths = sorted({widest} | {widest + width for _, width in boxes})
    packings = [_pack_on_shelves(boxes, width) for width in widths]
    (height, width), corners = min(packings, key=lambda packing: packing[0][0] * packing[0][1])
    return (height * STRIDE, width * STRIDE), tuple((y * STRIDE, x * STRIDE) for y, x in corners)


def _pack_on_shelves(
    boxes: list[tuple[int, int]], total_width: int
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Pack boxes ``(height, width)`` on shelves. Return the size and the corner of each box.

    Boxes are placed from large to small. A box is placed into free space below or to the right of
    another box. If it does not fit there, it starts a new shelf below all boxes.
    """
    corners = [(0, 0)] * len(boxes)
    free: list[tuple[int, int, int, int, bool]] = []  # top, left, height, width, below a box?
    total_height = used_width = 0
    for number in sorted(range(len(boxes)), key=lambda n: boxes[n], reverse=True):
        height, width = boxes[number]
        fitting = (i for i, area in enumerate(free) if height <= area[2] and width <= area[3])
        place = next(fitting, len(free))
        if place == len(free):
            free.append((total_height, 0, height, total_width, False))
            total_height += height
        top, left, free_height, free_width, below = free[place]
        corners[number] = top, left
        used_width = max(used_width, left + width)
        column = free_width if below else width
        rest = [] if below else [(top, left + width, free_height, free_width - width, False)]
        free[place : place + 1] = [(top + height, left, free_height - height, column, True), *rest]
    return (total_height, used_width), corners


def cell_positions(
    mosaic: Mosaic, cells: Int[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, " n"]]:
    """Convert cells ``(row, column)`` of the feature map of a mosaic to positions in the photo.

    Return the center ``(y, x)`` of the receptive field of each cell, in pixels of the original
    photo, and the index of the pyramid level of each cell.
    """
    corners, sizes = mosaic.levels[:, :2], mosaic.levels[:, 2:]
    offsets = cells[:, None] * STRIDE + CELL_CENTER[mosaic.padding] - corners
    number = np.argmax(((offsets >= 0) & (offsets < sizes)).all(-1), axis=1)
    offset = np.take_along_axis(offsets, number[:, None, None], axis=1)[:, 0]
    photo_size = mosaic.image_size[::-1] if mosaic.transposed else mosaic.image_size
    if mosaic.resizing == "antialiased":
        positions = scale_points(offset, sizes[number], photo_size)
    else:
        scales = np.array(mosaic.scales)[number, None]
        positions = offset / scales * (np.array(photo_size) / mosaic.base_size)
    return positions[:, ::-1] if mosaic.transposed else positions, number


def scale_points(
    points: Float[np.ndarray, "n 2"] | Int[np.ndarray, "n 2"],
    from_size: Int[np.ndarray, "... 2"] | tuple[int, int],
    to_size: Int[np.ndarray, "... 2"] | tuple[int, int],
) -> Float[np.ndarray, "n 2"]:
    """Return where points ``(y, x)`` lie after an image of ``from_size`` is resized to ``to_size``.

    Resizing keeps the edges of an image in place, not the centers of its corner pixels. The row
    ``y`` at height ``h`` becomes the row ``(y + 1/2) H / h - 1/2`` at height ``H``.
    """
    return np.asarray((points + 0.5) * to_size / from_size - 0.5)


def merge_levels(
    maps: Sequence[Float[np.ndarray, "_ _"]],
    sizes: Int[np.ndarray, "levels 2"],
    image_size: tuple[int, int],
    padding: Padding = "symmetric",
) -> Float[np.ndarray, "h w"]:
    """Upsample one map per pyramid level to the size of an image. Return the maximum at each pixel.

    Maps are interpolated bilinearly. ``sizes`` holds the ``(height, width)`` of each level in pixels.
    ``padding`` is the padding of the network, on which the centers of the cells depend.
    """
    upsampled = []
    for values, size, first in zip(maps, sizes, first_centers(sizes, padding), strict=True):
        if not values.size:  # with the padding of TensorFlow, a side of 5 pixels has no cells
            upsampled.append(np.zeros(image_size, np.float32))
            continue
        # The last row and column are repeated, because a level can extend up to 15 pixels beyond
        # the center of its last cell.
        padded = np.pad(values, ((0, 1), (0, 1)), mode="edge").astype(np.float32)
        # In Pillow's coordinates, cell i extends from i to i + 1.
        top, left = (0.5 - (0.5 + first) / STRIDE).tolist()
        bottom, right = (np.array([top, left]) + size / STRIDE).tolist()
        box = (left, top, right, bottom)
        level = Image.fromarray(padded).resize(image_size[::-1], RESAMPLING, box=box)
        upsampled.append(np.asarray(level))
    return np.asarray(np.max(upsampled, axis=0))


def split_levels(
    mosaic: Mosaic, values: Shaped[np.ndarray, "y x"]
) -> list[Shaped[np.ndarray, "_ _"]]:
    """Cut the feature map of a mosaic into one map per pyramid level, oriented like the photo."""
    maps = [
        values[top : top + height, left : left + width]
        for top, left, height, width in level_cells(mosaic)
    ]
    return [each.T for each in maps] if mosaic.transposed else maps


def level_cells(mosaic: Mosaic) -> Int[np.ndarray, "levels 4"]:
    """Return ``(top, left, height, width)`` of each level, in cells of the feature map."""
    start, end = mosaic.levels[:, :2], mosaic.levels[:, :2] + mosaic.levels[:, 2:]
    first, last = start // STRIDE, -((CELL_END[mosaic.padding] - end) // STRIDE)
    return np.column_stack([first, last - first])


def first_centers(sizes: Int[np.ndarray, "... 2"], padding: Padding) -> Int[np.ndarray, "... 2"]:
    """Return the pixel ``(y, x)`` at the center of the first cell of each level.

    The centers of neighboring cells are 16 pixels apart. ``sizes`` holds heights and widths in pixels.
    """
    return CELL_CENTER[padding] - sizes % 2 * (padding == "tensorflow")
