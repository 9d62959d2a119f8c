"""Score local descriptors by an attention head, learned from image labels (Sec. 4.2, Eqs. 1 to 3).

Two 1x1 convolutions and a softplus give a score ``alpha(f) >= 0`` for each descriptor ``f``. In training, a
linear classifier ``W`` gets the weighted sum of the descriptors of a photo: ``y = W sum_n alpha(f_n) f_n``
(Eq. 1). Image labels are therefore enough to learn the scores. In retrieval, the descriptors with the
highest scores become the features of a photo.
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

    The true derivative, ``sigmoid(x)``, vanishes for scores near 0, so training cannot raise such scores.
    Without the lower limit, all scores fell to 0 within ten updates for one of three random seeds.
    """
    return jax.nn.softplus(x)


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return jax.nn.softplus(x), jnp.maximum(jax.nn.sigmoid(x), MIN_SLOPE) * tangent


class Attention(nnx.Module):
    """Score each descriptor by ``alpha(f) = softplus(w2 . relu(W1 f + b1) + b2)``.

    The official code has a batch norm after ``W1``. The paper does not mention one, so this class has none.
    ``w2`` starts at 0, so all scores start at ``ln 2``. The paper does not say how ``w2`` starts. Conv4
    descriptors have large norms, so a random ``w2`` sets all scores of many photos to 0, and they stay at 0.

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
        """Return the score of each conv4 descriptor, never negative. Do not L2-normalize the descriptors."""
        return softplus(self.score(jax.nn.relu(self.hidden(maps))))[..., 0]


def weighted_pool(
    maps: Float[Array, "b y x c"],
    scores: Float[Array, "b y x"],
    *,
    reduction: Literal["sum", "mean"] = "mean",
    normalize: bool = True,
) -> Float[Array, "b c"]:
    """Sum or average the descriptors of each photo, weighted by score (Eq. 1 without the classifier ``W``).

    Args:
        maps: Conv4 descriptors, without L2 normalization.
        scores: Score ``alpha`` of each descriptor.
        reduction: ``"sum"`` computes ``sum_n alpha_n f_n``, as in Eq. 1. ``"mean"`` divides the sum by the
            number of descriptors, as in the official code. The sum would grow with the size of the photo.
        normalize: Whether to L2-normalize each descriptor first, as in the official code. Eq. 1 does not
            mention this normalization.
    """
    if normalize:
        maps = l2_normalize(maps)
    cells = (len(maps), -1)
    pooled = weighted_sum(scores.reshape(cells), maps.reshape(*cells, maps.shape[-1]))
    return pooled if reduction == "sum" else pooled / scores[0].size
