"""Effective receptive field: centered for symmetric kernels, shifted for asymmetric ones."""

import jax
import numpy as np
import pytest
from flax import nnx

from delfjax.evaluation.effective_receptive_field import kernel_offsets, receptive_field_offsets
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY


def network(change) -> ResNet:
    """Return a network after changing each kernel larger than 1 x 1, an array ``[y, x, in, out]``."""
    made = ResNet(RESNET_TINY, rngs=nnx.Rngs(0))
    state = nnx.state(made, nnx.Param)
    nnx.update(
        made, jax.tree.map(lambda w: change(w) if w.ndim == 4 and w.shape[0] > 1 else w, state)
    )
    return made


def make_symmetric(kernel):
    return (kernel + kernel[::-1] + kernel[:, ::-1] + kernel[::-1, ::-1]) / 4


def keep_lowest_tap(kernel):
    """Set all taps to 0 except that in the lowest row and the middle column."""
    middle = kernel.shape[1] // 2
    return (kernel * 0).at[-1, middle].set(kernel[-1, middle])


@pytest.fixture
def photos():
    return [np.random.default_rng(0).integers(256, size=(40, 60, 3)).astype(np.uint8)]


def test_symmetric_kernels_have_no_offset(photos):
    backbone = network(make_symmetric)
    assert list(kernel_offsets(backbone)) == ["stem", "conv2.0", "conv3.0", "conv4.0"]
    np.testing.assert_allclose(list(kernel_offsets(backbone).values()), 0, atol=1e-5)
    offsets = receptive_field_offsets(backbone, photos)
    assert offsets.shape == (40, 2)
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
