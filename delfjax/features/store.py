"""The features of a collection on disk: shards of some hundred photos, and what made them.

A store remembers the model, the extraction and the PCA it was filled with and refuses to mix:
features of two models cannot be compared. Photos gather in memory until they are enough for a shard, or
have waited long enough; a shard appears whole or not at all and never changes. So a run that was cut short
goes on where it stopped, one that was killed loses what waited and extracts it again, and whoever reads
disturbs nobody.
"""

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import Int

from delfjax.features.database import Database
from delfjax.features.pca import PCA
from delfjax.features.shards import FIELDS, Shard, to_stored_precision, write_shard
from delfjax.files import Lock, StoreError, atomic_write, claim_folder, remove_leftovers
from delfjax.images.reading import PhotoError
from delfjax.types import Features

MANIFEST, PCA_FILE, SHARDS, SUFFIX = (
    "store.json",
    "reduction.safetensors",
    "shards",
    ".safetensors",
)
SHARD_PHOTOS = 512  # of 1000 40-d features each, 49 MB; a million photos are 2000 files
SHARD_SECONDS = 120.0  # what a kill may cost


@dataclass(kw_only=True)
class ExtractionReport:
    """Result of an extraction, photo by photo.

    Attributes:
        extracted: Names of the photos that were extracted now.
        kept: Names of the photos that the store contained before.
        failed: Errors of the photos that could not be read, by name.
    """

    extracted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, PhotoError] = field(default_factory=dict)

    def update(self, other: "ExtractionReport") -> None:
        """Add the photos of another report. A photo that is listed here already is not repeated."""
        known = {*self.extracted, *self.kept}
        self.extracted += [name for name in other.extracted if name not in known]
        self.kept += [name for name in other.kept if name not in known]
        self.failed |= other.failed


