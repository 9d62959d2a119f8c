"""Write files and claim folders safely: atomic writes, locks, checksums and the cache folder.

A process can be killed at any time, and two processes can use one folder. With these helpers a file
is either complete or absent, and a folder holds the output of one configuration.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

MAX_JSON_BYTES = 64 * 2**20


class StoreError(RuntimeError):
    """Raised if a folder is locked, damaged, or holds the output of another configuration."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that it appears complete or not at all.

    This context manager yields the path of a temporary file, ``.NAME.TOKEN.part`` in the same folder.
    Write to that path. On success, the temporary file replaces ``path`` in one atomic operation. On an
    exception, it is removed. ``TOKEN`` is random, so several processes may write the same file: the last
    one wins. A killed process leaves its temporary file behind; `remove_leftovers` deletes it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())  # otherwise, a power failure could leave an empty file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # other systems cannot open a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_json(path: Path, *, fix: str) -> dict[str, Any]:
    """Read a JSON object from a file that delfjax has written.

    Args:
        path: The file.
        fix: What to do if the file is damaged, for the error message.

    Raises:
        FileNotFoundError: If there is no such file.
        StoreError: If the file cannot be read, is damaged, or is not a regular file.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait forever
            raise ValueError("found something that is not a file")
        if (size := path.stat().st_size) > MAX_JSON_BYTES:
            raise ValueError(f"found {size:,} bytes, at most {MAX_JSON_BYTES:,} are possible")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"found a {type(content).__name__}")
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise StoreError(
            f"{path}: no permission to read this file. Fix: change its permissions"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        raise StoreError(
            f"{path}: damaged; expected a JSON object ({reason}). Fix: {fix}"
        ) from error
    return content


def remove_leftovers(folder: Path, pattern: str = "*") -> None:
    """Remove the temporary files of `atomic_write` that killed processes left behind.

    ``pattern`` selects files by final name. No other process may write these files at the same time: hold
    a `Lock` to make sure.
    """
    for path in folder.glob(f".{pattern}.*.part"):
        path.unlink(missing_ok=True)


def claim_folder(
    path: Path, manifest: str, made_by: Mapping[str, Any], *, kind: str
) -> dict[str, Any]:
    """Reserve a folder for the output of one configuration.

    The first call creates the folder and saves the configuration in it. Later calls compare their
    configuration with the saved one. Returns the configuration as read from JSON: tuples become lists.

    Args:
        path: The folder.
        manifest: Name of the JSON file in the folder that holds the configuration.
        made_by: The configuration: everything that determines the content of the folder.
        kind: Name of the content in error messages, such as "feature store".

    Raises:
        StoreError: If the folder belongs to another configuration, or holds other files.
    """
    requested = json.loads(json.dumps(made_by))
    if (path / manifest).exists():
        found = read_json(path / manifest, fix=f"use another folder for the {kind}")
        for key in sorted(requested.keys() | found.keys()):
            if requested.get(key) != found.get(key):
                raise StoreError(
                    f"{path}: this folder was made with {key} = {found.get(key)}, but {requested.get(key)} was "
                    "requested. Fix: use another folder, or remove this folder to start again"
                )
        return requested
    # A killed process may have left temporary files of the manifest.
    if path.exists() and any(not each.name.startswith(f".{manifest}.") for each in path.iterdir()):
        raise StoreError(
            f"{path}: this folder is neither empty nor a {kind}. Fix: choose another folder"
        )
    path.mkdir(parents=True, exist_ok=True)
    with atomic_write(path / manifest) as temporary:
        temporary.write_text(json.dumps(requested, indent=2, sort_keys=True) + "\n")
    return requested


class Lock:
    """Lock a file, so that only one process at a time writes into a folder.

    The operating system releases the lock when the process ends, even if it is killed. The
    lock file is not deleted.

    Raises:
        StoreError: If another process holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab")
        try:
            if fcntl:
                fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                msvcrt.locking(self._stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            self._stream.close()
            raise StoreError(
                f"{path}: this lock is held by another process, which writes into the folder ({error.strerror}). "
                "Fix: wait until that process has ended, or end it"
            ) from None

    def release(self) -> None:
        """Release the lock."""
        self._stream.close()


def cache_folder() -> Path:
    """Return the folder of downloaded weights: ``$DELFJAX_CACHE`` if set, else the user's cache folder."""
    return Path(os.environ.get("DELFJAX_CACHE") or pooch.os_cache("delfjax"))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(data: bytes) -> str:
    """Return the SHA-256 of a byte string, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
