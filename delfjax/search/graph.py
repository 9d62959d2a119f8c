"""A graph of neighbors: choosing its edges, and searching it (in place of Sec. 4.4's index).

A node is a database row; its edges lead to at most ``e`` others, near it and in different directions.
A search keeps the ``beam`` nearest nodes seen so far, goes on from the nearest that it has not left yet,
and ends when it has left them all, as hnswlib does (Malkov and Yashunin 2016), but from a set of entries
in place of a hierarchy. Numba compiles each function once and keeps it on disk. Nothing here is random,
and no result depends on how many threads share the work.

Symbols: ``edges`` has -1 where a node has fewer; a *key* is a squared distance and a row in one integer,
ordered by distance, then row; its lowest bit says that the search has left that node.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int

NONE = -1  # in place of an edge, or of a neighbor that was not found

Vectors = Float[np.ndarray, "t d"]
Edges = Int[np.ndarray, "t e"]
Rows = Int[np.ndarray, " s"]
Keys = Int[np.ndarray, " m"]
Workspace = tuple[
    Keys, Int[np.ndarray, " bytes"], Rows
]  # pool, a bit a node, rows whose bit is set

# A distance is a sum of squares in any order, so that the compiler may take several terms at once.
compiled = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})


# The shape checks of the tests wrap what is typed, and numba cannot compile a wrapper: hence no_type_check.
@no_type_check
@compiled
def _squared(query: Float[np.ndarray, " d"], vectors: Vectors, row: int) -> float:
    total = np.float32(0)
    for axis in range(vectors.shape[1]):
        difference = query[axis] - vectors[row, axis]
        total += difference * difference
    return total


@no_type_check
@compiled
def _key(squared: float, row: int) -> int:
    # The bits of floats that are not negative are ordered as the floats are.
    return np.int64(np.float32(squared).view(np.int32)) << 32 | np.int64(row) << 1


@no_type_check
@compiled
def _row(key: int) -> int:
    return np.int32((key >> 1) & 0x7FFFFFFF)


@no_type_check
@compiled
def _distance(key: int) -> float:
    return np.int32(key >> 32).view(np.float32)


@no_type_check
@compiled
def _insert(pool: Keys, size: int, key: int) -> int:
    """Put a key into its place among the ``size`` first; return that place, or the pool's length."""
    length = len(pool)
    if size == length and key >= pool[length - 1]:
        return length
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if pool[middle] < key:
            low = middle + 1
        else:
            high = middle
    for place in range(min(size, length - 1), low, -1):
        pool[place] = pool[place - 1]
    pool[low] = key
    return low


@no_type_check
@compiled
def workspace(count: int, beam: int) -> Workspace:
    """Return what `walk` needs: the pool, a bit for each of ``count`` nodes, and room for a trail."""
    return np.empty(beam, np.int64), np.zeros((count >> 3) + 1, np.uint8), np.empty(count, np.int32)


@no_type_check
@compiled
def walk(
    query: Float[np.ndarray, " d"], vectors: Vectors, edges: Edges, entries: Rows, space: Workspace
) -> int:
    """Fill the pool with the nearest nodes found, nearest first; return how many."""
    pool, seen, trail = space
    fresh = np.empty(max(edges.shape[1], len(entries)), np.int32)
    squared = np.empty(len(fresh), np.float32)
    size = steps = place = 0
    reached = entries
    while True:
        count = 0
        for row in reached:
            if row < 0:
                break
            bit = np.uint8(1 << (row & 7))
            if not seen[row >> 3] & bit:
                seen[row >> 3] |= bit
                fresh[count] = row
                count += 1
        for each in range(count):  # in a loop of its own: the processor fetches many rows at once
            squared[each] = _squared(query, vectors, fresh[each])
        for each in range(count):
            trail[steps] = fresh[each]
            steps += 1
            found = _insert(pool, size, _key(squared[each], fresh[each]))
            if found < len(pool):
                size = min(size + 1, len(pool))
                place = min(place, found)
        while place < size and pool[place] & 1:
            place += 1
        if place == size:
            break
        pool[place] |= 1
        reached = edges[_row(pool[place])]
    for step in range(steps):
        seen[trail[step] >> 3] = 0
    return size


