"""Check the receptive field, the parity with a NumPy ResNet, folding, transposition and masks."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_resnet
from flax import nnx

from delfjax.models.backbone import (
    ResNet,
    cut_at_conv4,
    fold_batch_norm,
    max_pool,
    transpose_kernels,
)
from delfjax.models.conversion import UNUSED, conversion_table, convert
from delfjax.models.resnet import (
    RESNET50_V1,
    RESNET50_V15,
    RESNET_TINY,
    ReceptiveField,
    receptive_field,
)

TINY = {"v1": RESNET_TINY, "v1.5": replace(RESNET_TINY, stride_in="3x3")}
RESNET50 = {"v1": RESNET50_V1, "v1.5": RESNET50_V15}
SIZE = (37, 48)  # height and width of a photo
SIZES = {"v1": 291, "v1.5": 267}  # O16; the official code also uses 291

both_variants = pytest.mark.parametrize("variant", ["v1", "v1.5"])
# Most of the time is spent in compilation.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def build_network(spec, draw, **options) -> ResNet:
    """Build a network with the tensors ``draw(name, shape)``."""
    model = nnx.eval_shape(lambda: ResNet(spec, **options, rngs=nnx.Rngs(0)))
    state = nnx.state(model)
    for path, variable in nnx.to_flat_state(state):
        drawn = np.broadcast_to(draw(path[-1], variable.shape), variable.shape)
        variable.set_value(jnp.asarray(drawn, jnp.float32))
    nnx.update(model, state)
    return model


def random_network(spec, seed=0, **options) -> ResNet:
    """Build a network with random kernels, biases and batch-norm statistics."""
    rng = np.random.default_rng(seed)
    draws = {
        "kernel": lambda shape: rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape),
        "bias": lambda shape: rng.normal(0, 0.5, shape),
        "mean": lambda shape: rng.normal(0, 0.5, shape),
        "scale": lambda shape: rng.uniform(0.3, 1.5, shape),
        "var": lambda shape: rng.uniform(0.3, 3, shape),
    }
    return build_network(spec, lambda name, shape: draws[name](shape), **options)


@partial(quick_jit, static_argnums=0)
def run_split(graph, state, photos, valid):
    return nnx.merge(graph, state)(photos, valid)


def run(model, photos, valid=None) -> dict[str, np.ndarray]:
    return jax.tree.map(np.asarray, run_split(*nnx.split(model), photos, valid))


def photos(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (*shape, 3)).astype(np.float32)


def assert_close(found, expected, tolerance):
    """Compare two maps. The tolerance is relative to the largest expected value."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


# Receptive field


@both_variants
def test_receptive_field_of_resnet50(variant):
    assert receptive_field(RESNET50[variant]) == ReceptiveField(SIZES[variant], 16)


