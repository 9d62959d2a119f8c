"""The attention head: a score for each local descriptor, learned from image labels (Sec. 4.2, Eqs. 1 to 3).

Two 1x1 convolutions and a softplus give a score ``alpha(f) >= 0`` for each descriptor ``f``. In training, a
photo is the weighted sum of its descriptors, ``y = W sum_n alpha(f_n) f_n`` (Eq. 1), so image labels are
enough to learn the scores. In retrieval, the scores select the keypoints.
"""

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

    The true derivative, ``sigmoid(x)``, vanishes for scores near 0, so such scores could never rise
    again. Without the limit, the attention of one in three seeds died within ten steps.
    """
    return jax.nn.softplus(x)


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return jax.nn.softplus(x), jnp.maximum(jax.nn.sigmoid(x), MIN_SLOPE) * tangent


class Attention(nnx.Module):
    """Score each descriptor by ``alpha(f) = softplus(w2 . relu(W1 f + b1) + b2)``.

    The official code has a batch norm after ``W1``. The paper does not mention it, and it is left out.
    ``w2`` starts at 0, so all scores start at ``ln 2``. This is not in the paper: conv4 descriptors are
    long vectors, so a random ``w2`` gives many photos scores of 0 everywhere, and these never learn.

    Args:
        channels: Dimension of a descriptor (1024 at conv4).
        hidden: Number of channels after the first convolution.
        rngs: Random state that initializes the weights.
    """

    def __init__(self, channels: int, *, hidden: int = HIDDEN_CHANNELS, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Conv(channels, hidden, (1, 1), conv_general_dilated=convolve, rngs=rngs)
        zeros = nnx.initializers.zeros
        self.score = nnx.Conv(
            hidden, 1, (1, 1), kernel_init=zeros, conv_general_dilated=convolve, rngs=rngs
        )

    def __call__(self, maps: Float[Array, "b y x c"]) -> Float[Array, "b y x"]:
        """Return the score of each conv4 descriptor, which must not be normalized. Scores are >= 0."""
        return softplus(self.score(jax.nn.relu(self.hidden(maps))))[..., 0]


def weighted_pool(
    maps: Float[Array, "b y x c"],
    scores: Float[Array, "b y x"],
    *,
    reduction: Literal["sum", "mean"] = "mean",
    normalize: bool = True,
) -> Float[Array, "b c"]:
    """Pool the descriptors of each photo, weighted by score: ``sum_n alpha_n f_n`` (Eq. 1 without ``W``).

    Args:
        maps: Conv4 descriptors, not normalized.
        scores: Score ``alpha`` of each cell.
        reduction: ``"sum"`` is Eq. 1. ``"mean"`` divides by the number of cells, as the official code
            does: logits then do not grow with the area of the photo.
        normalize: Whether to L2-normalize each descriptor first. The official code does; Eq. 1 does not
            mention it.
    """
    if normalize:
        maps = l2_normalize(maps)
    cells = (len(maps), -1)
    pooled = weighted_sum(scores.reshape(cells), maps.reshape(*cells, maps.shape[-1]))
    return pooled if reduction == "sum" else pooled / scores[0].size
