"""Split an index into shards, in this process or on the workers of a Dask cluster.

A shard is an index of consecutive database rows. Shards are built and searched independently. Then
the results of all shards are merged and sorted by distance, then by row. Exact shards give the same
result as one exact index of the whole database.
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, Future, submit, wait_for
from delfjax.ranges import COUNT, check_number
from delfjax.search.index import (
    Content,
    Index,
    IndexConfig,
    Neighbors,
    Tensors,
    Value,
    build_index,
    restore_index,
    sort_neighbors,
)

SHARD_SIZE = 250_000  # descriptors; a graph of this size takes a minute to build; not in the paper


class ShardedIndex(Index):
    """Index that consists of shards. A shard is an index of consecutive database rows.

    Args:
        shards: Shards in the order of their rows, at least one. With a ``client``: Dask futures.
        client: Dask client whose workers hold the shards. None: this process holds the shards.

    Attributes:
        lengths: Number of descriptors in each shard.
        effort: Effort of the search in every shard. None for exact search.
    """

    kind = "sharded"

    def __init__(self, shards: Sequence[Index | Future], client: Client | None = None) -> None:
        self.shards, self.client = list(shards), client
        lengths, dimensions, efforts = zip(*self._run(_get_info), strict=True)
        self.lengths: tuple[int, ...] = lengths
        self._dimensions: int = dimensions[0]
        self.effort = efforts[0]

    @classmethod
    def check(
        cls,
        dimensions: int | None = None,
        /,
        *,
        size: int = SHARD_SIZE,
        inner: str = "nndescent",
        **settings: Value,
    ) -> None:
        """Check the settings of `build` before the descriptors are known."""
        check_number("size", size, COUNT)
        IndexConfig(kind=inner, settings=settings).check(dimensions)

    @classmethod
    def build(
        cls,
        descriptors: Float[np.ndarray, "t d"],
        /,
        *,
        size: int = SHARD_SIZE,
        inner: str = "nndescent",
        client: Client | None = None,
        **settings: Value,
    ) -> "ShardedIndex":
        """Split the descriptors of a database into shards, and build an index of each shard.

        Args:
            descriptors: Descriptors of the database, one row per feature.
            size: Maximum number of descriptors in a shard.
            inner: Kind of index of each shard, as in `build_index`.
            client: Dask client whose workers build, hold and search the shards in parallel. None:
                this process. Results are equal (``"nndescent"``: only with equal ``threads``).
            settings: Settings of the index of each shard.

        Raises:
            ValueError: If ``size`` is less than 1, or the index of a shard cannot be built.
        """
        check_number("size", size, COUNT)
        parts = [descriptors[at : at + size] for at in range(0, len(descriptors), size)]
        shards: list[Index | Future] = []
        if client is not None:
            shards += [submit(client, _build, rows, inner, settings) for rows in parts]
        for number, rows in enumerate(tqdm(parts, desc="shards", unit="shard")):
            try:
                if client is None:
                    shards.append(_build(rows, inner, settings))
                else:
                    wait_for(client, submit(client, len, shards[number]))  # may raise an error
            except ValueError as error:
                where = f"shard {number + 1} of {len(parts)}, with {len(rows)} descriptors"
                raise ValueError(f"{where}: {error}") from error
        return cls(shards, client)

    def __len__(self) -> int:
        return sum(self.lengths)

    @property
    def dimensions(self) -> int:
        """Number of dimensions of a descriptor."""
        return self._dimensions

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        found = self._run(_search, self.effort, queries, k)
        starts = np.cumsum([0, *self.lengths[:-1]])
        rows = np.concatenate(
            [
                np.where(each.rows < 0, each.rows, each.rows + start)  # negative: no neighbor
                for each, start in zip(found, starts, strict=True)
            ],
            axis=1,
        )
        distances = np.concatenate([each.distances for each in found], axis=1)
        return sort_neighbors(rows, distances, k)

    def _run(self, work: Callable[..., Any], *arguments: object) -> list[Any]:
        """Return the results of ``work(shard, *arguments)``, one per shard."""
        if self.client is None:
            return [work(shard, *arguments) for shard in self.shards]
        tasks = [submit(self.client, work, shard, *arguments) for shard in self.shards]
        return [wait_for(self.client, task) for task in tasks]

    def _content(self) -> Content:
        shards: list[dict[str, Any]] = []
        tensors: Tensors = {}
        for number, (kind, settings, own) in enumerate(self._run(_get_content, self.effort)):
            shards.append({"kind": kind, "settings": settings})
            tensors |= {f"{number}.{name}": each for name, each in own.items()}
        return {"shards": shards}, tensors

    @classmethod
    def _restore(cls, settings: dict[str, Any], tensors: Tensors) -> "ShardedIndex":
        shards = []
        for number, shard in enumerate(settings["shards"]):
            prefix = f"{number}."
            own = {
                name.removeprefix(prefix): each
                for name, each in tensors.items()
                if name.startswith(prefix)
            }
            shards.append(restore_index(shard["kind"], shard["settings"], own))
        if len({shard.dimensions for shard in shards}) != 1:
            raise ValueError("its shards have different numbers of dimensions")
        return cls(shards)


# Functions of one shard. They must not change their arguments, because Dask may repeat a call.


def _build(rows: Float[np.ndarray, "_ d"], kind: str, settings: dict[str, Value]) -> Index:
    return build_index(rows, kind, **settings)


def _get_info(index: Index) -> tuple[int, int, int | None]:
    return len(index), index.dimensions, index.effort


def _search(
    index: Index, effort: int | None, queries: Float[np.ndarray, "q d"], k: int
) -> Neighbors:
    return _at_effort(index, effort).search(queries, min(k, len(index)))


def _get_content(index: Index, effort: int | None) -> tuple[str, dict[str, Any], Tensors]:
    return index.kind, *_at_effort(index, effort)._content()


def _at_effort(index: Index, effort: int | None) -> Index:
    index = copy(index)
    if effort is not None:
        index.effort = effort
    return index
