"""Folders that results are kept in: for one purpose, written by one process, of files that are whole."""

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


class StoreError(RuntimeError):
    """A folder of features, or of a training run, holds something else than what is asked of it."""


def claim_folder(
    path: Path, manifest: str, made_by: Mapping[str, Any], *, kind: str
) -> dict[str, Any]:
    """Take a folder for what is made by given settings, or find it taken for just that.

    Args:
        path: The folder; made if missing.
        manifest: Name of the file in it that holds the settings.
        made_by: All that determines what the folder will hold.
        kind: What it will be, in words.

    Returns:
        The settings, as JSON keeps them.

    Raises:
        StoreError: If it is taken for other settings, or for something else.
    """
    wanted = json.loads(json.dumps(made_by))  # tuples become lists, as they are on disk
    if (path / manifest).exists():
        found = json.loads((path / manifest).read_text())
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                raise StoreError(
                    f"{path}: made with {key} = {found.get(key)}, but {wanted.get(key)} is "
                    "asked for; use another folder, or remove this one to start again"
                )
        return wanted
    # What a claim that was killed has left does not count.
    if path.exists() and any(not each.name.startswith(f".{manifest}.") for each in path.iterdir()):
        raise StoreError(f"{path}: neither empty nor a {kind}; choose another folder")
    path.mkdir(parents=True, exist_ok=True)
    with atomic_write(
        path / manifest, mark=secrets.token_hex(4)
    ) as temporary:  # others may claim it now
        temporary.write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n")
    return wanted


@contextmanager
def atomic_write(path: Path, *, mark: str = "part") -> Iterator[Path]:
    """Have a file appear whole or not at all, whatever becomes of process and machine.

    Args:
        path: The file.
        mark: Ends the name of the hidden file that becomes it. What a kill leaves of that one, the next
            of the same name overwrites; two processes that may write the same file need two marks.

    Yields:
        Where to write it to.
    """
    temporary = path.with_name(f".{path.name}.{mark}")
    yield temporary
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Lock:
    """A file that one process holds at a time, until it lets go or ends, however it ends.

    The file stays; it is the system that forgets who held it.

    Args:
        path: The file; made if missing.

    Raises:
        StoreError: If it is held.
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
                f"{path}: held by another process, which writes there ({error.strerror}); wait until "
                "it has ended, or end it"
            ) from None

    def release(self) -> None:
        """Let go."""
        self._stream.close()


def cache_folder() -> Path:
    """Return where converted weights are kept: ``$DELFJAX_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("DELFJAX_CACHE") or pooch.os_cache("delfjax"))


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()
