"""Compress descriptors by product quantization, as the paper's index does (Sec. 4.4), with faiss.

Each descriptor is stored in the inverted list of the nearest of 8,192 coarse centers. The
difference between descriptor and center is split into 10 sub-vectors. The nearest of 32 centers
(5 bits) replaces each sub-vector, so the code of a descriptor has 50 bits. Queries are not
quantized. Limitation: the paper also builds a KD-tree and optimizes the quantizer of each list.
"""

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from delfjax.files import check_tensors
from delfjax.provenance import config_from_dict
from delfjax.ranges import COUNT, ConfigError, Range, check_fields
from delfjax.search.index import Content, Index, Neighbors, Tensors, Value, sort_neighbors

if TYPE_CHECKING:
    import faiss

PAPER_LISTS = 8192  # Sec. 4.4: "codebook 8K"
PAPER_PARTS, PAPER_BITS = 10, 5  # Sec. 4.4: 50 bits
DESCRIPTORS_PER_CENTER = 39  # minimum to learn a center; with fewer, faiss warns


@dataclass(frozen=True, kw_only=True)
class ProductQuantizationConfig:
    """Settings of a product-quantized index.

    Attributes:
        lists: Maximum number of inverted lists. A small database has fewer lists.
        parts: Number of sub-vectors of a descriptor. It must divide the number of dimensions.
        bits: Bits of the code of a sub-vector, 1 to 16. Each sub-vector has ``2 ** bits`` centers.
        probes: Default number of lists that are searched for a query.
        seed: Random seed for learning the centers.
    """

    lists: int = PAPER_LISTS
    parts: int = PAPER_PARTS
    bits: int = PAPER_BITS
    probes: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(
            self,
            lists=COUNT,
            parts=COUNT,
            bits=Range(at_least=1, at_most=16, whole=True),
            probes=COUNT,
            seed=Range(at_least=0, at_most=2**31 - 2, whole=True),  # faiss adds 1, in 32 bits
        )


class ProductQuantizationIndex(Index):
    """Approximate index that stores product-quantized descriptors in inverted lists.

    The original descriptors are not kept. By default, a descriptor takes 15 bytes (code and row).

    Args:
        file: Trained faiss index that holds the quantized descriptors.
        config: Settings with which the index was built.

    Attributes:
        effort: Number of inverted lists that are searched for a query.
    """

    kind = "pq"
    effort: int

    def __init__(self, file: "faiss.IndexIVFPQ", config: ProductQuantizationConfig) -> None:
        self._file = file
        self.config = config
        self.effort = config.probes

    @classmethod
    def check(cls, dimensions: int | None = None, /, **settings: Value) -> None:
        """Check the settings of `build` before the descriptors are known."""
        parts = config_from_dict(ProductQuantizationConfig, settings).parts
        if dimensions is not None and dimensions % parts:
            raise ConfigError(
                f"parts is {parts}; expected a divisor of {dimensions}, the number of dimensions"
            )

    @classmethod
    def build(
        cls, descriptors: Float[np.ndarray, "t d"], /, **settings: Value
    ) -> "ProductQuantizationIndex":
        """Learn the centers from the descriptors of a database, and quantize these descriptors.

        ``settings`` are fields of `ProductQuantizationConfig`.

        Raises:
            ValueError: If there are too few descriptors, or a setting is unknown or out of range.
            ImportError: If faiss is not installed.
        """
        config, faiss = config_from_dict(ProductQuantizationConfig, settings), _import_faiss()
        count, dimensions = descriptors.shape
        cls.check(dimensions, **settings)
        if count < (least := DESCRIPTORS_PER_CENTER << config.bits):
            raise ValueError(
                f"an index of kind 'pq' with {config.bits} bits needs at least {least} descriptors, got "
                f"{count}. Fix: use fewer bits, or an index of kind 'exact'"
            )
        lists = min(config.lists, count // DESCRIPTORS_PER_CENTER)
        centers = faiss.IndexFlatL2(dimensions)
        file = faiss.IndexIVFPQ(centers, dimensions, lists, config.parts, config.bits)
        file.cp.seed = file.pq.cp.seed = config.seed + 1  # for faiss, 0 means no seed
        vectors = np.ascontiguousarray(descriptors, np.float32)
        file.train(vectors)
        file.add(vectors)
        return cls(file, config)

    def __len__(self) -> int:
        return self._file.ntotal

    @property
    def dimensions(self) -> int:
        """Number of dimensions of a descriptor."""
        return self._file.d

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        probes = _import_faiss().SearchParametersIVF(nprobe=min(self.effort, self._file.nlist))
        squared, rows = self._file.search(queries, k, params=probes)
        distances = np.where(rows < 0, np.inf, np.sqrt(np.maximum(squared, 0))).astype(np.float32)
        return sort_neighbors(rows.astype(np.int32), distances, k)

    def _content(self) -> Content:
        settings = {"config": asdict(self.config), "effort": self.effort}
        return settings, {"faiss": _import_faiss().serialize_index(self._file)}

    @classmethod
    def _restore(cls, settings: dict[str, Any], tensors: Tensors) -> "ProductQuantizationIndex":
        config = config_from_dict(ProductQuantizationConfig, settings["config"])
        check_tensors(tensors, {"faiss": ("u", 1)})
        faiss = _import_faiss()
        file = faiss.deserialize_index(tensors["faiss"])
        if not isinstance(file, faiss.IndexIVFPQ):
            raise ValueError(f"it holds a faiss {type(file).__name__}, not an IndexIVFPQ")
        return cls(file, config)


def _import_faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "an index of kind 'pq' needs faiss, which is missing. Fix: pip install 'delfjax[index]'"
        ) from error
    return faiss
