"""Which index answers a benchmark, how it is built, and which share of the true neighbours it finds (Sec. 4.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from delfjax.axes import Features
from delfjax.exact import ExactIndex
from delfjax.index import NEIGHBOURS, Index, Value, build_index


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


def measured_recall(
    index: Index, descriptors: Float[np.ndarray, "t d"], asked: Sequence[Features]
) -> float:
    """Measure an index's recall at the paper's number of neighbours, on queries.

    Args:
        index: Over ``descriptors``; it need not keep them.
        descriptors: The database.
        asked: The queries, of which 1,000 descriptors are tried.
    """
    if isinstance(index, ExactIndex):
        return 1.0
    sample = np.concatenate([query.descriptors for query in asked])
    k = min(NEIGHBOURS, len(descriptors))
    return index.recall(sample, k, sample=1000, exact=ExactIndex(descriptors))
