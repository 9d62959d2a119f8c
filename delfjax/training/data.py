"""Read batches of labeled photos in a random order that depends only on the seed.

The class of a photo is the name of its sub-folder. Each epoch has its own random permutation. A
resumed run reads the same batches as a run without interruption. In this module, a row is the index
of a photo in `LabeledPhotos`, and a step is the index of an update. Both start at 0.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from delfjax.datasets.labeled_folder import find_classes
from delfjax.images.folder import PhotoFolder
from delfjax.images.reading import PhotoError
from delfjax.training.config import AugmentationConfig, TrainingConfig
from delfjax.types import Photo

CACHE_BYTES = 2**31  # decoded photos are kept in memory if all of them fit


@dataclass(frozen=True, kw_only=True, eq=False)
class LabeledPhotos:
    """Photos with their classes, for example from `label_by_folder`.

    Attributes:
        folder: The photos.
        labels: Class of each photo, as an index into ``classes``.
        classes: Name of each class.
    """

    folder: PhotoFolder
    labels: Int[np.ndarray, " n"]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.folder)

    def select(self, rows: Int[np.ndarray, " m"]) -> "LabeledPhotos":
        """Return the photos at the given indices, with the same ``classes``."""
        names = tuple(self.folder.names[row] for row in rows)
        return replace(self, folder=replace(self.folder, names=names), labels=self.labels[rows])


def label_by_folder(photos: PhotoFolder) -> LabeledPhotos:
    """Label each photo by its sub-folder; see `delfjax.datasets.labeled_folder.find_classes`.

    Photos outside of the sub-folders are left out, because they have no class.

    Raises:
        DatasetError: If the photos have fewer than two classes.
    """
    classes = find_classes(photos)
    label_of = {name: label for label, names in enumerate(classes.values()) for name in names}
    names = tuple(filter(label_of.__contains__, photos.names))
    return LabeledPhotos(
        folder=replace(photos, names=names),
        labels=np.array([label_of[name] for name in names]),
        classes=tuple(classes),
    )


def split_validation(
    photos: LabeledPhotos, fraction: float, *, seed: int
) -> tuple[LabeledPhotos, LabeledPhotos]:
    """Split the photos of each class at random into a training set and a validation set.

    The validation set gets ``fraction`` (0 to 1) of the photos of each class. At least one photo of
    each class stays in the training set.
    """
    random = np.random.default_rng(seed)
    held_out: list[int] = []
    for label in range(len(photos.classes)):
        rows = random.permutation(np.flatnonzero(photos.labels == label))
        held_out += rows[: min(round(fraction * len(rows)), len(rows) - 1)].tolist()
    rest = np.setdiff1d(np.arange(len(photos)), held_out)
    return photos.select(rest), photos.select(np.sort(np.array(held_out, int)))


def sample_input_size(config: AugmentationConfig, *, seed: int, step: int) -> int:
    """Choose a random side for the rescaled crops of update ``step``, in pixels."""
    return int(np.random.default_rng((seed, step)).choice(config.input_sizes))


def epoch_rows(
    labels: Int[np.ndarray, " n"], config: TrainingConfig, epoch: int
) -> Int[np.ndarray, " m"]:
    """Return the indices of the photos of one epoch (a pass over all photos), in random order.

    If ``config.balance_classes`` is set, photos of smaller classes are repeated.
    """
    random = np.random.default_rng((config.seed, epoch))
    if not config.balance_classes:
        return random.permutation(len(labels))
    classes = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    largest = max(map(len, classes))
    return random.permutation(np.concatenate([np.resize(rows, largest) for rows in classes]))


def batch_rows(
    labels: Int[np.ndarray, " n"], config: TrainingConfig, step: int
) -> Int[np.ndarray, " b"]:
    """Return the photo indices of the batch of update ``step``. A batch can span several epochs."""
    counts = np.bincount(labels)
    length = counts.max() * np.count_nonzero(counts) if config.balance_classes else len(labels)
    first, start = divmod(step * config.batch_size, int(length))
    stop = start + config.batch_size
    epochs = range(first, first + (stop - 1) // int(length) + 1)
    return np.concatenate([epoch_rows(labels, config, epoch) for epoch in epochs])[start:stop]


class SquareReader:
    """Reader of photos that are cropped to their largest centered square and resized.

    An unreadable photo is replaced by the next readable photo.

    Args:
        photos: The photos to read.
        side: Side of the resized squares, in pixels.

    Attributes:
        failed: Mapping from the names of unreadable photos to the errors.
    """

    def __init__(self, photos: LabeledPhotos, side: int) -> None:
        self.photos = photos
        self.side = side
        self.failed: dict[str, PhotoError] = {}
        self._cache: dict[int, Photo] = {}
        self._fits = 3 * side**2 * len(photos) <= CACHE_BYTES

    def __call__(
        self, rows: Int[np.ndarray, " b"]
    ) -> tuple[UInt8[np.ndarray, "b h h 3"], Int[np.ndarray, " b"]]:
        """Read the photos at the given indices. Return their squares and class indices.

        Raises:
            PhotoError: If no photo can be read.
        """
        squares, found = zip(*(self._read(int(row)) for row in rows), strict=True)
        return np.stack(squares), self.photos.labels[list(found)].astype(np.int32)

    def _read(self, row: int) -> tuple[Photo, int]:
        """Return the square and the row of the first readable photo from ``row`` on."""
        for offset in range(len(self.photos)):
            found = (row + offset) % len(self.photos)
            if (square := self._square(found)) is not None:
                return square, found
        raise next(iter(self.failed.values()))

    def _square(self, row: int) -> Photo | None:
        """Return the square of the photo of a row, or None if the photo cannot be read."""
        name = self.photos.folder.names[row]
        if row in self._cache or name in self.failed:
            return self._cache.get(row)
        try:
            photo = center_square(self.photos.folder.load(name))
        except PhotoError as error:
            self.failed[name] = PhotoError(*error.args)  # without the traceback and its memory
            return None
        image = Image.fromarray(photo)
        square = np.asarray(image.resize((self.side, self.side), Image.Resampling.BICUBIC))
        if self._fits:
            self._cache[row] = square
        return square


def center_square(photo: Photo) -> UInt8[np.ndarray, "s s 3"]:
    """Crop a photo to its largest centered square."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[top : top + side, left : left + side]
