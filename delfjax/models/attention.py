"""The attention head: which of the dense descriptors matter (Sec. 4.2, Eqs. 1 to 3).

A score ``alpha(f) >= 0`` for each local descriptor ``f`` comes from two 1x1 convolutions and a
softplus. In training a photo is the score-weighted sum of its descriptors, ``y = W sum_n alpha(f_n)
f_n`` (Eq. 1), so that image labels alone teach the scores; in retrieval the scores pick keypoints.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from delfjax.models.layers import convolve, l2_normalize, weighted_sum

MIN_SLOPE = 0.01  # not in the paper: see `softplus`
HIDDEN_CHANNELS = (
    512  # official code: delf_model.AttentionModel; the paper gives two layers and no width
)


@jax.custom_jvp
def softplus(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute ``log(1 + exp(x))``, with a derivative of at least `MIN_SLOPE`.

    The derivative proper, ``sigmoid(x)``, vanishes where a score has come to 0, and with it all that could
    raise the score again: the attention of one of three seeds died so within ten steps, and its loss stayed
    at that of a blind guess.
    """
    return jax.nn.softplus(x)


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (change,) = primals, tangents
    return jax.nn.softplus(x), jnp.maximum(jax.nn.sigmoid(x), MIN_SLOPE) * change


class Attention(nnx.Module):
    """``alpha(f) = softplus(w2 . relu(W1 f + b1) + b2)``, at every cell.

    The official code puts a batch norm after ``W1``; the paper does not speak of one, nor is one here.
    ``w2`` starts at 0, so that attention starts as ``ln 2`` everywhere. Not in the paper: descriptors are
    long, and a random ``w2`` starts many photos with scores of 0 throughout, which learn nothing.

    Args:
        channels: Dimension of a descriptor (1024 at conv4).
        hidden: Width of the first convolution.
        rngs: Where initial weights are drawn from.
    """

    def __init__(self, channels: int, *, hidden: int = HIDDEN_CHANNELS, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Conv(channels, hidden, (1, 1), conv_general_dilated=convolve, rngs=rngs)
        self.score = nnx.Conv(
            hidden,
            1,
            (1, 1),
            kernel_init=nnx.initializers.zeros,
            conv_general_dilated=convolve,
            rngs=rngs,
        )

    def __call__(self, maps: Float[Array, "b y x c"]) -> Float[Array, "b y x"]:
        """Score un-normalized conv4 descriptors. Scores are non-negative and have no upper bound."""
        return softplus(self.score(jax.nn.relu(self.hidden(maps))))[..., 0]


def weighted_pool(
    maps: Float[Array, "b y x c"],
    scores: Float[Array, "b y x"],
    valid: Bool[Array, "b y x"] | None = None,
    *,
    reduction: Literal["sum", "mean"] = "mean",
    normalize: bool = True,
) -> Float[Array, "b c"]:
    """Pool descriptors by their scores, ``sum_n alpha_n f_n`` (Eq. 1 without its ``W``).

    Args:
        maps: Conv4 descriptors, as the scores saw them.
        scores: ``alpha`` at each cell.
        valid: Cells that belong to the photo; all of them where None.
        reduction: ``"sum"`` is Eq. 1. ``"mean"``, the default, is the official code: it divides by the
            number of cells, so that logits do not grow with the area when photos of several sizes
            are trained on.
        normalize: Whether each descriptor is first L2-normalized, as the official code does and Eq. 1
            does not say.
    """
    if normalize:
        maps = l2_normalize(maps)
    weights = scores if valid is None else jnp.where(valid, scores, 0)
    cells = (len(maps), -1)
    pooled = weighted_sum(weights.reshape(cells), maps.reshape(*cells, maps.shape[-1]))
    if reduction == "sum":
        return pooled
    count = jnp.full(len(maps), scores[0].size) if valid is None else valid.sum((1, 2))
    return pooled / jnp.maximum(count, 1)[:, None]
