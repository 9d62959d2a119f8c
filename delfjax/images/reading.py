"""Read a photo safely as upright RGB.

Photos may be rotated by EXIF, gray, transparent or 16 bits deep. Files may be truncated, or no
photos at all. Each file is either read as upright RGB, or raises a `PhotoError` with a fix. Color
profiles are not applied. The paper does not cover this.

Sizes are ``(height, width)`` in pixels. Only the sizes of Pillow images are ``(width, height)``.
"""

import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile

from delfjax.types import Box, Photo

# None of these constants is in the paper.
MIN_SIDE = 16  # pixels, as many as one cell of the feature map
MAX_PIXELS = 100_000_000  # 0.3 GB as RGB; larger files are rarely photos
# Decoders of these formats need more memory: such a pixel counts as several of any other format. So one photo
# needs at most about 1.2 GB; a JPEG of 100 million pixels needs 0.7 GB.
PIXEL_COSTS = {"WEBP": 1.5, "JPEG2000": 3}
STRIP_PIXELS = 2**20  # number of pixels that are converted to RGB at the same time
MAX_BYTES = 2**30  # of a file: 10 for each of `MAX_PIXELS`; 16-bit RGBA without compression needs 8
# Read calls while decoding: at most 4 seconds. A PNG of 0.8 GB in chunks of 8 KB needs 300,000.
MAX_READS = 1_000_000
MAX_SCANS = 30  # of a JPEG. Each scan takes as long as a whole photo; cameras write at most 15
MAX_WAIT = 900  # seconds that a photo waits until the photos before it are decoded
WHITES = (1, 255, 65535)  # possible white levels of float photos; for integers, the last one
# Pillow's other readers are left out: they are rare, and EPS starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
# In compressed data of a JPEG, 0xFF is followed by 0x00 or by a restart marker.
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
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
    """Raised if a photo or a folder cannot be read. The message names the file and a fix."""


def read_image(path: str | os.PathLike[str]) -> Photo:
    """Read a photo as upright RGB with values from 0 to 255.

    Transparent pixels become white. Animations yield their first frame. Gray photos of more than
    8 bits are scaled so that their white level becomes 255. The white level of integers is
    65535. The white level of floats is 1, 255 or 65535: the smallest that no pixel exceeds. The
    format is determined by the content of the file, not by its name.

    Raises:
        PhotoError: If the file is missing, unreadable, damaged, not an image, or above 1 GiB. Also
            if a side is below 16 pixels, or if the photo has over 100 million pixels (fewer in the
            formats of `PIXEL_COSTS`) or over 30 JPEG scans (passes of progressive coding).
    """
    path = Path(path)
    with _open_image(path) as image, _decoding.reserve(_count_pixels(image), path):
        image.load()
        return _upright_rgb(image, path)


def count_pixels(path: str | os.PathLike[str]) -> int:
    """Return the number of pixels of a photo, from the header of its file.

    Raises:
        PhotoError: As in `read_image`, but damage after the header is not detected.
    """
    with _open_image(Path(path)) as image:
        return image.width * image.height


