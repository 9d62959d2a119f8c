"""Where cells look: straight ahead if kernels are even, and to the side that kernels lean to."""

import jax
import numpy as np
import pytest
from flax import nnx

from delfjax.features.effective_receptive_field import kernel_offsets, receptive_field_offsets
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY


def network(change) -> ResNet:
    """Return a network whose larger kernels were changed, an array ``[y, x, in, out]`` each."""
    made = ResNet(RESNET_TINY, rngs=nnx.Rngs(0))
    state = nnx.state(made, nnx.Param)
    nnx.update(
        made, jax.tree.map(lambda w: change(w) if w.ndim == 4 and w.shape[0] > 1 else w, state)
    )
    return made


def even(kernel):
    return (kernel + kernel[::-1] + kernel[:, ::-1] + kernel[::-1, ::-1]) / 4


def down_only(kernel):
    """Let each output see nothing but the lowest row of taps, the middle column of it."""
    middle = kernel.shape[1] // 2
    return (kernel * 0).at[-1, middle].set(kernel[-1, middle])


@pytest.fixture
def photos():
    return [np.random.default_rng(0).integers(256, size=(40, 60, 3)).astype(np.uint8)]


def test_even_kernels_look_straight_ahead(photos):
    made = network(even)
    assert list(kernel_offsets(made)) == ["stem", "conv2.0", "conv3.0", "conv4.0"]
    np.testing.assert_allclose(list(kernel_offsets(made).values()), 0, atol=1e-5)
    found = receptive_field_offsets(made, photos)
    assert found.shape == (40, 2)
    np.testing.assert_allclose(found.mean(0), 0, atol=1.5)


def test_leaning_kernels_look_aside(photos):
    made = network(down_only)
    assert [tuple(taps) for taps in kernel_offsets(made).values()] == [
        (3, 0),
        (1, 0),
        (1, 0),
        (1, 0),
    ]
    down, right = receptive_field_offsets(made, photos).mean(0)
    assert down > 2, "by the stem alone it is three pixels"
    assert abs(right) < 1.5


def test_the_same_seed_gives_the_same(photos):
    made = network(even)
    first, again, other = (
        receptive_field_offsets(made, photos, count=8, seed=seed) for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).any()
