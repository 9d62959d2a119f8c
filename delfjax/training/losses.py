"""What training minimizes (Eq. 2): the cross-entropy of a photo's landmark class.

Symbols: ``y`` the logits of Eq. 1, ``y*`` the true class.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def cross_entropy(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    """Return ``L = -log(exp(y)_{y*} / 1^T exp(y))`` (Eq. 2) of each photo."""
    chances = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(chances, labels[:, None], axis=1)[:, 0]


def is_correct(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Bool[Array, " b"]:
    """Tell for each photo whether its own class has the highest logit."""
    return logits.argmax(-1) == labels
