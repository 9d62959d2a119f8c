"""Find the lowest effort (thoroughness of a search) at which an approximate index reaches a recall.

The effort is the beam width of a graph, or the number of lists searched by product quantization. Recall
grows with effort. So the lowest effort is found by bisection.
"""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from delfjax.search.index import NEIGHBORS, Index, build_index

TIMINGS = 3  # a search is timed this many times, and the shortest time is used
STEPS_PER_DOUBLING = 8  # number of efforts to try from one effort to twice that effort


@dataclass(frozen=True, kw_only=True)
class TunedEffort:
    """The lowest effort that reaches a recall, with the recall and search time at this effort.

    Attributes:
        effort: The effort, a value for ``index.effort``.
        recall: Measured recall, from 0 to 1.
        milliseconds: Measured time of 1,000 queries.
    """

    effort: int
    recall: float
    milliseconds: float

    def __str__(self) -> str:
        return f"effort {self.effort}: recall {self.recall:.4f}, {self.milliseconds:.1f} ms for 1,000 queries"


def tune(
    index: Index,
    queries: Float[np.ndarray, "q d"],
    recall: float = 0.95,
    k: int = NEIGHBORS,
    *,
    sample: int = 1000,
    exact: Index | None = None,
) -> TunedEffort:
    """Set ``index.effort`` of an approximate index to the lowest effort that reaches a recall.

    Args:
        index: An approximate index.
        queries: Descriptors of typical queries. Do not use database descriptors: each finds itself.
        recall: Share of the true nearest neighbors that the index must find, from 0 to 1.
        k: Number of neighbors of each query.
        sample: Maximum number of queries to search for.
        exact: Exact index of the same database. None: one is built from ``index.descriptors``.

    Raises:
        ValueError: If the index is exact, or does not reach the recall at any effort.
    """
    if index.effort is None:
        raise ValueError(
            f"an index of kind {index.kind!r} has no effort to tune. Fix: pass an approximate index"
        )
    exact = exact or build_index(index.descriptors, "exact")
    efforts = _efforts(max(len(index), 1))
    low, high = 0, len(efforts) - 1
    while low < high:
        middle = (low + high) // 2
        index.effort = efforts[middle]
        reached = index.recall(queries, k, sample=sample, exact=exact) >= recall
        low, high = (low, middle) if reached else (middle + 1, high)
    index.effort = efforts[low]
    found = index.recall(queries, k, sample=sample, exact=exact)
    if found < recall:
        raise ValueError(
            f"recall is {found:.4f} at the highest effort, {index.effort}; expected at least {recall}. Fix: "
            "build the index with more edges (degree) or longer codes (parts, bits)"
        )
    milliseconds = time_search(index, queries[:sample], k)
    return TunedEffort(effort=index.effort, recall=found, milliseconds=milliseconds)


def time_search(index: Index, queries: Float[np.ndarray, "q d"], k: int = NEIGHBORS) -> float:
    """Measure the milliseconds that 1,000 queries take: the shortest of a few searches, scaled to 1,000."""
    seconds = []
    for _ in range(TIMINGS):
        start = time.perf_counter()
        index.search(queries, k)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / len(queries)


def _efforts(largest: int) -> list[int]:
    """Return efforts to try, from 1 to ``largest``, in a geometric sequence."""
    exponents = np.arange(STEPS_PER_DOUBLING * np.log2(largest)) / STEPS_PER_DOUBLING
    return sorted({round(2**exponent) for exponent in exponents} | {largest})
