"""Score local descriptors with an attention head (Sec. 4.2, Eqs. 1 to 3).

The head computes a score ``alpha(f) >= 0`` of each descriptor ``f`` by two 1x1 convolutions and a
softplus. In retrieval, the descriptors with the highest scores are the features of a photo. In
training, which needs only image labels, a linear classifier ``W`` computes the logits
``W sum_n alpha(f_n) f_n`` from all descriptors ``f_n`` of a photo (Eq. 1).
"""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from delfjax.models.layers import convolve, l2_normalize, weighted_sum

MIN_SLOPE = 0.01  # not in the paper: see `softplus`
HIDDEN_CHANNELS = 512  # official code: delf_model.AttentionModel; the paper gives no width


@jax.custom_jvp
def softplus(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute ``log(1 + exp(x))``, with a derivative of at least `MIN_SLOPE`.

    The softplus is the attention score. If it is near 0, so is its true derivative ``sigmoid(x)``, and
    training cannot increase the score. In one of three such runs, all scores fell to 0.
    """
    return jax.nn.softplus(x)


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return jax.nn.softplus(x), jnp.maximum(jax.nn.sigmoid(x), MIN_SLOPE) * tangent


class Attention(nnx.Module):
    """Attention head, which computes the score ``alpha(f) = softplus(w2 . relu(W1 f + b1) + b2)``.

    ``f`` is a vector of conv4. The first 1x1 convolution has the kernel ``W1`` and the bias ``b1``.
    The second has ``w2`` and ``b2``. ``w2`` starts at 0, so all scores are equal at first. The
    official code has a batch norm after the first convolution. The paper does not mention a batch
    norm, and this class has none. docs/differences.md measures both choices.

    A third 1x1 convolution can project conv4 to the local descriptor. In DELG (Cao et al. 2020), a
    fourth 1x1 convolution and a ReLU expand the projection, and ``f`` is a vector of the result. In
    models of `delfjax.training.projection`, ``f`` is still a vector of conv4.

    Args:
        channels: Dimension of conv4 (1024).
        hidden: Number of output channels of the first convolution.
        projected: Number of channels of the projection. None: no projection.
        expanded: Number of channels to which the projection is expanded. None: no expansion.
        rngs: Random state that initializes the weights.

    Attributes:
        dimensions: Number of dimensions of a local descriptor.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = HIDDEN_CHANNELS,
        projected: int | None = None,
        expanded: int | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        pointwise = partial(nnx.Conv, kernel_size=(1, 1), conv_general_dilated=convolve, rngs=rngs)
        self.dimensions = projected or channels
        self.reduce = pointwise(channels, projected) if projected else None
        self.expand = pointwise(self.dimensions, expanded) if expanded else None
        self.hidden = pointwise(expanded or channels, hidden)
        self.score = pointwise(hidden, 1, kernel_init=nnx.initializers.zeros)

    def __call__(self, maps: Float[Array, "b y x c"]) -> Float[Array, "b y x"]:
        """Return the scores of conv4 descriptors that are not L2-normalized."""
        if self.reduce is not None and self.expand is not None:
            maps = jax.nn.relu(self.expand(self.reduce(maps)))
        return softplus(self.score(jax.nn.relu(self.hidden(maps))))[..., 0]

    def descriptors(self, maps: Float[Array, "b y x c"]) -> Float[Array, "b y x d"]:
        """Return the local descriptors: conv4 (``maps``), or the projection of conv4."""
        return maps if self.reduce is None else self.reduce(maps)


def weighted_pool(
    maps: Float[Array, "b y x c"],
    scores: Float[Array, "b y x"],
    *,
    reduction: Literal["sum", "mean"] = "mean",
    normalize: bool = True,
) -> Float[Array, "b c"]:
    """Compute the weighted sum or mean of the descriptors of each photo (Eq. 1 without classifier).

    Args:
        maps: Conv4 descriptors ``f_n`` that are not L2-normalized.
        scores: Score ``alpha_n`` of each descriptor.
        reduction: ``"sum"`` computes ``sum_n alpha_n f_n``, as in Eq. 1. ``"mean"`` divides the sum
            by the number of descriptors, as in the official code.
        normalize: Whether to L2-normalize each descriptor first, as the official code does.
    """
    if normalize:
        maps = l2_normalize(maps)
    cells = (len(maps), -1)
    pooled = weighted_sum(scores.reshape(cells), maps.reshape(*cells, maps.shape[-1]))
    return pooled if reduction == "sum" else pooled / scores[0].size
