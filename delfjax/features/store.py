"""Store the features of many photos on disk, in a folder with one SQLite file.

The table ``photos`` has one row for each photo. The only row of the table ``store`` holds the
settings, the PCA and a checksum of all rows. A writer commits new rows about every ten seconds. If
the writer is killed, SQLite restores the last commit. Other processes can read at the same time.
"""

import json
import sqlite3
import time
import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load, save

from delfjax.features.database import Database
from delfjax.features.pca import PCA
from delfjax.files import Lock, StoreError, check_made_by, create_in_folder, failure
from delfjax.images.folder import PhotoSource
from delfjax.images.reading import PhotoError
from delfjax.types import ARRAYS, Features

FILE = "features.sqlite"
OLD_FILE = "store.json"  # in stores of earlier versions
COMMIT_SECONDS = 10.0  # a photo waits in memory at most this long, if others follow
WAIT_SECONDS = 60  # to wait for a commit or for readers of another process
# A writer keeps up to 256 MB of changes in memory. With more, readers wait for its next commit.
WRITER_CACHE = "PRAGMA cache_size = -262144"
# File names can contain bytes that are not UTF-8, which SQLite does not allow in texts.
ENCODING = ("utf-8", "surrogatepass")
EXTRACT_AGAIN = "extract again into a new folder"
# A file with other tables, or with views or triggers, is refused.
TABLES = [
    "CREATE TABLE photos (name BLOB PRIMARY KEY, checksum INTEGER, source BLOB, height INTEGER, "
    "width INTEGER, dimensions INTEGER, features BLOB) WITHOUT ROWID",
    "CREATE TABLE store (made_by BLOB, pca BLOB, checksum INTEGER)",
]
# Results of SQLite that do not mean that the file is damaged.
UNAVAILABLE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
)


PRECISIONS = {"half": "<f2", "single": "<f4"}  # NumPy types of the numbers of a descriptor


def feature_type(dimensions: int, precision: str = "half") -> np.dtype:
    """Return the NumPy type of a stored feature with a descriptor of ``dimensions`` numbers."""
    return np.dtype(
        [
            ("positions", "<f4", (2,)),
            ("scales", "<f4"),
            ("scores", "<f4"),
            ("descriptors", PRECISIONS[precision], (dimensions,)),
        ]
    )


def is_store(path: Path) -> bool:
    """Return whether a folder holds a feature store of this or of an earlier version."""
    return (path / FILE).exists() or (path / OLD_FILE).exists()


@contextmanager
def store_errors(file: Path) -> Iterator[None]:
    """Raise the errors of a ``with`` block as `StoreError`. The block uses the file of a store."""
    try:
        yield
    except (StoreError, MemoryError):
        raise
    except Exception as error:  # a damaged file can cause any of many kinds of exceptions
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE:
            fix = "free disk space, change the permissions, or end the program that uses the file"
            raise StoreError(f"{file}: {error}. Fix: {fix}") from error
        found = failure(error)
        raise StoreError(
            f"{file}: damaged; expected a feature store ({found}). Fix: {EXTRACT_AGAIN}"
        ) from error


