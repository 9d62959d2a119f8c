"""Nearest neighbors of local descriptors: what every index does, and how one is chosen (Sec. 4.4).

The paper searches a product-quantized inverted file whose code was never released; here a graph of
neighbors takes its place (`nndescent`), in shards where the database is too large for one (`sharded`),
with the paper's own codes beside it (`codes`). The exact search (`exact`) says how much each of them misses.
All answer alike: ``search(queries, k)`` gives the rows of the nearest database descriptors, nearest first,
rows of equal distance in their order, and the L2 distances.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from delfjax.search import index_files
from delfjax.search.index_files import IndexFileError, Parts
from delfjax.types import Features

NEIGHBORS = 60  # K of the re-implementations; no source of the paper that we read gives it
# On two CPU cores NNDescent beats exact search over a hundred photos from some 2,000 descriptors on, its graph
# included (data/results/bench_neighbors.json, by `make bench`). Up to this many, exact search still answers
# a photo of 1,000 features within about half a second, and misses nothing.
EXACT_LIMIT = 50_000
TIE = 1e-4  # distances closer than this are a tie: float32 has no order for them
KINDS = {  # where each is found: only who wants an index imports what it needs
    "exact": ("delfjax.search.exact", "ExactIndex"),
    "nndescent": ("delfjax.search.nndescent", "NNDescentIndex"),
    "sharded": ("delfjax.search.distributed", "ShardedIndex"),
    "codes": ("delfjax.search.product_quantization", "ProductQuantizationIndex"),
}

Value = int | float | str | None  # of a setting
Neighbors = tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]


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
        """The database, one row a descriptor.

        Raises:
            ValueError: If the index keeps codes in place of descriptors.
        """

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

    def search(self, queries: Float[np.ndarray, "q d"], k: int = NEIGHBORS) -> Neighbors:
        """Return the rows of the ``k`` nearest descriptors of each query, nearest first, and distances.

        What an approximate search does not find has row -1 and an infinite distance.

        Raises:
            ValueError: If the database has fewer than ``k`` descriptors, or other dimensions.
        """
        if k > len(self):
            raise ValueError(f"asked for {k} neighbors among {len(self)} descriptors")
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
            database: Checksum of what it was built over (`Database.checksum`), so that it is used with
                nothing else.

        Raises:
            IndexFileError: If the folder holds something else.
        """
        settings = {"kind": self.kind, "settings": self._settings(), "descriptors": len(self)}
        index_files.write(Path(path), settings | {"database": database}, self._parts())

    def recall(
        self,
        queries: Float[np.ndarray, "q d"],
        k: int = NEIGHBORS,
        *,
        sample: int = 200,
        seed: int = 0,
        exact: "Index | None" = None,
    ) -> float:
        """Measure which share of the true ``k`` nearest neighbors is found, on a sample of queries.

        Args:
            queries: What is asked.
            k: Neighbors of each.
            sample: Queries that are tried, at most.
            seed: Of the sample.
            exact: Exact search of the same database; made if None, of the descriptors kept here.

        Returns:
            Recall at ``k``, 0 to 1. A neighbor as near as the true k-th counts: ties have no order.
        """
        random = np.random.default_rng(seed)
        chosen = queries[random.permutation(len(queries))[:sample]]
        _, true = (exact or build_index(self.descriptors, "exact")).search(chosen, k)
        _, found = self.search(chosen, k)
        return float((found <= true[:, -1:] + TIE).mean())

    def _check(self, descriptors: Float[np.ndarray, "q d"]) -> None:
        if descriptors.shape[1] != self.dimensions:
            raise ValueError(
                f"descriptors have {descriptors.shape[1]} dimensions, those of the database "
                f"{self.dimensions}: reduce both by the same PCA"
            )

    @abstractmethod
    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
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


def build_index(
    descriptors: Float[np.ndarray, "t d"], kind: str = "auto", **settings: Value
) -> Index:
    """Build an index: by default exact search of a small database, NNDescent's graph of a large one.

    Args:
        descriptors: The database.
        kind: ``"exact"``, ``"nndescent"``, ``"sharded"``, ``"codes"``, or ``"auto"``: exact up to `EXACT_LIMIT`
            descriptors, then NNDescent.
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
        database: Checksum of what it has to have been built over (`Database.checksum`); None: whatever it
            was.

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


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """An index that is not built yet.

    Attributes:
        kind: As `build_index` names them; ``"auto"`` chooses by size.
        settings: What that kind's ``build`` takes, such as ``{"beam": 60}`` of ``"nndescent"``.
    """

    kind: str = "auto"
    settings: Mapping[str, Value] = field(default_factory=dict)

    def build(self, descriptors: Float[np.ndarray, "t d"]) -> Index:
        """Build it.

        Raises:
            ValueError: If there is no such kind, or it has no such setting, or a setting is out of range.
        """
        try:
            return build_index(descriptors, self.kind, **self.settings)
        except TypeError as error:
            raise ValueError(f"index {self.kind}: {error}") from error


def measure_recall(
    index: Index, descriptors: Float[np.ndarray, "t d"], asked: Sequence[Features]
) -> float:
    """Measure an index's recall at the paper's number of neighbors, on queries.

    Args:
        index: Over ``descriptors``; it need not keep them.
        descriptors: The database.
        asked: The queries, of which 1,000 descriptors are tried.
    """
    if index.kind == "exact":
        return 1.0
    sample = np.concatenate([query.descriptors for query in asked])
    k = min(NEIGHBORS, len(descriptors))
    return index.recall(sample, k, sample=1000, exact=build_index(descriptors, "exact"))
