"""Read a photo, or a folder of photos, safely as upright RGB.

Photo files may be rotated by EXIF, gray, transparent, 16 bits deep, truncated, or no photos at all. Each
file is either read as upright RGB, or raises a `PhotoError` that says how to fix the problem. Color
profiles are not applied. The paper does not cover this.

Sizes are ``(height, width)`` in pixels. Only the sizes of Pillow images are ``(width, height)``.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageFile

from delfjax.files import sha256
from delfjax.types import Box, Photo

Item, Result = TypeVar("Item"), TypeVar("Result")

# None of these constants is in the paper.
MIN_SIDE = 16  # pixels, as many as one cell of the feature map
MAX_PIXELS = 100_000_000  # 0.3 GB as RGB; larger files are rarely photos
WHITES = (1, 255, 65535)  # possible white levels of float photos; for integers, the last one
AHEAD = 4  # number of threads that read photos, and of photos read in advance
# Pillow's other readers are left out: they are rare, and EPS starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
IGNORED_NAMES = ("__macosx", "thumbs.db", "desktop.ini")  # files that operating systems create
# The transpositions that turn EXIF orientations 2 to 8 upright. ImageOps.exif_transpose would also
# rewrite the EXIF data, and fails if other tags are malformed.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(ValueError):
    """Raised if a photo or a folder of photos cannot be read. The message names the file and a fix."""


class Crop(NamedTuple):
    """A part of a photo, used like a photo. ``photo`` is the name of the whole photo, ``box`` the part."""

    photo: str
    box: Box


class PhotoSource(NamedTuple):
    """The file that a photo comes from. If the file changes, this record no longer matches it.

    Attributes:
        folder: The folder of photos.
        size: Size of the file in bytes.
        modified: Time of the last change, in nanoseconds since 1970.
        sha256: SHA-256 of the content.
        box: Part of the photo: top, left, bottom and right. None is the whole photo.
    """

    folder: str
    size: int
    modified: int
    sha256: str
    box: list[float] | None = None


def read_image(path: str | os.PathLike[str]) -> Photo:
    """Read a photo as upright RGB with values from 0 to 255.

    Transparent pixels become white. An animation gives its first frame. Gray photos of more than 8 bits
    are scaled so that their white level becomes 255. For integers, the white level is 65535. For floats,
    it is the smallest of 1, 255 and 65535 that no gray level exceeds. The content of a file determines
    its format, not its name.

    Raises:
        PhotoError: If the file does not exist, is unreadable, is damaged or is not an image. Also if a
            side is shorter than `MIN_SIDE`, or if the photo has more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    with _open_image(path) as image:
        image.load()
        transposition = TRANSPOSITIONS.get(_orientation(image))
        rgb = _to_rgb(image, path)
        return np.array(rgb if transposition is None else rgb.transpose(transposition))