@no_type_check
@compiled
def search_block(
    queries: Float[np.ndarray, "q d"],
    vectors: Vectors,
    edges: Edges,
    entries: Rows,
    beam: int,
    rows: Int[np.ndarray, "q k"],
    distances: Float[np.ndarray, "q k"],
) -> None:
    """Answer queries into ``rows`` and ``distances`` (L2), nearest first; what is not found is infinite."""
    space = workspace(len(vectors), beam)
    rows[:], distances[:] = NONE, np.inf
    for query in range(len(queries)):
        found = walk(queries[query], vectors, edges, entries, space)
        for column in range(min(found, rows.shape[1])):
            rows[query, column] = _row(space[0][column])
            distances[query, column] = np.sqrt(_distance(space[0][column]))


@no_type_check
@compiled
def _prune(vectors: Vectors, keys: Keys, spread: float, kept: Rows) -> None:
    """Keep of a node's candidates, nearest first, who is nearer to it than to any that is kept.

    The rule of the relative neighborhood graph; ``spread`` times the squared distance to another is
    compared, so that more than 1 keeps more.
    """
    kept[:] = NONE
    size = 0
    for key in keys:
        row = _row(key)
        near = False
        for other in range(size):
            if kept[other] == row or spread * _squared(
                vectors[row], vectors, kept[other]
            ) < _distance(key):
                near = True
                break
        if not near:
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
    """Choose the edges of the nodes ``first`` to ``last`` among candidates.

    Those of a node are ``candidates[starts[node] : starts[node + 1]]``; some may be the node itself, or -1.
    """
    for node in range(first, last):
        keys = np.empty(starts[node + 1] - starts[node], np.int64)
        count = 0
        for row in candidates[starts[node] : starts[node + 1]]:
            if row >= 0 and row != node:
                keys[count] = _key(_squared(vectors[node], vectors, row), row)
                count += 1
        _prune(vectors, np.sort(keys[:count]), spread, edges[node])


@no_type_check
@compiled
def _offer(vectors: Vectors, edges: Edges, host: int, node: int, spread: float) -> None:
    """Give ``host`` an edge to ``node``: where it has room for one, else if its edges prune to it."""
    degree = edges.shape[1]
    if edges[host, degree - 1] < 0:
        for edge in range(degree):
            if edges[host, edge] < 0:
                edges[host, edge] = node
                return
    keys = np.empty(degree + 1, np.int64)
    for edge in range(degree):
        keys[edge] = _key(_squared(vectors[host], vectors, edges[host, edge]), edges[host, edge])
    keys[degree] = _key(_squared(vectors[host], vectors, node), node)
    _prune(vectors, np.sort(keys), spread, edges[host])


@no_type_check
@compiled
def insert(
    vectors: Vectors, edges: Edges, entries: Rows, first: int, beam: int, spread: float
) -> None:
    """Link the nodes from ``first`` on, one after another, to the nearest that a search finds."""
    space = workspace(len(vectors), beam)
    for node in range(first, len(vectors)):
        found = walk(vectors[node], vectors, edges, entries, space)
        _prune(vectors, space[0][:found], spread, edges[node])
        for host in edges[node]:
            if host < 0:
                break
            _offer(vectors, edges, host, node, spread)


@no_type_check
@compiled
def _flood(edges: Edges, node: int, reached: Bool[np.ndarray, " t"], stack: Rows) -> None:
    """Mark all that can be reached from ``node``."""
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
def connect(vectors: Vectors, edges: Edges, entries: Rows, beam: int) -> Rows:
    """Link each node that no entry leads to with the nearest found that has room for an edge.

    Returns:
        Nodes for which there was none: they must become entries.
    """
    space = workspace(len(vectors), beam)
    reached = np.zeros(len(vectors), np.bool_)
    stack = np.empty(len(vectors), np.int32)
    for entry in entries:
        _flood(edges, entry, reached, stack)
    lonely = np.zeros(len(vectors), np.bool_)
    for node in range(len(vectors)):
        if reached[node]:
            continue
        lonely[node] = True
        for key in space[0][: walk(vectors[node], vectors, edges, entries, space)]:
            host = edges[_row(key)]
            if host[-1] < 0:
                host[np.argmax(host < 0)] = node
                lonely[node] = False
                break
        _flood(edges, node, reached, stack)
    return np.flatnonzero(lonely).astype(np.int32)