class FeatureStore:
    """A folder of features, by photo name.

    To write, enter it: ``with FeatureStore(path, made_by) as store: store.write(name, features)``. One
    process at a time writes; of a cluster each gives itself a name as ``writer``. Readers are free; they
    see the shards that were there when they opened the store.

    Args:
        path: The folder; made if missing.
        made_by: What determines the features: model checksum, extraction, reduction. None opens an
            existing store as it is.
        writer: Begins the names of the shards that are written.
        photos: How many photos may wait in memory: as soon as there are so many, they become a shard.
        seconds: How long a photo may wait: with the first photo that comes later, all that wait become a
            shard, however few.

    Raises:
        StoreError: If the store was made by something else, if a shard of it is damaged, or if there is
            no store to open.
        ValueError: If the writer's name would be no file name.
    """

    def __init__(
        self,
        path: Path | str,
        made_by: Mapping[str, Any] | None = None,
        *,
        writer: str = "shard",
        shard_photos: int = SHARD_PHOTOS,
        shard_seconds: float = SHARD_SECONDS,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", writer):
            raise ValueError(f"writer {writer!r}: expected letters, digits, - and _ only")
        self.path, self.writer = Path(path), writer
        self.report = ExtractionReport()
        self._shard_photos, self._shard_seconds = shard_photos, shard_seconds
        self._lock: Lock | None = None
        self._waiting: dict[str, Features] = {}
        self._since = 0.0  # when the first of those came
        if (self.path / "features").is_dir():
            raise StoreError(
                f"{self.path}: features in the format of delfjax 0.1.0, a file a photo, which is read "
                "no more; remove the folder, or use another one, and extract again"
            )
        if made_by is not None:
            self.made_by = claim_folder(self.path, MANIFEST, made_by, kind="feature store")
        elif (self.path / MANIFEST).exists():
            self.made_by = json.loads((self.path / MANIFEST).read_text())
        else:
            raise StoreError(
                f"{self.path}: no feature store here; make one with: extract FOLDER STORE"
            )
        self._look()

    def _look(self) -> None:
        """Find out which shards there are; a photo that is in two counts in the first."""
        files = sorted((self.path / SHARDS).glob(f"*{SUFFIX}"))
        self._shards: list[Shard] = []
        self._places: dict[str, tuple[Shard, int]] = {}
        for file in files:
            self._add(Shard(file, self.made_by))
        parts = (file.stem.rpartition("-") for file in files)
        own = [int(n) for writer, _, n in parts if writer == self.writer and n.isdecimal()]
        self._next = 1 + max(own, default=-1)

    def _add(self, shard: Shard) -> None:
        self._shards.append(shard)
        for row, name in enumerate(shard.names):
            self._places.setdefault(name, (shard, row))

    # --- writing

    def __enter__(self) -> Self:
        """Become the writer.

        Raises:
            StoreError: If another process is, or if a shard is damaged.
        """
        folder = self.path / SHARDS
        folder.mkdir(exist_ok=True)
        lock = Lock(folder / f".{self.writer}.lock")
        try:
            remove_leftovers(folder, f"{self.writer}-??????{SUFFIX}")
            self._look()  # another may have written since
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what waits, whatever has happened, and let another process write."""
        try:
            self.flush()
        finally:
            self._lock.release()
            self._lock = None

    def write(self, name: str, features: Features) -> None:
        """Keep a photo's features; descriptors in half precision.

        A photo that is there stays as it is: what made this store would only make the same again.

        Raises:
            StoreError: If the store was not entered.
            ValueError: If the descriptors have not as many dimensions as the others here.
        """
        if self._lock is None:
            raise StoreError(f"{self.path}: open to read; write inside of: with store")
        if name in self:
            return
        width = features.descriptors.shape[1]
        if self._width not in (width, None):
            raise ValueError(
                f"{name}: descriptors of {width} dimensions, but those of {self.path} have {self._width}"
            )
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting[name] = to_stored_precision(features)
        if (
            len(self._waiting) >= self._shard_photos
            or time.monotonic() - self._since >= self._shard_seconds
        ):
            self.flush()

    @property
    def _width(self) -> int | None:
        for features in self._waiting.values():
            return features.descriptors.shape[1]
        return self._shards[0].width if self._shards else None

    def flush(self) -> None:
        """Write what waits as a shard: from then on no kill can harm it."""
        if self._waiting:
            # Where an interrupt falls between two of these lines, the next flush writes the same again:
            # over that file or beside it, but never other photos over it.
            path = self.path / SHARDS / f"{self.writer}-{self._next:06d}{SUFFIX}"
            write_shard(path, self._waiting, self.made_by)
            self._next += 1
            self._add(Shard(path, self.made_by))
            self._waiting = {}

    # --- reading

    def __contains__(self, name: str) -> bool:
        return name in self._places or name in self._waiting

    def __len__(self) -> int:
        return len(self._places) + len(self._waiting)

    @property
    def names(self) -> list[str]:
        """Photo names in the store, sorted."""
        return sorted([*self._places, *self._waiting])

    def read(self, name: str) -> Features:
        """Return a photo's features, in single precision.

        Raises:
            StoreError: If the store has no such photo.
        """
        features = self._waiting[name] if name in self._waiting else self._read(name)
        return features.with_descriptors(features.descriptors.astype(np.float32))

    def _read(self, name: str, limit: int | None = None) -> Features:
        shard, row = self._place(name)
        return shard.read(row, limit)

    def _place(self, name: str) -> tuple[Shard, int]:
        if name not in self._places:
            raise StoreError(f"{self.path}: no features of {name!r}; extract that photo first")
        return self._places[name]

    def gather(self, names: Iterable[str] | None = None, *, limit: int | None = None) -> Database:
        """Return the features of many photos end to end.

        Args:
            names: The photos, in this order; None: all that are on disk, sorted.
            limit: Only so many of each one's best features.

        Raises:
            StoreError: If one of them is not on disk.
        """
        names = tuple(sorted(self._places) if names is None else names)
        offsets = np.concatenate([[0], np.cumsum(self._lengths(names, limit))])
        widths = {"positions": (2,), "descriptors": (self._width or 0,)}
        parts = {p: np.empty((offsets[-1], *widths.get(p, ())), np.float32) for p in FIELDS}
        sizes = np.empty((len(names), 2), np.int32)
        for number, name in enumerate(names):
            features, (start, end) = self._read(name, limit), offsets[number : number + 2]
            sizes[number] = features.image_size
            for part, column in parts.items():
                column[start:end] = getattr(features, part)
        return Database(names=names, offsets=offsets, image_sizes=sizes, **parts)

    def _lengths(self, names: tuple[str, ...], limit: int | None) -> Int[np.ndarray, " _"]:
        lengths = {shard: np.diff(shard.offsets) for shard in self._shards}
        places = map(self._place, names)
        found = np.array([lengths[shard][row] for shard, row in places], np.int64)
        return found if limit is None else np.minimum(found, limit)

    # --- the PCA

    @property
    def pca(self) -> PCA | None:
        """The PCA that this store's descriptors went through; None until one is set."""
        path = self.path / PCA_FILE
        return PCA.load(path) if path.exists() else None

    @pca.setter
    def pca(self, pca: PCA) -> None:
        with atomic_write(self.path / PCA_FILE) as temporary:
            pca.save(temporary)
