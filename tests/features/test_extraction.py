"""Extraction: as without the mosaic, in a handful of programs, and the features it says it keeps."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from worlds import SMALL, draw, extractor, fill, head, network

from delfjax.features import extraction
from delfjax.features.extraction import (
    NMS_POOL,
    ExtractionConfig,
    Extractor,
    level_mask,
    non_maximum_suppression,
)
from delfjax.features.pyramid import (
    RESAMPLING,
    STRIDE,
    PyramidConfig,
    bucket_size,
    build_mosaic,
    level_size,
)
from delfjax.images.reading import PhotoError
from delfjax.models.backbone import ResNet, fold_batch_norm
from delfjax.models.resnet import RESNET_TINY

REACH = 67  # pixels: what a conv4 cell of the tiny network sees


@contextmanager
def compilations(function: str) -> Iterator[list[str]]:
    """List the programs that XLA compiles for a jitted function meanwhile."""
    found: list[str] = []

    def listen(event: str, seconds: float, **details: str) -> None:
        if event.endswith("backend_compile_duration") and details["fun_name"] == function:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


# --- few programs


def test_photos_of_two_hundred_sizes_compile_four_programs():
    config = replace(SMALL, pyramid=PyramidConfig(scales=(0.5,), longest=320), max_features=7)
    random = np.random.default_rng(0)
    every = [size for size in product(range(90, 500, 7), repeat=2) if max(size) > 240]
    sizes = [every[number] for number in random.choice(len(every), 200, replace=False)]
    assert {np.sign(h - w) for h, w in sizes} == {-1, 0, 1}
    with compilations("jit(_select)") as programs:
        for size in sizes:
            extractor(config)(np.zeros((*size, 3), np.uint8))
    # One a shape of mosaic. Photos under 3/4 of `longest` use smaller ones: sixteen in all.
    assert len(programs) == 4


def test_programs_are_shared_by_upright_and_wide_photos_and_by_equal_networks():
    photo = draw(0, (50, 64))
    extractor()(photo)
    other = Extractor(network(1), config=SMALL)
    with compilations("jit(_select)") as programs:
        other(photo)
        other(draw(1, (64, 50)))
        other(draw(1, (49, 63)))
    assert not programs


# --- as if every level were a photo of its own


@nnx.jit
def conv4(network, photo):
    return network(photo[None])["conv4"][0]


def without_a_sheet(photo: np.ndarray, scale: float) -> np.ndarray:
    """Conv4 of one level alone: no mosaic, no blank, no photo on its side."""
    # Pillow resizes rows first and rounds in between, so an upright photo is resized on its side:
    # the features would differ by what a rounded gray level makes of them.
    upright = photo.shape[0] > photo.shape[1]
    wide = photo.swapaxes(0, 1) if upright else photo
    size = level_size(wide.shape[:2], scale)[::-1]
    level = np.asarray(Image.fromarray(np.ascontiguousarray(wide)).resize(size, RESAMPLING))
    level = level.swapaxes(0, 1) if upright else level
    return np.asarray(conv4(network(), jnp.asarray(level, jnp.float32)))


SCALES = 0.75, 1.4


@pytest.mark.parametrize("size", [(50, 70), (70, 50)])
def test_features_are_those_of_each_level_alone(size):
    """Neither the blank of the mosaic nor the other levels show, whichever way the photo lies."""
    # Far smaller than its bucket_size, and with sides that are no multiples of a cell.
    assert bucket_size((50, 70), 96) == (54, 72)
    config = ExtractionConfig(pyramid=PyramidConfig(scales=SCALES, longest=96), max_features=999)
    photo = draw(3, size)
    features = extractor(config)(photo)
    total = 0
    for scale in SCALES:
        expected = without_a_sheet(photo, scale)
        rows, columns = expected.shape[:2]
        total += rows * columns
        here = features[features.scales == np.float32(scale)]
        assert len(here) == rows * columns
        level = np.array(level_size(size, scale))
        cells = ((here.positions + 0.5) * level / size - 0.5) / STRIDE
        np.testing.assert_allclose(cells, np.rint(cells), atol=1e-4)
        y, x = np.rint(cells).astype(int).T
        wanted = expected[y, x]
        error = np.linalg.norm(here.descriptors - wanted, axis=1)
        assert (error <= 1e-4 * np.linalg.norm(wanted, axis=1)).all()
        np.testing.assert_allclose(here.scores, np.linalg.norm(wanted, axis=1), rtol=1e-4)
    assert len(features) == total


# --- selection


PHOTO = draw(5, (48, 64))


def test_features_come_best_first_and_no_more_than_wanted():
    features = extractor()(PHOTO)
    assert len(features) == SMALL.max_features
    assert (np.diff(features.scores) <= 0).all()
    assert (features.scores >= 0).all()
    assert features.image_size == (48, 64)
    assert ((features.positions >= -0.5) & (features.positions <= (47.5, 63.5))).all()
    assert set(features.scales) <= {np.float32(scale) for scale in SMALL.pyramid.scales}


def test_a_tiny_photo_has_fewer_features_than_wanted():
    features = extractor()(draw(5, (16, 16)))
    assert len(features) == 5 * 1 + 2 * 4  # the levels of 4 to 16 pixels; of 23 and 32
    assert np.isfinite(features.scores).all()


def test_norm_selection_keeps_the_largest_norms_of_all_cells():
    features, dense = extractor()(PHOTO), extractor().score_maps(PHOTO)
    every = np.sort(np.concatenate([level.ravel() for level in dense.norms]))[::-1]
    assert len(every) > SMALL.max_features
    np.testing.assert_allclose(features.scores, every[: SMALL.max_features], rtol=1e-5)
    norms = np.linalg.norm(features.descriptors, axis=1)
    np.testing.assert_allclose(norms, features.scores, rtol=1e-5)
    assert dense.attention is None


def test_attention_selection_keeps_the_highest_attention():
    config = replace(SMALL, selection="attention")
    chosen = extractor(config, attention=True)
    features, dense = chosen(PHOTO), chosen.score_maps(PHOTO)
    every = np.sort(np.concatenate([level.ravel() for level in dense.attention]))[::-1]
    np.testing.assert_allclose(features.scores, every[: SMALL.max_features], rtol=1e-5)
    scores = head()(jnp.asarray(features.descriptors)[None, None])[0, 0]
    np.testing.assert_allclose(features.scores, scores, rtol=1e-4, atol=1e-6)
    by_norm = extractor()(PHOTO)
    places = [set(map(tuple, np.c_[f.positions, f.scales])) for f in (features, by_norm)]
    assert places[0] != places[1]


def test_attention_selection_needs_a_head():
    with pytest.raises(ValueError, match="needs an attention head"):
        Extractor(network(), config=replace(SMALL, selection="attention"))


@pytest.mark.parametrize("size", [(48, 64), (64, 48)])
def test_dense_maps_are_upright_and_agree_with_the_features(size):
    photo = draw(6, size)
    features, dense = extractor()(photo), extractor().score_maps(photo)
    assert dense.scales == SMALL.pyramid.scales
    assert dense.image_size == features.image_size == size
    sizes = [level_size(size, scale) for scale in dense.scales]
    assert [level.shape for level in dense.norms] == [
        (-(-height // STRIDE), -(-width // STRIDE)) for height, width in sizes
    ]
    for number, scale in enumerate(dense.scales):
        here = features[features.scales == np.float32(scale)]
        cells = ((here.positions + 0.5) * sizes[number] / size - 0.5) / STRIDE
        y, x = np.rint(cells).astype(int).T
        np.testing.assert_allclose(dense.norms[number][y, x], here.scores, rtol=1e-5)


def test_extraction_repeats():
    first, second = extractor()(PHOTO), extractor()(PHOTO)
    for part in ("positions", "scales", "scores", "descriptors"):
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))


def test_a_stream_is_photo_by_photo_and_errors_pass_through():
    broken = PhotoError("broken.jpg is empty")
    photos = [("a", draw(7)), ("broken", broken), ("b", draw(8)), ("again", broken)]
    streamed = list(extractor().stream(photos))
    assert [name for name, _ in streamed] == ["a", "broken", "b", "again"]
    assert streamed[1][1] is streamed[3][1] is broken
    for row in (0, 2):
        alone = extractor()(photos[row][1])
        np.testing.assert_array_equal(streamed[row][1].descriptors, alone.descriptors)


# --- suppression


def iou(one, other) -> float:
    """Intersection over union of two boxes ``(y0, x0, y1, x1)``."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(height, 0) * max(width, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def suppress_slowly(boxes, limit: float, keep: int) -> list[int]:
    kept = []
    for row in range(len(boxes)):
        if len(kept) < keep and all(iou(boxes[row], boxes[other]) <= limit for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize("keep", [5, 1000])
@pytest.mark.parametrize("limit", [0.0, 0.3, 0.7])
def test_suppression_agrees_with_its_definition(limit, keep):
    random = np.random.default_rng(0)
    for _ in range(20):
        corners = random.uniform(0, 10, (30, 2))
        boxes = np.concatenate([corners, corners + random.uniform(1, 8, (30, 2))], axis=1)
        assert non_maximum_suppression(boxes, limit, keep).tolist() == suppress_slowly(
            boxes, limit, keep
        )
    assert non_maximum_suppression(np.empty((0, 4)), limit, keep).tolist() == []


def test_suppressed_features_do_not_overlap():
    config = replace(SMALL, nms_iou=0.4, max_features=SMALL.max_features // NMS_POOL)
    photo = draw(9)
    kept, every = extractor(config)(photo), extractor()(photo)
    boxes, all_boxes = (
        extractor(config).receptive_field_boxes(kept),
        extractor().receptive_field_boxes(every),
    )
    overlaps = [iou(a, b) for n, a in enumerate(boxes) for b in boxes[:n]]
    assert 0.2 < max(overlaps) <= 0.4
    expected = suppress_slowly(all_boxes, 0.4, config.max_features)
    np.testing.assert_array_equal(kept.scores, every.scores[expected])
    np.testing.assert_array_equal(kept.positions, every.positions[expected])


@pytest.mark.parametrize("size", [(100, 151), (151, 100), (48, 64)])
def test_boxes_are_the_levels_receptive_fields_brought_to_the_photo(size):
    photo = draw(9, size)  # some are first shrunk to a longest side of 64
    features = extractor()(photo)
    for box, scale in zip(
        extractor().receptive_field_boxes(features), features.scales, strict=True
    ):
        base = level_size(size, min(1.0, 64 / max(size)))
        level = level_size(base, float(scale))
        ends = (box.reshape(2, 2) + 0.5) * level / size - 0.5  # of the level: whole pixels
        np.testing.assert_allclose(ends, np.rint(ends), atol=1e-3)
        cell = ends.mean(0) / STRIDE
        field = extractor().receptive_field
        np.testing.assert_allclose(ends.ravel(), field.boxes(cell[None])[0], atol=1e-3)
        np.testing.assert_allclose(cell, np.rint(cell), atol=1e-3)


# --- what an extractor is made of


def test_checksum_tells_weights_apart():
    same = fill(lambda: ResNet(RESNET_TINY, folded=True, rngs=nnx.Rngs(0)), seed=0)
    assert Extractor(same).checksum == extractor().checksum
    others = [Extractor(network(1)), Extractor(network(), head())]
    assert len({extractor().checksum, *(each.checksum for each in others)}) == 3


def test_a_network_comes_with_its_batch_norms():
    unfolded = fill(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)), seed=0)
    for path, value in nnx.to_flat_state(nnx.state(unfolded)):
        if path[-1] in ("var", "scale"):
            value.set_value(1 + abs(value[...]))
    features, folded = (
        Extractor(each, config=SMALL)(PHOTO) for each in (unfolded, fold_batch_norm(unfolded))
    )
    np.testing.assert_array_equal(features.descriptors, folded.descriptors)


