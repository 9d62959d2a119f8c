"""Read and write an index as a folder: safetensors files, and a manifest with their SHA-256 checksums.

Each file is named after its content, so a new index lies beside the old one until the new manifest
replaces the old manifest in one operation. So a process that is killed leaves the old index or the new
one. The checksum of a file is compared before the file is read. Files hold no pickled objects.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from delfjax.files import atomic_write, digest, sha256
from delfjax.provenance import versions

MANIFEST = "index.json"
FILE_NAMES = re.compile(r"[\w-]+-[0-9a-f]{16}\.safetensors|\..+\.part")  # written by `write`

Tensors = dict[str, np.ndarray]
TensorFiles = dict[str, Tensors]


class IndexFileError(ValueError):
    """Raised if a folder holds no index, the index of another database, or damaged files."""


def write(path: Path, manifest: Mapping[str, Any], tensors: Mapping[str, Tensors]) -> None:
    """Write an index into a folder. An index that is already there is replaced.

    A float32 tensor is stored as float16 if this loses no precision. That is the case for descriptors
    from a feature store.

    Args:
        path: The folder. It is created if it does not exist.
        manifest: Kind, settings and database of the index.
        tensors: A dict from file to a dict from name to tensor.

    Raises:
        IndexFileError: If the folder holds files that are not part of an index.
    """
    path.mkdir(parents=True, exist_ok=True)
    for file in path.iterdir():
        if file.name != MANIFEST and not FILE_NAMES.fullmatch(file.name):
            raise IndexFileError(
                f"{path}: {file.name} is not part of an index. Fix: use another folder"
            )
    files = {name: _write_tensors(path, name, each) for name, each in tensors.items()}
    content = {**manifest, "versions": versions(), "files": files}
    _write(path / MANIFEST, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
    kept = {MANIFEST, *(entry["file"] for entry in files.values())}
    for file in path.iterdir():
        if file.name not in kept:
            file.unlink()


def read(path: Path) -> tuple[dict[str, Any], TensorFiles]:
    """Read an index from a folder: the manifest, and the tensors as `write` takes them.

    Raises:
        IndexFileError: If the folder holds no index, or a file is missing or damaged.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files = {
            name: (path / entry["file"], entry["sha256"])
            for name, entry in manifest["files"].items()
        }
        _ = manifest["kind"], manifest["settings"]
    except FileNotFoundError:
        raise IndexFileError(
            f"{path}: this folder holds no index ({MANIFEST} is missing). Fix: build an index here"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexFileError(
            f"{path / MANIFEST}: the file is damaged ({error}). Fix: build the index again"
        ) from error
    return manifest, {name: _read_tensors(*entry) for name, entry in files.items()}


def _write_tensors(path: Path, name: str, tensors: Tensors) -> dict[str, str]:
    """Write tensors into a file named after its content. Return the file's entry in the manifest."""
    data = save({key: np.ascontiguousarray(_to_half(each)) for key, each in tensors.items()})
    checksum = digest(data)
    file = f"{name}-{checksum[:16]}.safetensors"
    _write(path / file, data)
    return {"file": file, "sha256": checksum}


def _read_tensors(file: Path, checksum: str) -> Tensors:
    if not file.exists():
        raise IndexFileError(f"{file}: the file is missing. Fix: build the index again")
    if sha256(file) != checksum:
        raise IndexFileError(
            f"{file}: the file is damaged: its SHA-256 differs from that in {MANIFEST}. Fix: "
            "build the index again"
        )
    return {
        name: each.astype(np.float32) if each.dtype == np.float16 else each
        for name, each in load_file(file).items()
    }


def _to_half(array: np.ndarray) -> np.ndarray:
    """Convert a float32 array to float16 if no value changes."""
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore", under="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half, array) else array


def _write(file: Path, data: bytes) -> None:
    with atomic_write(file) as temporary:
        temporary.write_bytes(data)
