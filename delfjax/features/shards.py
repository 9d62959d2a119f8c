"""Read and write shards: safetensors files that each hold the features of some photos.

A shard is written once and never changes. It holds these tensors:

=============== ======= ======= ================================================================
tensor          shape   type    content
=============== ======= ======= ================================================================
``descriptors`` ``t d`` float16 descriptors of all photos, concatenated photo after photo
``positions``   ``t 2`` float32 ``(y, x)`` of each feature, in pixels of its photo
``scales``      ``t``   float32 pyramid level of each feature
``scores``      ``t``   float32 score by which each feature was selected
``offsets``     ``b+1`` int64   photo ``i`` has the rows ``offsets[i]`` to ``offsets[i + 1] - 1``
``image_sizes`` ``b 2`` int32   ``(height, width)`` of each photo
=============== ======= ======= ================================================================

The metadata of the file are JSON: the names of the photos, and the settings that made the features.
A reader maps the file into memory and reads only the rows that it needs. So a shard has no checksum:
a truncated file is refused, but changed values are detected only by a saved index.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from delfjax.files import StoreError, atomic_write
from delfjax.types import Features

FORMAT = "delfjax features 1"
FIELDS = {
    "positions": np.float32,
    "scales": np.float32,
    "scores": np.float32,
    "descriptors": np.float16,
}


def to_stored_precision(features: Features) -> Features:
    """Convert arrays to the precision of a shard: half for descriptors, single for the rest."""
    arrays = {name: getattr(features, name).astype(dtype) for name, dtype in FIELDS.items()}
    return replace(features, **arrays)


def write_shard(path: Path, photos: Mapping[str, Features], made_by: Mapping[str, Any]) -> None:
    """Write features in the precision of a shard, by photo name. The file is complete or absent."""
    tensors = {f: np.concatenate([getattr(each, f) for each in photos.values()]) for f in FIELDS}
    tensors["offsets"] = np.cumsum([0, *map(len, photos.values())], dtype=np.int64)
    tensors["image_sizes"] = np.array([each.image_size for each in photos.values()], np.int32)
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, _metadata(made_by) | {"names": json.dumps(list(photos))})


def _metadata(made_by: Mapping[str, Any]) -> dict[str, str]:
    return {"format": FORMAT, "made_by": json.dumps(made_by, sort_keys=True)}


class Shard:
    """A shard, opened to read.

    Args:
        path: The file.
        made_by: Expected settings: the shard must have been written with them.

    Attributes:
        names: Names of the photos, in the order of the file.
        dimensions: Number of dimensions of a descriptor.

    Raises:
        StoreError: If the file is damaged, or was made with other settings.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        try:
            self._file = safe_open(path, "np")  # a memory map; it keeps no file descriptor open
            metadata = self._file.metadata() or {}
            self.names: list[str] = json.loads(metadata.pop("names"))
            if metadata != _metadata(made_by):
                raise StoreError(
                    f"{path}: made with another model, configuration or format than this store. "
                    "Fix: move the file away and extract again"
                )
            self._tensors = {name: self._file.get_slice(name) for name in FIELDS}
            self.dimensions: int = self._tensors["descriptors"].get_shape()[1]
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise StoreError(
                f"{path}: damaged ({error}). Fix: remove the file and extract again"
            ) from error

    @property
    def offsets(self) -> Int[np.ndarray, " _"]:
        """First row of each photo's features, and the total number of rows at the end."""
        return self._file.get_tensor("offsets")

    def read(self, photo: int, limit: int | None = None) -> Features:
        """Read the features of the photo with this index, at most ``limit`` with the best scores."""
        start, end = self._file.get_slice("offsets")[photo : photo + 2].tolist()
        end = end if limit is None else min(end, start + limit)
        height, width = self._file.get_slice("image_sizes")[photo].tolist()
        arrays = {}
        for name, tensor in self._tensors.items():
            if start < end:
                arrays[name] = tensor[start:end]
            else:  # safetensors refuses some empty slices
                arrays[name] = np.empty((0, *tensor.get_shape()[1:]), FIELDS[name])
        return Features(**arrays, image_size=(height, width))
