"""Measures of the attention notebook: symmetric and asymmetric kernels, shifted keypoints, and score maps."""

import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from flax import nnx

from delfjax.features.extraction import ScoreMaps
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY, receptive_field
from delfjax.types import Features
from notebooks.attention_measures import (
    hit_rates,
    kernel_offsets,
    lean,
    lean_heatmap,
    normalized_entropy,
    pixel_average_precision,
    pixel_influence,
    receptive_field_offsets,
)


def network(change) -> ResNet:
    """Return a network after changing each kernel larger than 1 x 1, an array ``[y, x, in, out]``."""
    made = nnx.clone(worlds.network())
    for _, weights in nnx.to_flat_state(nnx.state(made)):
        if len(weights.shape) == 4 and weights.shape[0] > 1:
            weights.set_value(jnp.asarray(change(np.asarray(weights[...]))))
    return made


def make_symmetric(kernel):
    return (kernel + kernel[::-1] + kernel[:, ::-1] + kernel[::-1, ::-1]) / 4


def keep_lowest_tap(kernel):
    """Set all taps to 0 except that in the lowest row and the middle column."""
    kept, middle = np.zeros_like(kernel), kernel.shape[1] // 2
    kept[-1, middle] = kernel[-1, middle]
    return kept


@pytest.fixture
def photos():
    return [np.random.default_rng(0).integers(256, size=(40, 60, 3)).astype(np.uint8)]


def test_symmetric_kernels_have_no_offset(photos):
    backbone = network(make_symmetric)
    assert list(kernel_offsets(backbone)) == ["stem", "conv2.0", "conv3.0", "conv4.0"]
    np.testing.assert_allclose(list(kernel_offsets(backbone).values()), 0, atol=1e-5)
    offsets = receptive_field_offsets(backbone, photos)
    assert offsets.shape == (24, 2)
    np.testing.assert_allclose(offsets.mean(0), 0, atol=1.5)


def test_asymmetric_kernels_have_an_offset(photos):
    backbone = network(keep_lowest_tap)
    assert [tuple(taps) for taps in kernel_offsets(backbone).values()] == [
        (3, 0),
        (1, 0),
        (1, 0),
        (1, 0),
    ]
    down, right = receptive_field_offsets(backbone, photos).mean(0)
    assert down > 2, "the stem alone contributes three pixels"
    assert abs(right) < 1.5


def test_offsets_depend_only_on_the_seed(photos):
    backbone = network(make_symmetric)
    first, again, other = (
        receptive_field_offsets(backbone, photos, count=8, seed=seed) for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_pixels_outside_the_receptive_field_have_no_influence():
    influence = pixel_influence(network(make_symmetric), count=1)
    middle, reach = influence.shape[0] // 2, receptive_field(RESNET_TINY).size // 2
    rows, columns = np.nonzero(influence)
    for found in (rows, columns):
        assert middle - reach <= found.min() < middle < found.max() <= middle + reach
    assert influence.sum() == pytest.approx(1)


def test_leaning_keypoints_stay_inside_the_photo():
    features = Features(
        positions=np.array([[3, 4], [18, 28]], np.float32),
        scales=np.array([2, 0.5], np.float32),
        scores=np.ones(2, np.float32),
        descriptors=np.ones((2, 4), np.float32),
        image_size=(20, 30),
    )
    np.testing.assert_allclose(lean(features, 8).positions, [[7, 8], [19, 29]])


def test_a_leaning_heatmap_moves_each_level_by_its_own_pixels():
    fine, coarse = np.zeros((4, 4), np.float32), np.zeros((2, 2), np.float32)
    fine[1, 2], coarse[1, 1] = (
        2,
        1,
    )  # the cells with the centers (16, 32) and (16, 16) of their levels
    maps = ScoreMaps(
        scales=(1.0, 0.5),
        sizes=np.array([[64, 64], [32, 32]]),
        norms=[fine, coarse],
        attention=None,
        image_size=(64, 64),
    )
    # A pixel of the coarse level is two pixels of the photo.
    for level, expected in ((0, (24, 40)), (1, (48.5, 48.5)), (None, (24, 40))):
        heat = lean_heatmap(maps, "norm", level, offset=8)
        peak = np.unravel_index(heat.argmax(), heat.shape)
        assert np.abs(np.subtract(peak, expected)).max() <= 1
    still = lean_heatmap(maps, "norm", 0, offset=0)
    np.testing.assert_allclose(still, maps.heatmap("norm", 0))


@pytest.fixture
def mask():
    mask = np.zeros((20, 30), bool)
    mask[5:10, 20:] = True
    return mask


def test_the_offset_is_in_pixels_of_the_pyramid_level(mask):
    features = Features(
        positions=np.array([[3, 18], [3, 18]], np.float32),
        scales=np.array([1, 0.5], np.float32),
        scores=np.ones(2, np.float32),
        descriptors=np.ones((2, 4), np.float32),
        image_size=mask.shape,
    )
    found = [hit_rates([features], [mask], [2], offset=offset) for offset in (0, 2, 3)]
    # An offset of 2 moves the keypoints to (5, 20) and (7, 22), one of 3 to (6, 21) and (9, 24).
    np.testing.assert_allclose(np.ravel(found), [0, 1, 1])
    # An offset of 5 moves them to (8, 23) and (13, 28); the second is off the landmark.
    np.testing.assert_allclose(hit_rates([features], [mask], [1, 2], offset=5), [[1, 0.5]])


def test_random_scores_have_the_average_precision_of_chance(mask):
    noise = np.random.default_rng(0).random(mask.shape)
    assert pixel_average_precision(noise, mask) == pytest.approx(mask.mean(), abs=0.05)


def test_a_perfect_map_has_average_precision_1(mask):
    assert pixel_average_precision(mask + 0.5, mask) == 1
    assert pixel_average_precision(-1.0 * mask, mask) < mask.mean() + 1e-9
    assert np.isnan(pixel_average_precision(mask + 0.5, np.zeros_like(mask)))


def test_entropy_is_0_for_one_cell_and_1_for_equal_cells():
    assert normalized_entropy(np.ones((4, 5))) == pytest.approx(1)
    assert normalized_entropy(np.eye(1, 20)) == pytest.approx(0)
    half = normalized_entropy(np.repeat([0.0, 1.0], 8))
    assert half == pytest.approx(np.log(8) / np.log(16))
    assert normalized_entropy(np.array([3.0])) == 0


@pytest.mark.parametrize("scores", [np.zeros(3), np.array([1.0, -1.0])])
def test_entropy_needs_non_negative_scores(scores):
    with pytest.raises(ValueError, match="expected non-negative scores"):
        normalized_entropy(scores)
