"""The least effort of an approximate index that finds a wanted share of the true neighbors (Sec. 4.4).

Recall grows with effort, which is the beam of a graph, or the lists that are probed: so the least that is
enough is found by halving.
"""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from delfjax.search.exact import ExactIndex
from delfjax.search.index import NEIGHBORS, Index

ROUNDS = 3  # timings of a setting, of which the shortest counts
STEPS = 8  # of the ladder, for each doubling


@dataclass(frozen=True, kw_only=True)
class TunedEffort:
    """A setting, and what was measured of it.

    Attributes:
        effort: For ``index.effort``.
        recall: Found by it, 0 to 1.
        milliseconds: For 1,000 queries.
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
    """Find the cheapest setting for a recall, and leave the index at it.

    Args:
        index: An approximate one; its ``effort`` is set.
        queries: Such as will be asked: not rows of the database, which find themselves.
        recall: Wanted, 0 to 1.
        k: Neighbors of each.
        sample: Queries tried, at most.
        exact: Exact search of the same database; made if None.

    Raises:
        ValueError: If the index has nothing to tune, or does not get there at any effort.
    """
    if index.effort is None:
        raise ValueError(f"{type(index).__name__} has no effort to tune: it finds what there is")
    exact = exact or ExactIndex(index.descriptors)
    ladder = _ladder(max(len(index), 1))
    measured = {}
    low, high = 0, len(ladder) - 1
    while low < high:
        middle = (low + high) // 2
        index.effort = ladder[middle]
        measured[middle] = index.recall(queries, k, sample=sample, exact=exact)
        low, high = (low, middle) if measured[middle] >= recall else (middle + 1, high)
    index.effort = ladder[low]
    found = index.recall(queries, k, sample=sample, exact=exact)
    if found < recall:
        raise ValueError(
            f"recall {found:.4f} at the most effort, {index.effort}, but {recall} is asked for: "
            "build the index with more edges, or longer codes"
        )
    return TunedEffort(
        effort=index.effort, recall=found, milliseconds=time_search(index, queries[:sample], k)
    )


def _ladder(largest: int) -> list[int]:
    """Return efforts from 1 to about ``largest``, eight for each doubling."""
    steps = np.arange(STEPS * np.log2(largest)) / STEPS
    return sorted({round(2**step) for step in steps} | {largest})


def time_search(index: Index, queries: Float[np.ndarray, "q d"], k: int = NEIGHBORS) -> float:
    """Time a search, and return the time of 1,000 queries: the shortest of some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        index.search(queries, k)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / len(queries)
