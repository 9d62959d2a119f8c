"""Write and read files safely, with atomic writes, locks and checksums.

A process can be killed at any time, and two processes can use the same folder. With these helpers,
a file is either complete or absent, and a folder holds the output of one configuration.
"""

import hashlib
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    import numpy as np

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_SECONDS = 0.2  # between two attempts to lock a file
CLAIM_SECONDS = 60  # to wait for another process that claims the same folder
MAX_JSON_BYTES = 64 * 2**20
MAX_TENSOR_BYTES = 2**30  # of a model, with a wide margin
HEADER = "delfjax"  # key of the JSON object in the metadata of a safetensors file
CHECKSUM = "manifest_sha256"  # key of the checksum of a JSON object in this object
PACKAGE = Path(__file__).resolve().parent
DATA = PACKAGE / "data" if (PACKAGE / "data").is_dir() else PACKAGE.parent / "data"
"""Folder ``data`` of the repository. A wheel contains the photos and results of this folder."""


class StoreError(RuntimeError):
    """Raised if a file or folder is damaged, locked, not writable, or made with other settings."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that it appears complete or not at all.

    This context manager yields the path of an empty temporary file in the same folder. Write to the
    temporary file. If the ``with`` block succeeds, the temporary file atomically replaces ``path``,
    else it is removed. Several processes may write the same path: the last write wins.

    Raises:
        StoreError: If the file cannot be written, for example because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        if path.exists():
            check_regular(path)
        # "x" fails if something is there, and follows no link.
        with temporary.open("xb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())  # otherwise, a power failure could leave an empty file
        temporary.chmod(mode)  # safetensors writes a file that only its owner can read
        temporary.replace(path)
        if os.name == "posix":  # other systems cannot open a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError | SafetensorError):
            reason = getattr(error, "strerror", None) or error
            raise StoreError(
                f"{path}: the file cannot be written ({reason}). "
                "Fix: free disk space, change the permissions of the folder, or choose another path"
            ) from error
        raise


def write_output(path: Path, content: bytes | str) -> None:
    """Write a file completely or not at all, and create its folder if needed.

    If the path is a symbolic link, the target of the link is written, and the link stays.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def reading(
    path: Path, expected: str, *, fix: str, error: type[Exception] = StoreError
) -> Iterator[None]:
    """Convert the errors of a ``with`` block to one-line errors of the type ``error``.

    The block reads the file ``path``. ``expected`` describes the intact file. ``fix`` is the advice
    for a damaged file. `FileNotFoundError`, `ImportError` and ``error`` are raised unchanged.
    """
    try:
        check_regular(path)
        if not path.stat().st_size:
            raise ValueError("found an empty file")
        yield
    except (FileNotFoundError, ImportError, error):
        raise
    except PermissionError as cause:
        message = f"{path}: no permission to read this file. Fix: change its permissions"
        raise error(message) from cause
    except MemoryError as cause:
        message = f"{path}: not enough memory, or a damaged file. Fix: free memory, or {fix}"
        raise error(message) from cause
    except Exception as cause:  # readers raise many kinds of exceptions for damaged files
        raise error(
            f"{path}: damaged; expected {expected} ({failure(cause)}). Fix: {fix}"
        ) from cause


def check_regular(path: Path) -> None:
    """Raise an `OSError` if a path is not a regular file, or if the file is not readable.

    Pipes and devices are refused because reading them may never end.
    """
    if path.is_symlink() and not path.exists():
        raise OSError("found a link to a missing file")
    if not stat.S_ISREG(path.stat().st_mode):
        found = "a folder" if path.is_dir() else "something that is not a file"
        raise OSError(f"found {found}")
    path.open("rb").close()  # safetensors reports a missing permission as a missing file


def explain(error: OSError) -> str:
    """Describe an `OSError` in one line: the file, the cause and a fix."""
    if not (error.errno and error.filename):
        return str(error)
    fix = "check the path, its permissions and the free disk space"
    return f"{os.fsdecode(error.filename)}: {error.strerror}. Fix: {fix}"


def failure(cause: BaseException) -> str:
    """Return the message of an exception in one line, or its type if the message is empty."""
    text = " ".join(str(cause).split())
    if isinstance(cause, KeyError):
        return f"{text} is missing or unknown"
    return text or type(cause).__name__


def check_size(size: int, limit: int) -> None:
    """Raise a `ValueError` if a size in bytes exceeds the limit."""
    if size > limit:
        raise ValueError(f"{size:,} bytes are more than the limit of {limit:,}")


