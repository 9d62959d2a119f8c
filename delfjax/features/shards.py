"""A shard: the features of some photos end to end, in one safetensors file that never changes.

=============== ======= ======= ================================================================
tensor          shape   type    what
=============== ======= ======= ================================================================
``descriptors`` ``t d`` float16 rows of all photos, photo after photo
``positions``   ``t 2`` float32 ``(y, x)``
``scales``      ``t``   float32
``scores``      ``t``   float32
``offsets``     ``b+1`` int64   photo ``i`` has the rows from ``offsets[i]`` to ``offsets[i + 1]``
``image_sizes`` ``b 2`` int32   ``(height, width)``
=============== ======= ======= ================================================================

The file's metadata hold the names of the photos and what made the features, as JSON. A reader maps the
file into memory, and reads only the rows that it is asked for.

The numbers have no checksum. To compare one, whoever opens a store would read all of it: the SHA-256 of a shard of
512 photos (49 MB) takes 27 ms, half of what it takes to read every row, where opening it takes 0.6 ms. What disks
and networks garble they find by checksums of their own; a file cut short is refused here; and an index that was
saved notices a descriptor that has changed since (`delfjax.features.database.Database.checksum`).
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
    """Copy features in the precision that a shard keeps: descriptors in half, all else in single."""
    parts = {part: getattr(features, part).astype(kind) for part, kind in FIELDS.items()}
    return replace(features, **parts)


def write_shard(path: Path, photos: Mapping[str, Features], made_by: Mapping[str, Any]) -> None:
    """Write a shard, whole or not at all.

    Args:
        path: The file.
        photos: Features by photo name, as `stored` gives them; at least one photo.
        made_by: What determines the features.
    """
    parts = {part: np.concatenate([getattr(f, part) for f in photos.values()]) for part in FIELDS}
    lengths = [len(features) for features in photos.values()]
    sizes = [features.image_size for features in photos.values()]
    rest = {
        "offsets": np.cumsum([0, *lengths], dtype=np.int64),
        "image_sizes": np.array(sizes, np.int32),
    }
    with atomic_write(path) as temporary:
        save_file(parts | rest, temporary, _metadata(made_by) | {"names": json.dumps(list(photos))})


def _metadata(made_by: Mapping[str, Any]) -> dict[str, str]:
    return {"format": FORMAT, "made_by": json.dumps(made_by, sort_keys=True)}


class Shard:
    """A shard to read from.

    Args:
        path: The file.
        made_by: What has to have made it.

    Attributes:
        path: The file.
        names: Of its photos, in the order of the file.

    Raises:
        StoreError: If the file is damaged, or holds something else.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        self.path = path
        try:
            self._file = safe_open(path, "np")  # keeps a map of the file, but no descriptor
            metadata = self._file.metadata() or {}
            self.names: list[str] = json.loads(metadata.pop("names"))
            if metadata != _metadata(made_by):
                raise StoreError(
                    f"{path}: made by another model, configuration or version than this store says; "
                    "move the file away and extract again"
                )
            self._parts = {part: self._file.get_slice(part) for part in FIELDS}
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise StoreError(f"{path}: damaged ({error}); remove it and extract again") from error

    @property
    def width(self) -> int:
        """Dimensions of a descriptor."""
        return self._parts["descriptors"].get_shape()[1]

    @property
    def offsets(self) -> Int[np.ndarray, " _"]:
        """Where each photo's rows begin, and where the last one's end."""
        return self._file.get_tensor("offsets")

    def read(self, row: int, limit: int | None = None) -> Features:
        """Return the features of a photo, by its place in `names`, or only the first of them."""
        start, end = self._file.get_slice("offsets")[row : row + 2].tolist()
        if limit is not None:
            end = min(end, start + limit)
        height, width = self._file.get_slice("image_sizes")[row].tolist()
        parts = {part: self._rows(part, start, end) for part in FIELDS}
        return Features(**parts, image_size=(height, width))

    def _rows(self, part: str, start: int, end: int) -> np.ndarray:
        tensor = self._parts[part]
        if start == end:  # safetensors refuses some slices of no rows
            return np.empty((0, *tensor.get_shape()[1:]), FIELDS[part])
        return tensor[start:end]
