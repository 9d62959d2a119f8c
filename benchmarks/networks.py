"""Networks with random weights, for benchmarks and tests that need no trained ones."""

from collections.abc import Callable
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

Model = TypeVar("Model", bound=nnx.Module)


def random_network(make: Callable[[], Model], seed: int) -> Model:
    """Make a network with He-normal weights, by NumPy. JAX would compile a program for each shape."""
    network, random = nnx.eval_shape(make), np.random.default_rng(seed)
    for _, weights in nnx.to_flat_state(nnx.state(network)):
        inputs = np.prod(weights.shape[:-1]) if len(weights.shape) > 1 else 100
        values = random.normal(0, np.sqrt(2 / inputs), weights.shape)
        weights.set_value(jnp.asarray(values, jnp.float32))
    return network
