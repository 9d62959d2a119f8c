"""Extraction: the mosaic changes no feature, few programs are compiled, and selection is correct."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from worlds import SMALL, draw, extractor, head, network

from benchmarks.networks import random_network
from delfjax.features import extraction
from delfjax.features.extraction import (
    NMS_CANDIDATES,
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

RECEPTIVE_FIELD = 67  # pixels: size of the receptive field of the tiny network


@contextmanager
def compilations(function: str) -> Iterator[list[str]]:
    """List the programs that XLA compiles for a jitted function inside the with statement."""
    programs: list[str] = []

    def listen(event: str, seconds: float, **details: str) -> None:
        if event.endswith("backend_compile_duration") and details["fun_name"] == function:
            programs.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield programs
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


# --- number of compiled programs


def test_photos_of_many_sizes_compile_four_programs():
    config = replace(SMALL, pyramid=PyramidConfig(scales=(0.5,), longest=320), max_features=7)
    sizes = [size for size in product(range(90, 500, 97), repeat=2) if max(size) > 240]
    with compilations("jit(_select)") as programs:
        for size in sizes:
            extractor(config)(np.zeros((*size, 3), np.uint8))
    # One per mosaic size. Photos under 3/4 of `longest` use twelve more sizes.
    assert len(programs) == 4


def test_upright_and_landscape_photos_and_networks_of_one_architecture_share_programs():
    photo = draw(0, (50, 64))
    extractor()(photo)
    other = Extractor(network(1), config=SMALL)
    with compilations("jit(_select)") as programs:
        other(photo)
        other(draw(1, (64, 50)))
        other(draw(1, (49, 63)))
    assert not programs


# --- equivalence with the network applied to each level


@nnx.jit
def conv4(network, photo):
    return network(photo[None])["conv4"][0]


def conv4_of_level(photo: np.ndarray, scale: float, model: ResNet) -> np.ndarray:
    """Compute conv4 of one pyramid level, without mosaic and without transposing."""
    # Pillow resizes rows first and rounds in between. So an upright photo is transposed here too, else
    # its pixels could differ by a gray level.
    upright = photo.shape[0] > photo.shape[1]
    landscape = photo.swapaxes(0, 1) if upright else photo
    size = level_size(landscape.shape[:2], scale)[::-1]
    level = np.asarray(Image.fromarray(np.ascontiguousarray(landscape)).resize(size, RESAMPLING))
    level = level.swapaxes(0, 1) if upright else level
    return np.asarray(conv4(model, jnp.asarray(level, jnp.float32)))


SCALES = 0.75, 1.4  # levels of (38, 52) and (70, 98) pixels
ODD = 0.74, 1.36  # levels of (37, 52) and (68, 95) pixels


@pytest.mark.parametrize(
    ("size", "scales", "padding"),
    [
        ((70, 50), ODD, "tensorflow"),
        ((70, 50), SCALES, "symmetric"),
        ((50, 70), ODD, "symmetric"),
        ((50, 70), SCALES, "tensorflow"),
    ],
)
def test_features_equal_those_of_each_level_alone(size, scales, padding):
    """Neither the empty area nor the other levels of the mosaic change a feature."""
    # The photo is much smaller than its bucket, and its sides are not multiples of the stride.
    assert bucket_size((50, 70), 96) == (54, 72)
    pyramid = PyramidConfig(scales=scales, longest=96)
    config = ExtractionConfig(pyramid=pyramid, max_features=999, min_contrast=0)
    photo, model = draw(3, size), network(padding=padding)
    features = Extractor(model, None, config)(photo)
    total = 0
    for scale in scales:
        expected = conv4_of_level(photo, scale, model)
        rows, columns = expected.shape[:2]
        total += rows * columns
        at_scale = features[features.scales == np.float32(scale)]
        assert len(at_scale) == rows * columns
        level = np.array(level_size(size, scale))
        # By hand: the center of the windows of the first cell of stem, pooling and 1x1 convolutions.
        first = np.where(level % 2, 2, 3) if padding == "tensorflow" else 0
        cells = ((at_scale.positions + 0.5) * level / size - 0.5 - first) / STRIDE
        np.testing.assert_allclose(cells, np.rint(cells), atol=1e-4)
        y, x = np.rint(cells).astype(int).T
        wanted = expected[y, x]
        error = np.linalg.norm(at_scale.descriptors - wanted, axis=1)
        assert (error <= 1e-4 * np.linalg.norm(wanted, axis=1)).all()
        np.testing.assert_allclose(at_scale.scores, np.linalg.norm(wanted, axis=1), rtol=1e-4)
    assert len(features) == total


# --- selection


PHOTO = draw(5, (48, 64))


def test_features_are_sorted_by_score_and_limited_in_number():
    features = extractor()(PHOTO)
    assert len(features) == SMALL.max_features
    assert (np.diff(features.scores) <= 0).all()
    assert (features.scores >= 0).all()
    assert features.image_size == (48, 64)
    assert ((features.positions >= -0.5) & (features.positions <= (47.5, 63.5))).all()
    assert set(features.scales) <= {np.float32(scale) for scale in SMALL.pyramid.scales}


def test_a_tiny_photo_has_fewer_features_than_the_limit():
    features = extractor()(draw(5, (16, 16)))
    assert len(features) == 5 * 1 + 2 * 4  # levels of 4 to 16 pixels, then of 23 and 32
    assert np.isfinite(features.scores).all()


def test_selection_by_norm_keeps_the_cells_with_the_largest_norms():
    features, maps = extractor()(PHOTO), extractor().score_maps(PHOTO)
    scores = np.sort(np.concatenate([level.ravel() for level in maps.norms]))[::-1]
    assert len(scores) > SMALL.max_features
    np.testing.assert_allclose(features.scores, scores[: SMALL.max_features], rtol=1e-5)
    norms = np.linalg.norm(features.descriptors, axis=1)
    np.testing.assert_allclose(norms, features.scores, rtol=1e-5)
    assert maps.attention is None


def test_selection_by_attention_keeps_the_cells_with_the_highest_attention():
    config = replace(SMALL, selection="attention")
    attentive = extractor(config, attention=True)
    features, maps = attentive(PHOTO), attentive.score_maps(PHOTO)
    scores = np.sort(np.concatenate([level.ravel() for level in maps.attention]))[::-1]
    np.testing.assert_allclose(features.scores, scores[: SMALL.max_features], rtol=1e-5)
    expected = head()(jnp.asarray(features.descriptors)[None, None])[0, 0]
    np.testing.assert_allclose(features.scores, expected, rtol=1e-4, atol=1e-6)
    by_norm = extractor()(PHOTO)
    cells = [set(map(tuple, np.c_[f.positions, f.scales])) for f in (features, by_norm)]
    assert cells[0] != cells[1]


def test_selection_by_attention_needs_an_attention_head():
    with pytest.raises(ValueError, match="needs an attention head"):
        Extractor(network(), config=replace(SMALL, selection="attention"))


@pytest.mark.parametrize("size", [(48, 64), (64, 48)])
def test_score_maps_have_the_orientation_of_the_photo_and_agree_with_the_features(size):
    photo = draw(6, size)
    features, maps = extractor()(photo), extractor().score_maps(photo)
    assert maps.scales == SMALL.pyramid.scales
    assert maps.image_size == features.image_size == size
    sizes = [level_size(size, scale) for scale in maps.scales]
    assert [level.shape for level in maps.norms] == [
        (-(-height // STRIDE), -(-width // STRIDE)) for height, width in sizes
    ]
    for number, scale in enumerate(maps.scales):
        at_scale = features[features.scales == np.float32(scale)]
        cells = ((at_scale.positions + 0.5) * sizes[number] / size - 0.5) / STRIDE
        y, x = np.rint(cells).astype(int).T
        np.testing.assert_allclose(maps.norms[number][y, x], at_scale.scores, rtol=1e-5)


def test_heatmaps_have_the_size_of_the_photo_and_merge_the_levels():
    maps = extractor().score_maps(PHOTO)
    levels = [maps.heatmap("norm", level) for level in range(len(maps.scales))]
    assert levels[0].shape == PHOTO.shape[:2]
    np.testing.assert_array_equal(maps.heatmap("norm"), np.max(levels, axis=0))
    with pytest.raises(ValueError, match="no attention scores"):
        maps.heatmap()


def test_the_backbone_computes_the_descriptors():
    made = extractor(replace(SMALL, pyramid=PyramidConfig(scales=(1.0,))))
    descriptors = conv4(made.backbone, jnp.asarray(PHOTO, jnp.float32))
    norms = made.score_maps(PHOTO).norms[0]
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=-1), norms, rtol=1e-4)


def test_a_stream_yields_each_photo_in_order_and_errors_unchanged():
    broken = PhotoError("broken.jpg is empty")
    photos = [("a", draw(7)), ("broken", broken), ("b", draw(8)), ("again", broken)]
    streamed = list(extractor().stream(photos))
    assert [name for name, _ in streamed] == ["a", "broken", "b", "again"]
    assert streamed[1][1] is streamed[3][1] is broken
    for row in (0, 2):
        alone = extractor()(photos[row][1])
        np.testing.assert_array_equal(streamed[row][1].descriptors, alone.descriptors)


# --- non-maximum suppression


def iou(one, other) -> float:
    """Intersection over union of two boxes ``(y0, x0, y1, x1)``."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    intersection = max(height, 0) * max(width, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return intersection / (sum(areas) - intersection)