@both_variants
def test_receptive_field_equals_the_windows_traced_back_to_the_photo(variant):
    # Kernels and strides of Table 1 of He et al., from the photo to conv4.
    plain, wide = [(3, 1)], [(3, 1)]
    first = [(1, 2), (3, 1)] if variant == "v1" else [(3, 2)]
    layers = [(7, 2), (3, 2), *plain * 3, *first, *wide * 3, *first, *wide * 5]
    low = high = 0
    for kernel, stride in reversed(layers):
        low, high = low * stride - kernel // 2, high * stride + kernel // 2
    assert (low, high) == (-(SIZES[variant] // 2), SIZES[variant] // 2)


@both_variants
def test_receptive_field_equals_the_extent_of_the_gradient(variant):
    cell = np.array([5, 6])
    spec = replace(TINY[variant], width=2, blocks=(1, 2, 2, 1))
    # Positive weights and pixels above the mean: every ReLU passes its input.
    drawn = {"kernel": 0.1, "scale": 1, "bias": 0, "mean": 0, "var": 1}
    model = build_network(spec, lambda name, _: drawn[name])
    graph, state = nnx.split(model)

    @quick_jit
    def gradient(photo):
        def activation(photo):
            return nnx.merge(graph, state)(photo)["conv4"][0, *cell].sum()

        return jax.grad(activation)(photo)

    seen = np.zeros((200, 200), bool)
    for seed in range(10):  # because a max pool passes the gradient to one of nine cells only
        photo = np.random.default_rng(seed).uniform(150, 255, (1, 200, 200, 3))
        seen |= np.asarray(gradient(photo.astype(np.float32))[0] != 0).any(-1)

    field = receptive_field(spec)
    reach = field.size // 2
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    extents = np.array([rows[0], columns[0], rows[-1], columns[-1]])
    np.testing.assert_array_equal(extents, [*(16 * cell - reach), *(16 * cell + reach)])
    box = field.boxes_around(16 * cell[None].astype(float), np.ones(2))[0]
    np.testing.assert_array_equal(box, extents)


def test_boxes_of_the_official_code():
    # O10: two cells of stride 32, then three boxes of 22 pixels.
    centers = np.array([[0.0, 0.0], [0.0, 32.0]])
    boxes = ReceptiveField(291, 32).boxes_around(centers, np.ones(2))
    np.testing.assert_array_equal(boxes, [[-145, -145, 145, 145], [-145, -113, 145, 177]])
    centers = np.array([[0.5, 10.5], [8, 15.5], [55.5, 8]])
    boxes = ReceptiveField(22, 1).boxes_around(centers, np.ones(2))
    expected = [[-10.0, 0, 11, 21], [-2.5, 5, 18.5, 26], [45, -2.5, 66, 18.5]]
    np.testing.assert_allclose(boxes, expected)


def test_boxes_are_in_pixels_of_the_original_photo():
    boxes = ReceptiveField(11, 1).boxes_around(np.array([[50.0, 60.0]]), np.array([2.0, 3.0]))
    np.testing.assert_array_equal(boxes, [[40, 45, 60, 75]])


# Shapes


@both_variants
@pytest.mark.parametrize(("pixels", "cells"), [(321, 21), (224, 14)])
def test_cells_of_a_photo(variant, pixels, cells):
    model = nnx.eval_shape(lambda: ResNet(TINY[variant], rngs=nnx.Rngs(0)))
    sheet = jax.ShapeDtypeStruct((1, pixels, pixels + 16, 3), jnp.float32)
    maps = nnx.eval_shape(lambda model, x: model(x), model, sheet)
    assert maps["conv4"].shape == (1, cells, cells + 1, 64)


# Parity with the NumPy reference


# test_weights.py compares the full depth with Keras.
@pytest.mark.parametrize(
    ("stride_in", "theirs"), [("1x1", "conv1"), ("3x3", "conv2")], ids=["v1", "v1.5"]
)
def test_stages_equal_those_of_numpy(stride_in, theirs):
    spec = replace(RESNET50_V15, width=8, stride_in=stride_in, blocks=(1, 1, 2, 1))
    tensors = reference_resnet.made_up_tensors(1, blocks=spec.blocks, width=spec.width)
    ours = convert(tensors, "torchvision", spec)
    model = nnx.eval_shape(lambda: ResNet(spec, conv5=True, rngs=nnx.Rngs(0)))
    state = nnx.state(model)
    for path, variable in nnx.to_flat_state(state):
        variable.set_value(jnp.asarray(ours.pop(".".join(map(str, path)))))
    assert not ours
    nnx.update(model, state)

    photo = photos(64, 96)
    expected = reference_resnet.forward(photo.astype(float), tensors, stride_in=theirs)
    found = run(model, photo[None])
    assert found["conv4"].shape == (1, 4, 6, 128)
    assert found.keys() == expected.keys() - {"logits"}
    for stage in found:
        maps = expected[stage]
        assert np.std(maps) > 0.1, f"{stage}: no variation to compare"
        assert_close(found[stage][0], maps, 1e-4)


def test_tensor_names_of_resnet50_equal_those_of_the_reference():
    theirs = reference_resnet.made_up_tensors(0, blocks=(3, 4, 6, 3), width=1)
    known = conversion_table(RESNET50_V15, "torchvision").values()
    assert set(known) == {name for name in theirs if not UNUSED.match(name)}
    assert len(set(known)) == len(known)


@pytest.mark.parametrize("size", [(7, 9), (8, 6), (5, 8), (2, 3), (1, 1)])
def test_max_pool_equals_numpy(size):
    maps = np.random.default_rng(0).uniform(0, 1, (2, *size, 3)).astype(np.float32)
    expected = [reference_resnet.pool(x.transpose(2, 0, 1)).transpose(1, 2, 0) for x in maps]
    np.testing.assert_array_equal(quick_jit(max_pool)(maps), expected)


# Folding and transposition


@pytest.mark.parametrize(
    ("variant", "conv_bias", "top"),
    [("v1", True, {}), ("v1.5", False, {"conv5": True})],
)
def test_folding_keeps_the_maps(variant, conv_bias, top):
    spec = replace(TINY[variant], conv_bias=conv_bias)
    model = random_network(spec, **top)
    folded = fold_batch_norm(model)
    assert folded.folded
    assert not [m for _, m in nnx.iter_modules(folded) if isinstance(m, nnx.BatchNorm)]
    photo = photos(1, *SIZE)
    expected, found = run(model, photo), run(folded, photo)
    assert found.keys() == expected.keys()
    for stage, maps in expected.items():
        assert_close(found[stage], maps, 1e-5)


def test_cut_network_computes_the_same_conv4():
    model = random_network(RESNET_TINY, conv5=True)
    cut, photo = cut_at_conv4(model), photos(1, *SIZE)
    expected, found = run(model, photo), run(cut, photo)
    assert set(found) == {"stem", "conv2", "conv3", "conv4"}
    for stage, maps in found.items():
        np.testing.assert_array_equal(maps, expected[stage])
    plain = nnx.eval_shape(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)))
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(cut))]
    assert paths == [path for path, _ in nnx.to_flat_state(nnx.state(plain))]
    assert set(run(model, photo)) == set(expected)  # the original is unchanged


