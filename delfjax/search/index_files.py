"""Write and read the folder of an index: safetensors files, and a manifest with checksums.

The name of each file contains its checksum, so the files of a new index do not overwrite those of
the old index. Then the new manifest replaces the old manifest in one atomic operation. A killed
process therefore leaves a complete index. Files hold no pickled objects.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from delfjax.files import Lock, atomic_write, digest, read_json, reading, sha256, with_checksum
from delfjax.provenance import versions

MANIFEST = "index.json"
LOCK = ".index.lock"
WRITE_SECONDS = 600  # to wait for another process that writes an index into the same folder
FILE_NAME = re.compile(r"[\w-]+-[0-9a-f]{16}\.safetensors")
# Files that a new index replaces. The second pattern is of files that a killed process has left.
REPLACEABLE = re.compile(rf"{FILE_NAME.pattern}|\..+\.part")
FIX = "build the index again (delfjax index)"

Tensors = dict[str, np.ndarray]
TensorFiles = dict[str, Tensors]


class IndexFileError(ValueError):
    """Raised if a folder holds no readable index, another database's index, or other files."""


def write(path: Path, manifest: Mapping[str, Any], tensors: Mapping[str, Tensors]) -> None:
    """Write an index into a folder, and replace the index that the folder holds, if any.

    ``tensors`` holds a dict from name to tensor for each file. A float32 tensor is stored as
    float16 if this changes no value. This is the case for descriptors from a feature store.

    Raises:
        IndexFileError: If the folder holds files that are not part of an index.
        StoreError: If a file cannot be written, or another process writes for more than 10 minutes.
    """
    path.mkdir(parents=True, exist_ok=True)
    check_files(path)
    with Lock(path / LOCK, wait=WRITE_SECONDS):
        files = {name: _write_tensors(path, name, each) for name, each in tensors.items()}
        content = {**manifest, "versions": versions(), "files": files}
        text = json.dumps(with_checksum(content), indent=2, sort_keys=True) + "\n"
        _write(path / MANIFEST, text.encode())
        kept = {entry["file"] for entry in files.values()}
        for file in path.iterdir():
            if REPLACEABLE.fullmatch(file.name) and file.name not in kept:
                file.unlink()


def check_files(path: Path) -> None:
    """Raise an `IndexFileError` if a folder holds files that are not part of an index."""
    for file in path.iterdir() if path.exists() else ():
        if file.name not in (MANIFEST, LOCK) and not REPLACEABLE.fullmatch(file.name):
            raise IndexFileError(
                f"{path}: {file.name} is not part of an index. Fix: use an empty folder"
            )


def read(path: Path) -> tuple[dict[str, Any], TensorFiles]:
    """Read the manifest and the tensors of an index. Convert float16 tensors to float32.

    Raises:
        IndexFileError: If the folder holds no index, or a file is missing, damaged or not readable.
    """
    manifest = None
    while True:
        before, (manifest, files) = manifest, _read_manifest(path)
        try:
            return manifest, {
                name: _read_tensors(path / f, sha) for name, (f, sha) in files.items()
            }
        except FileNotFoundError as error:
            if manifest == before:  # otherwise, another process may have replaced the index
                message = f"{error.filename}: the file is missing. Fix: {FIX}"
                raise IndexFileError(message) from None


def _read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Read the manifest, and from it the name and checksum of each file."""
    manifest_file = path / MANIFEST
    try:
        manifest = read_json(manifest_file, fix=FIX, error=IndexFileError, expected="an index")
    except FileNotFoundError:
        raise IndexFileError(
            f"{path}: this folder holds no index ({MANIFEST} is missing). Fix: use another folder"
        ) from None
    with reading(manifest_file, "an index", fix=FIX, error=IndexFileError):
        _ = manifest["kind"], manifest["settings"], manifest["versions"]["delfjax"]
        files = {name: (each["file"], each["sha256"]) for name, each in manifest["files"].items()}
        for file, _ in files.values():
            if not FILE_NAME.fullmatch(file):
                raise ValueError(f"it lists {file!r}, which is not a file of an index")
    return manifest, files


def _write_tensors(path: Path, name: str, tensors: Tensors) -> dict[str, str]:
    """Write tensors into a file. Return the entry of the file in the manifest."""
    data = save({key: np.ascontiguousarray(_to_half(each)) for key, each in tensors.items()})
    checksum = digest(data)
    file = f"{name}-{checksum[:16]}.safetensors"
    _write(path / file, data)
    return {"file": file, "sha256": checksum}


def _read_tensors(file: Path, checksum: str) -> Tensors:
    with reading(file, "a part of an index", fix=FIX, error=IndexFileError):
        if file.resolve().parent != file.parent.resolve():
            raise ValueError("it is a link to a file in another folder")
        if sha256(file) != checksum:
            raise ValueError(f"its SHA-256 differs from the checksum in {MANIFEST}")
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
