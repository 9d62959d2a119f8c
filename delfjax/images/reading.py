"""Read a photo safely as upright RGB.

Photo files may be rotated by EXIF, gray, transparent, 16 bits deep, truncated, or no photos at all.
Each file is either read as upright RGB, or raises a `PhotoError` that contains a fix. Color
profiles are not applied. The paper does not cover this.

Sizes are ``(height, width)`` in pixels. Only the sizes of Pillow images are ``(width, height)``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile

from delfjax.types import Box, Photo

# None of these constants is in the paper.
MIN_SIDE = 16  # pixels, as many as one cell of the feature map
MAX_PIXELS = 100_000_000  # 0.3 GB as RGB; larger files are rarely photos
MAX_BYTES = 2**30  # of a file: 10 for each of `MAX_PIXELS`; 16-bit RGBA without compression needs 8
WHITES = (1, 255, 65535)  # possible white levels of float photos; for integers, the last one
# Pillow's other readers are left out: they are rare, and EPS starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# How to turn a photo upright, by its EXIF orientation. ImageOps.exif_transpose fails if other EXIF
# tags are malformed.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
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
        PhotoError: If the file does not exist, is unreadable, is damaged or is not an image. Also
            if a side is shorter than `MIN_SIDE`, or if the photo has more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    with _open_image(path) as image:
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
    """Return the ``(height, width)`` of a photo after EXIF rotation. Pillow decodes PNG photos for this.

    Raises:
        PhotoError: As in `read_image`, but damage after the header is not detected.
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
        found = f"has {photo.shape[:2]} pixels (height, width), {part.shape[:2]} of them in {box}"
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
        with path.open("rb") as file:
            image = _identify(file, path)
            width, height = image.size
            if min(image.size) < MIN_SIDE or width * height > MAX_PIXELS:
                found = f"is {height} x {width} pixels (height x width)"
                expected = f"at least {MIN_SIDE} on each side and at most {MAX_PIXELS:,} in total"
                raise photo_error(path, found, expected, "resize the photo, or leave it out")
            yield image
    except PhotoError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        raise unreadable(path, error) from error


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
    """Convert a decoded image to RGB over a white background, and rotate it by EXIF."""
    turn = TURNS.get(_orientation(image))
    rgb: Image.Image = image
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip at 255
        rgb = _to_8_bits(image, path)
    elif image.mode == "La":  # Pillow converts La to RGBA only by way of LA
        rgb = image.convert("LA")
    if rgb.has_transparency_data:
        background = Image.new("RGBA", rgb.size, "white")
        rgb = Image.alpha_composite(background, rgb.convert("RGBA"))
    rgb = rgb.convert("RGB")
    return np.array(rgb if turn is None else rgb.transpose(turn))


def _to_8_bits(image: Image.Image, path: Path) -> Image.Image:
    """Scale the gray levels of a photo of more than 8 bits, so that its white level becomes 255."""
    gray = np.asarray(image)
    low, high = gray.min(), gray.max()
    if not (low >= 0 and high <= WHITES[-1]):  # written this way, it also catches NaN
        found, expected = f"has gray levels from {low} to {high}", f"0 to {WHITES[-1]}"
        raise photo_error(path, found, expected, "save the photo with 8 bits per channel")
    white = min(w for w in WHITES if high <= w) if image.mode == "F" else WHITES[-1]
    scaled = np.rint(gray.astype(np.float32) * np.float32(255 / white))
    return Image.fromarray(scaled.astype(np.uint8))
