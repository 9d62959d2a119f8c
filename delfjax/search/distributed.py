"""A database in shards: each is built and searched by itself, and the answers are merged (Sec. 4.4 at scale).

A shard is any index over consecutive rows, and building one, ``build_index(descriptors, kind,
**settings)``, needs nothing of the others: it can be done on another machine, saved there, and loaded
here, or stay there (`delfjax.search.distributed`). Merging is exact, by distance, then row: over exact shards the answer is that of one exact index.
"""

from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, Future, submit
from delfjax.search.index import Index, Neighbors, Value, build_index, index_class
from delfjax.search.index_files import Parts

SHARD_SIZE = 250_000  # descriptors; not in the paper: a graph of about a minute's building


Answer = tuple[Int[np.ndarray, "q _"], Float[np.ndarray, "q _"]]  # of one shard


class ShardedIndex(Index):
    """Several indexes in a row.

    Args:
        shards: At least one, in the order of their rows.
        size: Descriptors a shard, at most: beyond that, `add` opens another.
        settings: That the shards were built with.
    """

    kind = "sharded"

    def __init__(
        self, shards: Sequence[Index], *, size: int = SHARD_SIZE, **settings: Value
    ) -> None:
        if not shards:
            raise ValueError("expected at least one shard, got none: build one of no descriptors")
        self.shards = list(shards)
        self.size = size
        self._shard_settings = settings

    @classmethod
    def build(
        cls,
        descriptors: Float[np.ndarray, "t d"],
        *,
        size: int = SHARD_SIZE,
        inner: str = "nndescent",
        client: Client | None = None,
        **settings: Value,
    ) -> "ShardedIndex":
        """Build the shards: one after another, or on a cluster.

        Args:
            descriptors: The database.
            size: Descriptors a shard.
            inner: Kind of index that each is.
            client: Of a Dask cluster whose workers build, keep and search the shards. They answer alike; of
                graphs, where workers have as many cores as this machine, or are told their ``threads``.
            settings: Of each.
        """
        if size < 1:
            raise ValueError(f"size of a shard must be at least 1, got {size}")
        parts = [descriptors[:size], *_cut(descriptors[size:], size)]
        if client:
            from delfjax.search.distributed import ClusterIndex  # which is one of these

            return ClusterIndex(client, parts, size=size, inner=inner, **settings)
        bar = tqdm(parts, desc="shards", unit="shard")
        shards = [build_index(rows, inner, **settings) for rows in bar]
        return cls(shards, size=size, **settings)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """The database."""
        return np.concatenate([shard.descriptors for shard in self.shards])

    @property
    def memory(self) -> int:
        """Bytes of all shards."""
        return sum(shard.memory for shard in self.shards)

    @property
    def effort(self) -> int | None:
        """How hard each shard searches."""
        return self.shards[0].effort

    @effort.setter
    def effort(self, effort: int) -> None:
        for shard in self.shards:
            shard.effort = effort

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    @property
    def dimensions(self) -> int:
        """Of a descriptor."""
        return self.shards[0].dimensions

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        answers = self._answers(queries, k)
        starts = np.cumsum([0, *map(len, self.shards[:-1])])
        return merge(answers, starts.tolist(), k)

    def _answers(self, queries: Float[np.ndarray, "q d"], k: int) -> list[Answer]:
        return [shard.search(queries, min(k, len(shard))) for shard in self.shards]

    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        room = max(self.size - len(self.shards[-1]), 0)
        self.shards[-1].add(descriptors[:room])
        self.shards += self._built(_cut(descriptors[room:], self.size))

    def _built(self, parts: list[Float[np.ndarray, "_ d"]]) -> list[Index]:
        kind = self.shards[0].kind
        return [build_index(rows, kind, **self._shard_settings) for rows in parts]

    def _settings(self) -> dict[str, Any]:
        shards = [{"kind": shard.kind, "settings": shard._settings()} for shard in self.shards]
        return {"size": self.size, "settings": self._shard_settings, "shards": shards}

    def _parts(self) -> Parts:
        return {
            f"shard{number:04}-{name}": tensors
            for number, shard in enumerate(self.shards)
            for name, tensors in shard._parts().items()
        }

    @classmethod
    def _restore(cls, settings: dict[str, Any], parts: Parts) -> "ShardedIndex":
        shards = []
        for number, shard in enumerate(settings["shards"]):
            mark = f"shard{number:04}-"
            own = {name.removeprefix(mark): parts[name] for name in parts if name.startswith(mark)}
            shards.append(index_class(shard["kind"])._restore(shard["settings"], own))
        return cls(shards, size=settings["size"], **settings["settings"])


