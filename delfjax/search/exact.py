"""Exact nearest neighbors of local descriptors: what the other indexes are measured against (Sec. 4.4).

The squared distance of query ``q`` and descriptor ``x`` is ``|q|^2 + |x|^2 - 2 q x``: a matrix product, of some
queries with a chunk of the database at a time, and the nearest of each chunk are merged with those before.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from delfjax.search.index import Index, Neighbors, Value
from delfjax.search.index_files import Parts

QUERY_BUCKETS = (128, 1024)  # queries are padded to one of these numbers: two compiled programs
CHUNK = 8192  # database rows a step: with 1024 queries, 32 MB of distances
SMALLEST_CHUNK = 256  # from here on XLA's products on the CPU do not depend on the size, to the bit

Best = tuple[Float[Array, "q k"], Int[Array, "q k"]]


class ExactIndex(Index):
    """Exhaustive search, a chunk of the database at a time; the same on CPU and GPU.

    Args:
        descriptors: The database.
    """

    kind = "exact"

    def __init__(self, descriptors: Float[np.ndarray, "t d"]) -> None:
        self._hold(np.asarray(descriptors, np.float32))

    def _hold(self, descriptors: Float[np.ndarray, "t d"]) -> None:
        size = min(CHUNK, max(SMALLEST_CHUNK, _power_of_two(len(descriptors))))
        self._shape = descriptors.shape
        self._chunks = []
        for start in range(0, len(descriptors), size):
            rows = descriptors[start : start + size]
            padded = jnp.zeros((size, rows.shape[1])).at[: len(rows)].set(rows)
            self._chunks.append((padded, start, len(rows)))

    @classmethod
    def build(cls, descriptors: Float[np.ndarray, "t d"], **settings: Value) -> "ExactIndex":
        """Hold the descriptors; there is nothing to set."""
        if settings:
            raise ValueError(f"exact search has no settings, got {', '.join(settings)}")
        return cls(descriptors)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """The database, put together from its chunks."""
        if not self._chunks:
            return np.empty(self._shape, np.float32)
        return np.concatenate([np.asarray(chunk)[:count] for chunk, _, count in self._chunks])

    @property
    def memory(self) -> int:
        """Bytes of the chunks."""
        return sum(chunk.nbytes for chunk, _, _ in self._chunks)

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def dimensions(self) -> int:
        """Of a descriptor."""
        return self._shape[1]

    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        self._hold(np.concatenate([self.descriptors, descriptors]))

    def _settings(self) -> dict[str, Any]:
        return {}

    def _parts(self) -> Parts:
        return {"index": {"descriptors": self.descriptors}}

    @classmethod
    def _restore(cls, settings: dict[str, Any], parts: Parts) -> "ExactIndex":
        return cls(parts["index"]["descriptors"])

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        largest = QUERY_BUCKETS[-1]
        parts = [
            self._search_bucket(queries[start : start + largest], k)
            for start in range(0, len(queries), largest)
        ]
        rows, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
        return rows, distances

    def _search_bucket(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        size = next(bucket for bucket in QUERY_BUCKETS if bucket >= len(queries))
        padded = jnp.zeros((size, queries.shape[1])).at[: len(queries)].set(queries)
        best = jnp.full((size, k), jnp.inf), jnp.full((size, k), -1)
        for chunk, start, count in self._chunks:
            best = _merge_nearest(best, padded, chunk, start, count)
        squared, rows = (np.asarray(part)[: len(queries)] for part in best)
        return rows, np.sqrt(np.maximum(squared, 0))


@partial(jax.jit, donate_argnums=0)
def _merge_nearest(
    best: Best,
    queries: Float[Array, "q d"],
    chunk: Float[Array, "s d"],
    start: int | Int[Array, ""],
    count: int | Int[Array, ""],
) -> Best:
    """Keep the nearest of what was found so far and of one more chunk of the database."""
    norms = (queries**2).sum(1)[:, None] + (chunk**2).sum(1)[None]
    products = jnp.matmul(queries, chunk.T, precision=jax.lax.Precision.HIGHEST)
    squared = jnp.where(jnp.arange(len(chunk)) < count, norms - 2 * products, jnp.inf)
    k = best[0].shape[1]
    nearest, rows = jax.lax.top_k(-squared, min(k, len(chunk)))
    distances = jnp.concatenate([best[0], -nearest], axis=1)
    merged, order = jax.lax.top_k(-distances, k)
    rows = jnp.concatenate([best[1], rows + start], axis=1)
    return -merged, jnp.take_along_axis(rows, order, axis=1)


def _power_of_two(count: int) -> int:
    return 1 << (max(count, 1) - 1).bit_length()
