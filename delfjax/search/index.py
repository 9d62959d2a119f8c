"""Build, search, save and load nearest-neighbor indexes of local descriptors.

The paper searches a product-quantized inverted file (Sec. 4.4). The code of this search was not
released. There are four kinds of index here: exact search (`exact`), a neighbor graph
(`nndescent`), product quantization (`product_quantization`), and an index in several parts
(`distributed`). A search returns the ``k`` nearest descriptors, sorted by L2 distance, then by row.
The graph and product quantization are approximate: they may miss some of the nearest descriptors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from delfjax import __version__
from delfjax.files import read_tensors, reading, write_tensors
from delfjax.provenance import versions
from delfjax.ranges import COUNT, ConfigError, check_fields, check_number

NEIGHBORS = 60  # neighbors per query feature, as in the re-implementations; not in the paper
# "auto" searches exactly up to this many descriptors: 1,000 query features then take a few seconds on
# two CPU cores. For a few queries, a graph of fewer descriptors does not pay off: building it takes a
# minute. For half of this minute pynndescent compiles, in every process that builds a graph.
EXACT_LIMIT = 1_000_000
TIE = 1e-4  # distances that differ by less count as equal: float32 cannot order them
KINDS = {  # module and class of each kind, imported only when used
    "exact": ("delfjax.search.exact", "ExactIndex"),
    "nndescent": ("delfjax.search.nndescent", "NNDescentIndex"),
    "sharded": ("delfjax.search.distributed", "ShardedIndex"),
    "pq": ("delfjax.search.product_quantization", "ProductQuantizationIndex"),
}

MAX_BYTES = 2**40  # of an index file; the memory is usually smaller
FIX = "build the index again (delfjax index)"

Value = int | float | str | None  # value of a setting
Tensors = dict[str, np.ndarray]
Content = tuple[dict[str, Any], Tensors]


class IndexFileError(ValueError):
    """Raised if a file holds no readable index, or the index of another database."""


class Neighbors(NamedTuple):
    """The ``k`` nearest database descriptors of each query descriptor, nearest first.

    Attributes:
        rows: Database row of each neighbor, from 0. An approximate search may find fewer than ``k``
            neighbors. Then the rows of the missing neighbors are -1.
        distances: L2 distance of each neighbor from its query; infinite where the row is -1.
    """

    rows: Int[np.ndarray, "q k"]
    distances: Float[np.ndarray, "q k"]


class Index(ABC):
    """Interface of all nearest-neighbor indexes.

    Attributes:
        kind: Name of this kind of index, as in `build_index`.
        effort: Number of nearest nodes that a graph search keeps, or of inverted lists to search.
            A higher effort finds more of the true neighbors and takes longer. None: exact search.
    """

    kind: ClassVar[str]
    effort: int | None = None

    @classmethod
    @abstractmethod
    def build(cls, descriptors: Float[np.ndarray, "t d"], /, **settings: Any) -> "Index":
        """Build an index of this kind from the descriptors of a database."""

    @classmethod
    @abstractmethod
    def check(cls, dimensions: int | None = None, /, **settings: Any) -> None:
        """Check the settings of `build`. ``dimensions`` is the size of a descriptor, if known.

        Raises:
            ConfigError: If a setting is unknown or out of range, or does not fit the dimensions.
        """

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """Descriptors of the database, one row per feature. Not every kind of index keeps them."""
        raise ValueError(f"index {self.kind!r} keeps no descriptors. Fix: use Database.descriptors")

    def __len__(self) -> int:
        return len(self.descriptors)

    @property
    def dimensions(self) -> int:
        """Number of dimensions of a descriptor."""
        return int(self.descriptors.shape[1])

    def search(self, queries: Float[np.ndarray, "q d"], k: int = NEIGHBORS) -> Neighbors:
        """Find the ``k`` nearest database descriptors of each query descriptor.

        Raises:
            ValueError: If ``k`` exceeds the number of descriptors, or queries do not fit the index.
        """
        if k > len(self):
            raise ValueError(
                f"k is {k}; expected at most {len(self)}, the number of descriptors. Fix: use a smaller k"
            )
        if queries.shape[1] != self.dimensions:
            raise ValueError(
                f"the queries have {queries.shape[1]} dimensions; expected {self.dimensions}, "
                "as in the index. Fix: reduce descriptors of query and database by the same PCA"
            )
        if not len(queries):
            return Neighbors(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
        # A copy is always writable: numba would compile again for a read-only array.
        return self._search(np.array(queries, np.float32, order="C"), k)

    def save(self, path: Path | str, *, database: str | None = None) -> None:
        """Write the index to a safetensors file, and replace the file if it exists.

        A float32 tensor is stored as float16 if this changes no value. This is the case for
        descriptors from a feature store.

        Args:
            path: The file.
            database: Checksum of the indexed database (`Database.checksum`). `load_index` compares
                it with the checksum of the database to search.

        Raises:
            IndexFileError: If ``path`` is a folder. Earlier versions wrote an index as a folder.
            StoreError: If the file cannot be written.
        """
        path = Path(path)
        check_no_folder(path)
        settings, tensors = self._content()
        header = {
            "kind": self.kind,
            "settings": settings,
            "descriptors": len(self),
            "database": database,
            "versions": versions(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, {name: _to_half(each) for name, each in tensors.items()}, header)

    def recall(
        self,
        queries: Float[np.ndarray, "q d"],
        k: int = NEIGHBORS,
        *,
        exact: "Index",
        sample: int = 200,
    ) -> float:
        """Measure the fraction of the true ``k`` nearest neighbors that this index finds.

        Args:
            queries: Query descriptors.
            k: Number of neighbors of each query. Limited to the number of descriptors.
            exact: Exact index of the same database.
            sample: Maximum number of queries to measure with, chosen at random.

        Returns:
            Recall at ``k``, from 0 to 1. A neighbor that the index finds is correct if its exact
            distance from the query is at most the exact distance of the true ``k``-th neighbor.
        """
        k, random = min(k, len(self)), np.random.default_rng(0)
        chosen = queries[random.permutation(len(queries))[:sample]]
        _, true = exact.search(chosen, k)
        rows, _ = self.search(chosen, k)
        distances = np.linalg.norm(exact.descriptors[rows] - chosen[:, None], axis=-1)
        return float(((rows >= 0) & (distances <= true[:, -1:] + TIE)).mean())

    @abstractmethod
    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        """Find the nearest neighbors of queries that `search` has checked."""

    @abstractmethod
    def _content(self) -> Content:
        """Return what `_restore` needs: settings for JSON, and tensors by name."""

    @classmethod
    @abstractmethod
    def _restore(cls, settings: dict[str, Any], tensors: Tensors) -> "Index":
        """Rebuild an index from the result of `_content`."""


def build_index(
    descriptors: Float[np.ndarray, "t d"], kind: str = "auto", /, **settings: Value
) -> Index:
    """Build a nearest-neighbor index from the descriptors of a database.

    Args:
        descriptors: Descriptors of the database, one row per feature.
        kind: ``"exact"`` (exact search), ``"nndescent"`` (neighbor graph), ``"sharded"`` (one index
            per part of the database), ``"pq"`` (product quantization) or ``"auto"``. ``"auto"``
            chooses ``"exact"`` for at most `EXACT_LIMIT` descriptors, otherwise ``"nndescent"``.
        settings: Keyword arguments of the method ``build`` of this kind of index.

    Raises:
        ValueError: If the kind or a setting is unknown or out of range, or there is no descriptor.
        ImportError: If the kind needs a package that is not installed.
    """
    if not len(descriptors):
        raise ValueError(
            "no descriptors: the photos have no features. Fix: use photos with more texture"
        )
    if kind == "auto":
        kind = "exact" if len(descriptors) <= EXACT_LIMIT else "nndescent"
    return _index_class(kind).build(descriptors, **settings)


def load_index(path: Path | str, *, database: str | None = None) -> Index:
    """Load an index that `Index.save` wrote.

    ``database`` is the checksum of the database to search (`Database.checksum`). None: not checked.

    Raises:
        IndexFileError: If the file is missing or damaged, or holds the index of another database.
        ImportError: If the index needs a package that is not installed.
    """
    path = Path(path)
    check_no_folder(path)
    if not path.exists():
        raise IndexFileError(f"{path}: no index here. Fix: {FIX}")
    with reading(path, f"an index of delfjax {__version__}", fix=FIX, error=IndexFileError):
        tensors, header = read_tensors(path, limit=MAX_BYTES)
        if database not in (None, header["database"]):
            raise IndexFileError(
                f"{path}: this index belongs to another database: its photos or descriptors differ "
                f"from those of the database to search. Fix: {FIX}"
            )
        for name, each in tensors.items():
            tensors[name] = each.astype(np.float32) if each.dtype == np.float16 else each
        index = restore_index(header["kind"], header["settings"], tensors)
        if len(index) != header["descriptors"]:
            raise ValueError(
                f"it has {len(index)} descriptors; its header says {header['descriptors']}"
            )
        return index


def check_no_folder(path: Path) -> None:
    """Raise an `IndexFileError` if the path of an index file is a folder."""
    if path.is_dir():
        raise IndexFileError(
            f"{path}: found a folder, possibly an index of an earlier version of delfjax; expected "
            f"an index file. Fix: remove the folder, and {FIX}"
        )


def _to_half(array: np.ndarray) -> np.ndarray:
    """Convert a float32 array to float16 if no value changes."""
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore", under="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half, array) else array


def sort_neighbors(
    rows: Int[np.ndarray, "q n"], distances: Float[np.ndarray, "q n"], k: int
) -> Neighbors:
    """Sort the neighbors of each query by distance, then by row, and keep the first ``k``."""
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    return Neighbors(*(np.take_along_axis(each, order, axis=1) for each in (rows, distances)))


def restore_index(kind: str, settings: dict[str, Any], tensors: Tensors) -> Index:
    """Rebuild an index from its saved kind, settings and tensors."""
    index = _index_class(kind)._restore(settings, tensors)
    if "effort" in settings:
        check_number("effort", settings["effort"], COUNT)
        index.effort = settings["effort"]
    return index


def _index_class(kind: str) -> type[Index]:
    if kind not in KINDS:
        raise ConfigError(
            f"unknown kind of index {kind!r}; expected one of auto, {', '.join(KINDS)}"
        )
    module, name = KINDS[kind]
    found: type[Index] = getattr(import_module(module), name)
    return found


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Settings from which an index is built.

    Attributes:
        kind: Kind of index, as in `build_index`. ``"auto"`` chooses by the size of the database.
        settings: Settings of this kind of index, such as ``{"beam": 60}`` for ``"nndescent"``.
    """

    kind: str = "auto"
    settings: Mapping[str, Value] = field(default_factory=dict)

    def check(self, dimensions: int | None = None) -> None:
        """Check the kind and the settings. ``dimensions`` is the size of a descriptor, if known.

        Raises:
            ConfigError: If the kind or a setting is unknown or does not fit.
        """
        check_fields(self)
        if self.kind == "auto" and self.settings:
            raise ConfigError(
                f"the index settings {dict(self.settings)} need a kind of index, but the kind is 'auto'. "
                "Fix: choose a kind, such as 'nndescent' (--index)"
            )
        if self.kind != "auto":
            _index_class(self.kind).check(dimensions, **self.settings)

    def build(self, descriptors: Float[np.ndarray, "t d"]) -> Index:
        """Build an index with these settings; see `build_index`."""
        return build_index(descriptors, self.kind, **self.settings)
