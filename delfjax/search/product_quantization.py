"""The paper's compressed index: an inverted file of product-quantized descriptors, by faiss (Sec. 4.4).

A descriptor goes to the list of the nearest of 8,192 coarse centers. Its residual is split into 10
sub-vectors, each replaced by one of 32 centers: 10 x 5 = 50 bits. Queries are not quantized (asymmetric
distance). Limitation: the paper also searches a KD-tree in each list and optimizes the quantizer within
it (LOPQ); here all entries of a list are compared.
"""

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from delfjax.provenance import config_from_dict
from delfjax.search.index import Index, Neighbors, Value, check_minimums
from delfjax.search.index_files import TensorFiles

if TYPE_CHECKING:
    import faiss

PAPER_LISTS = 8192  # Sec. 4.4: "codebook 8K"
PAPER_PARTS, PAPER_BITS = 10, 5  # Sec. 4.4: 50 bits
DESCRIPTORS_PER_CENTER = 39  # faiss warns if it learns a center from fewer


@dataclass(frozen=True, kw_only=True)
class ProductQuantizationConfig:
    """How descriptors are quantized and searched.

    Attributes:
        lists: Maximum number of inverted lists; a small database gets fewer.
        parts: Number of sub-vectors of a descriptor; must divide its dimensions.
        bits: Number of bits of each sub-vector's code.
        probes: Number of lists that a query searches; see `ProductQuantizationIndex.effort`.
        seed: Seed of the centers.

    Raises:
        ValueError: If a value is out of range.
    """

    lists: int = PAPER_LISTS
    parts: int = PAPER_PARTS
    bits: int = PAPER_BITS
    probes: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_minimums(self, lists=1, parts=1, bits=1, probes=1, seed=0)


class ProductQuantizationIndex(Index):
    """An inverted file of codes. The descriptors are not kept: 7 bytes of code and 8 of row number each.

    Args:
        file: The index of faiss.
        config: How it was built.

    Attributes:
        effort: Number of lists that a query searches. Set it to trade time for recall.
    """

    kind = "pq"

    def __init__(self, file: "faiss.IndexIVFPQ", config: ProductQuantizationConfig) -> None:
        self._file = file
        self.config = config
        self.effort = config.probes

    @classmethod
    def build(
        cls, descriptors: Float[np.ndarray, "t d"], **settings: Value
    ) -> "ProductQuantizationIndex":
        """Learn the centers from the descriptors and quantize them.

        Args:
            descriptors: The database.
            settings: Fields of `ProductQuantizationConfig`.

        Raises:
            ValueError: If there are too few descriptors, the parts do not divide their dimensions, or
                a setting is unknown or out of range.
            ImportError: If faiss is not installed.
        """
        config, faiss = config_from_dict(ProductQuantizationConfig, settings), _import_faiss()
        count, dimensions = descriptors.shape
        if count < (least := DESCRIPTORS_PER_CENTER << config.bits):
            raise ValueError(
                f"index pq: {count} descriptors, but {config.bits} bits need at least {least}. Fix: use "
                "exact search, or fewer bits"
            )
        if dimensions % config.parts:
            raise ValueError(
                f"index pq: {config.parts} parts do not divide {dimensions} dimensions"
            )
        lists = min(config.lists, count // DESCRIPTORS_PER_CENTER)
        centers = faiss.IndexFlatL2(dimensions)
        file = faiss.IndexIVFPQ(centers, dimensions, lists, config.parts, config.bits)
        file.cp.seed = file.pq.cp.seed = config.seed + 1  # faiss takes 0 for no seed
        vectors = np.ascontiguousarray(descriptors, np.float32)
        file.train(vectors)
        file.add(vectors)
        return cls(file, config)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """Not available.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "index pq keeps no descriptors. Fix: pass an exact index of them to measure recall"
        )

    @property
    def memory(self) -> int:
        """Size of codes, row numbers and centers in bytes."""
        entry = self._file.code_size + np.dtype(np.int64).itemsize
        centers = (self._file.nlist + (1 << self.config.bits)) * self.dimensions
        return len(self) * entry + centers * np.dtype(np.float32).itemsize

    def __len__(self) -> int:
        return self._file.ntotal

    @property
    def dimensions(self) -> int:
        """Dimensions of a descriptor."""
        return self._file.d

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        probes = _import_faiss().SearchParametersIVF(nprobe=min(self.effort, self._file.nlist))
        squared, rows = self._file.search(queries, k, params=probes)
        distances = np.where(rows < 0, np.inf, np.sqrt(np.maximum(squared, 0))).astype(np.float32)
        order = np.lexsort((rows, distances), axis=1)
        rows, distances = (np.take_along_axis(part, order, axis=1) for part in (rows, distances))
        return Neighbors(rows.astype(np.int32), distances)

    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        self._file.add(descriptors)

    def _settings(self) -> dict[str, Any]:
        return {"config": asdict(self.config), "effort": self.effort}

    def _tensors(self) -> TensorFiles:
        return {"index": {"faiss": _import_faiss().serialize_index(self._file)}}

    @classmethod
    def _restore(cls, settings: dict[str, Any], tensors: TensorFiles) -> "ProductQuantizationIndex":
        if "config" not in settings:  # version 0.1.0 saved the effort in place of the probes
            settings = {"config": settings, "effort": settings["probes"]}
        config = config_from_dict(ProductQuantizationConfig, settings["config"])
        index = cls(_import_faiss().deserialize_index(tensors["index"]["faiss"]), config)
        index.effort = settings["effort"]
        return index


def _import_faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise ImportError("index pq needs faiss. Fix: pip install 'delfjax[index]'") from error
    return faiss
