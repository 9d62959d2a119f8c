"""Read a photo, or a folder of photos, safely as upright RGB.

Photo files may be rotated by EXIF, gray, transparent, 16 bits deep, truncated, or no photos at all. Each
file is either read as upright RGB, or raises a `PhotoError` that says how to fix the problem. Color
profiles are not applied. The paper does not cover this.

Sizes are ``(height, width)`` in pixels. Only the sizes of Pillow images are ``(width, height)``.
"""

import io
import mimetypes
import os
import re
import stat
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageFile

from delfjax.files import sha256
from delfjax.types import Box, Photo

Item = TypeVar("Item")
Result = TypeVar("Result")

# None of these constants is in the paper.
MIN_SIDE = 16  # pixels, as many as one cell of the feature map
MAX_PIXELS = 100_000_000  # 0.3 GB as RGB; larger files are rarely photos
# Decoders of these formats need more memory: such a pixel counts as several of any other format. So one photo
# needs at most about 1.2 GB; a JPEG of 100 million pixels needs 0.7 GB.
PIXEL_COSTS = {"WEBP": 1.5, "JPEG2000": 3}
STRIP_PIXELS = 2**20  # number of pixels that are converted to RGB at the same time
MAX_BYTES = 2**30  # of a file: 10 for each of `MAX_PIXELS`; 16-bit RGBA without compression needs 8
# Calls to read while a file is decoded: at most 4 seconds. A PNG of 0.8 GB in the usual chunks of 8 KB needs 300,000.
MAX_READS = 1_000_000
MAX_SCANS = 30  # of a JPEG. Each scan takes as long as a whole photo; cameras write at most 15
MAX_WAIT = 900  # seconds that a photo waits until the photos before it are decoded
MAX_LINKS = 100  # links to one folder that `scan` follows
WHITES = (1, 255, 65535)  # possible white levels of float photos; for integers, the last one
AHEAD = 4  # number of threads that read photos, and of photos read in advance
# Pillow's other readers are left out: they are rare, and EPS starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
# In compressed data of a JPEG, 0xFF is followed by 0x00 or by a restart marker.
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# A file with one of these suffixes is expected to be a photo, and is listed even if it cannot be read.
PHOTO_SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".jp2", ".jpx", ".j2k"),
        *(".heic", ".heif", ".hif", ".avif"),
        *(".pbm", ".pgm", ".ppm", ".pnm"),
        *(".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"),
    ]
)
# A file with one of these suffixes is no photo. Pillow would read the thumbnail of a raw photo.
OTHER_SUFFIXES = frozenset(
    suffix
    for suffix, kind in mimetypes.MimeTypes().types_map[True].items()
    if not kind.startswith("image/")
) | frozenset([".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"])
IGNORED_NAMES = ("__macosx", "thumbs.db", "desktop.ini")  # files that operating systems create
# Views of an upright photo that have the orientation of the file, by EXIF orientation.
# ImageOps.exif_transpose would copy the photo, and fails if other EXIF tags are malformed.
STORED_VIEWS: Mapping[int, Callable[[Photo], Photo]] = {
    1: lambda photo: photo,
    2: lambda photo: photo[:, ::-1],
    3: lambda photo: photo[::-1, ::-1],
    4: lambda photo: photo[::-1],
    5: lambda photo: photo.swapaxes(0, 1),
    6: lambda photo: np.rot90(photo),
    7: lambda photo: np.rot90(photo.swapaxes(0, 1), 2),
    8: lambda photo: np.rot90(photo, -1),
}


class PhotoError(ValueError):
    """Raised if a photo or a folder of photos cannot be read. The message names the file and a fix."""


class Crop(NamedTuple):
    """A part of a photo, used like a photo: the rectangle ``box`` of the photo named ``photo``."""

    photo: str
    box: Box


class PhotoSource(NamedTuple):
    """Record of the file that a photo was read from. It shows whether the file has changed since.

    Attributes:
        folder: Absolute path of the folder of photos.
        size: Size of the file in bytes.
        modified: Time of the last change of the file, in nanoseconds since 1970.
        sha256: SHA-256 of the content of the file, in hexadecimal.
        box: ``[top, left, bottom, right]`` in pixels if only a part was read. None: the whole photo.
    """

    folder: str
    size: int
    modified: int
    sha256: str
    box: list[float] | None = None


