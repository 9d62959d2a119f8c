"""A sharded index on a cluster: workers build the shards, keep them and search them; answers are merged here.

A shard follows from its rows and settings, and the scheduler keeps those: where a worker dies, another
builds its shards again, the same ones, as soon as they are asked. Saving brings the shards here, and writes
what `delfjax.sharded` would.
"""

from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.cluster import Client, Future, submit
from delfjax.index import Index, Value, build_index
from delfjax.index_files import Parts
from delfjax.sharded import Answer, ShardedIndex


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
