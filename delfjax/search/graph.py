"""Choose the edges of a neighbor graph, and search the graph. numba compiles the functions.

Each database descriptor is a node. The edges of a node lead to at most ``e`` near nodes in
different directions. A beam search starts at fixed nodes and keeps the nearest nodes seen so far
(the beam). Each step expands the nearest node of the beam that is not expanded yet: the search
follows the edges of this node. The search ends when all nodes of the beam are expanded (Malkov and
Yashunin, 2016). It starts ten times faster than the search of pynndescent.

A *key* packs a squared distance, a row and an "expanded" bit, in this order, into one integer.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int

NONE = -1  # stands for a missing edge or neighbor

Vectors = Float[np.ndarray, "t d"]
Edges = Int[np.ndarray, "t e"]
Rows = Int[np.ndarray, " s"]
Keys = Int[np.ndarray, " m"]
Workspace = tuple[Keys, Int[np.ndarray, " bytes"], Rows]  # beam, one bit per node, visited nodes

# fastmath lets the compiler sum several terms at once. Results do not depend on the number of threads.
compiled = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})


# no_type_check: the tests wrap annotated functions in shape checks, and numba cannot compile those.
@no_type_check
@compiled
def _squared_distance(query: Float[np.ndarray, " d"], vectors: Vectors, row: int) -> float:
    total = np.float32(0)
    for axis in range(vectors.shape[1]):
        difference = query[axis] - vectors[row, axis]
        total += difference * difference
    return total


@no_type_check
@compiled
def _pack(squared: float, row: int) -> int:
    # The bits of non-negative floats have the same order as the floats.
    return np.int64(np.float32(squared).view(np.int32)) << 32 | np.int64(row) << 1


@no_type_check
@compiled
def _row(key: int) -> int:
    return np.int32((key >> 1) & 0x7FFFFFFF)


@no_type_check
@compiled
def _squared(key: int) -> float:
    return np.int32(key >> 32).view(np.float32)


@no_type_check
@compiled
def _insert_key(beam: Keys, size: int, key: int) -> int:
    """Insert a key into ``size`` sorted keys. Return its index, or the beam's length if too far."""
    length = len(beam)
    if size == length and key >= beam[length - 1]:
        return length
    index = np.searchsorted(beam[:size], key)
    for position in range(min(size, length - 1), index, -1):
        beam[position] = beam[position - 1]
    beam[index] = key
    return index


@no_type_check
@compiled
def _workspace(count: int, width: int) -> Workspace:
    """Allocate the arrays of `_beam_search` for ``count`` nodes and a beam of ``width`` nodes."""
    return (
        np.empty(width, np.int64),
        np.zeros((count >> 3) + 1, np.uint8),
        np.empty(count, np.int32),
    )


@no_type_check
@compiled
def _beam_search(
    query: Float[np.ndarray, " d"], vectors: Vectors, edges: Edges, entries: Rows, space: Workspace
) -> int:
    """Fill the beam of a workspace with the nodes found, nearest first. Return their number."""
    beam, seen, visited = space
    new = np.empty(max(edges.shape[1], len(entries)), np.int32)
    squared = np.empty(len(new), np.float32)
    size = steps = position = 0
    reached = entries
    while True:
        count = 0
        for row in reached:
            if row < 0:
                break
            bit = np.uint8(1 << (row & 7))
            if not seen[row >> 3] & bit:
                seen[row >> 3] |= bit
                new[count] = row
                count += 1
        # A separate loop, so that the processor fetches many rows at once.
        for each in range(count):
            squared[each] = _squared_distance(query, vectors, new[each])
        for each in range(count):
            visited[steps] = new[each]
            steps += 1
            inserted = _insert_key(beam, size, _pack(squared[each], new[each]))
            if inserted < len(beam):
                size = min(size + 1, len(beam))
                position = min(position, inserted)
        while position < size and beam[position] & 1:
            position += 1
        if position == size:
            break
        beam[position] |= 1
        reached = edges[_row(beam[position])]
    for step in range(steps):
        seen[visited[step] >> 3] = 0
    return size


