"""Nearest neighbours of local descriptors: exact, and by NNDescent (in place of Sec. 4.4's index).

The paper searches a product-quantised inverted file whose code was never released; here a graph of
neighbours takes its place, and the exact search says how much it misses. Both indexes answer alike:
``search(queries, k)`` gives the rows of the nearest database descriptors and their L2 distances.
"""

import os
from abc import ABC, abstractmethod
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from tqdm.auto import tqdm

PAPER_NEIGHBOURS = 60  # K of the re-implementations; no source of the paper that we read gives it
QUERY_BUCKETS = (128, 1024)  # queries are padded to one of these numbers: two compiled programs
CHUNK = 8192  # database rows a step: with 1024 queries, 32 MB of distances
# On two CPU cores NNDescent, its compilation and its graph included, beats exact search over a hundred
# queries from about this many descriptors on: data/results/bench_neighbours.json, by `make bench`.
EXACT_LIMIT = 70_000
TIE = 1e-4  # distances closer than this are a tie: float32 has no order for them

Neighbours = tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]
Best = tuple[Float[Array, "q k"], Int[Array, "q k"]]


class Index(ABC):
    """What every index can do.

    Attributes:
        descriptors: The database, one row a descriptor.
    """

    descriptors: Float[np.ndarray, "t d"]

    def search(self, queries: Float[np.ndarray, "q d"], k: int = PAPER_NEIGHBOURS) -> Neighbours:
        """Return the rows of the ``k`` nearest descriptors of each query, nearest first, and distances.

        Raises:
            ValueError: If the database has fewer than ``k`` descriptors, or other dimensions.
        """
        if k > len(self.descriptors):
            raise ValueError(f"asked for {k} neighbours among {len(self.descriptors)} descriptors")
        if queries.shape[1] != self.descriptors.shape[1]:
            raise ValueError(
                f"queries have {queries.shape[1]} dimensions, the database "
                f"{self.descriptors.shape[1]}: reduce both by the same PCA"
            )
        if not len(queries):
            return np.empty((0, k), np.int32), np.empty((0, k), np.float32)
        return self._search(np.ascontiguousarray(queries, np.float32), k)

    @abstractmethod
    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        """Search what `search` has checked."""

    def recall(
        self,
        queries: Float[np.ndarray, "q d"],
        k: int = PAPER_NEIGHBOURS,
        *,
        sample: int = 200,
        seed: int = 0,
    ) -> float:
        """Measure which share of the true ``k`` nearest neighbours is found, on a sample of queries.

        Returns:
            Recall at ``k``, 0 to 1. A neighbour as near as the true k-th counts: ties have no order.
        """
        random = np.random.default_rng(seed)
        chosen = queries[random.permutation(len(queries))[:sample]]
        _, exact = ExactIndex(self.descriptors).search(chosen, k)
        _, found = self.search(chosen, k)
        return float((found <= exact[:, -1:] + TIE).mean())


class ExactIndex(Index):
    """Exhaustive search, a chunk of the database at a time; the same on CPU and GPU."""

    def __init__(self, descriptors: Float[np.ndarray, "t d"]) -> None:
        self.descriptors = np.asarray(descriptors, np.float32)
        size = min(CHUNK, _power_of_two(len(descriptors)))
        self._chunks = []
        for start in range(0, len(descriptors), size):
            rows = self.descriptors[start : start + size]
            padded = jnp.zeros((size, rows.shape[1])).at[: len(rows)].set(rows)
            self._chunks.append((padded, start, len(rows)))

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        largest = QUERY_BUCKETS[-1]
        parts = [
            self._search_bucket(queries[start : start + largest], k)
            for start in range(0, len(queries), largest)
        ]
        rows, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
        return rows, distances

    def _search_bucket(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
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


class NNDescentIndex(Index):
    """A graph of approximate nearest neighbours (Dong et al. 2011), by pynndescent.

    The first one of a process compiles for about half a minute: the bar says so.

    Args:
        descriptors: The database.
        neighbours: Edges a node; more is slower and finds more.
        epsilon: How far beyond the current best the search looks; 0.1 to 0.3. Never 0: recall
            falls below .05.
        threads: For build and search; all cores where None.
        seed: Of the graph.
    """

    def __init__(
        self,
        descriptors: Float[np.ndarray, "t d"],
        *,
        neighbours: int = 60,
        epsilon: float = 0.15,
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        if epsilon <= 0:
            raise ValueError(
                f"epsilon must be over 0, got {epsilon}: the search would stop at once"
            )
        self.descriptors = np.ascontiguousarray(descriptors, np.float32)
        self.epsilon = epsilon
        first = "NNDescent: compiling, about half a minute once a process"
        with tqdm(total=3, desc=first, bar_format="{desc} {bar} {elapsed}") as bar:
            from pynndescent import NNDescent  # takes seconds to import: only who needs it waits

            bar.update()
            self._graph = NNDescent(
                self.descriptors,
                metric="euclidean",
                n_neighbors=min(neighbours, len(descriptors) - 1),
                random_state=seed,
                n_jobs=threads or os.cpu_count(),
                compressed=True,
            )
            bar.update()
            bar.set_description("NNDescent: preparing the search graph")
            self._graph.prepare()
            bar.update()

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        rows, distances = self._graph.query(queries, k=k, epsilon=self.epsilon)
        return rows.astype(np.int32), distances.astype(np.float32)


def build_index(descriptors: Float[np.ndarray, "t d"], kind: str = "auto") -> Index:
    """Build the index that is fastest in all: exact for small databases, NNDescent for large.

    Args:
        descriptors: The database.
        kind: ``"exact"``, ``"nndescent"``, or ``"auto"`` to choose by size.
    """
    kinds = {"exact": ExactIndex, "nndescent": NNDescentIndex}
    if kind == "auto":
        kind = "exact" if len(descriptors) <= EXACT_LIMIT else "nndescent"
    if kind not in kinds:
        raise ValueError(f"index {kind!r}: expected auto, {', '.join(kinds)}")
    return kinds[kind](descriptors)
