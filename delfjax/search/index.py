"""Nearest-neighbor indexes of local descriptors: one interface, how to build one, how to load one.

The paper searches a product-quantized inverted file (Sec. 4.4), whose code was not released. Four
kinds of index are available here: exact search (`exact`), a neighbor graph (`nndescent`), shards of
either (`distributed`) and product quantization (`product_quantization`). All return the rows of the
``k`` nearest database descriptors, nearest first, equal distances in row order, and L2 distances.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from delfjax.search import index_files
from delfjax.search.index_files import IndexFileError, TensorFiles
from delfjax.types import Features

NEIGHBORS = 60  # K of the re-implementations; the paper does not give it
# "auto" searches exactly up to this many descriptors: 1,000 query features take a few seconds on two
# CPU cores and nothing is missed. Below, a graph would not pay off for a few queries: building it
# takes a minute, half of it compilation by pynndescent in every process that builds one.
EXACT_LIMIT = 1_000_000
TIE = 1e-4  # distances closer than this count as equal: float32 cannot order them
KINDS = {  # module and class of each kind, imported only when used
    "exact": ("delfjax.search.exact", "ExactIndex"),
    "nndescent": ("delfjax.search.nndescent", "NNDescentIndex"),
    "sharded": ("delfjax.search.distributed", "ShardedIndex"),
    "pq": ("delfjax.search.product_quantization", "ProductQuantizationIndex"),
}
KINDS_BEFORE_0_2 = {"codes": "pq"}  # names in the files of older versions
SETTINGS_BEFORE_0_2 = {"neighbours": "neighbors"}

Value = int | float | str | None  # of a setting


class Neighbors(NamedTuple):
    """Nearest neighbors of queries, nearest first.

    Attributes:
        rows: Row of each neighbor in the database; -1 if an approximate search found fewer.
        distances: L2 distance of each neighbor; infinite where the row is -1.
    """

    rows: Int[np.ndarray, "q k"]
    distances: Float[np.ndarray, "q k"]


class Index(ABC):
    """Interface of every index.

    Attributes:
        kind: Name of this kind for `build_index`.
        effort: How thoroughly an approximate index searches: a higher value finds more neighbors and
            takes longer. What it counts depends on the kind. None for exact search.
    """

    kind: ClassVar[str]
    effort: int | None = None

    @classmethod
    @abstractmethod
    def build(cls, descriptors: Float[np.ndarray, "t d"], **settings: Value) -> "Index":
        """Build an index of descriptors.

        Raises:
            ValueError: If a setting is unknown or out of range.
        """

    @property
    @abstractmethod
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """The database.

        Raises:
            ValueError: If the index does not keep the descriptors.
        """

    @property
    @abstractmethod
    def memory(self) -> int:
        """Size of the index in bytes."""

    def __len__(self) -> int:
        return len(self.descriptors)

    @property
    def dimensions(self) -> int:
        """Dimensions of a descriptor."""
        return self.descriptors.shape[1]

    def search(self, queries: Float[np.ndarray, "q d"], k: int = NEIGHBORS) -> Neighbors:
        """Find the ``k`` nearest database descriptors of each query.

        Raises:
            ValueError: If the database has fewer than ``k`` descriptors, or other dimensions.
        """
        if k > len(self):
            raise ValueError(f"cannot find {k} neighbors among {len(self)} descriptors")
        self._check_dimensions(queries)
        if not len(queries):
            return Neighbors(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
        # A copy is always writable: numba would compile again for a read-only array.
        return self._search(np.array(queries, np.float32, order="C"), k)

    def add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        """Append descriptors; their rows follow the last one.

        Raises:
            ValueError: If they have other dimensions than the database. The index is then unchanged.
        """
        self._check_dimensions(descriptors)
        if len(descriptors):
            self._add(np.array(descriptors, np.float32, order="C"))

    def save(self, path: Path | str, *, database: str | None = None) -> None:
        """Write the index into a folder, replacing an index that is there.

        Args:
            path: The folder; made if missing.
            database: Checksum of the database (`Database.checksum`), which `load_index` compares.

        Raises:
            IndexFileError: If the folder holds other files.
        """
        manifest = {"kind": self.kind, "settings": self._settings(), "descriptors": len(self)}
        index_files.write(Path(path), manifest | {"database": database}, self._tensors())

    def recall(
        self,
        queries: Float[np.ndarray, "q d"],
        k: int = NEIGHBORS,
        *,
        sample: int = 200,
        seed: int = 0,
        exact: "Index | None" = None,
    ) -> float:
        """Measure the share of the true ``k`` nearest neighbors that the index finds.

        Args:
            queries: Query descriptors.
            k: Number of neighbors of each query.
            sample: Maximum number of queries to search for, chosen at random.
            seed: Seed of that choice.
            exact: Exact search of the same database. None: built from the descriptors kept here.

        Returns:
            Recall at ``k``, 0 to 1. A neighbor as near as the true k-th counts as found. Distances
            are computed from the descriptors, as an index may return rough ones.
        """
        exact = exact or build_index(self.descriptors, "exact")
        random = np.random.default_rng(seed)
        chosen = queries[random.permutation(len(queries))[:sample]]
        _, true = exact.search(chosen, k)
        rows, _ = self.search(chosen, k)
        distances = np.linalg.norm(exact.descriptors[rows] - chosen[:, None], axis=-1)
        return float(((rows >= 0) & (distances <= true[:, -1:] + TIE)).mean())

    def _check_dimensions(self, descriptors: Float[np.ndarray, "q d"]) -> None:
        if descriptors.shape[1] != self.dimensions:
            raise ValueError(
                f"descriptors have {descriptors.shape[1]} dimensions, but the database has "
                f"{self.dimensions}. Fix: reduce both by the same PCA"
            )

    @abstractmethod
    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        """Search for queries that `search` has checked."""

    @abstractmethod
    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        """Append descriptors that `add` has checked."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Return everything but the tensors that `_restore` needs, as JSON values."""

    @abstractmethod
    def _tensors(self) -> TensorFiles:
        """Return the tensors of the index by file and name."""

    @classmethod
    @abstractmethod
    def _restore(cls, settings: dict[str, Any], tensors: TensorFiles) -> "Index":
        """Make an index from its saved settings and tensors."""