def read_json(path: Path, *, fix: str, expected: str = "a JSON object") -> dict[str, Any]:
    """Read a JSON file. Verify its checksum if it has one. Arguments and errors: see `reading`."""
    with reading(path, expected, fix=fix):
        check_size(path.stat().st_size, MAX_JSON_BYTES)
        return _parse_object(path.read_text(encoding="utf-8"))


def _parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Verify and remove its checksum."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"found a {type(content).__name__}")
    checksum = content.pop(CHECKSUM, None)  # missing in files of delfjax 0.1.0
    if checksum not in (None, with_checksum(content)[CHECKSUM]):
        raise ValueError("it does not match its checksum")
    return content


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a JSON object with its SHA-256 added. `read_json` verifies the SHA-256."""
    return {**content, CHECKSUM: digest(json.dumps(content, sort_keys=True).encode())}


def write_tensors(
    path: Path, tensors: Mapping[str, "np.ndarray"], header: Mapping[str, Any] | None = None
) -> None:
    """Write tensors, a JSON object and their checksums to a safetensors file, atomically."""
    import numpy as np
    from safetensors.numpy import save_file

    # save_file ignores strides.
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = with_checksum({**(header or {}), "tensors": _tensors_sha256(arrays)})
    with atomic_write(path) as temporary:
        # One key only: safetensors writes several keys in random order.
        save_file(arrays, temporary, {HEADER: json.dumps(content, sort_keys=True)})


def read_header(path: Path) -> dict[str, Any]:
    """Return the JSON object that `write_tensors` stored in a file.

    For other safetensors files, return their metadata. Use it in a ``with`` block of `reading`.
    """
    with safe_open(path, "np") as file:
        metadata = file.metadata() or {}
    # Before version 0.2, some files had one key for each value, and no checksum.
    return _parse_object(metadata[HEADER]) if HEADER in metadata else metadata


def read_tensors(
    path: Path, *, limit: int = MAX_TENSOR_BYTES
) -> tuple[dict[str, "np.ndarray"], dict[str, Any]]:
    """Return tensors and JSON object of a file of `write_tensors`. Use it like `read_header`."""
    from safetensors.numpy import load_file

    check_size(path.stat().st_size, limit)
    header, tensors = read_header(path), load_file(path)
    if header.pop("tensors", None) not in (None, _tensors_sha256(tensors)):
        raise ValueError("its tensors do not match their checksum")
    return tensors, header


def check_tensors(
    tensors: Mapping[str, "np.ndarray"], expected: Mapping[str, tuple[str, int]]
) -> None:
    """Raise a `ValueError` unless tensors are finite and have the expected names, types and axes.

    ``expected`` maps each name to ``(kind, ndim)``. ``kind`` is the ``dtype.kind`` of NumPy, such
    as ``"f"`` for floats. ``ndim`` is the number of axes.
    """
    import numpy as np

    found = {name: (tensor.dtype.kind, tensor.ndim) for name, tensor in tensors.items()}
    if found != dict(expected):
        raise ValueError(f"its tensors are {found} instead of {dict(expected)}")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("its tensors contain NaN or infinity")


def _tensors_sha256(tensors: Mapping[str, "np.ndarray"]) -> str:
    """Return one SHA-256 of the names, types, shapes and values of tensors."""
    parts = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        parts.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        parts.update(tensor.data)
    return parts.hexdigest()


def create_in_folder(path: Path, name: str, write: Callable[[Path], object], *, kind: str) -> None:
    """Create a file in an empty or new folder. If the file exists already, do nothing.

    Several processes may call this function at the same time. One of them creates the file.

    Args:
        path: The folder. It is created if it does not exist.
        name: Name of the file.
        write: Function that writes the content of the file to the path of a temporary file.
        kind: What the folder is, such as ``"feature store"``. The error message contains this text.

    Raises:
        StoreError: If the folder holds files but not this one, or if the file cannot be written.
    """
    file = path / name
    if file.exists():
        return
    # The lock file and temporary files do not count.
    others = path.exists() and [
        each for each in path.iterdir() if not each.name.startswith(f".{name}.")
    ]
    if others and not file.exists():  # another process may have created it just now
        raise StoreError(
            f"{path}: this folder is neither empty nor a {kind}. Fix: choose another folder"
        )
    path.mkdir(parents=True, exist_ok=True)
    with Lock(path / f".{name}.lock", wait=CLAIM_SECONDS):
        if not file.exists():
            with atomic_write(file) as temporary:
                write(temporary)


def claim_folder(
    path: Path, manifest: str, made_by: Mapping[str, Any], *, kind: str
) -> dict[str, Any]:
    """Reserve a folder for the output of one configuration.

    The first call creates the folder and saves the configuration ``made_by`` in the JSON file
    ``manifest``. Later calls compare their ``made_by`` with the saved one. Return ``made_by`` with
    lists instead of tuples, as in JSON. Messages contain ``kind``, such as ``"training run"``.

    Raises:
        StoreError: If the folder holds the output of another configuration or other files, or if
            ``manifest`` is damaged.
    """
    requested: dict[str, Any] = json.loads(json.dumps(made_by))
    text = json.dumps(with_checksum(requested), indent=2, sort_keys=True) + "\n"
    create_in_folder(path, manifest, lambda file: file.write_text(text), kind=kind)
    found = read_json(path / manifest, fix=f"use another folder for the {kind}")
    check_made_by(path, found, requested)
    return requested


def check_made_by(path: Path, found: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Raise a `StoreError` if the settings of a file or folder are not the requested ones."""
    for key in sorted(requested.keys() | found.keys()):
        if requested.get(key) != found.get(key):
            raise StoreError(
                f"{path} was made with {key} = {found.get(key)}, but {requested.get(key)} was "
                f"requested. Fix: use another {'folder' if path.is_dir() else 'file'}, or remove "
                "this one to start again"
            )


