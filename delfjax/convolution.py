"""Convolution whose gradient costs no more than it should.

Not in the paper: fine-tuning on a CPU hangs on it. A 1x1 convolution is a matrix product, and so are both
of its gradients; left to itself, XLA makes of the kernel's gradient a convolution whose window is the
whole map, after transposing two of them. A step of fine-tuning takes 1.4 times as long that way (measured).
"""

from typing import Any

import jax
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


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return _pointwise(x, w), (x, w)


def _backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, w = kept
    # Rows as one axis: contracted over three axes, XLA would transpose again.
    rows, slopes = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    return lax.dot_general(gradient, w, (((3,), (1,)), ((), ()))), rows.T @ slopes


_pointwise.defvjp(_forward, _backward)
