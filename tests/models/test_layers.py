"""Compare values and gradients of the layers with those of jax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from delfjax.models.layers import convolve, weighted_sum

LAYOUT = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}


def random(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_pointwise_convolution_equals_that_of_jax(stride, size):
    x, w = random(0, 2, *size, 4), random(1, 1, 1, 4, 5)

    def loss(convolution, x, w):
        y = convolution(x, w, (stride, stride), [(0, 0)] * 2, **LAYOUT)
        return jnp.square(y).sum(), y

    (_, ours), gradients = jax.value_and_grad(
        lambda x, w: loss(convolve, x, w), argnums=(0, 1), has_aux=True
    )(x, w)
    (_, theirs), expected = jax.value_and_grad(
        lambda x, w: loss(lax.conv_general_dilated, x, w), argnums=(0, 1), has_aux=True
    )(x, w)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for found, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_weighted_sum_equals_its_formula():
    weights, vectors = random(0, 3, 6), random(1, 3, 6, 5)

    def formula(weights, vectors):
        return (weights[..., None] * vectors).sum(1)

    np.testing.assert_allclose(
        weighted_sum(weights, vectors), formula(weights, vectors), rtol=1e-5, atol=1e-6
    )
    pull, expected = (
        jax.vjp(function, weights, vectors)[1](random(2, 3, 5))
        for function in (weighted_sum, formula)
    )
    for found, wanted in zip(pull, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