def _cut(descriptors: Float[np.ndarray, "t d"], size: int) -> list[Float[np.ndarray, "_ d"]]:
    return [descriptors[at : at + size] for at in range(0, len(descriptors), size)]


def merge(answers: Sequence[Answer], starts: Sequence[int], k: int) -> Neighbors:
    """Merge the answers of shards.

    Args:
        answers: Rows and distances of each shard.
        starts: Row of the whole database at which each begins.
        k: Neighbors to keep.
    """
    rows = np.concatenate(
        [
            np.where(rows < 0, rows, rows + start)
            for (rows, _), start in zip(answers, starts, strict=True)
        ],
        axis=1,
    )
    distances = np.concatenate([distances for _, distances in answers], axis=1)
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)


class Facts(NamedTuple):
    """What is known here of a shard that is elsewhere."""

    kind: str
    count: int
    dimensions: int
    memory: int
    effort: int | None


class RemoteShard:
    """A shard that a worker has; it answers to what `ShardedIndex` asks of its shards.

    Args:
        client: Of the cluster.
        held: The shard, an index.
        facts: About it.

    Attributes:
        effort: How hard it is searched; goes with each question.
    """

    def __init__(self, client: Client, held: Future, facts: Facts) -> None:
        self._client, self._held, self._facts = client, held, facts
        self.effort = facts.effort

    def __len__(self) -> int:
        return self._facts.count

    @property
    def kind(self) -> str:
        """Of the index."""
        return self._facts.kind

    @property
    def dimensions(self) -> int:
        """Of a descriptor."""
        return self._facts.dimensions

    @property
    def memory(self) -> int:
        """Bytes that the worker holds."""
        return self._facts.memory

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """Its rows, fetched."""
        return self._ask("descriptors").result()

    def search(self, queries: Float[np.ndarray, "q d"], k: int) -> Future:
        """Begin to search."""
        return self._ask("search", queries, k)

    def add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        """Have it grow."""
        if len(descriptors):
            self._held = submit(self._client, _grown, self._held, descriptors)
            self._facts = submit(self._client, _facts, self._held).result()

    def _settings(self) -> dict[str, Any]:
        return self._ask("_settings").result()

    def _parts(self) -> Parts:
        return self._ask("_parts").result()

    def _ask(self, name: str, *arguments: object) -> Future:
        return submit(self._client, _asked, self._held, self.effort, name, *arguments)


class ClusterIndex(ShardedIndex):
    """A `ShardedIndex` whose shards are on workers: what its ``build`` makes where that is given a client.

    Args:
        client: Of the cluster.
        parts: Consecutive rows, of which each shard is built; at least one part.
        size: Descriptors a shard.
        inner: Kind of index that each is.
        settings: Of each.
    """

    def __init__(
        self,
        client: Client,
        parts: Sequence[Float[np.ndarray, "_ d"]],
        *,
        size: int,
        inner: str,
        **settings: Value,
    ) -> None:
        self._client, self._inner = client, inner
        self.size, self._shard_settings = size, settings
        self.shards = self._built(parts)

    def _built(self, parts: Sequence[Float[np.ndarray, "_ d"]]) -> list[RemoteShard]:
        """Have shards built, all at once."""
        held = [
            submit(self._client, _build, rows, self._inner, self._shard_settings) for rows in parts
        ]
        facts = [submit(self._client, _facts, each) for each in held]
        bar = tqdm(zip(held, facts, strict=True), desc="shards", unit="shard", total=len(parts))
        return [RemoteShard(self._client, each, known.result()) for each, known in bar]

    def _answers(self, queries: Float[np.ndarray, "q d"], k: int) -> list[Answer]:
        asked = [shard.search(queries, min(k, len(shard))) for shard in self.shards]
        return [each.result() for each in asked]


# --- what workers do: without a trace in what they hold, of which the scheduler may want another copy ------


def _build(rows: Float[np.ndarray, "_ d"], inner: str, settings: dict[str, Value]) -> Index:
    return build_index(rows, inner, **settings)


def _facts(index: Index) -> Facts:
    return Facts(index.kind, len(index), index.dimensions, index.memory, index.effort)


def _grown(index: Index, descriptors: Float[np.ndarray, "a d"]) -> Index:
    grown = deepcopy(index)
    grown.add(descriptors)
    return grown


def _asked(index: Index, effort: int | None, name: str, *arguments: object) -> object:
    """Return an index's attribute, or what its method returns, at an effort."""
    tuned = copy(index)
    if effort is not None:
        tuned.effort = effort
    found = getattr(tuned, name)
    return found(*arguments) if callable(found) else found
