"""Read and write shards: safetensors files that each hold the features of some photos.

A shard is written once and never changes. It holds these tensors (``b`` photos, ``t`` features):

=============== ======= ======= ================================================================
tensor          shape   type    content
=============== ======= ======= ================================================================
``descriptors`` ``t d`` float16 descriptors of all photos, concatenated photo after photo
``positions``   ``t 2`` float32 ``(y, x)`` of each feature, in pixels of its photo
``scales``      ``t``   float32 factor by which the photo was resized to compute each feature
``scores``      ``t``   float32 score by which each feature was selected
``offsets``     ``b+1`` int64   photo ``i`` has the rows ``offsets[i]`` to ``offsets[i + 1] - 1``
``image_sizes`` ``b 2`` int32   ``(height, width)`` of each photo
=============== ======= ======= ================================================================

The metadata hold a JSON object with the name and the `PhotoSource` of each photo, the extraction
settings, and the checksum of the PCA. One checksum per photo covers the features of this photo.
Another checksum covers the rest of the file. Both are verified on reading. The file is mapped into
memory, so that only the requested photos are read.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from safetensors import safe_open
from safetensors.numpy import save_file

from delfjax.features.pyramid import shrink_factor
from delfjax.files import HEADER, StoreError, atomic_write, digest, reading
from delfjax.images.folder import PhotoSource
from delfjax.types import Features

FORMAT = "delfjax features 3"
FORMAT_2 = "delfjax features 2"  # the scales refer to the shrunk copy of a large photo
FORMAT_0_1_0 = "delfjax features 1"  # as format 2, without sources and checksums
FIX = "remove the file and extract again"
FIELDS = {
    "positions": np.float32,
    "scales": np.float32,
    "scores": np.float32,
    "descriptors": np.float16,
}
DTYPES = {
    "descriptors": "F16",
    "positions": "F32",
    "scales": "F32",
    "scores": "F32",
    "offsets": "I64",
    "image_sizes": "I32",
}


class StoredPhoto(NamedTuple):
    """Features of one photo in the precision of a shard, and the file of the photo."""

    features: Features
    source: PhotoSource | None


def to_stored_precision(features: Features) -> Features:
    """Convert descriptors to half precision, and all other arrays to single precision."""
    arrays = {name: getattr(features, name).astype(dtype) for name, dtype in FIELDS.items()}
    return replace(features, **arrays)


def write_shard(
    path: Path,
    photos: Mapping[str, StoredPhoto],
    made_by: Mapping[str, Any],
    pca_sha256: str | None = None,
) -> None:
    """Write photos, given by name, to a new shard. The file is either complete or absent."""
    features = [each.features for each in photos.values()]
    tensors = {f: np.concatenate([getattr(each, f) for each in features]) for f in FIELDS}
    tensors["offsets"] = np.cumsum([0, *map(len, features)], dtype=np.int64)
    tensors["image_sizes"] = np.array([each.image_size for each in features], np.int32)
    header = {
        "format": FORMAT,
        "made_by": made_by,
        "pca": pca_sha256,
        "names": list(photos),
        # JSON inside of JSON: most readers do not need the sources.
        "sources": json.dumps([each.source for each in photos.values()]),
        "checksums": [_checksum(each) for each in features],
    }
    header["sha256"] = _header_sha256(header, tensors["offsets"], tensors["image_sizes"])
    with atomic_write(path) as temporary:
        # One key only: safetensors writes several keys in random order.
        save_file(tensors, temporary, {HEADER: json.dumps(header, sort_keys=True)})


def _checksum(features: Features) -> int:
    """Return the CRC-32 of the arrays of one photo."""
    value = 0
    for name in FIELDS:
        value = zlib.crc32(np.ascontiguousarray(getattr(features, name)).data, value)
    return value


def _header_sha256(header: Mapping[str, Any], offsets: np.ndarray, image_sizes: np.ndarray) -> str:
    """Return the SHA-256 of everything in a shard but the features of the photos."""
    text = json.dumps(header, sort_keys=True)
    return digest(text.encode() + offsets.tobytes() + image_sizes.tobytes())


class Shard:
    """A shard (file with the features of some photos), opened for reading.

    Args:
        path: The file.
        made_by: Extraction settings with which the shard must have been written.

    Attributes:
        names: Names of the photos, in the order of the file.
        offsets: First row of each photo's features, and the total number of rows at the end.
        dimensions: Number of dimensions of a descriptor.
        pca_sha256: SHA-256 of the PCA file. None without a PCA or in a file of delfjax 0.1.0.
        sha256: SHA-256 of everything except the features. Empty in a file of delfjax 0.1.0.

    Raises:
        StoreError: If the file is damaged, or was made with other settings.
        FileNotFoundError: If there is no such file.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        self.path = path
        with reading(path, "a shard", fix=FIX):
            self._open(made_by)

    def _open(self, made_by: Mapping[str, Any]) -> None:
        self._file = safe_open(self.path, "np")  # a memory map; it keeps no file descriptor open
        metadata = self._file.metadata() or {}
        if HEADER in metadata:
            header = json.loads(metadata[HEADER])
        else:  # written by delfjax 0.1.0
            header = {"format": metadata["format"], "pca": None, "checksums": None, "sources": None}
            header |= {key: json.loads(metadata[key]) for key in ("names", "made_by")}
        if header["format"] not in (FORMAT, FORMAT_2, FORMAT_0_1_0) or header["made_by"] != made_by:
            raise StoreError(
                f"{self.path}: this shard was made with another model, configuration or format "
                "than the store. Fix: move the file away and extract again"
            )
        self._tensors = {name: self._file.get_slice(name) for name in DTYPES}
        for name, dtype in DTYPES.items():
            if (found := self._tensors[name].get_dtype()) != dtype:
                raise ValueError(f"the tensor {name} has the type {found} instead of {dtype}")
        self.offsets: Int[np.ndarray, " _"] = self._file.get_tensor("offsets")
        self._image_sizes: Int[np.ndarray, "b 2"] = self._file.get_tensor("image_sizes")
        self.sha256: str = header.pop("sha256", "")
        expected = _header_sha256(header, self.offsets, self._image_sizes)
        if header["format"] != FORMAT_0_1_0 and self.sha256 != expected:
            raise ValueError("its header does not match its checksum")
        self._longest: int | None = None  # longest side of photos, if scales have to be converted
        if header["format"] != FORMAT:
            extraction = made_by.get("extraction", {})
            self._longest = extraction.get("pyramid", extraction).get("longest")
        self.names: list[str] = header["names"]
        self.pca_sha256: str | None = header["pca"]
        self._sources: str | None = header["sources"]
        self._checksums: list[int] | None = header["checksums"]
        self.dimensions: int = self._tensors["descriptors"].get_shape()[1]
        rows = {tensor.get_shape()[0] for name, tensor in self._tensors.items() if name in FIELDS}
        counts = {len(self.names), len(self._image_sizes), len(self.offsets) - 1}
        steps = np.diff(self.offsets)
        if len(counts) > 1 or self.offsets[0] or rows != {self.offsets[-1]} or (steps < 0).any():
            raise ValueError("its tensors have inconsistent lengths")

    @cached_property
    def sources(self) -> list[PhotoSource | None]:
        """The file from which each photo's features were extracted. None if unknown."""
        if self._sources is None:
            return [None] * len(self.names)
        return [each and PhotoSource(*each) for each in json.loads(self._sources)]

    def read(self, photo: int) -> Features:
        """Read the features of the photo with index ``photo``. Raise a `StoreError` if damaged."""
        start, end = self.offsets[photo : photo + 2].tolist()
        height, width = self._image_sizes[photo].tolist()
        arrays = {}
        for name, dtype in FIELDS.items():
            if start < end:
                arrays[name] = self._tensors[name][start:end]
            else:  # safetensors refuses some empty slices
                arrays[name] = np.empty((0, *self._tensors[name].get_shape()[1:]), dtype)
        features = Features(**arrays, image_size=(height, width))
        if self._checksums is not None and _checksum(features) != self._checksums[photo]:
            raise StoreError(
                f"{self.path}: damaged (the features of {self.names[photo]!r} do not match their "
                f"checksum). Fix: {FIX}"
            )
        if self._longest is not None:
            shrink = shrink_factor((height, width), self._longest)
            features = replace(features, scales=features.scales * np.float32(shrink))
        return features
