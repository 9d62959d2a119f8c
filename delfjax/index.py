"""Nearest neighbours of local descriptors: what every index does, and exact search (Sec. 4.4).

The paper searches a product-quantised inverted file whose code was never released; here a graph of
neighbours takes its place (`nndescent`), in shards where the database is too large for one (`sharded`),
with the paper's own codes beside it (`codes`). The exact search says how much each of them misses. All
answer alike: ``search(queries, k)`` gives the rows of the nearest database descriptors, nearest first,
rows of equal distance in their order, and the L2 distances.
"""

from abc import ABC, abstractmethod
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from delfjax import index_files
from delfjax.index_files import IndexFileError, Parts

PAPER_NEIGHBOURS = 60  # K of the re-implementations; no source of the paper that we read gives it
QUERY_BUCKETS = (128, 1024)  # queries are padded to one of these numbers: two compiled programs
CHUNK = 8192  # database rows a step: with 1024 queries, 32 MB of distances
SMALLEST_CHUNK = 256  # from here on XLA's products on the CPU do not depend on the size, to the bit
# On two CPU cores NNDescent beats exact search over a hundred photos from some 5,000 descriptors on, its graph
# included (data/results/bench_neighbours.json, by `make bench`). Up to this many, exact search still answers
# a photo of 1,000 features within about half a second, and misses nothing.
EXACT_LIMIT = 50_000
TIE = 1e-4  # distances closer than this are a tie: float32 has no order for them
KINDS = {  # where each is found: only who wants an index imports what it needs
    "exact": ("delfjax.index", "ExactIndex"),
    "nndescent": ("delfjax.nndescent", "NNDescentIndex"),
    "sharded": ("delfjax.sharded", "ShardedIndex"),
    "codes": ("delfjax.codes", "CodesIndex"),
}

Value = int | float | str | None  # of a setting
Neighbours = tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]
Best = tuple[Float[Array, "q k"], Int[Array, "q k"]]


class Index(ABC):
    """What every index can do.

    Attributes:
        kind: Its name for `build_index`.
        effort: How hard it searches, a whole number of whatever it counts; None where that is not a choice.
    """

    kind: ClassVar[str]
    effort: int | None = None

    @classmethod
    @abstractmethod
    def build(cls, descriptors: Float[np.ndarray, "t d"], **settings: Value) -> "Index":
        """Build an index: a plain function of descriptors and settings, which may run anywhere."""

    @property
    @abstractmethod
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """The database, one row a descriptor."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes that it holds."""

    def __len__(self) -> int:
        return len(self.descriptors)

    @property
    def dimensions(self) -> int:
        """Of a descriptor."""
        return self.descriptors.shape[1]

    def search(self, queries: Float[np.ndarray, "q d"], k: int = PAPER_NEIGHBOURS) -> Neighbours:
        """Return the rows of the ``k`` nearest descriptors of each query, nearest first, and distances.

        What an approximate search does not find has row -1 and an infinite distance.

        Raises:
            ValueError: If the database has fewer than ``k`` descriptors, or other dimensions.
        """
        if k > len(self):
            raise ValueError(f"asked for {k} neighbours among {len(self)} descriptors")
        self._check(queries)
        if not len(queries):
            return np.empty((0, k), np.int32), np.empty((0, k), np.float32)
        # A copy: what can be written to is always of one type for numba, which else compiles anew.
        return self._search(np.array(queries, np.float32, order="C"), k)

    def add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        """Put descriptors behind those that are there; their rows go on from the last.

        Raises:
            ValueError: If they have other dimensions than the database.
        """
        self._check(descriptors)
        if len(descriptors):
            self._add(np.array(descriptors, np.float32, order="C"))

    def save(self, path: Path | str, *, database: str | None = None) -> None:
        """Write the index into a folder, whole or not at all; one that is there is replaced.

        Args:
            path: The folder.
            database: Checksum of what it was built over, so that it is used with nothing else.

        Raises:
            IndexFileError: If the folder holds something else.
        """
        settings = {"kind": self.kind, "settings": self._settings(), "descriptors": len(self)}
        index_files.write(Path(path), settings | {"database": database}, self._parts())

    def recall(
        self,
        queries: Float[np.ndarray, "q d"],
        k: int = PAPER_NEIGHBOURS,
        *,
        sample: int = 200,
        seed: int = 0,
        exact: "Index | None" = None,
    ) -> float:
        """Measure which share of the true ``k`` nearest neighbours is found, on a sample of queries.

        Args:
            queries: What is asked.
            k: Neighbours of each.
            sample: Queries that are tried, at most.
            seed: Of the sample.
            exact: Exact search of the same database; made if None, of the descriptors kept here.

        Returns:
            Recall at ``k``, 0 to 1. A neighbour as near as the true k-th counts: ties have no order.
        """
        random = np.random.default_rng(seed)
        chosen = queries[random.permutation(len(queries))[:sample]]
        _, true = (exact or ExactIndex(self.descriptors)).search(chosen, k)
        _, found = self.search(chosen, k)
        return float((found <= true[:, -1:] + TIE).mean())

    def _check(self, descriptors: Float[np.ndarray, "q d"]) -> None:
        if descriptors.shape[1] != self.dimensions:
            raise ValueError(
                f"descriptors have {descriptors.shape[1]} dimensions, those of the database "
                f"{self.dimensions}: reduce both by the same PCA"
            )

    @abstractmethod
    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        """Search what `search` has checked."""

    @abstractmethod
    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        """Add what `add` has checked."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Return what beside its arrays makes this index, for the manifest."""

    @abstractmethod
    def _parts(self) -> Parts:
        """Return its arrays, by file and name."""

    @classmethod
    @abstractmethod
    def _restore(cls, settings: dict[str, Any], parts: Parts) -> "Index":
        """Make an index of its settings and arrays."""


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


def build_index(
    descriptors: Float[np.ndarray, "t d"], kind: str = "auto", **settings: Value
) -> Index:
    """Build an index: by default exact search of a small database, NNDescent's graph of a large one.

    Args:
        descriptors: The database.
        kind: ``"exact"``, ``"nndescent"``, ``"sharded"``, ``"codes"``, or ``"auto"`` to choose by size.
        settings: What that kind's ``build`` takes.

    Raises:
        ValueError: If there is no such kind, or a setting is out of range.
    """
    if kind == "auto":
        kind = "exact" if len(descriptors) <= EXACT_LIMIT else "nndescent"
    return index_class(kind).build(descriptors, **settings)


def load_index(path: Path | str, *, database: str | None = None) -> Index:
    """Read what `Index.save` wrote.

    Args:
        path: The folder.
        database: Checksum of what it has to have been built over; None: whatever it was.

    Raises:
        IndexFileError: If there is no index, if its files are not what was written, or if it was built over
            another database.
    """
    manifest, parts = index_files.read(Path(path))
    if database not in (None, manifest.get("database")):
        raise IndexFileError(
            f"{path}: an index of other photos or descriptors than are to be searched; build it again"
        )
    return index_class(manifest["kind"])._restore(manifest["settings"], parts)


def index_class(kind: str) -> type[Index]:
    """Find the class of a kind of index."""
    if kind not in KINDS:
        raise ValueError(f"index {kind!r}: expected auto, {', '.join(KINDS)}")
    module, name = KINDS[kind]
    return getattr(import_module(module), name)
