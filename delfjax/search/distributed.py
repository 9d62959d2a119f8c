"""Split an index into shards, in this process or on the workers of a Dask cluster.

A shard is an index of consecutive database rows. Shards are built and searched independently. Then
the results of all shards are merged and sorted by distance, then by row. Exact shards give the same
result as one exact index of the whole database.
"""

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, Future, submit, wait_for
from delfjax.ranges import COUNT, check_number
from delfjax.search.index import (
    Index,
    IndexConfig,
    Neighbors,
    Value,
    build_index,
    current_names,
    restore_index,
    sort_neighbors,
)
from delfjax.search.index_files import TensorFiles

SHARD_SIZE = 250_000  # descriptors; a graph of this size takes a minute to build; not in the paper

Rows = Float[np.ndarray, "_ d"]
Shards = Sequence[Index | Future]


class ShardInfo(NamedTuple):
    """Kind, number of descriptors, dimensions and effort of a shard, as in `Index`."""

    kind: str
    length: int
    dimensions: int
    effort: int | None


class ShardedIndex(Index):
    """Index that consists of shards. A shard is an index of consecutive database rows.

    Args:
        shards: Shards in the order of their rows, at least one. With a ``client``: Dask futures.
        size: Maximum number of descriptors in a shard. `add` builds new shards if needed.
        client: Dask client whose workers hold the shards. None: this process holds the shards.
        settings: Settings of the shards that `add` builds.

    Attributes:
        infos: Kind, number of descriptors, dimensions and effort of each shard.
        effort: Effort of the search in every shard. None for exact search.
    """

    kind = "sharded"

    def __init__(
        self,
        shards: Shards,
        *,
        size: int = SHARD_SIZE,
        client: Client | None = None,
        **settings: Value,
    ) -> None:
        self.shards = list(shards)
        self.size, self.client = size, client
        self._shard_settings = settings
        self.infos: list[ShardInfo] = self._run(_get_info, self.shards)
        self.effort = self.infos[0].effort

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
        shards = _build_shards(_split(descriptors, size), inner, settings, client)
        return cls(shards, size=size, client=client, **settings)

    @property
    def descriptors(self) -> Float[np.ndarray, "t d"]:
        """Copy of the descriptors of the database, one row per feature."""
        return np.concatenate(self._call("descriptors"))

    def __len__(self) -> int:
        return sum(info.length for info in self.infos)

    @property
    def dimensions(self) -> int:
        """Number of dimensions of a descriptor."""
        return self.infos[0].dimensions

    def _search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbors:
        found = self._run(_search, self.shards, self.effort, queries, k)
        starts = np.cumsum([0, *(info.length for info in self.infos[:-1])])
        return merge(found, starts.tolist(), k)

    def _add(self, descriptors: Float[np.ndarray, "a d"]) -> None:
        # Each of these lines may fail. Only the last one changes this index.
        last = self.infos[-1]
        room = max(self.size - last.length, 0)
        parts = _split(descriptors[room:], self.size)
        new = _build_shards(parts, last.kind, self._shard_settings, self.client)
        grown = self.shards[-1:]
        if room:
            grown = self._submit(_copy_and_add, grown, descriptors[:room])
        infos = self._run(_get_info, [*grown, *new])
        self.shards[-1:], self.infos[-1:] = [*grown, *new], infos

    def _remove(self, kept: Bool[np.ndarray, " t"]) -> None:
        parts = np.split(kept, np.cumsum([info.length for info in self.infos])[:-1])
        shards = []
        for shard, part in zip(self.shards, parts, strict=True):
            if part.all():
                shards.append(shard)
            elif part.any():
                shards += self._submit(_copy_and_remove, [shard], np.flatnonzero(~part))
        infos = self._run(_get_info, shards)
        self.shards, self.infos = shards, infos

    def _call(self, name: str) -> list[Any]:
        """Return an attribute of every shard, or what the method of this name returns."""
        return self._run(_call, self.shards, self.effort, name)

    def _run(self, work: Callable[..., Any], shards: Shards, *arguments: object) -> list[Any]:
        """Return the results of ``work(shard, *arguments)``, one per shard."""
        found = self._submit(work, shards, *arguments)
        return found if self.client is None else [wait_for(self.client, task) for task in found]

    def _submit(self, work: Callable[..., Any], shards: Shards, *arguments: object) -> list[Any]:
        """Run ``work(shard, *arguments)`` for each shard. With a client, return Dask futures."""
        if self.client is None:
            return [work(shard, *arguments) for shard in shards]
        return [submit(self.client, work, shard, *arguments) for shard in shards]

    def _settings(self) -> dict[str, Any]:
        settings = zip(self.infos, self._call("_settings"), strict=True)
        shards = [{"kind": info.kind, "settings": each} for info, each in settings]
        return {"size": self.size, "settings": self._shard_settings, "shards": shards}

    def _tensors(self) -> TensorFiles:
        return {
            f"shard{number:04}-{name}": tensors
            for number, shard in enumerate(self._call("_tensors"))
            for name, tensors in shard.items()
        }

    @classmethod
    def _restore(cls, settings: dict[str, Any], tensors: TensorFiles) -> "ShardedIndex":
        shards = []
        for number, shard in enumerate(settings["shards"]):
            prefix = f"shard{number:04}-"
            own = {
                name.removeprefix(prefix): each
                for name, each in tensors.items()
                if name.startswith(prefix)
            }
            shards.append(restore_index(shard["kind"], shard["settings"], own))
        if len({shard.dimensions for shard in shards}) != 1:
            raise ValueError("its shards have different numbers of dimensions")
        check_number("size", settings["size"], COUNT)
        return cls(shards, size=settings["size"], **current_names(settings["settings"]))


