"""Find the cells of a mosaic that may become features.

A mosaic is one image with all pyramid levels of a photo. A cell is a position of its feature map.
Cells in areas without content, such as plain sky, are left out. Their descriptors depend only on the
distance to the border of the photo, so empty areas of two photos would match.
"""

import numpy as np
from jaxtyping import Bool, Float

from delfjax.features.pyramid import STRIDE, Mosaic, level_cells

BLOCK = 8  # pixels: side of the blocks that are compared. Their means contain little noise
BLOCKS_PER_CELL = STRIDE // BLOCK
WINDOW = 4  # cells: side of the window around a cell


def allowed_cells(mosaic: Mosaic, min_contrast: float, cell_step: int) -> Bool[np.ndarray, "y x"]:
    """Return a mask of the cells of a mosaic that may become features. Others are False.

    ``min_contrast`` and ``cell_step`` are fields of `ExtractionConfig`.
    """
    allowed = np.zeros([side // STRIDE for side in mosaic.pixels.shape[:2]], bool)
    for top, left, height, width in level_cells(mosaic).tolist():
        allowed[top : top + height : cell_step, left : left + width : cell_step] = True
    return allowed & has_content(mosaic, min_contrast) if min_contrast else allowed


def has_content(mosaic: Mosaic, min_contrast: float) -> Bool[np.ndarray, "y x"]:
    """Return for each cell of a mosaic whether its contrast exceeds ``min_contrast`` gray levels.

    The contrast in the 64 x 64 pixels around the center of the cell is the root mean square of
    second differences ``a - 2 b + c``, divided by sqrt(6). ``a``, ``b`` and ``c`` are the means of
    three neighboring blocks of 8 x 8 pixels. The contrast of flat areas and linear gradients is 0.
    """
    sums = _second_differences(mosaic)
    content = np.zeros(sums.shape[1:], bool)
    for top, left, height, width in level_cells(mosaic).tolist():
        # A window must not reach into another level. The receptive field of cell i is centered at
        # pixel 16 i, between two cells before it and two from it on.
        level = np.s_[top : top + height, left : left + width]
        padded = np.pad(sums[:, *level], ((0, 0), (2, 1), (2, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW), (1, 2))
        squares, terms = windows.sum((-2, -1))
        content[level] = squares > min_contrast**2 * np.maximum(terms, 1)
    return content


def _second_differences(mosaic: Mosaic) -> Float[np.ndarray, "2 y x"]:
    """Return for each cell the sum of the squared second differences, and their number."""
    valid = np.zeros(mosaic.pixels.shape[:2], bool)
    for top, left, height, width in mosaic.levels.tolist():
        valid[top : top + height, left : left + width] = True
    rows, columns = mosaic.pixels.shape[0] // BLOCK, mosaic.pixels.shape[1] // BLOCK
    # Sums of whole numbers are exact, so the contrast of a flat area is exactly 0.
    sums = mosaic.pixels.reshape(rows, BLOCK, -1).sum(1, dtype=np.float32)
    means = sums.reshape(rows, columns, -1).sum(-1) / (3 * BLOCK**2)
    known = valid.reshape(rows, BLOCK, columns, BLOCK).all((1, 3))
    found = np.zeros((2, rows, columns), np.float32)
    for axis in (0, 1):
        before, here, after = (np.roll(means, shift, axis) for shift in (1, 0, -1))
        # A roll wraps around, but the last row and column of a mosaic belong to no level.
        complete = known & np.roll(known, 1, axis) & np.roll(known, -1, axis)
        found += complete * np.stack([(before - 2 * here + after) ** 2 / 6, np.ones_like(means)])
    cells = (rows // BLOCKS_PER_CELL, BLOCKS_PER_CELL, columns // BLOCKS_PER_CELL, BLOCKS_PER_CELL)
    return np.asarray(found.reshape(2, *cells).sum((2, 4)))