def original_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the ``(height, width)`` of a photo after EXIF rotation.

    Raises:
        PhotoError: As in `read_image`, but damage after the header may not be detected.
    """
    with _open_image(Path(path)) as image:
        width, height = image.size
        is_turned = _orientation(image) in (5, 6, 7, 8)
        return (width, height) if is_turned else (height, width)


def read_crop(path: str | os.PathLike[str], box: Box) -> Photo:
    """Read the part of a photo inside a box. The box is rounded to pixels and clipped to the photo.

    Raises:
        PhotoError: As in `read_image`, or if a side of the part is shorter than `MIN_SIDE`.
    """
    photo = read_image(path)
    top, left, bottom, right = (max(round(edge), 0) for edge in box)
    part = photo[top:bottom, left:right]
    if min(part.shape[:2]) < MIN_SIDE:
        found = f"has height and width {photo.shape[:2]}, and {box} keeps {part.shape[:2]}"
        expected = f"at least {MIN_SIDE} pixels on each side of the part"
        raise photo_error(Path(path), found, expected, "correct the box")
    return part.copy()  # a view would keep the whole photo in memory


@contextmanager
def _open_image(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image and check its size without decoding it. Raise every error as a `PhotoError`."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait forever
            fix = "pass one photo, or list a folder with delfjax.images.folder.scan"
            raise photo_error(path, "is not a file", "a photo file", fix)
        if (size := path.stat().st_size) > MAX_BYTES:
            expected, fix = f"at most {MAX_BYTES:,}", "resize the photo, or leave it out"
            raise photo_error(path, f"has {size:,} bytes", expected, fix)
        with _LimitedFile(path) as file:
            image = _identify(file, path)
            width, height = image.size
            count = _count_pixels(image)
            if min(image.size) < MIN_SIDE or count > MAX_PIXELS:
                found = f"is {height} x {width} pixels (height x width)"
                if count > width * height:
                    found += f", which count as {count:,.0f} in this format"
                expected = f"at least {MIN_SIDE} on each side and at most {MAX_PIXELS:,} in total"
                raise photo_error(path, found, expected, "resize the photo, or leave it out")
            yield image
    except PhotoError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        raise unreadable(path, error) from error


class _LimitedFile(io.BufferedReader):
    """A photo file that refuses to be read in too many small pieces."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.reads, self._path = 0, path

    def read(self, size: int | None = -1, /) -> bytes:
        """Read from the file, at most `MAX_READS` times."""
        self.reads += 1
        if self.reads > MAX_READS:
            found, fix = "has too many segments", "save the photo again, or leave it out"
            raise photo_error(self._path, found, f"at most {MAX_READS:,}", fix)
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
        raise photo_error(path, "is empty (0 bytes)", "a photo", fix)
    name, formats = image_format(prefix), ", ".join(FORMATS)
    if name == "HEIC":
        try:
            import pillow_heif  # an optional dependency
        except ImportError:
            fix = "pip install 'delfjax[heic]' (the package pillow-heif), or convert the photo to JPEG"
            raise photo_error(path, "is a HEIC photo", formats, fix) from None
        file.seek(0)
        image: ImageFile.ImageFile = pillow_heif.HeifImageFile(file, "")
        return image
    if name is None:
        raise photo_error(path, "is not an image", formats, "convert the file, or leave it out")
    if name == "JPEG" and _count_scans(file) > MAX_SCANS:
        found = f"has more than {MAX_SCANS} JPEG scans or {MAX_READS:,} markers"
        fix = "save the photo as a baseline JPEG, or leave it out"
        raise photo_error(path, found, "fewer", fix)
    file.seek(0)
    return Image.OPEN[name][0](file, "")


def image_format(prefix: bytes) -> str | None:
    """Return the image format of a file from its first bytes. None if the file is not an image."""
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
        """Wait until at most `MAX_PIXELS` pixels are decoded at a time, including these."""

        def fits() -> bool:
            return not self._pixels or self._pixels + pixels <= MAX_PIXELS

        with self._changed:
            if not self._changed.wait_for(fits, MAX_WAIT):
                found = f"was not decoded, because other large photos took {MAX_WAIT} seconds"
                raise photo_error(path, found, "free memory", "read fewer photos at the same time")
            self._pixels += pixels
        try:
            yield
        finally:
            with self._changed:
                self._pixels -= pixels
                self._changed.notify_all()


_decoding = _PixelLimit()


def unreadable(path: Path, error: Exception, expected: str = "a readable photo") -> PhotoError:
    """Return a `PhotoError` for a file or folder that could not be read because of ``error``."""
    reason = getattr(error, "strerror", None)  # set by the operating system, not by Pillow
    fix = "check its name and permissions" if reason else "copy the file again, or leave it out"
    found = f"cannot be read ({reason or f'{type(error).__name__}: {error}'})"
    return photo_error(path, found, expected, fix)


def photo_error(path: Path, found: str, expected: str, fix: str) -> PhotoError:
    """Return a `PhotoError` of one line: the file, what was found and expected, and a fix."""
    return PhotoError(f"{path} {found}; expected {expected}. Fix: {fix}")


def _orientation(image: ImageFile.ImageFile) -> int:
    if image.format in ("TIFF", "HEIF"):  # Pillow rotates these itself and returns the rotated size
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photo with unreadable EXIF data is still a photo
        return 1


def _upright_rgb(image: ImageFile.ImageFile, path: Path) -> Photo:
    """Convert a decoded image strip by strip. Copies of a large photo would need gigabytes."""
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
            raise photo_error(path, found, expected, "save the photo with 8 bits per channel")
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
