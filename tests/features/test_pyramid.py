"""Image pyramid: packing of levels, sizes of mosaics, and positions of cells on the photo."""

from itertools import combinations
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import draw

from delfjax.features.pyramid import (
    ASPECT_RATIOS,
    PAPER_SCALES,
    SIZE_FRACTIONS,
    STRIDE,
    Mosaic,
    PyramidConfig,
    _interpolate,
    bucket_size,
    build_mosaic,
    cell_positions,
    check_photo,
    level_size,
    level_sizes,
    limit_size,
    merge_levels,
    pack_levels,
    scale_points,
    split_levels,
)

quick = settings(max_examples=40, deadline=None)
sides = st.integers(1, 400)
scale_lists = st.lists(st.floats(0.2, 2.5), min_size=1, max_size=8).map(tuple)


@st.composite
def landscape_sizes(draw, longest: int) -> tuple[int, int]:
    """Draw a size with at least as many columns as rows."""
    width = draw(st.integers(1, longest))
    return draw(st.integers(1, width)), width


def check_packing(shape, levels) -> None:
    """Check that levels start at whole cells, and that two levels are at least one cell apart."""
    assert shape[0] % STRIDE == shape[1] % STRIDE == 0
    for top, left, height, width in levels:
        assert top % STRIDE == left % STRIDE == 0
        assert 0 <= top < top + height <= shape[0]
        assert 0 <= left < left + width <= shape[1]
    for (y, x, height, width), (v, u, rows, columns) in combinations(levels, 2):
        gaps = v - (y + height), y - (v + rows), u - (x + width), x - (u + columns)
        assert max(gaps) >= STRIDE


