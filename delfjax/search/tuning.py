"""Find the lowest effort at which an approximate index reaches a recall (Sec. 4.4).

Recall grows with effort, which is the beam width of a graph or the number of lists searched. So the lowest
effort is found by bisection.
"""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from delfjax.search.index import NEIGHBORS, Index, build_index

TIMINGS = 3  # a search is timed this often, and the shortest time counts
STEPS_PER_DOUBLING = 8  # of the efforts tried


@dataclass(frozen=True, kw_only=True)
class TunedEffort:
    """An effort, and what was measured at it.

    Attributes:
        effort: Value for ``index.effort``.
        recall: Recall at this effort, 0 to 1.
        milliseconds: Time of 1,000 queries.
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
    """Set an index to the lowest effort that reaches a recall.

    Args:
        index: An approximate index; its ``effort`` is set.
        queries: Typical queries. Database descriptors will not do, as they find themselves.
        recall: Recall to reach, 0 to 1.
        k: Number of neighbors of each query.
        sample: Maximum number of queries to search for.
        exact: Exact search of the same database; built if None.

    Raises:
        ValueError: If the index has no effort, or does not reach the recall at any.
    """
    if index.effort is None:
        raise ValueError(f"{type(index).__name__} is exact and has no effort to tune")
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
            f"recall is {found:.4f} at the highest effort, {index.effort}; expected {recall}. Fix: build "
            "the index with more edges or longer codes"
        )
    milliseconds = time_search(index, queries[:sample], k)
    return TunedEffort(effort=index.effort, recall=found, milliseconds=milliseconds)


def time_search(index: Index, queries: Float[np.ndarray, "q d"], k: int = NEIGHBORS) -> float:
    """Return the milliseconds of 1,000 queries, the shortest of a few searches."""
    seconds = []
    for _ in range(TIMINGS):
        start = time.perf_counter()
        index.search(queries, k)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / len(queries)


def _efforts(largest: int) -> list[int]:
    """Return efforts from 1 to ``largest`` in geometric steps."""
    exponents = np.arange(STEPS_PER_DOUBLING * np.log2(largest)) / STEPS_PER_DOUBLING
    return sorted({round(2**exponent) for exponent in exponents} | {largest})
