"""Store the features of many photos on disk, in a folder of shards (files of up to 512 photos).

New features are collected in memory. About every ten seconds, they are written to a small shard,
called a *part*. At the end of a run, `FeatureStore.compact` merges the parts. Each file is either
complete or absent, so an interrupted run can continue, and readers can open the store during a run.
"""

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from delfjax.features.database import Database
from delfjax.features.pca import FIX as PCA_FIX
from delfjax.features.pca import PCA
from delfjax.features.shards import Shard, StoredPhoto, to_stored_precision, write_shard
from delfjax.files import (
    Lock,
    StoreError,
    claim_folder,
    list_files,
    read_json,
    reading,
    remove_leftovers,
    sha256,
)
from delfjax.images.folder import PhotoSource
from delfjax.images.reading import PhotoError
from delfjax.types import Features

MANIFEST = "store.json"
PCA_FILE = "reduction.safetensors"
SHARDS = "shards"  # folder of the files part-000000.safetensors, shard-000000.safetensors, ...
SHARD_PHOTOS = 512  # photos of a shard; with 1000 40-d features per photo it has 49 MB
PART_SECONDS = 10.0  # a photo waits in memory at most this long, if others follow
EXTRACT_AGAIN = "extract again into a new folder"
OPENING_ATTEMPTS = 10  # another process may merge files while this process opens them
OPENING_SECONDS = 0.2  # between two attempts


@dataclass(kw_only=True)
class ExtractionReport:
    """Lists of the photos that an extraction run extracted, kept, removed, or could not read.

    Attributes:
        extracted: Names of the photos whose features were extracted in this run.
        changed: Those of ``extracted`` whose file has changed since an earlier extraction.
        kept: Names of the photos whose features were stored before this run.
        removed: Names of the photos that were removed from the store, because they are no longer
            in the folder. `extract_folder` itself removes none.
        failed: Error of each photo that could not be read, by name.
    """

    extracted: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: dict[str, PhotoError] = field(default_factory=dict)

    def update(self, other: "ExtractionReport") -> None:
        """Add the photos of another report that this report does not list yet."""
        known = {*self.extracted, *self.kept}
        self.extracted += [name for name in other.extracted if name not in known]
        self.changed += [name for name in other.changed if name not in known]
        self.kept += [name for name in other.kept if name not in known]
        self.failed |= other.failed


