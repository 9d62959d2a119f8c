"""A database in shards: each is built and searched by itself, and the answers are merged (Sec. 4.4 at scale).

A shard is any index over consecutive rows, and building one, ``build_index(descriptors, kind,
**settings)``, needs nothing of the others: it can be done on another machine, saved there, and loaded
here, or stay there (`delfjax.cluster_index`). Merging is exact, by distance, then row: over exact shards the answer is that of one exact index.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from delfjax.cluster import Client
from delfjax.index import Index, Neighbours, Value, build_index, index_class
from delfjax.index_files import Parts

SHARD = 250_000  # descriptors; not in the paper: a graph of about a minute's building


Answer = tuple[Int[np.ndarray, "q _"], Float[np.ndarray, "q _"]]  # of one shard


class ShardedIndex(Index):
    """Several indexes in a row.

    Args:
        shards: At least one, in the order of their rows.
        size: Descriptors a shard, at most: beyond that, `add` opens another.
        settings: That the shards were built with.
    """

    kind = "sharded"

    def __init__(self, shards: Sequence[Index], *, size: int = SHARD, **settings: Value) -> None:
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
        size: int = SHARD,
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
            from delfjax.cluster_index import ClusterIndex  # which is one of these

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

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
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


def merge(answers: Sequence[Answer], starts: Sequence[int], k: int) -> Neighbours:
    """Merge the answers of shards.

    Args:
        answers: Rows and distances of each shard.
        starts: Row of the whole database at which each begins.
        k: Neighbours to keep.
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