def read_image(path: str | os.PathLike[str]) -> Photo:
    """Read a photo as upright RGB with values from 0 to 255.

    Transparent pixels become white. An animation gives its first frame. Gray photos of more than 8 bits
    are scaled so that their white level becomes 255. For integer levels, white is 65535. For floats, white
    is the smallest of 1, 255 and 65535 that no gray level exceeds. The content of a file determines
    its format, not its name.

    Raises:
        PhotoError: If the file does not exist, is unreadable, is damaged or is not an image. Also if a
            side is shorter than `MIN_SIDE`, or if the photo has more than `MAX_PIXELS` pixels
            (fewer in the formats of `PIXEL_COSTS`) or `MAX_SCANS` JPEG scans.
    """
    path = Path(path)
    with _open_image(path) as image, _decoding.reserve(_count_pixels(image), path):
        image.load()
        return _upright_rgb(image, path)


def original_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the ``(height, width)`` of a photo after EXIF rotation, from the header of its file.

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
            "each side. Fix: correct the box"
        )
    return part.copy()  # a view would keep the whole photo in memory


@contextmanager
def _open_image(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image and check its size without decoding it. Raise every failure as a `PhotoError`."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait forever
            fix = "pass one photo; delfjax.images.reading.scan lists a folder"
            raise _photo_error(path, "is not a file", "a photo file", fix)
        if (size := path.stat().st_size) > MAX_BYTES:
            expected, fix = f"at most {MAX_BYTES:,}", "resize the photo, or leave it out"
            raise _photo_error(path, f"has {size:,} bytes", expected, fix)
        with _LimitedFile(path) as file:
            image = _identify(file, path)
            width, height = image.size
            count = _count_pixels(image)
            if min(image.size) < MIN_SIDE or count > MAX_PIXELS:
                found = f"is {height} x {width} pixels (height x width)"
                if count > width * height:
                    found += f", which count as {count:,.0f} in this format"
                expected = f"at least {MIN_SIDE} on each side and at most {MAX_PIXELS:,} in total"
                raise _photo_error(path, found, expected, "resize the photo, or leave it out")
            yield image
    except PhotoError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        raise _unreadable(path, error) from error


class _LimitedFile(io.BufferedReader):
    """A photo file that refuses to be read in too many small pieces."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.reads, self._path = 0, path

    def read(self, size: int | None = -1, /) -> bytes:
        """Read from the file, as often as allowed."""
        self.reads += 1
        if self.reads > MAX_READS:
            found, fix = (
                "has too many or too long segments",
                "save the photo again, or leave it out",
            )
            raise _photo_error(self._path, found, "a common photo file", fix)
        return super().read(size)


def _count_pixels(image: ImageFile.ImageFile) -> float:
    """Return the number of pixels, as they count for `MAX_PIXELS`: see `PIXEL_COSTS`."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF, whose tiles may be larger than the photo
    tile: int = tags.get(ExifTags.Base.TileWidth, 0) * tags.get(ExifTags.Base.TileLength, 0)
    return max(image.width * image.height, tile) * PIXEL_COSTS.get(image.format or "", 1)


def _identify(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    """Choose the Pillow reader by the first bytes of the file."""
    prefix = file.read(64)
    if not prefix:
        fix = "copy the file again, or leave it out"
        raise _photo_error(path, "is empty (0 bytes)", "a photo", fix)
    name, formats = _format(prefix), ", ".join(FORMATS)
    if name == "HEIC":
        try:
            import pillow_heif  # an optional dependency
        except ImportError:
            fix = "pip install 'delfjax[heic]' (the package pillow-heif), or convert the photo to JPEG"
            raise _photo_error(path, "is a HEIC photo", formats, fix) from None
        file.seek(0)
        image: ImageFile.ImageFile = pillow_heif.HeifImageFile(file, "")
        return image
    if name is None:
        raise _photo_error(path, "is not an image", formats, "convert the file, or leave it out")
    if name == "JPEG" and _count_scans(file) > MAX_SCANS:
        found = f"has more than {MAX_SCANS} JPEG scans or {MAX_READS:,} markers"
        fix = "save the photo as a baseline JPEG, or leave it out"
        raise _photo_error(path, found, "a photo that is decoded in seconds", fix)
    file.seek(0)
    return Image.OPEN[name][0](file, "")


def _format(prefix: bytes) -> str | None:
    """Return the name of the format, by the first bytes of a file. None if it is no image."""
    # Image.open would warn of large photos, and a warning can only be muted for all threads at once.
    Image.init()
    if prefix[4:8] == b"ftyp":  # the box that lists the brands of an AVIF, a HEIC or a video
        end = min(int.from_bytes(prefix[:4]), len(prefix))
        brands = {prefix[start : start + 4] for start in range(8, end, 4)}
        if brands.isdisjoint((b"avif", b"avis")):
            return None if brands.isdisjoint(HEIC_BRANDS) else "HEIC"
    for name in FORMATS:
        _, accepts = Image.OPEN.get(name, (None, None))  # AVIF needs Pillow 11.3
        # Pillow returns a string, not True, if it knows the format but cannot read the file.
        if accepts and accepts(prefix[:16]) is True:
            return name
    return None


def _count_scans(file: BinaryIO) -> int:
    """Count the scans of a JPEG that have to be decoded. Stop after `MAX_SCANS`.

    More than `MAX_READS` markers count as too many scans.
    """
    scans, components, progressive = 0, 0, False
    for number, (marker, segment) in enumerate(_segments(file)):
        if number == MAX_READS:
            return MAX_SCANS + 1
        if marker in (0xC0, 0xC1, 0xC2):
            components, progressive = segment[7], marker == 0xC2
        elif marker == 0xDA:
            scans += 1
            # Without progression, the decoder stops after a scan of all components.
            if scans > MAX_SCANS or (not progressive and segment[2] == components):
                break
    return scans


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the second byte of each marker of a JPEG, and the first 8 bytes of its segment."""
    start, chunk, position = 0, b"", 2  # the chunk starts at ``start``
    while True:
        match = MARKER.search(chunk, position - start)
        if match is None or match.end() + 8 > len(chunk):  # read on, from the marker
            following = start + match.start() if match else max(position, start + len(chunk) - 1)
            is_end = following == start
            start = position = following
            file.seek(start)
            chunk = file.read(2**20)
            if is_end or len(chunk) < 2:
                return
            continue
        marker, segment = match[1][0], chunk[match.end() : match.end() + 8]
        position = start + match.end()
        if marker == 0xD9:  # the end of the photo; phones append videos
            return
        yield marker, segment
        if marker not in (0x01, 0xD8):  # markers without a segment
            position += int.from_bytes(segment[:2])


class _PixelLimit:
    """Limits the number of pixels that all threads of this process decode at the same time."""

    def __init__(self) -> None:
        self._pixels = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: float, path: Path) -> Iterator[None]:
        """Wait until at most `MAX_PIXELS` pixels would be decoded, together with these."""

        def fits() -> bool:
            return not self._pixels or self._pixels + pixels <= MAX_PIXELS

        with self._changed:
            if not self._changed.wait_for(fits, MAX_WAIT):
                found = f"has waited {MAX_WAIT} seconds for other large photos to be decoded"
                raise _photo_error(path, found, "to be read sooner", "read the photo again")
            self._pixels += pixels
        try:
            yield
        finally:
            with self._changed:
                self._pixels -= pixels
                self._changed.notify_all()


_decoding = _PixelLimit()


def _unreadable(path: Path, error: Exception, expected: str = "a complete photo") -> PhotoError:
    reason = getattr(error, "strerror", None)  # set by the operating system, not by Pillow
    fix = "check its name and permissions" if reason else "copy the file again, or leave it out"
    found = f"cannot be read ({reason or f'{type(error).__name__}: {error}'})"
    return _photo_error(path, found, expected, fix)


def _photo_error(path: Path, found: str, expected: str, fix: str) -> PhotoError:
    return PhotoError(f"{path} {found}; expected {expected}. Fix: {fix}")


def _orientation(image: ImageFile.ImageFile) -> int:
    if image.format in ("TIFF", "HEIF"):  # Pillow rotates these itself and returns the rotated size
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photo with unreadable EXIF data is still a photo
        return 1


def _upright_rgb(image: ImageFile.ImageFile, path: Path) -> Photo:
    """Convert a decoded image strip by strip. Whole copies of a large photo would need gigabytes."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    white = None
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip at 255
        strips = (np.asarray(image.crop(box)) for box in boxes)
        levels = [(strip.min(), strip.max()) for strip in strips]
        low, high = np.min(levels), np.max(levels)
        if not (low >= 0 and high <= WHITES[-1]):  # written this way, it also catches NaN
            found, expected = f"has gray levels from {low} to {high}", f"0 to {WHITES[-1]}"
            raise _photo_error(path, found, expected, "save the photo with 8 bits per channel")
        white = min(w for w in WHITES if high <= w) if image.mode == "F" else WHITES[-1]
    orientation = _orientation(image)
    is_turned = orientation in (5, 6, 7, 8)
    photo = np.empty((width, height, 3) if is_turned else (height, width, 3), np.uint8)
    stored = STORED_VIEWS.get(orientation, STORED_VIEWS[1])(photo)
    for box in boxes:
        stored[box[1] : box[3]] = np.asarray(_to_rgb(image.crop(box), white))
    return photo


def _to_rgb(image: Image.Image, white: int | None) -> Image.Image:
    """Convert to RGB over a white background. ``white`` is the white level of a deep gray photo."""
    if white:
        gray = np.rint(np.asarray(image).astype(np.float32) * np.float32(255 / white))
        return Image.fromarray(gray.astype(np.uint8)).convert("RGB")
    if image.mode == "La":  # Pillow converts La to RGBA only by way of LA
        image = image.convert("LA")
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image.convert("RGBA"))
    return image.convert("RGB")


@dataclass(frozen=True, kw_only=True)
class PhotoFolder:
    """A folder of photos, each with a name. `scan` creates this object.

    Attributes:
        root: The folder.
        names: Sorted names of the photos. A name is the path relative to ``root``, separated by ``/``.
        crops: A `Crop` for each name that stands for a part of a photo, by name.
        skipped: Sorted names of the files that are not photos, such as videos and texts.
    """

    root: Path
    names: tuple[str, ...]
    crops: Mapping[str, Crop] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """First subfolder of each photo, or ``""`` for photos outside subfolders. None without subfolders."""
        labels = tuple(name.split("/")[0] if "/" in name else "" for name in self.names)
        return labels if any(labels) else None

    @property
    def skipped_summary(self) -> str:
        """Number and most frequent suffixes of the skipped files, as text. Empty if none was skipped."""
        if not self.skipped:
            return ""
        suffixes = Counter(Path(name).suffix.lower() or "no suffix" for name in self.skipped)
        most = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5))
        return f"{len(self.skipped)} files are not photos and were skipped ({most})"

    def path(self, name: str) -> Path:
        """Return the file of a photo. For a crop, return the file of the whole photo."""
        return self.root / (self.crops[name].photo if name in self.crops else name)

    def source(self, name: str) -> PhotoSource | None:
        """Return size, time and checksum of the file of a photo. None if the file cannot be read."""
        path = self.path(name)
        try:
            if not path.is_file():
                return None
            status, box = path.stat(), [*self.crops[name].box] if name in self.crops else None
            if status.st_size > MAX_BYTES:  # no photo; `load` refuses it
                return None
            folder = str(self.root.resolve())
            return PhotoSource(folder, status.st_size, status.st_mtime_ns, sha256(path), box)
        except OSError:
            return None

    def current_sources(
        self, recorded: Mapping[str, PhotoSource | None]
    ) -> dict[str, PhotoSource | None]:
        """Return the photos whose file still has the recorded content, with folder and time of this file.

        A content is read only if the time of the last change differs. An unknown file (None) counts as
        unchanged. So does a file that cannot be read now: its disk may be absent for a moment.
        """
        folder = str(self.root.resolve())
        current: dict[str, PhotoSource | None] = {}
        for name, source in recorded.items():
            path, box = self.path(name), [*self.crops[name].box] if name in self.crops else None
            with suppress(OSError):
                if source is not None:
                    status = path.stat()
                    is_same = (status.st_size, box) == (source.size, source.box) and (
                        status.st_mtime_ns == source.modified or sha256(path) == source.sha256
                    )
                    if not is_same:
                        continue
                    source = source._replace(folder=folder, modified=status.st_mtime_ns)
            current[name] = source
        return current

    def load(self, name: str) -> Photo:
        """Read a photo or a crop by name, with `read_image` or `read_crop`."""
        if name in self.crops:
            return read_crop(self.path(name), self.crops[name].box)
        return read_image(self.path(name))