def build_index(
    descriptors: Float[np.ndarray, "t d"], kind: str = "auto", **settings: Value
) -> Index:
    """Build an index: by default exact search of a small database, a neighbor graph of a large one.

    Args:
        descriptors: The database.
        kind: ``"exact"``, ``"nndescent"``, ``"sharded"``, ``"pq"`` or ``"auto"``: exact up to
            `EXACT_LIMIT` descriptors, then nndescent.
        settings: Settings of that kind, as its ``build`` takes them.

    Raises:
        ValueError: If the kind or a setting is unknown, or a setting is out of range.
    """
    if kind == "auto":
        kind = "exact" if len(descriptors) <= EXACT_LIMIT else "nndescent"
    return _index_class(kind).build(descriptors, **settings)


def load_index(path: Path | str, *, database: str | None = None) -> Index:
    """Load an index that `Index.save` wrote.

    Args:
        path: The folder.
        database: Checksum that the indexed database must have (`Database.checksum`). None: any.

    Raises:
        IndexFileError: If there is no index, a file is damaged, a setting is unknown, or the index
            belongs to another database.
    """
    manifest, tensors = index_files.read(Path(path))
    if database not in (None, manifest.get("database")):
        raise IndexFileError(
            f"{path}: an index of other photos or descriptors than those to search. Fix: build it again"
        )
    try:
        return restore_index(manifest["kind"], manifest["settings"], tensors)
    except (KeyError, TypeError, ValueError) as error:
        version = manifest.get("versions", {}).get("delfjax")
        raise IndexFileError(
            f"{path}: settings written by delfjax {version} cannot be read "
            f"({type(error).__name__}: {error}). Fix: build the index again"
        ) from error


def restore_index(kind: str, settings: dict[str, Any], tensors: TensorFiles) -> Index:
    """Make an index from its saved kind, settings and tensors."""
    kind = KINDS_BEFORE_0_2.get(kind, kind)
    return _index_class(kind)._restore(current_names(settings), tensors)


def current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return saved settings under the names that this version uses."""
    return {SETTINGS_BEFORE_0_2.get(name, name): value for name, value in settings.items()}


def _index_class(kind: str) -> type[Index]:
    if kind not in KINDS:
        raise ValueError(f"index {kind!r}: expected auto, {', '.join(KINDS)}")
    module, name = KINDS[kind]
    return getattr(import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Settings from which an index is built.

    Attributes:
        kind: Kind of index, as for `build_index`; ``"auto"`` chooses by the size of the database.
        settings: Settings of that kind, such as ``{"beam": 60}`` for ``"nndescent"``.
    """

    kind: str = "auto"
    settings: Mapping[str, Value] = field(default_factory=dict)

    def build(self, descriptors: Float[np.ndarray, "t d"]) -> Index:
        """Build the index of a database; see `build_index`.

        Raises:
            ValueError: If the kind or a setting is unknown, or a setting is out of range.
        """
        try:
            return build_index(descriptors, self.kind, **self.settings)
        except TypeError as error:
            raise ValueError(f"index {self.kind}: wrong settings ({error})") from error


def measure_recall(
    index: Index, descriptors: Float[np.ndarray, "t d"], queries: Sequence[Features]
) -> float:
    """Measure the recall of an index at the default number of neighbors, on 1,000 query features.

    Args:
        index: The index; it need not keep the descriptors.
        descriptors: The database.
        queries: Features of query photos, reduced like the database.
    """
    if index.kind == "exact":
        return 1.0
    sample = np.concatenate([query.descriptors for query in queries])
    k = min(NEIGHBORS, len(descriptors))
    return index.recall(sample, k, sample=1000, exact=build_index(descriptors, "exact"))


def check_minimums(config: object, **minimums: float) -> None:
    """Check fields of a configuration that must not be below a minimum; None is allowed.

    Args:
        config: The configuration.
        minimums: Smallest value of each field. A whole number requires a whole number.

    Raises:
        ValueError: If a field is below its minimum, NaN, or not a number.
    """
    for name, minimum in minimums.items():
        value = getattr(config, name)
        wanted, kind = ("whole number", Integral) if isinstance(minimum, int) else ("number", Real)
        if value is not None and not (isinstance(value, kind) and value >= minimum):
            raise ValueError(f"{name} is {value!r}; expected a {wanted} of at least {minimum:g}")
