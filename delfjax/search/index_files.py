"""An index on disk: a folder of safetensors and the manifest that names them.

The manifest says of what kind the index is, what made it, and the SHA-256 of each file. Files are
called after their content, so that a new index lies beside the old one until the manifest, which is
replaced in one step, names the new one's: a process that is killed leaves the one or the other.
Nothing is opened before its checksum has been compared, and nothing is ever unpickled.
"""

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

import delfjax

MANIFEST = "index.json"
OURS = re.compile(r"[\w-]+-[0-9a-f]{16}\.safetensors|\..+\.part")  # files that `write` makes

Tensors = dict[str, np.ndarray]
Parts = dict[str, Tensors]


class IndexFileError(ValueError):
    """A folder holds no index, another one's files, or damaged ones."""


def write(path: Path, described: Mapping[str, Any], parts: Mapping[str, Tensors]) -> None:
    """Write an index, in place of the one that is there.

    Numbers that half precision holds exactly, as descriptors from a store are, take half the room.

    Args:
        path: The folder; made if missing.
        described: What the index is: its kind and settings.
        parts: Its arrays, by file and name.

    Raises:
        IndexFileError: If the folder holds something else.
    """
    path.mkdir(parents=True, exist_ok=True)
    strange = [file.name for file in path.iterdir() if not _is_ours(file)]
    if strange:
        raise IndexFileError(f"{path}: holds {strange[0]}, no index; choose another folder")
    files = {name: _write_part(path, name, tensors) for name, tensors in parts.items()}
    versions = {"delfjax": delfjax.__version__, "numpy": np.__version__}
    versions["python"] = platform.python_version()
    manifest = {**described, "versions": versions, "files": files}
    _write(path / MANIFEST, (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode())
    kept = {MANIFEST, *(entry["file"] for entry in files.values())}
    for file in path.iterdir():
        if file.name not in kept:
            file.unlink()


def read(path: Path) -> tuple[dict[str, Any], Parts]:
    """Read an index: its manifest, and its arrays by file and name.

    Raises:
        IndexFileError: If there is none, or if a file is missing or not what was written.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files = {
            name: (path / entry["file"], entry["sha256"])
            for name, entry in manifest["files"].items()
        }
        _ = manifest["kind"], manifest["settings"]
    except FileNotFoundError:
        raise IndexFileError(f"{path}: no index here; build one and save it") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexFileError(
            f"{path / MANIFEST}: damaged ({error}); build the index again"
        ) from error
    return manifest, {name: _read_part(*entry) for name, entry in files.items()}


def _is_ours(file: Path) -> bool:
    return file.name == MANIFEST or OURS.fullmatch(file.name) is not None


def _write_part(path: Path, name: str, tensors: Tensors) -> dict[str, str]:
    """Write a file under the name of its content; return that name and the checksum."""
    data = save({key: np.ascontiguousarray(_narrow(each)) for key, each in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    file = f"{name}-{digest[:16]}.safetensors"
    _write(path / file, data)
    return {"file": file, "sha256": digest}


def _read_part(file: Path, digest: str) -> Tensors:
    if not file.exists():
        raise IndexFileError(f"{file}: missing; copy the index again, or build it again")
    if _digest(file) != digest:
        raise IndexFileError(
            f"{file}: damaged, its checksum is not the manifest's; copy the index again, or build it again"
        )
    return {name: _widen(each) for name, each in load_file(file).items()}


def _narrow(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore", under="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half, array) else array


def _widen(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(file: Path, data: bytes) -> None:
    temporary = file.with_name(f".{file.name}.part")
    with temporary.open("wb") as stream:
        stream.write(data)
        os.fsync(stream.fileno())
    temporary.replace(file)
