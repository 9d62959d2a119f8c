"""Batches of labeled photos, in an order that depends on the seed and the number of the step alone.

A photo's class is the folder it lies in. Batches are cut from an endless row of photos, one permutation of
them after another; so a run that is taken up again at any step goes on with the very photos that were
next, and reads none of those before.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from delfjax.images.prefetch import prefetch
from delfjax.images.reading import PhotoError, PhotoFolder
from delfjax.training.augmentation import center_square
from delfjax.types import Photo

# Bytes; not in the paper: a set of photos no larger than this stays in memory, decoded.
HELD = 2**31

Batch = tuple[UInt8[np.ndarray, "b h h 3"], Int[np.ndarray, " b"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabeledPhotos:
    """Photos with their classes; `labeled` makes them of a folder.

    Attributes:
        photos: Where they are.
        names: Which of them.
        labels: Class of each, from 0.
        classes: Names of the classes.
    """

    photos: PhotoFolder
    names: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Int[np.ndarray, " m"]) -> "LabeledPhotos":
        """Keep some of the photos, and all classes."""
        names = tuple(self.names[row] for row in rows)
        return replace(self, names=names, labels=self.labels[rows])


def labeled(photos: PhotoFolder) -> LabeledPhotos:
    """Take for a photo's class the first folder by which names differ; leave out photos beside those.

    Raises:
        PhotoError: If there are not two classes.
    """
    shared = os.path.commonpath([f"{name}/" for name in photos.names] or [""])
    parts = [name.removeprefix(f"{shared}/").split("/") for name in photos.names]
    classes = tuple(sorted({part[0] for part in parts if len(part) > 1}))
    if len(classes) < 2:
        raise PhotoError(
            f"{photos.root / shared}: expected at least two sub-folders of photos, one a class; found "
            f"{len(classes)}. Put the photos of each landmark into a folder of their own."
        )
    numbers = {name: number for number, name in enumerate(classes)}
    inside = [row for row, part in enumerate(parts) if len(part) > 1]
    return LabeledPhotos(
        photos=photos,
        names=tuple(photos.names[row] for row in inside),
        labels=np.array([numbers[parts[row][0]] for row in inside]),
        classes=classes,
    )


def divide(photos: LabeledPhotos, part: float, *, seed: int) -> tuple[LabeledPhotos, LabeledPhotos]:
    """Hold out a part of each class, drawn at random; a class always keeps a photo to learn from."""
    random = np.random.default_rng(seed)
    held: list[int] = []
    for label in range(len(photos.classes)):
        rows = random.permutation(np.flatnonzero(photos.labels == label))
        held += rows[: min(round(part * len(rows)), len(rows) - 1)].tolist()
    rest = np.setdiff1d(np.arange(len(photos)), held)
    return photos[rest], photos[np.sort(np.array(held, int))]


def epoch_order(
    labels: Int[np.ndarray, " n"], *, seed: int, epoch: int, balanced: bool
) -> Int[np.ndarray, " m"]:
    """Return the rows of one epoch, shuffled.

    Args:
        labels: Class of each row.
        seed: Randomness, together with the epoch.
        epoch: Its number.
        balanced: Whether each class comes as often as the largest, its photos repeated in turn.
    """
    random = np.random.default_rng((seed, epoch))
    if not balanced:
        return random.permutation(len(labels))
    classes = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    longest = max(map(len, classes))
    return random.permutation(np.concatenate([np.resize(rows, longest) for rows in classes]))


def epoch_length(labels: Int[np.ndarray, " n"], *, balanced: bool) -> int:
    """Return how many rows `epoch_order` gives."""
    counts = np.bincount(labels)
    return int(counts.max() * np.count_nonzero(counts)) if balanced else len(labels)


def batch_rows(
    labels: Int[np.ndarray, " n"], *, batch: int, step: int, seed: int, balanced: bool = False
) -> Int[np.ndarray, " b"]:
    """Return the rows of one step's batch; it may reach from one epoch into the next."""
    length = epoch_length(labels, balanced=balanced)
    first, start = divmod(step * batch, length)
    last = (start + batch - 1) // length + first
    epochs = [
        epoch_order(labels, seed=seed, epoch=epoch, balanced=balanced)
        for epoch in range(first, last + 1)
    ]
    return np.concatenate(epochs)[start : start + batch]


class Squares:
    """Reads the centered squares of photos; keeps them, decoded, if all of them fit into memory.

    Args:
        photos: The photos.
        side: Of a square, in pixels.
        hold: Bytes of memory that may be used for keeping them.

    Attributes:
        failed: Photos that could not be read, with their errors. The next readable one, in the order
            of the folder, stands in for such a photo.
    """

    def __init__(self, photos: LabeledPhotos, side: int, *, hold: int = HELD) -> None:
        self.photos = photos
        self.side = side
        self.failed: dict[str, PhotoError] = {}
        self._held: dict[int, Photo] | None = {} if 3 * side**2 * len(photos) <= hold else None
        self._lock = Lock()

    def __call__(self, rows: Int[np.ndarray, " b"]) -> Batch:
        """Read photos, and return them with their classes."""
        read = [self._read(int(row)) for row in rows]
        pixels, found = zip(*read, strict=True)
        return np.stack(pixels), self.photos.labels[list(found)].astype(np.int32)

    def _read(self, row: int) -> tuple[Photo, int]:
        """Return the square of the first readable photo from a row on, and its row."""
        for offset in range(len(self.photos)):
            found = (row + offset) % len(self.photos)
            if (square := self._square(found)) is not None:
                return square, found
        raise next(iter(self.failed.values()))

    def _square(self, row: int) -> Photo | None:
        if self._held is not None and row in self._held:
            return self._held[row]
        name = self.photos.names[row]
        if name in self.failed:
            return None
        try:
            photo = center_square(self.photos.photos.load(name))
        except PhotoError as error:
            with self._lock:
                self.failed[name] = PhotoError(*error.args)
            return None
        image = Image.fromarray(photo)
        square = np.asarray(image.resize((self.side, self.side), Image.Resampling.BICUBIC))
        if self._held is not None:
            self._held[row] = square
        return square


def batches(
    squares: Squares,
    *,
    batch: int,
    steps: range,
    seed: int,
    balanced: bool = False,
    part: slice = slice(None),
    ahead: int = 4,
) -> Iterator[Batch]:
    """Yield the batches of steps, read in the background.

    Args:
        squares: The photos.
        batch: How many make a batch.
        steps: Which steps.
        seed: Of the order.
        balanced: Whether classes come equally often.
        part: Which photos of each batch to read: on several hosts, each one reads its own.
        ahead: How many batches are read at a time.
    """
    labels = squares.photos.labels

    def read(step: int) -> Batch:
        rows = batch_rows(labels, batch=batch, step=step, seed=seed, balanced=balanced)
        return squares(rows[part])

    return prefetch(read, steps, ahead=ahead)
