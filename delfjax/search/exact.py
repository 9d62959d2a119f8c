"""Find exact nearest neighbors of local descriptors, as a reference for other indexes.

The squared distance between a query ``q`` and a database descriptor ``x`` is
``|q|^2 + |x|^2 - 2 q.x``. A matrix product computes ``q.x`` for a batch of queries and a chunk of
the database (consecutive rows). Then the nearest neighbors in all chunks are merged.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from delfjax.files import check_tensors
from delfjax.ranges import ConfigError
from delfjax.search.index import Content, Index, Neighbors, Tensors, Value

QUERY_BUCKETS = (128, 512, 1024)  # a batch is padded to one of these sizes: few compiled programs
CHUNK = 8192  # database rows of a chunk; with 1024 queries, the distances take 32 MB
# Squared distance of rows that do not exist; not infinite.
FARTHEST = float(np.finfo(np.float32).max)
SMALLEST_CHUNK = 256  # XLA's products on CPU depend on the size of smaller chunks (in the last bit)

Nearest = tuple[Float[Array, "q k"], Int[Array, "q k"]]  # squared distances and database rows


class ExactIndex(Index):
    """Exact index that compares each query with every database descriptor, on CPU or GPU.

    Args:
        descriptors: Descriptors of the database, one row per feature.
    """

    kind = "exact"

    def __init__(self, descriptors: Float[np.ndarray, "t d"]) -> None:
        power_of_two = 1 << max(len(descriptors) - 1, 0).bit_length()
        size = min(CHUNK, max(SMALLEST_CHUNK, power_of_two))
        self._shape: tuple[int, int] = descriptors.shape
        self._chunks = []
        for start in range(0, len(descriptors), size):
            rows = descriptors[start : start + size]
            self._chunks.append((_pad(rows, size), start, len(rows)))

    @classmethod
    def check(cls, dimensions: int | None = None, /, **settings: Value) -> None:
        """Check that ``settings`` is empty, because exact search has no settings."""
        if settings:
            raise ConfigError(
                f"an exact index has no settings; got {', '.join(settings)}. Fix: leave out settings"
            )

    @classmethod
    def build(cls, descriptors: Float[np.ndarray, "t d"], /, **settings: Value) -> "ExactIndex":
        """Build an exact index from database descriptors. ``settings`` must be empty."""
        cls.check(None, **settings)
        return cls(descriptors)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """Copy of the descriptors of the database, one row per feature."""
        return np.concatenate([np.asarray(chunk)[:count] for chunk, _, count in self._chunks])

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def dimensions(self) -> int:
        """Number of dimensions of a descriptor."""
        return self._shape[1]

    def _content(self) -> Content:
        return {}, {"descriptors": self.descriptors}

    @classmethod
    def _restore(cls, settings: dict[str, Any], tensors: Tensors) -> "ExactIndex":
        check_tensors(tensors, {"descriptors": ("f", 2)})
        return cls.build(tensors["descriptors"], **settings)

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        size = QUERY_BUCKETS[-1]
        batches = [queries[at : at + size] for at in range(0, len(queries), size)]
        found = [self._search_batch(batch, k) for batch in batches]
        return Neighbors(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def _search_batch(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        size = next(bucket for bucket in QUERY_BUCKETS if bucket >= len(queries))
        padded = _pad(queries, size)
        best = jnp.full((size, k), FARTHEST), jnp.full((size, k), -1)
        for chunk, start, count in self._chunks:
            best = _merge_nearest(best, padded, chunk, start, count)
        squared, rows = (np.asarray(part)[: len(queries)] for part in best)
        return Neighbors(rows, np.sqrt(np.maximum(squared, 0)))


def _pad(rows: Float[np.ndarray, "n d"], size: int) -> Float[Array, "s d"]:
    """Append rows of zeros up to ``size`` rows. JAX would compile a program for each number of rows."""
    padded = np.zeros((size, rows.shape[1]), np.float32)
    padded[: len(rows)] = rows
    return jnp.asarray(padded)


@partial(jax.jit, donate_argnums=0)
def _merge_nearest(
    best: Nearest,
    queries: Float[Array, "q d"],
    chunk: Float[Array, "s d"],
    start: int | Int[Array, ""],
    count: int | Int[Array, ""],
) -> Nearest:
    """Search one more chunk of the database and update the nearest neighbors so far (``best``).

    The chunk has ``count`` descriptors from the database row ``start``, padded with zeros.
    """
    norms = (queries**2).sum(1)[:, None] + (chunk**2).sum(1)[None]
    products = jnp.matmul(queries, chunk.T, precision=jax.lax.Precision.HIGHEST)
    squared = jnp.where(jnp.arange(len(chunk)) < count, norms - 2 * products, FARTHEST)
    k = best[0].shape[1]
    nearest, rows = jax.lax.top_k(-squared, min(k, len(chunk)))
    distances = jnp.concatenate([best[0], -nearest], axis=1)
    merged, order = jax.lax.top_k(-distances, k)
    rows = jnp.concatenate([best[1], rows + start], axis=1)
    return -merged, jnp.take_along_axis(rows, order, axis=1)
