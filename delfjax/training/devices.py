"""Data parallelism: every device holds all parameters and its share of each batch.

Not in the paper. One mesh axis, ``photos``, spans the devices of all hosts. XLA sums losses and gradients
over it, so the result does not depend on the number of devices.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

AXIS = "photos"


def device_mesh() -> Mesh:
    """Return a mesh of the devices of all hosts."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def check_batch_size(batch_size: int, devices: int) -> None:
    """Check that all devices get the same number of photos.

    Raises:
        ValueError: If the batch cannot be divided equally.
    """
    if batch_size < 1 or batch_size % devices:
        raise ValueError(
            f"batch_size is {batch_size}; expected a multiple of {devices}, the number of devices"
        )


def host_rows(batch_size: int) -> slice:
    """Return the rows of a batch that this host reads."""
    share = batch_size // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def shard_batch(mesh: Mesh, *arrays: np.ndarray) -> tuple[Array, ...]:
    """Join the rows that each host has read to one batch, divided over all devices."""
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return tuple(jax.make_array_from_process_local_data(sharding, array) for array in arrays)


def replicate(mesh: Mesh, tree: PyTree) -> PyTree:
    """Copy every array to every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