def scan(root: str | os.PathLike[str]) -> PhotoFolder:
    """List the photos in a folder and its subfolders. Links are followed.

    A file is a photo if its suffix is one of `PHOTO_SUFFIXES`. Suffixes such as ``.json`` are never
    photos. Any other file is a photo if its first bytes are those of an image. Unreadable photos and
    broken links are listed, so that they are reported. Hidden files and system files are left out.

    Raises:
        PhotoError: If the folder does not exist, contains no photo, or has an unreadable subfolder.
    """
    root = Path(root)
    photos: tuple[list[str], list[str]] = [], []
    for name in list_files(root):
        photos[_may_be_photo(root / name)].append(name)
    skipped, names = map(tuple, photos)
    folder = PhotoFolder(root=root, names=names, skipped=skipped)
    if not names:
        found = ": ".join(filter(None, ["contains no photos", folder.skipped_summary]))
        raise _photo_error(root, found, "a folder of photos", "put photos into the folder")
    return folder


def list_files(root: str | os.PathLike[str]) -> list[str]:
    """List the files in a folder and its subfolders, except hidden and system files, as sorted names.

    Links are followed, unless they lead back to a folder that contains them. A link without a target
    counts as a file.

    Raises:
        PhotoError: If a folder does not exist or is unreadable, or if links lead to a folder too often.
    """
    root, names = Path(root), []
    visits: Counter[tuple[int, int]] = Counter()
    # Each folder with the identities of the folders that contain it.
    pending: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset())]
    while pending:
        folder, parents = pending.pop()
        try:
            status = folder.stat()
            identity = status.st_dev, status.st_ino
            if identity in parents:
                continue
            visits[identity] += 1
            if visits[identity] > MAX_LINKS:
                found = f"is reached on more than {MAX_LINKS} ways, through links"
                raise _photo_error(folder, found, "fewer links to a folder", "remove links")
            visible = filter(_is_visible, sorted(os.listdir(folder)))
        except OSError as error:
            raise _unreadable(folder, error, "a folder") from error
        for name in visible:
            path = folder / name
            if os.path.isdir(path):
                pending.append((path, parents | {identity}))
            else:
                names.append(path.relative_to(root).as_posix())
    return sorted(names)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.casefold() not in IGNORED_NAMES