def valid_cells(mosaic: Mosaic) -> np.ndarray:
    """Return every cell of every level, level by level, row by row."""
    cells = []
    for top, left, height, width in mosaic.levels:
        rows, columns = np.indices((ceil(height / STRIDE), ceil(width / STRIDE))).reshape(2, -1)
        cells.append(np.stack([rows + top // STRIDE, columns + left // STRIDE], axis=1))
    return np.concatenate(cells)


# --- packing


@quick
@given(st.tuples(sides, sides), scale_lists)
def test_levels_start_at_cells_and_do_not_touch(size, scales):
    shape, corners = pack_levels(size, scales)
    sizes = [level_size(size, scale) for scale in scales]
    check_packing(shape, [(*c, *s) for c, s in zip(corners, sizes, strict=True)])


@pytest.mark.parametrize("aspect", ASPECT_RATIOS)
def test_mosaics_have_little_empty_area(aspect):
    size = ceil(1024 * aspect), 1024
    (height, width), _ = pack_levels(size, PAPER_SCALES)
    used = sum(np.prod(level_size(size, scale)) for scale in PAPER_SCALES)
    assert used < height * width < 1.16 * used


@quick
@given(st.tuples(st.integers(1, 150), st.integers(1, 150)), scale_lists, st.integers(20, 100))
def test_every_photo_fits_the_mosaic_of_its_bucket(size, scales, longest):
    photo = np.full((*size, 3), 255, np.uint8)
    mosaic = build_mosaic(photo, PyramidConfig(scales=scales, longest=longest))
    check_packing(mosaic.pixels.shape, mosaic.levels.tolist())
    base = limit_size(tuple(sorted(size)), longest)
    assert mosaic.levels[:, 2:].tolist() == [list(level_size(base, scale)) for scale in scales]
    assert (mosaic.transposed, mosaic.image_size) == (size[0] > size[1], size)
    assert (mosaic.pixels == 255).all(-1).sum() == mosaic.levels[:, 2:].prod(1).sum()
    assert (mosaic.pixels == 0).all(-1).sum() + (mosaic.pixels == 255).all(-1).sum() == (
        mosaic.pixels[..., 0].size
    )


# --- buckets


@quick
@given(st.data(), st.integers(16, 2048))
def test_a_photo_fits_its_bucket_and_a_larger_photo_has_no_smaller_bucket(data, longest):
    size = data.draw(landscape_sizes(longest))
    found = bucket_size(size, longest)
    assert size[0] <= found[0] <= found[1] <= longest
    assert size[1] <= found[1]
    higher = data.draw(st.integers(size[0], size[1])), size[1]
    assert bucket_size(higher, longest)[0] >= found[0]
    wider = size[0], data.draw(st.integers(size[1], longest))
    assert bucket_size(wider, longest)[1] >= found[1]
    # The height alone may decrease: 512 x 512 needs 512 rows, 400 x 513 needs 432 rows of 768.
    assert np.prod(bucket_size(wider, longest)) >= np.prod(found)
    assert bucket_size(found, longest) == found


def test_photos_of_all_sizes_share_sixteen_mosaic_sizes():
    ends = [*range(1, 1024, 9), 1024]
    found = {bucket_size((h, w), 1024) for w in ends for h in ends if h <= w}
    assert len(found) == len(SIZE_FRACTIONS) * len(ASPECT_RATIOS) == 16
    # Photos of a camera are all larger than `longest` and share four.
    assert {bucket_size((h, 1024), 1024) for h in range(1, 1025)} == {
        (576, 1024),
        (683, 1024),
        (768, 1024),
        (1024, 1024),
    }


# --- sizes


def test_level_sizes_are_rounded_and_at_least_one_pixel():
    assert level_size((30, 41), 0.5) == (15, 20)  # 20.5 is rounded to even
    assert level_size((31, 43), 0.5) == (16, 22)  # 15.5, 21.5
    assert level_size((100, 101), 2**0.5) == (141, 143)
    assert level_size((1, 3), 0.25) == (1, 1)


# Oracle O11: a photo size, the maximum size, a scale factor, and the resulting size.
# Rows of options that we do not have are left out (a minimum size, squares), as are rows in which the
# factor has no effect without a maximum size: our scales always apply.
@pytest.mark.parametrize(
    ("size", "longest", "factor", "expected"),
    [
        ((4, 2), 10**6, 1, (4, 2)),
        ((4, 2), 2, 1, (2, 1)),
        ((4, 2), 8, 1, (4, 2)),  # photos are never enlarged
        ((4, 2), 2, 2, (4, 2)),
        ((3, 2), 2, 1, (2, 1)),  # rounded: by 0.666 and by 0.5
    ],
)
def test_sizes_agree_with_the_official_code(size, longest, factor, expected):
    assert level_size(limit_size(size, longest), factor) == expected
    assert level_size(limit_size(size[::-1], longest), factor) == expected[::-1]


@quick
@given(st.tuples(sides, sides), st.integers(1, 300))
def test_photos_are_shrunk_in_proportion_and_never_enlarged(size, longest):
    found = limit_size(size, longest)
    assert max(found) == min(longest, max(size))
    if max(size) <= longest:
        assert found == size
    factor = max(found) / max(size)
    assert all(abs(a - max(1, b * factor)) <= 0.5 for a, b in zip(found, size, strict=True))


def test_number_of_cells_of_a_photo():
    """A photo of 1024 x 768 has 24,463 cells. Oracle O16 has 24,429: 34 fewer, all at scale 0.707.

    That level has 724 x 543 pixels, which are 45.25 x 33.9 cells. O16 rounds to 45 x 34 cells. We round
    up to 46 x 34, because the center of the last cell lies inside the photo.
    """
    sizes = [level_size((768, 1024), scale) for scale in PAPER_SCALES]
    cells = [ceil(h / STRIDE) * ceil(w / STRIDE) for h, w in sizes]
    assert cells == [192, 391, 768, 1530 + 34, 3072, 6188, 12288]
    assert sum(cells) == 24_463
    rounded = [round(768 * s / STRIDE) * round(1024 * s / STRIDE) for s in PAPER_SCALES]
    assert sum(rounded) == 24_429


# --- positions of cells on the photo


def ramp(height: int, width: int) -> np.ndarray:
    """Return a photo whose red value is the column and whose green value is the row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("longest", [300, 120])
@pytest.mark.parametrize("size", [(160, 230), (230, 160), (200, 200), (37, 211)])
def test_cell_positions_agree_with_the_pixels_of_the_mosaic(size, longest):
    """The color of each pixel of the mosaic encodes its position on the photo."""
    photo = ramp(*size)
    mosaic = build_mosaic(photo, PyramidConfig(longest=longest))
    cells = valid_cells(mosaic)
    positions, levels = cell_positions(mosaic, cells)
    seen = mosaic.pixels[tuple((STRIDE * cells).T)][:, [1, 0]].astype(float)
    # Near the border, a resized pixel has the color of a position that is farther inside.
    factor = mosaic.levels[levels, 2:].max(1) / max(size)
    support = np.maximum(1, 1 / factor)[:, None]
    inner = (positions >= support) & (positions <= np.array(size) - 1 - support)
    assert inner.mean() > 0.5
    assert np.abs(seen - positions)[inner].max() <= 1.05  # colors are rounded twice
    assert (np.abs(seen - positions) <= 1 + support).all()


@quick
@given(st.tuples(st.integers(1, 150), st.integers(1, 150)), scale_lists, st.sampled_from([30, 100]))
def test_positions_lie_inside_the_photo(size, scales, longest):
    mosaic = build_mosaic(
        np.zeros((*size, 3), np.uint8), PyramidConfig(scales=scales, longest=longest)
    )
    cells = valid_cells(mosaic)
    positions, levels = cell_positions(mosaic, cells)
    assert ((positions >= -0.5) & (positions <= np.array(size) - 0.5)).all()
    per_level = [ceil(h / STRIDE) * ceil(w / STRIDE) for h, w in mosaic.levels[:, 2:]]
    assert np.bincount(levels, minlength=len(scales)).tolist() == per_level


def test_resizing_keeps_edges_in_place():
    """At half size, the first pixel covers pixels 0 and 1 of the photo. Its center is at 1/2."""
    mosaic = build_mosaic(draw(0, (64, 96)), PyramidConfig(scales=(0.5, 1.0, 2.0), longest=96))
    corners = mosaic.levels[:, :2] // STRIDE
    positions, levels = cell_positions(mosaic, corners)
    np.testing.assert_allclose(positions, [[0.5, 0.5], [0, 0], [-0.25, -0.25]])
    assert levels.tolist() == [0, 1, 2]
    second, _ = cell_positions(mosaic, corners + 1)
    np.testing.assert_allclose(second - positions, [[32, 32], [16, 16], [8, 8]])


@pytest.mark.parametrize("size", [(60, 100), (100, 60), (64, 64), (17, 100)])
def test_maps_are_split_into_levels_in_the_orientation_of_the_photo(size):
    scales = (0.5, 1.0, 1.7)
    mosaic = build_mosaic(draw(1, size), PyramidConfig(scales=scales, longest=200))
    cells = valid_cells(mosaic)
    positions, _ = cell_positions(mosaic, cells)
    shape = tuple(side // STRIDE for side in mosaic.pixels.shape[:2])
    where = np.full((2, *shape), np.nan)
    where[:, *cells.T] = positions.T
    for scale, rows, columns in zip(scales, *(split_levels(mosaic, w) for w in where), strict=True):
        height, width = level_size(size, scale)
        assert rows.shape == columns.shape == (ceil(height / STRIDE), ceil(width / STRIDE))
        at_rows = (STRIDE * np.arange(rows.shape[0]) + 0.5) * size[0] / height - 0.5
        at_columns = (STRIDE * np.arange(rows.shape[1]) + 0.5) * size[1] / width - 0.5
        np.testing.assert_allclose(rows, at_rows[:, None].repeat(rows.shape[1], 1))
        np.testing.assert_allclose(columns, at_columns[None].repeat(rows.shape[0], 0))


def test_upright_photos_are_transposed():
    photo = draw(2, (90, 50))
    upright, landscape = (
        build_mosaic(np.ascontiguousarray(p), PyramidConfig(longest=90))
        for p in (photo, photo.swapaxes(0, 1))
    )
    assert upright.transposed
    assert not landscape.transposed
    np.testing.assert_array_equal(upright.pixels, landscape.pixels)
    np.testing.assert_array_equal(upright.levels, landscape.levels)
    cells = valid_cells(landscape)
    np.testing.assert_array_equal(
        cell_positions(upright, cells)[0], cell_positions(landscape, cells)[0][:, ::-1]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest": 0}, "longest is 0; expected a whole number of at least 1"),
        ({"scales": ()}, r"scales is \(\); expected a tuple of at least one number"),
        ({"scales": (1.0, -0.5)}, "expected each to be a number of at least 0.01"),
    ],
)
def test_invalid_configurations_raise(options, message):
    with pytest.raises(ValueError, match=message):
        PyramidConfig(**options)


# --- conversions between a level and an image


@quick
@given(size=st.tuples(sides, sides), other=st.tuples(sides, sides))
def test_scaling_points_keeps_corners_and_can_be_inverted(size, other):
    corners = np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5], [3.0, 4.0]])
    moved = scale_points(corners, np.array(size), np.array(other))
    np.testing.assert_allclose(moved[:2], [[-0.5, -0.5], [other[0] - 0.5, other[1] - 0.5]])
    np.testing.assert_allclose(scale_points(moved, np.array(other), np.array(size)), corners)


@pytest.mark.parametrize("size", [(48, 64), (70, 41), (100, 151)])
def test_level_sizes_agree_with_the_mosaic(size):
    config = PyramidConfig(longest=96)
    mosaic = build_mosaic(draw(0, size), config)
    sizes = mosaic.levels[:, 2:]
    expected = sizes[:, ::-1] if mosaic.transposed else sizes
    np.testing.assert_array_equal(level_sizes(size, config), expected)


@pytest.mark.parametrize("size", [(48, 64), (33, 50), (16, 1), (47, 81)])
@pytest.mark.parametrize("factor", [1, 3])
def test_an_upsampled_map_has_each_value_at_the_center_of_its_cell(size, factor):
    cells = tuple(-(-side // STRIDE) for side in size)
    level = np.random.default_rng(0).normal(0, 1, cells).astype(np.float32)
    upsampled = merge_levels([level], np.array([size]), (factor * size[0], factor * size[1]))
    assert upsampled.shape == (factor * size[0], factor * size[1])
    # With an odd factor, a pixel of the image lies at the center of each pixel of the level.
    middle = factor // 2
    np.testing.assert_allclose(
        upsampled[middle :: STRIDE * factor, middle :: STRIDE * factor], level, atol=1e-3
    )


def test_merged_levels_have_the_maximum_of_each_pixel():
    random = np.random.default_rng(0)
    sizes = np.array([(24, 33), (47, 66)])
    maps = [random.normal(0, 1, -(-size // STRIDE)) for size in sizes]
    merged = merge_levels(maps, sizes, (48, 64))
    each = [merge_levels([maps[n]], sizes[n : n + 1], (48, 64)) for n in (0, 1)]
    np.testing.assert_array_equal(merged, np.maximum(*each))
    assert 0.1 < (merged == each[0]).mean() < 0.9
    np.testing.assert_allclose(merged.max(), max(level.max() for level in maps), atol=0.1)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((40, 50), np.uint8),
        np.zeros((40, 50, 4), np.uint8),
        np.zeros((40, 50, 3), np.float32),
        np.zeros((0, 50, 3), np.uint8),
        "photo.jpg",
    ],
)
def test_an_array_that_is_no_rgb_photo_is_refused(photo):
    with pytest.raises(ValueError, match="expected a photo, an array of type uint8"):
        check_photo(photo)


# --- resizing of the official code


def test_resizing_of_tensorflow_1_interpolates_without_a_filter():
    row = np.array([0, 10, 20, 30], np.float32)
    photo = np.broadcast_to(row[None, :, None], (2, 4, 3))
    expected = {
        8: [0, 5, 10, 15, 20, 25, 30, 30],  # pixel i is at i / 2, and the last pixel is repeated
        2: [0, 20],
        3: [0, 40 / 3, 80 / 3],
    }
    for width, values in expected.items():
        found = _interpolate(photo, (2, width))
        np.testing.assert_allclose(found, np.broadcast_to(np.array(values)[:, None], found.shape))
        turned = _interpolate(photo.swapaxes(0, 1), (width, 2))
        np.testing.assert_array_equal(turned, found.swapaxes(0, 1))


@pytest.mark.parametrize("size", [(70, 99), (99, 70)])
def test_positions_with_the_resizing_of_tensorflow_1_are_cells_divided_by_the_scale(size):
    scales = (0.5, 0.7, 1.0, 1.3)
    config = PyramidConfig(scales=scales, longest=66, resizing="tensorflow1")
    mosaic = build_mosaic(draw(0, size), config)
    assert mosaic.pixels.dtype == np.float32
    cells = mosaic.levels[:, :2] // STRIDE + [0, 1]
    positions, levels = cell_positions(mosaic, cells)
    assert levels.tolist() == [0, 1, 2, 3]
    # The official code divides by the scale, and then by the factor of the shrunk photo.
    along = 16 / np.array(scales) * 1.5
    order = [0, 1] if size == (70, 99) else [1, 0]
    np.testing.assert_allclose(positions[:, order], np.column_stack([0 * along, along]))