@dataclass(kw_only=True)
class ExtractionReport:
    """Lists of the photos that an extraction run extracted, kept, removed, or could not read.

    Attributes:
        extracted: Names of the photos whose features were extracted in this run.
        changed: Names in ``extracted`` of photos whose file has changed since an earlier run.
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
    read the photos that are on disk.

    Args:
        path: Folder of the store. It is created if it does not exist and ``made_by`` is given.
        made_by: Model and settings of extraction and PCA. An existing store must have equal ones.
            None opens an existing store with any settings. Descriptors have half precision, unless
            the setting ``"precision"`` is ``"single"``.

    Attributes:
        made_by: The settings as read from JSON (tuples become lists).
        report: Result of the last `extract_folder` or `update_store` into this store.

    Raises:
        StoreError: If there is no store and ``made_by`` is None, if the store was made with other
            settings or by an earlier version, or if its file is damaged or cannot be read or
            written. The methods also raise it if a photo is not in the store, if a write happens
            outside of a ``with`` block, or if another process writes when the block starts.
    """

    def __init__(self, path: Path | str, made_by: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.report = ExtractionReport()
        self._file = self.path / FILE
        self._lock: Lock | None = None
        self._changed_since = 0.0  # time of the first change that is not on disk yet
        if (self.path / OLD_FILE).exists():
            raise StoreError(
                f"{self.path}: this feature store was written by an earlier version of delfjax. "
                f"Fix: {EXTRACT_AGAIN} (delfjax extract PHOTOS STORE)"
            )
        if made_by is not None:
            settings = json.dumps(made_by).encode()
            create_in_folder(
                self.path, FILE, lambda file: _create(file, settings), kind="feature store"
            )
        elif not self._file.exists():
            raise StoreError(
                f"{self.path}: no feature store here. Fix: create one with "
                "delfjax.extract_folder or delfjax extract PHOTOS STORE"
            )
        with store_errors(self._file):
            self._open()
            if made_by is not None:
                check_made_by(self.path, self.made_by, json.loads(settings))

    def _open(self) -> None:
        """Connect to the file. Check its tables and its checksum, and read the settings."""
        # If Python opened and closed the file, the locks of SQLite in this process would be lost.
        if not self._file.is_file():
            raise ValueError("found something that is not a file")
        location = f"{self._file.absolute().as_uri()}?mode=rw"
        self._connection = sqlite3.connect(
            location, uri=True, timeout=WAIT_SECONDS, check_same_thread=False
        )
        weakref.finalize(self, self._connection.close)
        # As SQLite recommends for files from elsewhere.
        self._connection.executescript("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
        tables = self._execute("SELECT sql FROM sqlite_master ORDER BY name")
        if [sql for (sql,) in tables] != TABLES:
            raise ValueError("its tables are not those of a feature store")
        made_by, pca, checksum, total = self._settings()
        if checksum != _checksum(made_by, pca) + total:
            raise ValueError("its rows do not match their checksum")
        self.made_by: dict[str, Any] = json.loads(made_by)
        self._precision = self.made_by.get("precision", "half")

    def _settings(self) -> tuple[Any, ...]:
        """Return the row of the table ``store``, and the sum of the checksums of all photos."""
        sql = "SELECT *, (SELECT coalesce(sum(checksum), 0) FROM photos) FROM store"
        (row,) = self._execute(sql)
        return row

    def _execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with store_errors(self._file):
            return self._connection.execute(sql, values).fetchall()

    # --- writing

    def __enter__(self) -> Self:
        """Lock the store for writing."""
        self._execute(WRITER_CACHE)
        self._lock = Lock(self.path / f".{FILE}.lock")
        return self

    def __exit__(self, *error: object) -> None:
        """Write all changes to disk, even after an error, and unlock the store."""
        try:
            self.flush()
        finally:
            self._connection.rollback()  # if the changes could not be written
            if self._lock is not None:
                self._lock.release()
            self._lock = None

    def write(self, name: str, features: Features, source: PhotoSource | None = None) -> None:
        """Add the features of a photo. Descriptors are rounded to the precision of the store.

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
                f"{name}: the descriptors have {dimensions} dimensions, but the descriptors in "
                f"{self.path} have {self.dimensions}. Fix: use another store"
            )
        if not self._connection.in_transaction:
            self._changed_since = time.monotonic()
        self._put(name, features, source)
        if time.monotonic() - self._changed_since >= COMMIT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write all changes to disk, so that readers see them."""
        if self._connection.in_transaction:
            made_by, pca, _, total = self._settings()
            self._execute("UPDATE store SET checksum = ?", _checksum(made_by, pca) + total)
            self._execute("COMMIT")

    def remove(self, names: Iterable[str]) -> None:
        """Remove the features of photos."""
        self._check_entered()
        removed = dict.fromkeys(names)
        for name in removed:
            self.source(name)  # an error if the store does not contain the photo
        for name in removed:
            self._execute("DELETE FROM photos WHERE name = ?", name.encode(*ENCODING))
        self.flush()

    def move(self, sources: Mapping[str, PhotoSource]) -> None:
        """Record new source files of photos that were moved without a change. Features stay the same.

        ``sources`` maps the name of a photo to its new source. Photos that are not in the store are
        ignored.
        """
        self._check_entered()
        for name in filter(self.__contains__, sources):
            self._put(name, self._read(name)[0], sources[name])
        self.flush()

    def reduce(self, pca: PCA) -> None:
        """Save a PCA in the store and reduce the descriptors of all photos, in one transaction."""
        self._check_entered()
        self.flush()
        try:
            self._execute("UPDATE store SET pca = ?", save(pca.to_tensors()))
            for name in self.names:
                features, source = self._read(name)
                descriptors = pca(features.descriptors.astype(np.float32))
                self._put(name, features.with_descriptors(descriptors), source)
        except BaseException:
            self._connection.rollback()
            raise
        self.flush()

    def _put(self, name: str, features: Features, source: PhotoSource | None) -> None:
        """Write the row of a photo, and replace the old row, if any."""
        dimensions = features.descriptors.shape[1]
        rows = np.empty(len(features), feature_type(dimensions, self._precision))
        for each in ARRAYS:
            rows[each] = getattr(features, each)
        height, width = map(int, features.image_size)
        key = name.encode(*ENCODING)
        values = json.dumps(source).encode(), height, width, dimensions, rows.tobytes()
        self._execute(
            "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(key, _checksum(key, *values), *values),
        )

    def _check_entered(self) -> None:
        if self._lock is None:
            raise StoreError(
                f"{self.path}: this store is opened only for reading. Fix: to write, open it with "
                "`with FeatureStore(...) as store:`"
            )

    # --- reading

    def __contains__(self, name: str) -> bool:
        return bool(self._execute("SELECT 1 FROM photos WHERE name = ?", name.encode(*ENCODING)))

    def __len__(self) -> int:
        return int(self._execute("SELECT count(*) FROM photos")[0][0])

    @property
    def names(self) -> list[str]:
        """Names of the photos in the store, sorted."""
        keys = self._execute("SELECT name FROM photos")
        with store_errors(self._file):
            return sorted(key.decode(*ENCODING) for (key,) in keys)

    @property
    def dimensions(self) -> int | None:
        """Number of dimensions of a descriptor. None if there is no photo."""
        found = self._execute("SELECT dimensions FROM photos LIMIT 1")
        return int(found[0][0]) if found else None

    @property
    def pca(self) -> PCA | None:
        """PCA that reduced the descriptors of this store. None: they are not reduced."""
        _, data, _, _ = self._settings()
        if data is None:
            return None
        with store_errors(self._file):
            return PCA.from_tensors(load(data))

    def read(self, name: str) -> Features:
        """Return the features of a photo, in single precision."""
        features, _ = self._read(name)
        return features.with_descriptors(features.descriptors.astype(np.float32))

    @property
    def sources(self) -> dict[str, PhotoSource | None]:
        """File from which each photo's features were extracted, by name. None: not recorded."""
        rows = self._execute("SELECT name, source FROM photos")
        with store_errors(self._file):
            return {name.decode(*ENCODING): _decode_source(source) for name, source in rows}

    def source(self, name: str) -> PhotoSource | None:
        """Return the file from which a photo's features were extracted, or None if not recorded."""
        (source,) = self._select("SELECT source FROM photos WHERE name = ?", name)
        with store_errors(self._file):
            return _decode_source(source)

    def gather(self, names: Iterable[str] | None = None, *, limit: int | None = None) -> Database:
        """Return the features of many photos as one database.

        Args:
            names: Names of photos. Their order is kept. None: all photos, sorted by name.
            limit: Maximum number of features per photo. Features with the highest scores are kept.

        Raises:
            ValueError: If there is no photo.
        """
        names = self.names if names is None else list(names)
        features = [self._read(name)[0][:limit] for name in names]
        attention = self.made_by.get("extraction", {}).get("selection") == "attention"
        return Database.from_features(names, features, attention=attention)

    def _read(self, name: str) -> tuple[Features, PhotoSource | None]:
        """Return the features of a photo, in the precision of the store, and its source."""
        key, checksum, *values = self._select("SELECT * FROM photos WHERE name = ?", name)
        with store_errors(self._file):
            if checksum != _checksum(key, *values):
                raise ValueError(f"the features of {name!r} do not match their checksum")
            source, height, width, dimensions, data = values
            rows = np.frombuffer(data, feature_type(dimensions, self._precision))
            arrays = {each: np.ascontiguousarray(rows[each]) for each in ARRAYS}
            return Features(**arrays, image_size=(height, width)), _decode_source(source)

    def _select(self, sql: str, name: str) -> tuple[Any, ...]:
        """Return the result of an SQL query for one photo."""
        rows = self._execute(sql, name.encode(*ENCODING))
        if not rows:
            raise StoreError(f"{self.path}: no features of {name!r}. Fix: extract this photo first")
        return rows[0]


def _create(file: Path, settings: bytes) -> None:
    """Create the SQLite file of a store without photos."""
    with store_errors(file), closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA auto_vacuum = FULL")  # the file shrinks when photos are removed
        for table in TABLES:
            connection.execute(table)
        row = settings, None, _checksum(settings, None)
        connection.execute("INSERT INTO store VALUES (?, ?, ?)", row)
        connection.commit()


def _checksum(*values: object) -> int:
    """Return the CRC-32 of the values of a row."""
    checksum = 0
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode()
        checksum = zlib.crc32(data, checksum)
    return checksum


def _decode_source(data: bytes) -> PhotoSource | None:
    values = json.loads(data)
    return values and PhotoSource(*values)