def _may_be_photo(path: Path) -> bool:
    """Return whether a file is expected to be a photo. Only files with an unknown suffix are opened."""
    suffix = path.suffix.lower()
    if suffix in PHOTO_SUFFIXES or suffix in OTHER_SUFFIXES:
        return suffix in PHOTO_SUFFIXES
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait forever
            return False
        with path.open("rb") as file:
            return _format(file.read(64)) is not None
    except OSError:  # a broken link, or a file without permission
        return True


def iter_photos(
    folder: PhotoFolder, names: Iterable[str], sources: dict[str, PhotoSource | None] | None = None
) -> Iterator[tuple[str, Photo | PhotoError]]:
    """Read photos in background threads. Yield each name in order, with its photo or the error.

    Very large photos are not read in advance, so that no two of them are in memory. The `PhotoSource` of
    each photo is written into ``sources``. It is recorded before the photo is read. If the photo changes in
    between, the next run notices.
    """

    def read(name: str) -> tuple[str, Photo | PhotoError]:
        try:
            if sources is None:
                return name, folder.load(name)
            source, photo = folder.source(name), folder.load(name)
            if source is None:
                found, fix = "could be read only at the second attempt", "run the command again"
                raise _photo_error(folder.path(name), found, "a readable photo", fix)
            sources[name] = source
            return name, photo
        except PhotoError as error:
            # A new exception: the traceback of the old one would keep the decoded photo in memory.
            return name, PhotoError(*error.args)

    def read_small(name: str) -> tuple[str, Photo | PhotoError | None]:
        with suppress(PhotoError):  # `read` reports it
            height, width = original_size(folder.path(name))
            if height * width > MAX_PIXELS // AHEAD:
                return name, None
        return read(name)

    for name, photo in prefetch(read_small, names):
        yield read(name) if photo is None else (name, photo)


def prefetch(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Compute ``function(item)`` in background threads, and yield the results in the order of the items.

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
