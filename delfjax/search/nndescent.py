"""NNDescent (Dong et al. 2011): approximate neighbors by a graph (in place of Sec. 4.4's index).

pynndescent finds the nearest neighbors of every database row; of these `graph` keeps the edges worth
following, and searches along them. What is saved is the descriptors, the edges and the entries: a
process that loads and searches needs no pynndescent, and compiles nothing that was compiled before.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from delfjax.search import graph
from delfjax.search.index import Index, Neighbors, Value
from delfjax.search.index_files import Parts

BLOCK = 16  # queries; a thread is not worth its start for fewer
PART = 4  # an upper level of the graph is this much smaller than the one below; 16 loses small clusters
STEPS = (
    "finding neighbors (the first time on a machine it compiles, about a minute)",
    "finding neighbors afar",
    "choosing edges",
    "connecting",
)


@dataclass(frozen=True, kw_only=True)
class NNDescentConfig:
    """How a graph is built, and searched. None of it is in the paper; chosen on DELF descriptors.

    Attributes:
        neighbors: Nearest neighbors that NNDescent looks for, of which the edges are chosen.
        degree: Edges a node, at most.
        spread: Edges kept in like directions: an edge is dropped if a shorter one leads to within
            ``1 / sqrt(spread)`` of its length from its end. 1: the relative neighborhood graph.
        entries: Nodes at which a search starts, drawn at random.
        beam: Nearest nodes that a search keeps: more find more, and take longer.
        seed: Of the graph and its entries.
    """

    neighbors: int = 30
    degree: int = 24
    spread: float = 1.4
    entries: int = 256
    beam: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("neighbors", "degree", "entries", "beam"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.spread < 1:
            raise ValueError(
                f"spread must be at least 1, got {self.spread}: the graph would fall apart"
            )


class NNDescentIndex(Index):
    """A graph over descriptors, searched by a beam.

    It grows without being built anew; `add` is given many descriptors at once rather than one by one, as
    each time the arrays are copied, and looked through for what is out of reach.

    Args:
        descriptors: The database.
        edges: Of each node, -1 where it has fewer.
        entries: Nodes at which a search starts.
        config: How the graph was built.
        threads: For the search; the answers do not depend on it. None: one a core.

    Attributes:
        effort: Width of the beam; what a search costs, and finds. May be set.
    """

    kind = "nndescent"

    def __init__(
        self,
        descriptors: Float[np.ndarray, "t d"],
        edges: Int[np.ndarray, "t e"],
        entries: Int[np.ndarray, " s"],
        config: NNDescentConfig,
        threads: int | None = None,
    ) -> None:
        # Copies: numba compiles anew for arrays that cannot be written to, as loaded ones may be.
        self._vectors = np.array(descriptors, np.float32, order="C")
        self._edges, self._entries = np.array(edges, np.int32), np.array(entries, np.int32)
        self.config = config
        self.effort = config.beam
        self.threads = threads or os.cpu_count() or 1

    @classmethod
    def build(
        cls, descriptors: Float[np.ndarray, "t d"], *, threads: int | None = None, **settings: Value
    ) -> "NNDescentIndex":
        """Build the graph, from descriptors and the fields of `NNDescentConfig`.

        The same seed and number of threads give the same graph; pynndescent shares out its work by
        threads, so another number gives another graph, as good.
        """
        config = NNDescentConfig(**settings)
        if not len(descriptors):
            raise ValueError("no descriptors to build a graph of; use exact search")
        threads = threads or os.cpu_count() or 1
        vectors = np.array(descriptors, np.float32, order="C")
        order = np.random.default_rng(config.seed).permutation(len(vectors)).astype(np.int32)
        entries = np.sort(order[: config.entries])
        with tqdm(total=len(STEPS), bar_format="{desc} {bar} {elapsed}") as bar:
            edges = _build_edges(vectors, order, config, threads, _steps(bar))
            entries = _connected(vectors, edges, entries, config)
            bar.update()
        return cls(vectors, edges, entries, config, threads)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """The database."""
        return self._vectors

    @property
    def memory(self) -> int:
        """Bytes of descriptors, edges and entries."""
        return self._vectors.nbytes + self._edges.nbytes + self._entries.nbytes

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        rows = np.empty((len(queries), k), np.int32)
        distances = np.empty((len(queries), k), np.float32)
        beam = max(self.effort, k)

        def answer(block: slice) -> None:
            arrays = self._vectors, self._edges, self._entries
            graph.search_block(queries[block], *arrays, beam, rows[block], distances[block])

        _in_threads(answer, len(queries), min(self.threads, -(-len(queries) // BLOCK)))
        return rows, distances

    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        first = len(self._vectors)
        empty = np.full((len(descriptors), self.config.degree), graph.NONE, np.int32)
        vectors = np.concatenate([self._vectors, descriptors])
        edges = np.concatenate([self._edges, empty])
        beam = max(self.config.beam, self.config.neighbors)
        graph.insert(vectors, edges, self._entries, first, beam, self.config.spread)
        self._entries = _connected(vectors, edges, self._entries, self.config)
        self._vectors, self._edges = vectors, edges

    def _settings(self) -> dict[str, Any]:
        return asdict(self.config) | {"beam": self.effort}

    def _parts(self) -> Parts:
        arrays = {"descriptors": self._vectors, "edges": self._edges, "entries": self._entries}
        return {"index": arrays}

    @classmethod
    def _restore(cls, settings: dict[str, Any], parts: Parts) -> "NNDescentIndex":
        return cls(**parts["index"], config=NNDescentConfig(**settings))


def _nearest(
    vectors: Float[np.ndarray, "t d"], config: NNDescentConfig, threads: int
) -> Int[np.ndarray, "t m"]:
    """Return the nearest neighbors of every row; of a small database all rows."""
    if len(vectors) <= 2 * config.neighbors:
        return np.tile(np.arange(len(vectors), dtype=np.int32), (len(vectors), 1))
    from delfjax.search.descent import (
        descend,  # imports pynndescent: seconds, for who builds alone
    )

    return descend(vectors, config.neighbors, seed=config.seed, threads=threads)


def _build_edges(
    vectors: Float[np.ndarray, "t d"],
    order: Int[np.ndarray, " t"],
    config: NNDescentConfig,
    threads: int,
    step: Iterator[None],
) -> Int[np.ndarray, "t e"]:
    """Choose each node's edges among its neighbors, then among those, who chose it, and far ones."""
    count = len(vectors)
    edges = np.empty((count, config.degree), np.int32)

    def choose(candidates: Int[np.ndarray, " c"], starts: Int[np.ndarray, " s"]) -> None:
        def block(part: slice) -> None:
            bounds = part.start, part.stop
            graph.choose_block(vectors, candidates, starts, *bounds, config.spread, edges)

        _in_threads(block, count, threads)

    next(step)
    rows = _nearest(vectors, config, threads)
    next(step)
    far = _strides(vectors, order, config, threads)
    next(step)
    choose(rows.ravel(), np.arange(count + 1) * rows.shape[1])
    choose(*_both_ways(edges, far))
    next(step)
    return edges


