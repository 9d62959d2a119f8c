"""Data parallelism: every device has the parameters, and its share of each batch.

Not in the paper. One axis, ``photos``, runs over the devices of all hosts; XLA sums losses and gradients
over it, so what is learned does not depend on how many there are.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

AXIS = "photos"


def connect(coordinator: str, hosts: int, host: int) -> None:
    """Join the other hosts of a run; before anything else of jax is used.

    Args:
        coordinator: Address and port of host 0.
        hosts: How many there are.
        host: Which of them this is.
    """
    jax.distributed.initialize(coordinator, hosts, host)


def all_devices() -> Mesh:
    """Return the devices of all hosts."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def check_batch(batch: int, devices: int) -> None:
    """Refuse a batch that devices cannot share equally.

    Raises:
        ValueError: If it cannot be divided.
    """
    if batch < 1 or batch % devices:
        raise ValueError(f"a batch of {batch} photos for {devices} devices; expected a multiple")


def own_part(batch: int) -> slice:
    """Return which photos of a batch this host has to read."""
    share = batch // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def spread(mesh: Mesh, *arrays: np.ndarray) -> tuple[Array, ...]:
    """Make of each host's part of a batch one batch that lies on all devices."""
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return tuple(jax.make_array_from_process_local_data(sharding, array) for array in arrays)


def everywhere(mesh: Mesh, tree: PyTree) -> PyTree:
    """Put a copy of every array onto each device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
