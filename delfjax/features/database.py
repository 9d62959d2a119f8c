"""The features of many photos end to end, and whose they are: what an index is built over (Sec. 4.4)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from delfjax.types import Features


@dataclass(frozen=True, kw_only=True, eq=False)
class Database:
    """Photos by number, and their features by row, in single precision.

    Attributes:
        names: Of the photos.
        offsets: Photo ``i`` has the rows from ``offsets[i]`` to ``offsets[i + 1]``.
        image_sizes: ``(height, width)`` of each photo.
        positions: ``(y, x)`` in pixels of the photo.
        scales: Pyramid level of each feature.
        scores: What it was selected by; each photo's best comes first.
        descriptors: One row a feature.
    """

    names: tuple[str, ...]
    offsets: Int[np.ndarray, " _"]
    image_sizes: Int[np.ndarray, "b 2"]
    positions: Float[np.ndarray, "t 2"]
    scales: Float[np.ndarray, " t"]
    scores: Float[np.ndarray, " t"]
    descriptors: Float[np.ndarray, "t d"]

    @classmethod
    def from_features(cls, names: Sequence[str], features: Sequence[Features]) -> "Database":
        """Put the features of photos end to end.

        Raises:
            ValueError: If there is no photo, or not a name for each.
        """
        if len(names) != len(features) or not names:
            raise ValueError(f"{len(names)} names for {len(features)} photos; expected one each")
        parts = ("positions", "scales", "scores", "descriptors")
        return cls(
            names=tuple(names),
            offsets=np.cumsum([0, *map(len, features)]),
            image_sizes=np.array([each.image_size for each in features]),
            **{part: np.concatenate([getattr(each, part) for each in features]) for part in parts},
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def photo_indices(self) -> Int[np.ndarray, " t"]:
        """The number of the photo that each row belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def checksum(self) -> str:
        """Of all that an index over it and its answers depend on: names, whose rows are whose, descriptors."""
        digest = hashlib.sha256(json.dumps(self.names).encode())
        for array in (self.offsets.astype(np.int64), self.descriptors):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def features(self, image: int) -> Features:
        """Return the features of a photo, by its number."""
        rows = slice(*self.offsets[image : image + 2])
        height, width = self.image_sizes[image].tolist()
        return Features(
            positions=self.positions[rows],
            scales=self.scales[rows],
            scores=self.scores[rows],
            descriptors=self.descriptors[rows],
            image_size=(height, width),
        )

    def select(self, images: Int[np.ndarray, " b"]) -> "Database":
        """Return some of the photos, by number and in this order; they are numbered anew."""
        chosen = images.tolist()
        return Database.from_features(
            [self.names[image] for image in chosen], list(map(self.features, chosen))
        )

    def with_photos(self, names: Sequence[str], features: Sequence[Features]) -> "Database":
        """Return these photos and more: those get the next numbers, and their features the next rows.

        Raises:
            ValueError: If a photo is there already, under the same name.
        """
        if known := sorted({*self.names} & {*names}):
            raise ValueError(
                f"{known[0]!r} is in the database already; remove it from what is added"
            )
        present = list(map(self.features, range(len(self))))
        return Database.from_features([*self.names, *names], [*present, *features])