def _strides(
    vectors: Float[np.ndarray, "t d"],
    order: Int[np.ndarray, " t"],
    config: NNDescentConfig,
    threads: int,
) -> Int[np.ndarray, "2 f"]:
    """Pair nodes with their nearest in random parts of the database, each a quarter of the one before.

    A graph of nearest neighbors alone has no way from one cluster to the next. These are the
    upper levels of hnswlib's hierarchy, laid into the one graph.
    """
    pairs = [np.empty((2, 0), np.int32)]
    size = len(order) // PART
    while size > config.neighbors:
        part = np.sort(order[:size])
        near = _nearest(vectors[part], config, threads)
        owners = np.broadcast_to(part[:, None], near.shape)
        pairs.append(np.stack([owners[near >= 0], part[near[near >= 0]]]))
        size //= PART
    return np.concatenate(pairs, axis=1)


def _both_ways(
    edges: Int[np.ndarray, "t e"], far: Int[np.ndarray, "2 f"]
) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " s"]]:
    """Return, node by node, whom it or a pair of ``far`` chose and who chose it, and where each begins."""
    nodes, columns = np.nonzero(edges >= 0)
    ends = edges[nodes, columns]
    nodes = nodes.astype(np.int32)
    owners, others = np.concatenate([nodes, ends, *far]), np.concatenate([ends, nodes, *far[::-1]])
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(edges)))])
    return others[np.argsort(owners, kind="stable")], starts


def _connected(
    vectors: Float[np.ndarray, "t d"],
    edges: Int[np.ndarray, "t e"],
    entries: Int[np.ndarray, " s"],
    config: NNDescentConfig,
) -> Int[np.ndarray, " r"]:
    """Link what no entry leads to, in place; return the entries, with those that could not be linked."""
    return np.concatenate([entries, graph.connect(vectors, edges, entries, config.beam)])


def _in_threads(work: Callable[[slice], None], count: int, threads: int) -> None:
    """Share out ``count`` rows; what is compiled by numba lets go of Python's lock."""
    blocks = list(_blocks(count, threads))
    if len(blocks) == 1:
        work(blocks[0])
        return
    with ThreadPoolExecutor(len(blocks)) as pool:
        list(pool.map(work, blocks))


def _blocks(count: int, parts: int) -> Iterator[slice]:
    bounds = [count * part // parts for part in range(parts + 1)]
    return (slice(*pair) for pair in pairwise(bounds) if pair[0] < pair[1])


def _steps(bar: tqdm) -> Iterator[None]:
    """Show, one after another, what is being done."""
    for step in STEPS:
        bar.set_description(f"NNDescent: {step}")
        yield
        bar.update()
