"""Find approximate nearest neighbors in a graph built by NNDescent (Dong et al., 2011).

This index replaces the paper's index (Sec. 4.4). Each database descriptor is a node of the graph.
The library pynndescent (in a small database, exact search) finds the nearest neighbors of every
node. The module `graph` chooses edges among these neighbors, and searches along the edges.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from delfjax.files import check_tensors
from delfjax.provenance import config_from_dict
from delfjax.ranges import COUNT, SEED, Range, check_fields
from delfjax.search import graph
from delfjax.search.index import Content, Index, Neighbors, Tensors, Value

# Up to this many rows, exact search takes seconds, and pynndescent compiles for half a minute.
BRUTE_FORCE_LIMIT = 20_000
QUERIES_PER_THREAD = 16  # for fewer queries, starting a thread costs more than it saves
LEVEL_RATIO = 4  # a random subset has so many times fewer nodes; with 16, small clusters are lost


@dataclass(frozen=True, kw_only=True)
class NNDescentConfig:
    """Settings of a neighbor graph, whose nodes are the database descriptors. Not in the paper.

    Attributes:
        neighbors: Number of nearest neighbors of a node, from which edges are chosen.
        degree: Maximum number of edges of a node.
        spread: Pruning factor, at least 1. Larger values keep more edges that point in similar
            directions. The edge from ``a`` to ``b`` is dropped if ``a`` has a shorter edge to some
            ``c`` and ``distance(c, b) < distance(a, b) / sqrt(spread)``.
        entries: Number of random nodes at which every search starts.
        beam: Default number of nearest nodes that a search keeps.
        seed: Random seed of the graph and the entries.
        threads: Number of threads that build and search the graph. Other numbers give other graphs
            of the same quality. None: one thread per core.
    """

    neighbors: int = 30
    degree: int = 24
    spread: float = 1.4
    entries: int = 256
    beam: int = 100
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        names = ("neighbors", "degree", "entries", "beam", "threads")
        check_fields(self, spread=Range(at_least=1), seed=SEED, **dict.fromkeys(names, COUNT))


class NNDescentIndex(Index):
    """Approximate index: a graph with edges between near database descriptors.

    Args:
        descriptors: Descriptors of the database, one row per feature.
        edges: Rows of the nodes to which each node has an edge. Missing edges are -1.
        entries: Rows of the nodes at which every search starts.
        config: Settings with which the graph was built.

    Attributes:
        effort: Number of nearest nodes that a search keeps (beam width).
        threads: Number of threads of a search.
    """

    kind = "nndescent"
    effort: int

    def __init__(
        self,
        descriptors: Float[np.ndarray, "t d"],
        edges: Int[np.ndarray, "t e"],
        entries: Int[np.ndarray, " s"],
        config: NNDescentConfig,
    ) -> None:
        # Copies are writable. Loaded arrays may be read-only, and numba would compile again for these.
        self._vectors = np.array(descriptors, np.float32, order="C")
        self._edges, self._entries = np.array(edges, np.int32), np.array(entries, np.int32)
        self.config = config
        self.effort = config.beam
        self.threads = _threads(config)

    @classmethod
    def check(cls, dimensions: int | None = None, /, **settings: Value) -> None:
        """Check the settings of `build` before the descriptors are known."""
        config_from_dict(NNDescentConfig, settings)

    @classmethod
    def build(cls, descriptors: Float[np.ndarray, "t d"], /, **settings: Value) -> "NNDescentIndex":
        """Build a neighbor graph of the descriptors of a database, at least one descriptor.

        ``settings`` are fields of `NNDescentConfig`.
        """
        config = config_from_dict(NNDescentConfig, settings)
        vectors = np.array(descriptors, np.float32, order="C")
        order = np.random.default_rng(config.seed).permutation(len(vectors)).astype(np.int32)
        entries = np.sort(order[: config.entries])
        edges = _build_edges(vectors, order, config)
        entries = graph.connect(vectors, edges, entries, config.beam)
        return cls(vectors, edges, entries, config)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """Descriptors of the database, one row per feature."""
        return self._vectors

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        rows = np.empty((len(queries), k), np.int32)
        distances = np.empty((len(queries), k), np.float32)
        beam = min(max(self.effort, k), len(self._vectors))

        def search_block(block: slice) -> None:
            arrays = self._vectors, self._edges, self._entries
            graph.search_block(queries[block], *arrays, beam, rows[block], distances[block])

        blocks = -(-len(queries) // QUERIES_PER_THREAD)
        _run_in_threads(search_block, len(queries), min(self.threads, blocks))
        return Neighbors(rows, distances)

    def _content(self) -> Content:
        settings = {"config": asdict(self.config), "effort": self.effort}
        arrays = {"descriptors": self._vectors, "edges": self._edges, "entries": self._entries}
        return settings, arrays

    @classmethod
    def _restore(cls, settings: dict[str, Any], tensors: Tensors) -> "NNDescentIndex":
        config = config_from_dict(NNDescentConfig, settings["config"])
        expected = {"descriptors": ("f", 2), "edges": ("i", 2), "entries": ("i", 1)}
        check_tensors(tensors, expected)
        descriptors, edges, entries = (tensors[name] for name in expected)
        count = len(descriptors)
        # numba reads any address. So the rows of a file are checked.
        in_range = edges.min(initial=0) >= -1 and edges.max(initial=0) < count and len(entries)
        in_range = in_range and entries.min() >= 0 and entries.max() < count
        if edges.shape != (count, config.degree) or not in_range:
            raise ValueError("its edges or entries do not fit its descriptors")
        return cls(descriptors, edges, entries, config)


def _build_edges(
    vectors: Float[np.ndarray, "t d"],
    order: Int[np.ndarray, " t"],
    config: NNDescentConfig,
) -> Int[np.ndarray, "t e"]:
    """Choose the edges of every node, in two rounds.

    In round 1, the candidates are the nearest neighbors of the node. In round 2, they are the nodes
    to which or from which round 1 chose an edge, and distant neighbors.
    """
    count, threads = len(vectors), _threads(config)
    edges = np.empty((count, config.degree), np.int32)

    def choose(*lists: Int[np.ndarray, " _"]) -> None:
        def choose_block(block: slice) -> None:
            graph.choose_block(vectors, *lists, block.start, block.stop, config.spread, edges)

        _run_in_threads(choose_block, count, threads)

    with tqdm(total=3, bar_format="NNDescent: {desc} {bar} {elapsed}") as bar:
        bar.set_description("finding neighbors (large database: compiling takes half a minute)")
        rows = nearest_neighbors(vectors, config.neighbors, seed=config.seed, threads=threads)
        bar.update()
        bar.set_description("finding distant neighbors")
        distant = _distant_pairs(vectors, order, config)
        bar.update()
        bar.set_description("choosing edges")
        choose(rows.ravel(), np.arange(count + 1) * rows.shape[1])
        choose(*_both_directions(edges, distant))
        bar.update()
    return edges


def nearest_neighbors(
    vectors: Float[np.ndarray, "t d"], count: int, *, seed: int = 0, threads: int = 1
) -> Int[np.ndarray, "t m"]:
    """Find the nearest neighbors of each vector among the others (approximate for many vectors).

    Return the row numbers of ``count`` neighbors per vector, or of all other vectors if there are
    fewer; -1 if no neighbor was found. ``seed`` and ``threads`` are settings of pynndescent.
    """
    count = min(count, len(vectors) - 1)
    if not count:
        return np.full((len(vectors), 1), graph.NONE, np.int32)
    rows: Int[np.ndarray, "t m"]
    # Imports of these libraries take seconds, and a search does not need them.
    if len(vectors) <= BRUTE_FORCE_LIMIT:
        from sklearn.neighbors import NearestNeighbors

        exact = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors)
        rows = exact.kneighbors(return_distance=False).astype(np.int32)
    else:
        from pynndescent import NNDescent

        threads = min(threads, numba.get_num_threads())
        found = NNDescent(vectors, n_neighbors=count + 1, random_state=seed, n_jobs=threads)
        rows = found.neighbor_graph[0][:, 1:]  # without each row itself, its first neighbor
    return rows


def _distant_pairs(
    vectors: Float[np.ndarray, "t d"],
    order: Int[np.ndarray, " t"],
    config: NNDescentConfig,
) -> Int[np.ndarray, "2 f"]:
    """Pair nodes with distant neighbors: their nearest neighbors in random subsets of the database.

    Each subset has a quarter of the nodes of the subset before. A graph of nearest neighbors alone
    may have no path between clusters. The pairs play the role of the upper levels of an HNSW graph.
    """
    pairs = [np.empty((2, 0), np.int32)]
    size = len(order) // LEVEL_RATIO
    while size > config.neighbors:
        subset = np.sort(order[:size])
        near = nearest_neighbors(
            vectors[subset], config.neighbors, seed=config.seed, threads=_threads(config)
        )
        nodes = np.broadcast_to(subset[:, None], near.shape)
        pairs.append(np.stack([nodes[near >= 0], subset[near[near >= 0]]]))
        size //= LEVEL_RATIO
    return np.concatenate(pairs, axis=1)


def _both_directions(
    edges: Int[np.ndarray, "t e"], pairs: Int[np.ndarray, "2 f"]
) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " s"]]:
    """List the nodes that share an edge or a pair with each node, for `graph.choose_block`."""
    nodes, columns = np.nonzero(edges >= 0)
    ends = edges[nodes, columns]
    nodes = nodes.astype(np.int32)
    owners = np.concatenate([nodes, ends, *pairs])
    others = np.concatenate([ends, nodes, *pairs[::-1]])
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(edges)))])
    return others[np.argsort(owners, kind="stable")], starts


def _threads(config: NNDescentConfig) -> int:
    return config.threads or os.cpu_count() or 1


def _run_in_threads(work: Callable[[slice], None], count: int, threads: int) -> None:
    """Split ``count`` rows into blocks and run work on them in threads."""
    bounds = [count * part // threads for part in range(threads + 1)]
    blocks = [slice(start, stop) for start, stop in pairwise(bounds) if start < stop]
    if len(blocks) == 1:
        work(blocks[0])
        return
    with ThreadPoolExecutor(len(blocks)) as pool:
        list(pool.map(work, blocks))