class Lock:
    """A lock on a file, so that only one process at a time writes into a folder.

    The file is created if missing, and never deleted. A killed process releases its lock.

    Args:
        path: The lock file.
        wait: Number of seconds to wait while another process holds the lock.

    Raises:
        StoreError: If another process holds the lock, or the path is not a regular file.
        OSError: If the file cannot be created or locked. Some file systems have no locks.
    """

    def __init__(self, path: Path, *, wait: float = 0) -> None:
        # Opening a pipe would wait forever, and opening a link would create its target.
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise StoreError(f"{path} is not a regular file; expected a lock file. Fix: remove it")
        self._stream = path.open("ab")
        started = time.monotonic()
        announced = not wait
        while True:
            try:
                if sys.platform == "win32":
                    msvcrt.locking(self._stream.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except (BlockingIOError, PermissionError):  # PermissionError: on Windows
                if time.monotonic() - started >= wait:
                    self._stream.close()
                    waited = f" (waited {wait:g} seconds)" if wait else ""
                    raise StoreError(
                        f"{path}: this lock is held by another process, which writes to this folder"
                        f"{waited}. Fix: wait until that process has ended, or end it"
                    ) from None
            except OSError as error:
                self._stream.close()
                reason = f"{error.strerror}; expected a folder on a file system with locks"
                raise OSError(error.errno, reason, str(path)) from None
            if not announced:
                text = f"waiting at most {wait:g} seconds for another process that holds this lock"
                print(printable(f"{path}: {text}"), file=sys.stderr)
                announced = True
            time.sleep(LOCK_SECONDS)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock."""
        self._stream.close()


def cache_folder() -> Path:
    """Return the cache folder: ``$DELFJAX_CACHE``, by default ``delfjax`` in the user's cache."""
    import pooch  # a slow import

    return Path(os.environ.get("DELFJAX_CACHE") or pooch.os_cache("delfjax"))


def lock_folder(folder: Path, wait: float, name: str = ".lock") -> Lock:
    """Create a folder for downloads and lock it.

    Args:
        folder: The folder.
        wait: Number of seconds to wait while another process holds the lock.
        name: Name of the lock file.

    Raises:
        StoreError: If the folder cannot be written, or another process holds the lock for too long.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Lock(folder / name, wait=wait)
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder for downloads cannot be written ({error.strerror}). Fix: change its "
            "permissions, or choose another folder: $DELFJAX_CACHE for weights, $DELFJAX_DATA for data sets"
        ) from error


def printable(text: str) -> str:
    r"""Escape control characters and bytes that are not UTF-8, such as ``\n`` or ``\udcff``.

    File names can contain both. In a terminal, control characters would be executed.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    check_regular(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(data: bytes | str) -> str:
    """Return the SHA-256 of bytes or of a string (such as a file name), in hexadecimal."""
    data = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    return hashlib.sha256(data).hexdigest()