def suppress_by_definition(boxes, limit: float, keep: int) -> list[int]:
    kept = []
    for row in range(len(boxes)):
        if len(kept) < keep and all(iou(boxes[row], boxes[other]) <= limit for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize("keep", [5, 1000])
@pytest.mark.parametrize("limit", [0.0, 0.3, 0.7])
def test_non_maximum_suppression_agrees_with_its_definition(limit, keep):
    random = np.random.default_rng(0)
    for _ in range(20):
        corners = random.uniform(0, 10, (30, 2))
        boxes = np.concatenate([corners, corners + random.uniform(1, 8, (30, 2))], axis=1)
        assert non_maximum_suppression(boxes, limit, keep).tolist() == suppress_by_definition(
            boxes, limit, keep
        )
    assert non_maximum_suppression(np.empty((0, 4)), limit, keep).tolist() == []


def test_features_do_not_overlap_after_suppression():
    config = replace(SMALL, nms_iou=0.4, max_features=SMALL.max_features // NMS_CANDIDATES)
    photo = draw(9)
    kept, candidates = extractor(config)(photo), extractor()(photo)
    boxes, all_boxes = (
        extractor(config).receptive_field_boxes(kept),
        extractor().receptive_field_boxes(candidates),
    )
    overlaps = [iou(a, b) for n, a in enumerate(boxes) for b in boxes[:n]]
    assert 0.2 < max(overlaps) <= 0.4
    expected = suppress_by_definition(all_boxes, 0.4, config.max_features)
    np.testing.assert_array_equal(kept.scores, candidates.scores[expected])
    np.testing.assert_array_equal(kept.positions, candidates.positions[expected])


@pytest.mark.parametrize("size", [(100, 151), (151, 100), (48, 64)])
def test_boxes_are_the_receptive_fields_scaled_from_level_to_photo(size):
    photo = draw(9, size)  # the larger ones are first shrunk to a longest side of 64
    features = extractor()(photo)
    for box, scale in zip(
        extractor().receptive_field_boxes(features), features.scales, strict=True
    ):
        shrink = min(1.0, 64 / max(size))
        level = level_size(level_size(size, shrink), float(scale) / shrink)
        ends = (box.reshape(2, 2) + 0.5) * level / size - 0.5  # in pixels of the level: integers
        np.testing.assert_allclose(ends, np.rint(ends), atol=1e-3)
        cell = ends.mean(0) / STRIDE
        field = extractor().receptive_field
        expected = field.boxes_around(STRIDE * cell[None], np.ones(2))[0]
        np.testing.assert_allclose(ends.ravel(), expected, atol=1e-3)
        np.testing.assert_allclose(cell, np.rint(cell), atol=1e-3)


# --- weights and configuration


def test_the_checksum_depends_on_the_weights():
    same = random_network(lambda: ResNet(RESNET_TINY, folded=True, rngs=nnx.Rngs(0)), seed=0)
    assert Extractor(same).checksum == extractor().checksum
    others = [Extractor(network(1)), Extractor(network(), head())]
    assert len({extractor().checksum, *(each.checksum for each in others)}) == 3


def test_batch_normalization_is_folded():
    unfolded = random_network(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)), seed=0)
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