@both_variants
def test_transposed_network_maps_a_transposed_photo_to_transposed_maps(variant):
    model = random_network(TINY[variant])
    graph, state = nnx.split(model)
    photo = photos(1, *SIZE)
    expected = run(model, photo)
    found = run(nnx.merge(graph, transpose_kernels(state)), photo.swapaxes(1, 2))
    for stage, maps in expected.items():
        assert_close(found[stage].swapaxes(1, 2), maps, 1e-5)


# Several photos on one sheet

# Two photos on a sheet, (top, left, height, width). They start at multiples of 16, with a gap of exactly
# 16 columns. Their sizes are not multiples of 16.
SHEET = (96, 160)
PLACES = ((16, 32, *SIZE), (32, 96, 51, 61))


def place_photos(background, places) -> tuple[np.ndarray, np.ndarray]:
    """Put photos on a sheet; return the sheet and the mask of its photo pixels."""
    sheet, valid = background.copy(), np.zeros(background.shape[:3], bool)
    for seed, (top, left, height, width) in enumerate(places, start=1):
        window = np.s_[:, top : top + height, left : left + width]
        sheet[window], valid[window] = photos(1, height, width, seed=seed), True
    return sheet, valid


@both_variants
def test_photos_on_a_sheet_give_the_same_maps_as_alone(variant):
    model = random_network(TINY[variant])
    sheet, valid = place_photos(photos(1, *SHEET) * np.nan, PLACES)
    maps = run(model, sheet, valid)
    for seed, (top, left, height, width) in enumerate(PLACES, start=1):
        alone = run(model, photos(1, height, width, seed=seed))
        for stage, stride in (("stem", 2), ("conv2", 4), ("conv3", 8), ("conv4", 16)):
            y, x = top // stride, left // stride
            rows, columns = alone[stage].shape[1:3]
            assert_close(maps[stage][:, y : y + rows, x : x + columns], alone[stage], 1e-5)


def test_without_a_mask_the_background_changes_the_maps():
    model = random_network(RESNET_TINY)
    sheet, valid = place_photos(photos(1, *SHEET), PLACES)
    masked, bare = run(model, sheet, valid)["conv4"], run(model, sheet)["conv4"]
    inside = valid[0, ::16, ::16]
    assert np.abs(masked - bare)[0, inside].max() > 0.01 * np.abs(masked).max()


def test_mask_of_the_whole_sheet_changes_nothing():
    model = random_network(RESNET_TINY)
    sheet = photos(1, *SHEET)
    masked = run(model, sheet, np.ones((1, *SHEET), bool))["conv4"]
    assert_close(masked, run(model, sheet)["conv4"], 1e-6)
