"""The variants of the network that the study of differences trains."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.differences import NormAttention, RandomAttention


def test_a_folded_batch_norm_gives_the_same_scores():
    maps = jax.random.normal(jax.random.key(0), (2, 3, 4, 8)) * 3 + 1
    head = NormAttention(8, hidden=6, rngs=nnx.Rngs(0))
    head.gain.set_value(jnp.linspace(0.5, 2, 6))
    head.shift.set_value(jnp.linspace(-1, 1, 6))
    head.score = RandomAttention(8, hidden=6, rngs=nnx.Rngs(1)).score
    x = head.hidden(maps)
    folded = head.fold(x.mean((0, 1, 2)), x.var((0, 1, 2)))
    assert type(folded) is not NormAttention
    scores = head(maps)
    assert np.std(scores) > 0.1
    np.testing.assert_allclose(folded(maps), scores, rtol=1e-5)


def test_random_first_scores_differ():
    maps = jax.random.normal(jax.random.key(0), (1, 3, 4, 8))
    assert np.std(RandomAttention(8, hidden=6, rngs=nnx.Rngs(0))(maps)) > 0.01