class FeatureStore:
    """A folder with the features of many photos, extracted by one model and configuration.

    To write, open the store in a ``with`` block: ``with FeatureStore(path, made_by) as store:
    store.write(name, features)``. Only one process at a time can write. Any number of processes can
    read. A reader sees the photos that were on disk when it opened the store.

    Args:
        path: The folder. It is created if it does not exist and ``made_by`` is given.
        made_by: Model and settings of extraction and PCA. None opens an existing store.

    Attributes:
        made_by: The settings as read from JSON (tuples become lists).
        dimensions: Number of dimensions of a descriptor. None if there is no photo.
        report: Result of the last `extract_folder` into this store.

    Raises:
        StoreError: If there is no store and ``made_by`` is None, if the store was made with other
            settings, if a file is damaged, if another process writes when a ``with`` block starts,
            if a photo is not in the store, or if a write happens outside of a ``with`` block.
    """

    def __init__(self, path: Path | str, made_by: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.report = ExtractionReport()
        self.dimensions: int | None = None
        self._lock: Lock | None = None
        self._pending: dict[str, StoredPhoto] = {}  # photos that are not on disk yet
        self._pending_since = 0.0  # time at which the oldest of them was added
        if made_by is not None:
            self.made_by = claim_folder(self.path, MANIFEST, made_by, kind="feature store")
        else:
            try:
                self.made_by = read_json(self.path / MANIFEST, fix=EXTRACT_AGAIN)
            except FileNotFoundError:
                raise StoreError(
                    f"{self.path}: no feature store here. Fix: create one with "
                    "delfjax.extract_folder or delfjax extract PHOTOS STORE"
                ) from None
        self._open_shards()

    def _open_shards(self) -> None:
        """Open all shards on disk. If two shards contain a photo, the first one counts."""
        for _ in range(OPENING_ATTEMPTS):
            self._shards: list[Shard] = []
            self._locations: dict[str, tuple[Shard, int]] = {}  # shard and index of each photo
            files = list_files(self.path / SHARDS, ".safetensors")
            # A listing can lack both an old file and the new one into which another process merges it.
            with suppress(FileNotFoundError):
                for file in files:
                    self._add_shard(Shard(file, self.made_by))
                if files == list_files(self.path / SHARDS, ".safetensors"):
                    break
            time.sleep(OPENING_SECONDS)
        else:
            raise StoreError(f"{self.path}: another process is replacing files. Fix: try later")
        self._check_pca()

    def _add_shard(self, shard: Shard) -> None:
        self._shards.append(shard)
        self.dimensions = shard.dimensions
        for index, name in enumerate(shard.names):
            self._locations.setdefault(name, (shard, index))

    def _check_pca(self) -> None:
        """Check that the PCA is the one that reduced the descriptors of every shard."""
        path = self.path / PCA_FILE
        self._pca_sha256: str | None = None
        with suppress(FileNotFoundError), reading(path, "a PCA", fix=PCA_FIX):
            self._pca_sha256 = sha256(path)
        is_reduced = self.made_by.get("reduction") is not None
        for shard in self._shards:
            # A shard of delfjax 0.1.0 has no checksums, so any PCA is accepted.
            fits = shard.pca_sha256 == self._pca_sha256 if shard.sha256 else path.exists()
            if is_reduced and not fits:
                found = "is not" if path.exists() else "is missing. It is"
                raise StoreError(
                    f"{path} {found} the PCA that reduced the descriptors of {shard.path.name}. "
                    "Fix: restore the original file, or remove the store and extract again"
                )

    # --- writing

    def __enter__(self) -> Self:
        """Lock the store for writing."""
        folder = self.path / SHARDS
        folder.mkdir(exist_ok=True)
        lock = Lock(folder / ".shard.lock")
        try:
            remove_leftovers(folder, "*.safetensors")
            self._open_shards()  # another process may have written since this store was opened
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return self

    def __exit__(self, *error: object) -> None:
        """Write the features in memory to disk, even after an error, and unlock the store."""
        try:
            self.flush()
        finally:
            if self._lock is not None:
                self._lock.release()
            self._lock = None

    def write(self, name: str, features: Features, source: PhotoSource | None = None) -> None:
        """Add the features of a photo. Descriptors are rounded to half precision.

        A photo that is already in the store is not replaced; call `remove` first. ``source``
        records the file of the photo, so that later changes of the file are noticed.

        Raises:
            ValueError: If the number of descriptor dimensions differs from that in the store.
        """
        self._check_entered()
        if name in self:
            return
        dimensions = features.descriptors.shape[1]
        if self.dimensions not in (dimensions, None):
            raise ValueError(
                f"{name}: descriptors have {dimensions} dimensions, but those of {self.path} have "
                f"{self.dimensions}. Fix: use another store"
            )
        self.dimensions = dimensions
        now = time.monotonic()
        self._pending_since = self._pending_since if self._pending else now
        self._pending[name] = StoredPhoto(to_stored_precision(features), source)
        if len(self._pending) >= SHARD_PHOTOS or now - self._pending_since >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the features in memory to disk, as one part (small shard)."""
        if self._pending:
            # An interrupt between two of these lines is harmless: the next flush writes the same
            # photos again, into the same file or into a second one.
            self._add_shard(self._write_part(self._pending))
            self._pending = {}

    def remove(self, names: Iterable[str]) -> None:
        """Remove the features of photos. Write the shards of these photos again without them."""
        removed = dict.fromkeys(names)
        for name in removed:
            self.source(name)  # an error if the store does not contain the photo
        self._rewrite(removed)

    def move(self, sources: Mapping[str, PhotoSource]) -> None:
        """Record new source files of photos that were moved without a change. Features stay the same.

        ``sources`` maps the name of a photo to its new source.
        """
        self._rewrite(sources)

    def _rewrite(self, sources: Mapping[str, PhotoSource | None]) -> None:
        """Write the shards of some photos again, with new sources. None removes the photo."""
        self._check_entered()
        self.flush()
        affected = [shard for shard in self._shards if not sources.keys().isdisjoint(shard.names)]
        for shard in affected:
            kept = {}
            for name in shard.names:
                if name not in sources:
                    kept[name] = self._stored(name)
                elif sources[name] is not None:
                    kept[name] = self._stored(name)._replace(source=sources[name])
            if kept:
                self._add_shard(self._write_part(kept))
            shard.path.unlink()
        if affected:
            self._open_shards()

    @property
    def is_compact(self) -> bool:
        """Whether the store has no parts, the small shards that are written during a run."""
        return not any(map(_is_part, self._shards))

    def compact(self) -> None:
        """Merge parts (small shards) and incomplete shards into shards of `SHARD_PHOTOS` photos.

        Photos are sorted by name, so the final files do not depend on interruptions of the run.
        Limitation: ``delfjax.evaluate`` extracts database, distractors and queries one after another.
        If the second or third extraction is interrupted, the shards can group photos differently.
        """
        self._check_entered()
        self.flush()
        if self.is_compact:
            return
        full = [shard for shard in self._shards if _is_full(shard)]
        merged = [shard for shard in self._shards if not _is_full(shard)]
        names = sorted(self._locations.keys() - {name for shard in full for name in shard.names})
        written = set()
        for start in range(0, len(names), SHARD_PHOTOS):
            part = {name: self._stored(name) for name in names[start : start + SHARD_PHOTOS]}
            shard = self._write_part(part)
            # The name depends on the content: merging the same photos again gives the same file.
            path = shard.path.with_name(f"shard-{shard.sha256[:16]}.safetensors")
            written.add(shard.path.replace(path))
        # Parts last: as long as there is one, the next call merges again.
        for shard in sorted(merged, key=_is_part):
            if shard.path not in written:
                shard.path.unlink()
        self._open_shards()

    def _write_part(self, photos: Mapping[str, StoredPhoto]) -> Shard:
        folder = self.path / SHARDS
        matches = (re.fullmatch(r"part-(\d+)", file.stem) for file in folder.iterdir())
        number = 1 + max((int(match[1]) for match in matches if match), default=-1)
        path = folder / f"part-{number:06d}.safetensors"
        write_shard(path, photos, self.made_by, self._pca_sha256)
        return Shard(path, self.made_by)

    def _check_entered(self) -> None:
        if self._lock is None:
            raise StoreError(
                f"{self.path}: this store is opened only for reading. Fix: to write, open it with "
                "`with FeatureStore(...) as store:`"
            )

    # --- reading

    def __contains__(self, name: str) -> bool:
        return name in self._locations or name in self._pending

    def __len__(self) -> int:
        return len(self._locations) + len(self._pending)

    @property
    def names(self) -> list[str]:
        """Names of the photos in the store, sorted."""
        return sorted([*self._locations, *self._pending])

    def read(self, name: str) -> Features:
        """Return the features of a photo, in single precision."""
        features = self._stored(name).features
        return features.with_descriptors(features.descriptors.astype(np.float32))

    def source(self, name: str) -> PhotoSource | None:
        """Return the file from which a photo's features were extracted, or None if not recorded."""
        if name in self._pending:
            return self._pending[name].source
        shard, index = self._locate(name)
        return shard.sources[index]

    def _stored(self, name: str) -> StoredPhoto:
        """Return the features of a photo in stored precision, and the file of the photo."""
        if name in self._pending:
            return self._pending[name]
        shard, index = self._locate(name)
        return StoredPhoto(shard.read(index), shard.sources[index])

    def _locate(self, name: str) -> tuple[Shard, int]:
        if name not in self._locations:
            raise StoreError(f"{self.path}: no features of {name!r}. Fix: extract this photo first")
        return self._locations[name]

    def gather(self, names: Iterable[str] | None = None, *, limit: int | None = None) -> Database:
        """Return the features of many photos as one database.

        Args:
            names: Names of photos on disk. Their order is kept. None: all photos, sorted by name.
            limit: Maximum number of features per photo. Those with the highest scores are kept.

        Raises:
            ValueError: If there is no photo.
        """
        names = sorted(self._locations) if names is None else list(names)
        return Database.from_features(
            names, [self._stored(name).features[:limit] for name in names]
        )

    # --- PCA

    @property
    def pca(self) -> PCA | None:
        """PCA that reduced the descriptors of this store. None until a PCA is set."""
        path = self.path / PCA_FILE
        return PCA.load(path) if path.exists() else None

    @pca.setter
    def pca(self, pca: PCA) -> None:
        pca.save(self.path / PCA_FILE)
        self._check_pca()


def _is_part(shard: Shard) -> bool:
    return shard.path.stem.startswith("part")


def _is_full(shard: Shard) -> bool:
    return not _is_part(shard) and len(shard.names) >= SHARD_PHOTOS
