"""The paper's compressed index: an inverted file of 50-bit codes, by faiss (Sec. 4.4).

A descriptor is given to the nearest of 8,192 coarse centers, and what is left of it is quantized: 10
sub-vectors of 4 dimensions, each to one of 32 centers, 10 x 5 = 50 bits. A query is not encoded: its
distances to the codes are read from a table (asymmetric distance). The paper also puts a KD-tree into
each coarse cell and optimizes the codes within it (LOPQ); that is not done here: whole lists are scanned.

Descriptors themselves are not kept: 7 bytes (50 bits, rounded up) and an 8-byte row number each.
"""

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from delfjax.search.exact import ExactIndex
from delfjax.search.index import NEIGHBORS, TIE, Index, Neighbors, Value
from delfjax.search.index_files import Parts

if TYPE_CHECKING:
    import faiss

PAPER_LISTS = 8192  # Sec. 4.4: "codebook 8K"
PAPER_PARTS, PAPER_BITS = 10, 5  # Sec. 4.4: 50 bits
TRAINED = 39  # not in the paper: faiss warns of fewer descriptors than this a center


@dataclass(frozen=True, kw_only=True)
class ProductQuantizationConfig:
    """How descriptors are encoded, and searched.

    Attributes:
        lists: Coarse centers, at most: a small database gets fewer, so that each is learned from enough.
        parts: Sub-vectors of a descriptor; must divide its dimensions.
        bits: Of a sub-vector's code.
        probes: Lists that a query reads.
        seed: Of the centers.
    """

    lists: int = PAPER_LISTS
    parts: int = PAPER_PARTS
    bits: int = PAPER_BITS
    probes: int = 64
    seed: int = 0


class ProductQuantizationIndex(Index):
    """An inverted file of product-quantized codes.

    Args:
        file: faiss' index.
        config: How it was built.

    Attributes:
        effort: Lists that a query reads.
    """

    kind = "codes"

    def __init__(self, file: "faiss.IndexIVFPQ", config: ProductQuantizationConfig) -> None:
        self._file = file
        self.config = config
        self.effort = config.probes

    @classmethod
    def build(
        cls, descriptors: Float[np.ndarray, "t d"], **settings: Value
    ) -> "ProductQuantizationIndex":
        """Learn the centers of the descriptors themselves, and encode them.

        Raises:
            ValueError: If there are too few to learn from, or the parts do not divide the dimensions.
            ImportError: If faiss is not installed.
        """
        config, faiss = ProductQuantizationConfig(**settings), _faiss()
        count, dimensions = descriptors.shape
        if count < (least := TRAINED << config.bits):
            raise ValueError(
                f"{count} descriptors: codes are learned from {least} at least; use exact"
            )
        if dimensions % config.parts:
            raise ValueError(f"{config.parts} parts do not divide {dimensions} dimensions")
        lists = min(config.lists, count // TRAINED)
        centers = faiss.IndexFlatL2(dimensions)
        file = faiss.IndexIVFPQ(centers, dimensions, lists, config.parts, config.bits)
        file.cp.seed = file.pq.cp.seed = config.seed + 1  # faiss takes 0 for no seed
        vectors = np.ascontiguousarray(descriptors, np.float32)
        file.train(vectors)
        file.add(vectors)
        return cls(file, config)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """There are none.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "an index of codes keeps no descriptors: give recall an exact index of them"
        )

    def recall(
        self,
        queries: Float[np.ndarray, "q d"],
        k: int = NEIGHBORS,
        *,
        sample: int = 200,
        seed: int = 0,
        exact: Index | None = None,
    ) -> float:
        """Measure as `Index.recall` does, by the true distances of what is found: a code's own are rough."""
        exact = exact or ExactIndex(self.descriptors)
        random = np.random.default_rng(seed)
        chosen = queries[random.permutation(len(queries))[:sample]]
        _, true = exact.search(chosen, k)
        rows, distances = self.search(chosen, k)
        found = np.linalg.norm(exact.descriptors[rows] - chosen[:, None], axis=-1)
        return float((np.isfinite(distances) & (found <= true[:, -1:] + TIE)).mean())

    @property
    def memory(self) -> int:
        """Bytes of codes, row numbers and centers."""
        entry = self._file.code_size + np.dtype(np.int64).itemsize
        centers = (self._file.nlist + (1 << self.config.bits)) * self.dimensions
        return len(self) * entry + centers * np.dtype(np.float32).itemsize

    def __len__(self) -> int:
        return self._file.ntotal

    @property
    def dimensions(self) -> int:
        """Of a descriptor."""
        return self._file.d

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        probes = _faiss().SearchParametersIVF(nprobe=min(self.effort, self._file.nlist))
        squared, rows = self._file.search(queries, k, params=probes)
        distances = np.where(rows < 0, np.inf, np.sqrt(np.maximum(squared, 0))).astype(np.float32)
        order = np.lexsort((rows, distances), axis=1)
        rows, distances = (np.take_along_axis(part, order, axis=1) for part in (rows, distances))
        return rows.astype(np.int32), distances

    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        self._file.add(descriptors)

    def _settings(self) -> dict[str, Any]:
        return asdict(self.config) | {"probes": self.effort}

    def _parts(self) -> Parts:
        return {"index": {"faiss": _faiss().serialize_index(self._file)}}

    @classmethod
    def _restore(cls, settings: dict[str, Any], parts: Parts) -> "ProductQuantizationIndex":
        return cls(
            _faiss().deserialize_index(parts["index"]["faiss"]),
            ProductQuantizationConfig(**settings),
        )


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise ImportError("an index of codes needs faiss: pip install 'delfjax[index]'") from error
    return faiss
