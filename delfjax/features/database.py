"""Concatenate the features of all database photos, to build a search index (Sec. 4.4)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from delfjax.types import ARRAYS, Features


@dataclass(frozen=True, kw_only=True, eq=False)
class Database:
    """Single-precision features of many photos, concatenated photo after photo.

    Attributes:
        names: Name of each photo.
        offsets: First row of each photo's features, and the total number of rows at the end. Photo
            ``i`` has the rows ``offsets[i]`` to ``offsets[i + 1] - 1``.
        image_sizes: ``(height, width)`` of each photo in pixels.
        positions: ``(y, x)`` of each feature, in pixels of its photo.
        scales: Scale of each feature, as in `Features`.
        scores: Score of each feature. The features of a photo are sorted by score, highest first.
        descriptors: Descriptor of each feature.
        attention: Whether an attention head computed the scores. If not, a search gives all matches
            the same weight; see `SearchConfig.score`.
    """

    names: tuple[str, ...]
    offsets: Int[np.ndarray, " _"]
    image_sizes: Int[np.ndarray, "p 2"]
    positions: Float[np.ndarray, "t 2"]
    scales: Float[np.ndarray, " t"]
    scores: Float[np.ndarray, " t"]
    descriptors: Float[np.ndarray, "t d"]
    attention: bool = False

    @classmethod
    def from_features(
        cls, names: Sequence[str], features: Sequence[Features], *, attention: bool = False
    ) -> "Database":
        """Concatenate the features of photos, given one name and one `Features` per photo.

        ``attention`` is whether an attention head computed the scores.

        Raises:
            ValueError: If there is no photo, or if the numbers of names and photos differ.
        """
        if len(names) != len(features) or not names:
            raise ValueError(
                f"{len(names)} names for {len(features)} photos; expected equal numbers, at least 1. "
                "Fix: extract photos first, or correct the names"
            )
        return cls(
            names=tuple(names),
            offsets=np.cumsum([0, *map(len, features)]),
            image_sizes=np.array([each.image_size for each in features]),
            **{
                name: np.concatenate([getattr(each, name) for each in features], dtype=np.float32)
                for name in ARRAYS
            },
            attention=attention,
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def photo_indices(self) -> Int[np.ndarray, " t"]:
        """For each feature, the index of its photo in ``names``."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def mean_scores(self) -> Float[np.ndarray, " p"]:
        """Mean score of the features of each photo. 0 for a photo without features."""
        sums = np.bincount(self.photo_indices, self.scores, minlength=len(self))
        means: np.ndarray = sums / np.maximum(np.diff(self.offsets), 1)
        return means

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the data from which an index is built: names, offsets and descriptors."""
        digest = hashlib.sha256(json.dumps(self.names).encode())
        for array in (self.offsets.astype(np.int64), self.descriptors):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def features(self, photo: int) -> Features:
        """Return the features of the photo with the index ``photo``."""
        rows = slice(*self.offsets[photo : photo + 2])
        arrays = {name: getattr(self, name)[rows] for name in ARRAYS}
        height, width = self.image_sizes[photo].tolist()
        return Features(**arrays, image_size=(height, width))

    def select(self, photos: Int[np.ndarray, " b"]) -> "Database":
        """Return a database of the photos with the given indices, in the order of the indices."""
        names = [self.names[photo] for photo in photos]
        features = list(map(self.features, photos.tolist()))
        return Database.from_features(names, features, attention=self.attention)