def test_the_tiny_network_has_the_expected_receptive_field():
    assert extractor().receptive_field.size == RECEPTIVE_FIELD
    assert extractor().spec == RESNET_TINY


def test_the_level_mask_covers_the_pixels_of_levels():
    mosaic = build_mosaic(PHOTO, PyramidConfig(scales=(0.5, 1.0), longest=64))
    expected = np.zeros(mosaic.pixels.shape[:2], bool)
    for top, left, height, width in mosaic.levels:
        expected[top : top + height, left : left + width] = True
    mask = jax.jit(level_mask, static_argnums=0)(expected.shape, mosaic.levels)
    np.testing.assert_array_equal(mask, expected)


# --- settings of the official code


@pytest.mark.parametrize("size", [(50, 83), (83, 50)])
@pytest.mark.parametrize("padding", ["symmetric", "tensorflow"])
def test_a_stride_of_32_keeps_every_second_row_and_column(size, padding):
    pyramid = PyramidConfig(scales=SCALES, longest=96)
    config = ExtractionConfig(pyramid=pyramid, max_features=999, min_contrast=0)
    model, photo = Extractor(network(padding=padding), None, config), draw(3, size)
    everything, found = model(photo), model.with_config(replace(config, cell_step=2))(photo)
    level = np.rint(np.array(size) * everything.scales[:, None])
    first = np.where(level % 2, 2, 3) if padding == "tensorflow" else 0
    cells = ((everything.positions + 0.5) * level / size - 0.5 - first) / STRIDE
    kept = everything[(np.rint(cells) % 2 == 0).all(1)]
    assert 0 < len(kept) < 0.5 * len(everything)
    for name in ("positions", "scales", "scores", "descriptors"):
        np.testing.assert_array_equal(getattr(found, name), getattr(kept, name))


@pytest.mark.parametrize("size", [(83, 97), (82, 96)])
def test_with_the_padding_of_tensorflow_all_cells_of_a_textured_photo_have_content(size):
    pyramid = PyramidConfig(scales=(1.0,), longest=128)
    config = ExtractionConfig(pyramid=pyramid, max_features=999, min_contrast=0)
    model = Extractor(network(padding="tensorflow"), None, config)
    photo = draw(3, size, block=16)
    everything, found = (
        model.with_config(replace(config, min_contrast=contrast))(photo) for contrast in (0, 1)
    )
    np.testing.assert_array_equal(found.positions, everything.positions)


def test_features_below_the_minimum_score_are_dropped():
    config = replace(SMALL, selection="attention")
    everything = extractor(config, attention=True)(PHOTO)
    limit = float(everything.scores[20])
    found = extractor(replace(config, min_score=limit), attention=True)(PHOTO)
    np.testing.assert_array_equal(found.positions, everything.positions[:21])