@no_type_check
@compiled
def search_block(
    queries: Float[np.ndarray, "q d"],
    vectors: Vectors,
    edges: Edges,
    entries: Rows,
    width: int,
    rows: Int[np.ndarray, "q k"],
    distances: Float[np.ndarray, "q k"],
) -> None:
    """Find approximate nearest neighbors of queries by beam search in a neighbor graph.

    ``vectors`` are the database descriptors. For ``edges`` and ``entries``, see `NNDescentIndex`.
    ``width`` is the number of nearest nodes that a search keeps. The results are written into
    ``rows`` and ``distances``, nearest first. Missing neighbors have the values -1 and infinity.
    """
    space = _workspace(len(vectors), width)
    rows[:], distances[:] = NONE, np.inf
    for query in range(len(queries)):
        found = _beam_search(queries[query], vectors, edges, entries, space)
        for column in range(min(found, rows.shape[1])):
            rows[query, column] = _row(space[0][column])
            distances[query, column] = np.sqrt(_squared(space[0][column]))


@no_type_check
@compiled
def _prune(vectors: Vectors, keys: Keys, spread: float, kept: Rows) -> None:
    """Choose the edges of a node among candidates, nearest first, and write them into ``kept``.

    A candidate is kept if it is nearer to the node than to every candidate kept before. The
    ``spread`` multiplies the squared distances between candidates.
    """
    kept[:] = NONE
    size = 0
    for key in keys:
        row = _row(key)
        covered = False
        for other in range(size):
            if kept[other] == row or spread * _squared_distance(
                vectors[row], vectors, kept[other]
            ) < _squared(key):
                covered = True
                break
        if not covered:
            kept[size] = row
            size += 1
            if size == len(kept):
                break


@no_type_check
@compiled
def choose_block(
    vectors: Vectors,
    candidates: Rows,
    starts: Int[np.ndarray, " t1"],
    first: int,
    last: int,
    spread: float,
    edges: Edges,
) -> None:
    """Choose edges for nodes ``first`` to ``last - 1`` among candidates. Write them to ``edges``.

    The candidates of ``node`` are the rows ``candidates[starts[node] : starts[node + 1]]`` of
    ``vectors``, the database descriptors. Missing candidates (-1) and the node itself are skipped.
    ``spread`` is the pruning factor of `NNDescentConfig`.
    """
    for node in range(first, last):
        keys = np.empty(starts[node + 1] - starts[node], np.int64)
        count = 0
        for row in candidates[starts[node] : starts[node + 1]]:
            if row >= 0 and row != node:
                keys[count] = _pack(_squared_distance(vectors[node], vectors, row), row)
                count += 1
        _prune(vectors, np.sort(keys[:count]), spread, edges[node])


@no_type_check
@compiled
def _mark_reachable(edges: Edges, node: int, reached: Bool[np.ndarray, " t"], stack: Rows) -> None:
    """Mark in ``reached`` every node that can be reached along edges from ``node``."""
    size = 1
    stack[0], reached[node] = node, True
    while size:
        size -= 1
        for row in edges[stack[size]]:
            if row >= 0 and not reached[row]:
                reached[row] = True
                stack[size] = row
                size += 1


@no_type_check
@compiled
def connect(vectors: Vectors, edges: Edges, entries: Rows, width: int) -> Rows:
    """Add edges to a graph so that a search can reach every node. Return old and new entries.

    Each new edge leads from a near node with a missing edge (-1) to an unreachable node. If no such
    near node is found, the unreachable node becomes an entry. For arguments, see `search_block`.
    """
    space = _workspace(len(vectors), width)
    reached = np.zeros(len(vectors), np.bool_)
    stack = np.empty(len(vectors), np.int32)
    for entry in entries:
        _mark_reachable(edges, entry, reached, stack)
    isolated = np.zeros(len(vectors), np.bool_)
    for node in range(len(vectors)):
        if reached[node]:
            continue
        isolated[node] = True
        found = _beam_search(vectors[node], vectors, edges, entries, space)
        for key in space[0][:found]:
            free = edges[_row(key)]
            if free[-1] < 0:
                free[np.argmax(free < 0)] = node
                isolated[node] = False
                break
        _mark_reachable(edges, node, reached, stack)
    return np.concatenate((entries, np.flatnonzero(isolated).astype(np.int32)))
