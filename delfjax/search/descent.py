"""The neighbors of every row, by pynndescent's NNDescent (Dong et al. 2011), compiled once on a machine.

pynndescent compiles for more than twenty seconds in each new process: its outer function asks numba for
the number of threads, by an address that differs from process to process, and takes the metric as an
argument; numba keeps neither. Here the outer loop is in Python, and what it calls is kept on disk, with
the metric fixed. What comes out is pynndescent's graph, to the bit.

The functions called are not of pynndescent's documented interface: hence its version in pyproject.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import no_type_check

import numba
import numpy as np
import pynndescent
from jaxtyping import Float, Int
from pynndescent import distances
from pynndescent.hybrid_forest import make_hybrid_leaf_array
from pynndescent.kernels import KERNEL_SQEUCLIDEAN
from pynndescent.pynndescent_ import init_random, init_rp_tree, process_candidates
from pynndescent.utils import build_candidates_owner, make_heap

# ruff: noqa: ANN001, ANN202 -- of what numba compiles: it infers the types


BLOCK = 16384  # rows whose candidates are compared at a time; these figures are pynndescent's own
DELTA = 0.001  # it ends when a smaller share of the neighbors changes
MAX_CANDIDATES = 60  # of a row, in one round
LEAF_SIZES = (60, 256)
INT32 = (np.iinfo(np.int32).min + 1, np.iinfo(np.int32).max - 1)

Rng = Int[np.ndarray, "3"]


def descend(
    vectors: Float[np.ndarray, "t d"], neighbors: int, *, seed: int = 0, threads: int = 1
) -> Int[np.ndarray, "t m"]:
    """Find about the nearest ``neighbors`` of each row, itself not among them, in no order.

    Args:
        vectors: Two rows at least.
        neighbors: How many; -1 stands for those that were not found.
        seed: Of the random trees from which it starts.
        threads: Which share the work; with another number the graph is another.
    """
    count = len(vectors)
    start, improve = _kept(pynndescent.__version__)
    random = np.random.RandomState(seed)  # the old generator: pynndescent's graph comes from it
    state = random.randint(*INT32, 3).astype(np.int64)
    random.randint(*INT32, 3)  # pynndescent draws its search's state before the trees
    trees = max(3, min(12, round(2 * np.log10(count))))
    leaf = int(np.clip(5 * neighbors, *LEAF_SIZES))
    with _numba_threads(threads) as threads:
        leaves = make_hybrid_leaf_array(
            vectors, trees, leaf, int(random.randint(0, 2**62, dtype=np.int64))
        )
        heap = make_heap(count, neighbors)
        start(vectors, heap, leaves, state, neighbors, threads)
        rounds = max(5, round(np.log2(count)))
        space = _workspace(count, neighbors, threads)
        for _ in range(rounds):
            if improve(vectors, heap, state, threads, *space) <= DELTA * neighbors * count:
                break
    return heap[0]


def _workspace(count: int, neighbors: int, threads: int) -> tuple:
    """Allocate the arrays in which the rounds keep candidates and updates."""
    candidates = min(MAX_CANDIDATES, neighbors)
    updates = int((candidates**2 + candidates * (candidates - 1) / 2) * BLOCK / threads) + 1024
    rows = [np.full((count, candidates), -1, np.int32) for _ in range(2)]
    priorities = [np.full((count, candidates), np.inf, np.float32) for _ in range(2)]
    return (
        (rows[0], priorities[0], rows[1], priorities[1]),
        np.ones(count, np.uint8),
        (np.empty(count * neighbors, np.int32), np.empty(count * neighbors, np.int32)),
        np.zeros((threads, threads + 1), np.int64),
        np.empty((threads, updates, 3), np.float32),
        np.zeros(threads, np.int32),
        np.empty((threads, 2 * updates, 3) if threads > 1 else (1, 1, 3), np.float32),
        np.zeros((threads, threads + 1), np.int64),
    )


@cache
def _kept(version: str) -> tuple[Callable, Callable]:
    """Return the two steps of NNDescent, compiled or read from disk.

    What is on disk holds for this code and the ``version`` in it, so that a new pynndescent is compiled
    anew. The metric stands with its module: the address of a bare name would be taken, and not be kept.
    """

    @no_type_check
    @numba.njit(cache=True)
    def start(vectors, heap, leaves, state, neighbors, threads):
        version  # noqa: B018
        init_rp_tree(vectors, distances.squared_euclidean, heap, leaves, threads)
        init_random(neighbors, vectors, heap, distances.squared_euclidean, state)

    @no_type_check
    @numba.njit(cache=True)
    def improve(
        vectors,
        heap,
        state,
        threads,
        candidates,
        active,
        reverse,
        bounds,
        updates,
        counts,
        ordered,
        offsets,
    ):
        version  # noqa: B018
        count, width = candidates[0].shape
        new, old = build_candidates_owner(
            heap, width, state, threads, *candidates, active, *reverse, bounds
        )
        return process_candidates(
            vectors,
            distances.squared_euclidean,
            heap,
            new,
            old,
            count // BLOCK,
            BLOCK,
            threads,
            updates,
            counts,
            ordered,
            offsets,
            KERNEL_SQEUCLIDEAN,
        )

    return start, improve


@contextmanager
def _numba_threads(wanted: int) -> Iterator[int]:
    """Let numba use so many threads, or as many as it has; say how many."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(wanted, numba.config.NUMBA_NUM_THREADS))
    try:
        yield numba.get_num_threads()
    finally:
        numba.set_num_threads(before)
