"""Convolution and weighted sum, with gradients that cost no more than they should.

Not in the paper: training on a CPU hangs on it. A 1x1 convolution is a matrix product, and so are both of
its gradients; left to itself, XLA makes of the kernel's gradient a convolution whose window is the whole
map. And it transposes the larger operand where the smaller one would do, drawing into that slow copy all
element-wise work before it. By jax's own convolutions a step of fine-tuning takes 1.7 to 1.9 times as
long (measured).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "u v c e"],
    strides: tuple[int, int],
    padding: Any,  # noqa: ANN401 - whatever jax takes
    **options: Any,  # noqa: ANN401
) -> Float[Array, "b y x e"]:
    """Convolve as `jax.lax.conv_general_dilated` does: what `flax.nnx.Conv` can be given in its place."""
    if kernel.shape[:2] == (1, 1):
        rows, columns = strides
        return _pointwise(x[:, ::rows, ::columns], kernel[0, 0])
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


@jax.custom_vjp
def _pointwise(x: Float[Array, "b h w c"], w: Float[Array, "c e"]) -> Float[Array, "b h w e"]:
    return lax.dot_general(x, w, (((3,), (0,)), ((), ())))


def _pointwise_forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return _pointwise(x, w), (x, w)


def _pointwise_backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, w = kept
    rows, slopes = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    return lax.dot_general(gradient, w, (((3,), (1,)), ((), ()))), rows.T @ slopes


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@jax.custom_vjp
def weighted_sum(
    weights: Float[Array, "b n"], vectors: Float[Array, "b n c"]
) -> Float[Array, "b c"]:
    """Sum vectors by their weights, ``sum_n a_n f_n``."""
    return jnp.matmul(weights[:, None], vectors)[:, 0]


def _sum_forward(weights: Array, vectors: Array) -> tuple[Array, tuple[Array, Array]]:
    return weighted_sum(weights, vectors), (weights, vectors)


def _sum_backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    weights, vectors = kept
    slopes = jnp.matmul(vectors, gradient[..., None])[..., 0]
    return slopes, weights[..., None] * gradient[:, None]


weighted_sum.defvjp(_sum_forward, _sum_backward)


def l2_normalize(x: Float[Array, "*shape c"]) -> Float[Array, "*shape c"]:
    """Divide by the L2 norm along the last axis; zero stays zero."""
    # The floor is the smallest square that float32 still divides by without overflow.
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))
