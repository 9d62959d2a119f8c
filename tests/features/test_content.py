"""Content: empty areas have no features, others keep theirs, and photos without features work everywhere."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import draw, extractor, flat, save

import delfjax as dx
from delfjax.features.content import has_content
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import STRIDE, PyramidConfig, build_mosaic, level_size, split_levels
from delfjax.provenance import config_from_dict, config_to_dict

HEIGHT, WIDTH = 120, 160
PYRAMID = PyramidConfig(scales=(0.5, 1.0, 2.0), longest=WIDTH)
CONFIG = ExtractionConfig(pyramid=PYRAMID, max_features=2000)
ALL_CELLS = replace(CONFIG, min_contrast=0)
REACH = 42  # pixels of a level: half a window, the neighbor of a block, the filter of the resizing

colors = st.tuples(*[st.integers(0, 255)] * 3)


def content_maps(photo, min_contrast=1.0):
    mosaic = build_mosaic(photo, PYRAMID)
    found = has_content(mosaic, min_contrast)
    maps = [level > 0 for level in split_levels(mosaic, found.astype(np.float32))]
    assert found.sum() == sum(level.sum() for level in maps)  # nothing between the levels
    return maps


def noise(seed, deviation, mean=128):
    drawn = np.random.default_rng(seed).normal(mean, deviation, (HEIGHT, WIDTH, 3))
    return drawn.clip(0, 255).astype(np.uint8)


def ramp(angle, low, high):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    along = x * np.cos(angle) + y * np.sin(angle)
    along = (along - along.min()) / np.ptp(along)
    return (low + (high - low) * along).round().astype(np.uint8)[..., None].repeat(3, 2)


# --- photos without content


@settings(max_examples=25, deadline=None)
@given(color=colors)
def test_a_flat_photo_has_no_features(color):
    assert not any(
        level.any() for level in content_maps(np.full((HEIGHT, WIDTH, 3), color, np.uint8))
    )


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(0, 6.3), low=st.integers(0, 255), high=st.integers(0, 255))
def test_a_linear_gradient_has_no_features(angle, low, high):
    assert not any(level.any() for level in content_maps(ramp(angle, low, high)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), deviation=st.floats(1, 4), mean=st.integers(5, 250))
def test_the_noise_of_a_camera_has_hardly_any_features(seed, deviation, mean):
    maps = content_maps(noise(seed, deviation, mean))
    assert sum(level.sum() for level in maps) <= 0.05 * sum(level.size for level in maps)


@settings(max_examples=25, deadline=None)
@given(
    color=colors,
    seed=st.integers(0, 99),
    corner=st.tuples(st.integers(0, 89), st.integers(0, 119)),
    size=st.tuples(st.integers(8, 60), st.integers(8, 60)),
    upright=st.booleans(),
)
def test_a_photo_on_a_flat_canvas_has_no_features_away_from_it(color, seed, corner, size, upright):
    canvas = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
    photo = draw(seed, size, block=8)
    canvas[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = photo[
        : HEIGHT - corner[0], : WIDTH - corner[1]
    ]
    first = np.array(corner)
    last = np.minimum(first + size, canvas.shape[:2])
    if upright:
        canvas, first, last = canvas.transpose(1, 0, 2), first[::-1], last[::-1]
    for scale, level in zip(PYRAMID.scales, content_maps(canvas), strict=True):
        cells = STRIDE * np.argwhere(level)
        outside = np.maximum(scale * first - cells, cells + 1 - scale * last)
        assert (outside <= REACH).all()


# --- the selection


def content_by_definition(photo, scale, min_contrast):
    """Compute the content of one pyramid level, cell by cell."""
    mosaic = build_mosaic(photo, PyramidConfig(scales=(scale,), longest=WIDTH))
    top, left, height, width = mosaic.levels[0]
    gray = mosaic.pixels[top : top + height, left : left + width].astype(float).mean(-1)

    block = 8
    rows, columns = height // block, width // block
    means = gray[: rows * block, : columns * block]
    means = means.reshape(rows, block, columns, block).mean((1, 3))
    places, squares = [], []
    for lines in (means, means.T):
        curvature = lines[:, :-2] - 2 * lines[:, 1:-1] + lines[:, 2:]
        at = block * (np.argwhere(np.ones_like(curvature)) + (0, 1))
        places.append(at if lines is means else at[:, ::-1])
        squares.append(curvature.ravel() ** 2 / 6)
    places, squares = np.concatenate(places), np.concatenate(squares)

    cells = np.zeros((-(-height // STRIDE), -(-width // STRIDE)), bool)
    for cell in np.ndindex(cells.shape):
        away = places - STRIDE * np.array(cell)
        near = ((away >= -2 * STRIDE) & (away < 2 * STRIDE)).all(1)
        cells[cell] = squares[near].mean() > min_contrast**2
    return cells


def test_the_content_of_a_level_agrees_with_its_definition_whatever_lies_beside_it():
    photo = ramp(0.5, 0, 255)
    photo[30:70, 20:90] = draw(1, (40, 70), block=9)
    photo[80:] = noise(2, 30)[80:]
    maps = content_maps(photo, 2.0)
    for scale, level in zip(PYRAMID.scales, maps, strict=True):
        np.testing.assert_array_equal(level, content_by_definition(photo, scale, 2.0))
        assert 0 < level.mean() < 1 or scale < 1


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (WIDTH, HEIGHT)])
def test_the_selected_cells_are_those_with_content(size):
    photo = np.full((*size, 3), 90, np.uint8)
    photo[10:80, 20:90] = draw(3, (70, 70), block=16)
    kept, everything = extractor(CONFIG)(photo), extractor(ALL_CELLS)(photo)
    levels = np.searchsorted(np.float32(PYRAMID.scales), everything.scales)
    sizes = np.array([level_size(size, scale) for scale in PYRAMID.scales])[levels]
    cells = ((everything.positions + 0.5) * sizes / size - 0.5) / STRIDE
    maps = content_maps(photo)
    expected = [
        maps[n][tuple(cell)] for n, cell in zip(levels, cells.round().astype(int), strict=True)
    ]
    assert 0 < len(kept) < len(everything)
    for name in ("positions", "scales", "scores", "descriptors"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(everything, name)[expected])


def test_a_photo_full_of_content_keeps_its_cells():
    maps = content_maps(draw(4, (HEIGHT, WIDTH), block=16))
    assert all(level.all() for level in maps)


# --- photos without features


@pytest.mark.parametrize("count", [0, 1, 5])
def test_photos_with_few_features_or_none_can_be_matched(count):
    full = extractor(CONFIG)(draw(4, (HEIGHT, WIDTH), block=16))
    # More than 40 dimensions, so that matching alone would fit a PCA.
    wide = full.with_descriptors(np.tile(full.descriptors, 2))
    few = wide[:count]
    assert wide.descriptors.shape[1] > dx.PCAConfig().dimensions
    for pair in (dx.match(few, few), dx.match(few, wide), dx.match(wide, few)):
        assert len(pair.matches) <= count
    same = dx.match(few, few)
    assert len(same.matches) == count
    assert same.num_inliers == (count if count >= 3 else 0)


def test_a_flat_photo_can_be_stored_searched_and_matched(tmp_path):
    flat(tmp_path / "photos", 3)
    save(tmp_path / "photos" / "empty.png", np.full((48, 64, 3), 200, np.uint8))
    model = extractor(
        replace(CONFIG, pyramid=PyramidConfig(scales=(2.0, 4.0), longest=64), max_features=60)
    )
    store = dx.extract_folder(
        model, tmp_path / "photos", tmp_path / "store", config=dx.PCAConfig(dimensions=4)
    )
    assert not store.report.failed
    assert len(store.read("empty.png")) == 0
    search = dx.SearchConfig()
    database = search.load_database(store, store.names)
    searcher = dx.Searcher(database, dx.IndexConfig().build(database.descriptors), search)
    nothing = searcher(store.read("empty.png")).ranking
    assert nothing.inliers.max(initial=0) <= 0
    assert nothing.votes.max(initial=0) == 0
    best = searcher(store.read("1.png")).ranking.images[0]
    assert store.names[best] == "1.png"


@pytest.mark.weights
def test_two_pictures_on_white_canvases_have_few_inliers(imagenet):
    photos = []
    for block, height, width in ((14, 140, 120), (30, 110, 150)):
        photo = np.full((240, 320, 3), 255, np.uint8)
        photo[50 : 50 + height, 90 : 90 + width] = draw(block, (height, width), block=block)
        photos.append(photo)
    config = dx.ExtractionConfig(pyramid=dx.PyramidConfig(longest=160), max_features=100)
    model = Extractor(imagenet())
    inliers = {}
    for contrast in (0.0, None):
        features = map(model.with_config(replace(config, min_contrast=contrast)), photos)
        ransac = dx.RansacConfig(scale_aware=False)  # with scales, both numbers are smaller
        pair = dx.match(*features, ransac=ransac)
        inliers[contrast] = pair.num_inliers
    assert pair.verdict.label != "same place"  # of the features with content
    assert inliers[None] < inliers[0.0] / 3, inliers


# --- the configuration


def test_configurations_without_the_field_had_none_and_are_saved_as_before():
    saved = asdict(CONFIG)
    for later in ("min_contrast", "min_score", "cell_step"):
        del saved[later]
    del saved["pyramid"]["resizing"]
    old = config_from_dict(ExtractionConfig, json.loads(json.dumps(saved)))
    assert old == ALL_CELLS
    assert config_to_dict(old) == saved
    assert config_from_dict(ExtractionConfig, config_to_dict(CONFIG)) == CONFIG
    assert extractor(CONFIG).config.min_contrast == 1
    # Evaluations follow the paper.
    assert dx.RunConfig(extraction=CONFIG).extraction == ALL_CELLS
    assert "min_contrast" not in dx.RunConfig().to_dict()["extraction"]
    run = dx.RunConfig(extraction=CONFIG)
    assert dx.RunConfig.from_dict(run.to_dict()) == run


def test_a_contrast_out_of_range_is_refused():
    with pytest.raises(ValueError, match="min_contrast"):
        ExtractionConfig(min_contrast=float("inf"))