def merge(found: Sequence[Neighbors], starts: Sequence[int], k: int) -> Neighbors:
    """Merge the neighbors found in several shards, and keep the ``k`` nearest of each query.

    ``found`` holds the neighbors found in each shard, with rows counted from 0 in the shard.
    ``starts`` holds the database row of the first descriptor of each shard.
    """
    pairs = zip(found, starts, strict=True)
    rows = np.concatenate(
        [np.where(each.rows < 0, each.rows, each.rows + start) for each, start in pairs], axis=1
    )
    distances = np.concatenate([each.distances for each in found], axis=1)
    return sort_neighbors(rows, distances, k)


def _split(descriptors: Float[np.ndarray, "t d"], size: int) -> list[Rows]:
    return [descriptors[at : at + size] for at in range(0, len(descriptors), size)]


def _build_shards(
    parts: Sequence[Rows], kind: str, settings: dict[str, Value], client: Client | None
) -> list[Index | Future]:
    """Build one shard per part, in this process or on a cluster."""
    shards: list[Index | Future] = []
    if client is not None:
        shards += [submit(client, _build, rows, kind, settings) for rows in parts]
    for number, rows in enumerate(tqdm(parts, desc="shards", unit="shard", disable=not parts)):
        try:
            if client is None:
                shards.append(_build(rows, kind, settings))
            else:
                wait_for(client, submit(client, _get_info, shards[number]))  # may raise an error
        except ValueError as error:
            where = f"shard {number + 1} of {len(parts)}, with {len(rows)} descriptors"
            raise ValueError(f"{where}: {error}") from error
    return shards


# Functions that make or take one shard. They must not change their arguments, because Dask may repeat a call.


def _build(rows: Rows, kind: str, settings: dict[str, Value]) -> Index:
    return build_index(rows, kind, **settings)


def _get_info(index: Index) -> ShardInfo:
    return ShardInfo(index.kind, len(index), index.dimensions, index.effort)


def _copy_and_add(index: Index, descriptors: Rows) -> Index:
    index = deepcopy(index)
    index.add(descriptors)
    return index


def _copy_and_remove(index: Index, rows: Int[np.ndarray, " r"]) -> Index:
    index = deepcopy(index)
    index.remove(rows)
    return index


def _search(index: Index, effort: int | None, queries: Rows, k: int) -> Neighbors:
    return _at_effort(index, effort).search(queries, min(k, len(index)))


def _call(index: Index, effort: int | None, name: str) -> object:
    found = getattr(_at_effort(index, effort), name)
    return found() if callable(found) else found


def _at_effort(index: Index, effort: int | None) -> Index:
    index = copy(index)
    if effort is not None:
        index.effort = effort
    return index