def test_with_config_keeps_the_network(monkeypatch):
    named = Extractor(network(), head(), SMALL, name="tiny_att")
    monkeypatch.setattr(
        extraction, "fold_batch_norm", None
    )  # folding would compute the weights again
    other = named.with_config(replace(SMALL, selection="attention", max_features=5))
    assert (other.name, other.checksum, other.spec) == ("tiny_att", named.checksum, named.spec)
    assert len(other(PHOTO)) == 5
    assert (named.config, len(named(PHOTO))) == (SMALL, SMALL.max_features)
    assert extractor().name == RESNET_TINY.name
    with pytest.raises(ValueError, match="needs an attention head"):
        extractor().with_config(replace(SMALL, selection="attention"))


def test_cells_see_what_the_tests_say():
    assert extractor().receptive_field.size == REACH
    assert extractor().spec == RESNET_TINY


def test_configuration_survives_json():
    config = replace(SMALL, pyramid=PyramidConfig(scales=(0.5, 2**0.5), longest=99), nms_iou=0.5)
    assert ExtractionConfig.from_dict(json.loads(json.dumps(asdict(config)))) == config


def test_drawn_marks_the_pixels_of_levels():
    mosaic = build_mosaic(PHOTO, PyramidConfig(scales=(0.5, 1.0), longest=64))
    expected = np.zeros(mosaic.pixels.shape[:2], bool)
    for top, left, height, width in mosaic.levels:
        expected[top : top + height, left : left + width] = True
    found = jax.jit(level_mask, static_argnums=0)(expected.shape, mosaic.levels)
    np.testing.assert_array_equal(found, expected)