def original_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return ``(height, width)`` of the upright photo at full size, without decoding it.

    Raises:
        PhotoError: In the same cases as `read_image`. Damage after the header is not detected.
    """
    with _open_image(Path(path)) as image:
        width, height = image.size
        is_turned = _orientation(image) in (5, 6, 7, 8)
        return (width, height) if is_turned else (height, width)


def read_crop(path: str | os.PathLike[str], box: Box) -> Photo:
    """Read the part of a photo inside a box. The box is rounded to whole pixels and clipped to the photo.

    Raises:
        PhotoError: In the same cases as `read_image`, or if a side of the part is shorter than `MIN_SIDE`.
    """
    photo = read_image(path)
    (height, width), (top, left, bottom, right) = photo.shape[:2], (round(edge) for edge in box)
    part = photo[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if min(part.shape[:2]) < MIN_SIDE:
        raise PhotoError(
            f"{path} is {height} x {width} pixels (height x width), but the part inside {box} is "
            f"{part.shape[0]} x {part.shape[1]} pixels; expected a part of at least {MIN_SIDE} pixels on "
            "each side. Fix: correct the box."
        )
    return part.copy()  # a view would keep the whole photo in memory


@contextmanager
def _open_image(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image and check its size without decoding it. Raise every failure as a `PhotoError`."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait forever
            raise PhotoError(
                f"{path} is not a file; expected the file of a photo. Fix: to list a folder, call "
                "delfjax.images.reading.scan"
            )
        with path.open("rb") as file:
            image = _identify(file, path)
            width, height = image.size
            if min(image.size) < MIN_SIDE or width * height > MAX_PIXELS:
                found = f"is {height} x {width} pixels (height x width)"
                expected = f"at least {MIN_SIDE} on each side and at most {MAX_PIXELS:,} in total"
                raise _photo_error(path, found, expected, "resize the photo, or leave it out")
            yield image
    except PhotoError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        raise _unreadable(path, error) from error


def _identify(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    """Choose the Pillow reader by the first bytes of the file."""
    # Image.open would warn of large photos, and a warning can only be muted for all threads at once.
    Image.init()
    prefix = file.read(16)
    if not prefix:
        raise _photo_error(
            path, "is empty (0 bytes)", "a photo", "copy the file again, or leave it out"
        )
    for name in FORMATS:
        reader, accepts = Image.OPEN.get(name, (None, None))  # AVIF needs Pillow 11.3
        if reader and accepts(prefix) is True:  # a string says why Pillow cannot read the file
            file.seek(0)
            return reader(file, "")
    formats = ", ".join(FORMATS)
    raise _photo_error(path, "is not an image", formats, "convert the file, or leave it out")


def _unreadable(path: Path, error: Exception, expected: str = "a complete photo") -> PhotoError:
    reason = getattr(error, "strerror", None)  # set by the operating system, not by Pillow
    fix = "check its name and permissions" if reason else "copy the file again, or leave it out"
    found = f"cannot be read ({reason or f'{type(error).__name__}: {error}'})"
    return _photo_error(path, found, expected, fix)


def _photo_error(path: Path, found: str, expected: str, fix: str) -> PhotoError:
    return PhotoError(f"{path} {found}; expected {expected}. Fix: {fix}")


def _orientation(image: ImageFile.ImageFile) -> int:
    if image.format == "TIFF":  # Pillow rotates TIFFs itself and returns the rotated size
        return 1
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a photo with unreadable EXIF data is still a photo
        return 1


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip at 255
        gray = np.asarray(image)
        low, high = gray.min(), gray.max()
        if not (low >= 0 and high <= WHITES[-1]):  # written this way, it also catches NaN
            found, expected = f"has gray levels from {low} to {high}", f"0 to {WHITES[-1]}"
            raise _photo_error(path, found, expected, "save the photo with 8 bits per channel")
        white = min(w for w in WHITES if high <= w) if image.mode == "F" else WHITES[-1]
        gray = np.rint(gray.astype(np.float32) * np.float32(255 / white))
        return Image.fromarray(gray.astype(np.uint8)).convert("RGB")
    if image.mode == "La":  # Pillow converts La to RGBA only by way of LA
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


@dataclass(frozen=True, kw_only=True)
class PhotoFolder:
    """A folder of photos, each with a name. `scan` creates this object.

    Attributes:
        root: The folder.
        names: Sorted names of the photos. A name is the path relative to ``root``, separated by ``/``.
        crops: The `Crop` of each name that stands for a part of a photo instead of a file.
    """

    root: Path
    names: tuple[str, ...]
    crops: Mapping[str, Crop] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Label of each photo: its first subfolder, or ``""`` if it is in none. None without subfolders."""
        labels = tuple(name.split("/")[0] if "/" in name else "" for name in self.names)
        return labels if any(labels) else None

    def path(self, name: str) -> Path:
        """Return the file of a photo. For a crop, return the file of the whole photo."""
        return self.root / (self.crops[name].photo if name in self.crops else name)

    def source(self, name: str) -> PhotoSource | None:
        """Return the size, time and checksum of the file of a photo. None if it cannot be read."""
        path = self.path(name)
        try:
            if not path.is_file():
                return None
            status, box = path.stat(), [*self.crops[name].box] if name in self.crops else None
            folder = str(self.root.resolve())
            return PhotoSource(folder, status.st_size, status.st_mtime_ns, sha256(path), box)
        except OSError:
            return None

    def is_current(self, name: str, source: PhotoSource | None) -> bool:
        """Return whether the file of a photo still has the content that ``source`` describes.

        The content is read only if the time of the last change differs. An unknown source (None) counts
        as current.
        """
        if source is None:
            return True
        try:
            status = self.path(name).stat()
        except OSError:
            return False
        box = [*self.crops[name].box] if name in self.crops else None
        if status.st_size != source.size or box != source.box:
            return False
        if status.st_mtime_ns == source.modified:
            return True
        current = self.source(name)
        return current is not None and current.sha256 == source.sha256

    def load(self, name: str) -> Photo:
        """Read a photo or a crop by name, with `read_image` or `read_crop`."""
        if name in self.crops:
            return read_crop(self.path(name), self.crops[name].box)
        return read_image(self.path(name))


def scan(root: str | os.PathLike[str]) -> PhotoFolder:
    """List all files in a folder and its subfolders, except hidden and system files. No file is opened.

    Raises:
        PhotoError: If the folder does not exist, contains no file, or has an unreadable subfolder.
    """

    def stop(error: OSError) -> None:  # by default, os.walk skips a folder that it cannot read
        raise _unreadable(Path(error.filename), error, "a folder") from error

    def is_visible(name: str) -> bool:
        return not name.startswith(".") and name.casefold() not in IGNORED_NAMES

    root, names = Path(root), []
    for folder, subfolders, files in os.walk(root, onerror=stop):
        subfolders[:] = filter(is_visible, subfolders)  # os.walk descends into these only
        paths = (Path(folder, name) for name in filter(is_visible, files))
        names += [path.relative_to(root).as_posix() for path in paths if path.is_file()]
    if not names:
        raise _photo_error(
            root, "contains no files", "a folder of photos", "put photos into the folder"
        )
    return PhotoFolder(root=root, names=tuple(sorted(names)))


def iter_photos(
    folder: PhotoFolder, names: Iterable[str]
) -> Iterator[tuple[str, Photo | PhotoError]]:
    """Read photos in background threads. Yield each name in order, with its photo or the error."""

    def read(name: str) -> tuple[str, Photo | PhotoError]:
        try:
            return name, folder.load(name)
        except PhotoError as error:
            # A new exception: the traceback of the old one would keep the decoded photo in memory.
            return name, PhotoError(*error.args)

    yield from prefetch(read, names)


def prefetch(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Compute ``function(item)`` for each item in background threads, and yield the results in order.

    ``items`` may be endless. `AHEAD` results are computed in advance.
    """
    remaining = iter(items)
    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="photos")
    try:
        pending = deque(pool.submit(function, item) for item in islice(remaining, AHEAD))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
