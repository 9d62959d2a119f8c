"""Photos on disk: one read safely into pixels, and a folder of many.

Not in the paper, which takes its photos as given. Real ones are turned, gray, transparent, 16 bits
deep, cut off half way, or no photos at all: each becomes upright RGB, or a `PhotoError` that says
what to do. Color profiles are not applied.

Symbols: ``h w`` rows and columns; only Pillow's own sizes are ``(width, height)``.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import ceil
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile

from delfjax.images.prefetch import prefetch
from delfjax.types import Photo

# None of these constants is in the paper.
MIN_SIDE = 16  # pixels: one cell of the feature map
MAX_PIXELS = 100_000_000  # 0.3 GB as RGB; more is a scan, or a bomb that a few bytes unpack to
WHITE = 65535  # of 16 bits
FLOAT_WHITES = (1, 255, WHITE)  # the conventions in use for photos of floats
# A JPEG may be decoded at 1/2, 1/4 or 1/8, but to no less than this many times the size asked for.
# On 12 megapixels 1.5 halves the time and differs from a full decode by 2 gray levels (RMS), as
# Lanczos does from bicubic. A margin of 1 gives 4 levels.
DRAFT_MARGIN = 1.5
# Pillow's other readers are left out: old, rare, and one of them (EPS) starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
CLUTTER = ("__macosx", "thumbs.db", "desktop.ini")  # what operating systems leave in folders
# What turns EXIF orientations 2 to 8 upright, 5 to 8 of them from lying on a side.
# ImageOps.exif_transpose also writes the EXIF anew, and stumbles where its other tags are odd.
NAMES = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"
TURNS = {number: Image.Transpose[turn] for number, turn in enumerate(NAMES.split(), start=2)}
SIDEWAYS = (5, 6, 7, 8)


class PhotoError(ValueError):
    """A photo or folder that cannot be read: which, what is wrong with it, and the mend."""


class Box(NamedTuple):
    """A part of a photo, in pixels of the upright original; edges lie between pixels, 0 at the top left.

    Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the last ones not included.
    """

    top: float
    left: float
    bottom: float
    right: float


class Crop(NamedTuple):
    """A part of a photo that is treated as a photo of its own: the photo's name, and the part."""

    photo: str
    box: Box


def read_image(path: str | os.PathLike[str], *, longest: int | None = None) -> Photo:
    """Read a photo as upright RGB: its first frame, over white where transparent.

    Deep grays are scaled so that white is 255: integers from 65535, floats from the least of 1, 255
    and 65535 that holds them all.

    Args:
        path: The file; its content, not its name, says what it is.
        longest: Shrink so that no side has more pixels. Pillow's bicubic filter widens with the
            reduction, so it does not alias. None, or a smaller photo: full size.

    Raises:
        PhotoError: There is no such file, or it may not be read, is no image, or is damaged; or a
            side is under `MIN_SIDE`, or the whole over `MAX_PIXELS`.
    """
    if longest is not None and longest < 1:
        raise ValueError(f"longest is {longest}; expected at least 1 pixel, or None for full size.")
    path = Path(path)
    with _opened(path) as image:
        width, height = _shrunk(image.size, longest)
        drafted = image.draft(None, (ceil(DRAFT_MARGIN * width), ceil(DRAFT_MARGIN * height)))
        box = drafted and drafted[1]  # 1001 pixels / 8 are decoded as 126, the last mostly padding
        image.load()
        turn = TURNS.get(_orientation(image))
        rgb = _to_rgb(image, path).resize((width, height), Image.Resampling.BICUBIC, box=box)
        return np.array(rgb if turn is None else rgb.transpose(turn))


def original_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return ``(height, width)`` of the upright photo at full size, from the header if it is there.

    Raises:
        PhotoError: As `read_image`, except that damage further down the file goes unseen.
    """
    with _opened(Path(path)) as image:
        width, height = image.size
        return (width, height) if _orientation(image) in SIDEWAYS else (height, width)


def read_crop(path: str | os.PathLike[str], box: Box, *, longest: int | None = None) -> Photo:
    """Read a part of a photo, the box rounded to whole pixels and cut to the photo.

    Args:
        path: The photo.
        box: The part.
        longest: As in `read_image`, of the part.

    Raises:
        PhotoError: As `read_image`, or if the part that lies in the photo is under `MIN_SIDE`.
    """
    photo = read_image(path)
    (height, width), (top, left, bottom, right) = photo.shape[:2], (round(edge) for edge in box)
    part = photo[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if min(part.shape[:2]) < MIN_SIDE:
        found = f"{height} x {width} pixels (height x width), of which {box} cuts too little"
        raise _error(Path(path), f"is {found}", f"at least {MIN_SIDE} a side", "Mend the box.")
    size = _shrunk(part.shape[1::-1], longest)
    return np.array(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC))


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Give an image of acceptable size, not decoded yet; what fails with it is a PhotoError."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise _error(
                path, "is not a file", "a photo", "Read folders with delfjax.images.reading.scan."
            )
        with path.open("rb") as file:
            image = _identify(file, path)
            _check_size(image.size, path)
            yield image
    except PhotoError:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise all kinds
        raise _unreadable(path, error) from error


def _identify(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    """Choose the reader by the first bytes.

    Image.open does the same, but it warns of the large photos that `_check_size` refuses, and a
    warning can only be muted for all threads at once.
    """
    Image.init()
    prefix = file.read(16)
    if not prefix:
        raise _error(path, "is empty (0 bytes)", "a photo", "Copy it again, or leave it out.")
    for name in FORMATS:
        reader, accepts = Image.OPEN.get(name, (None, None))  # AVIF: from Pillow 11.3
        if reader and accepts(prefix) is True:  # a string says why this Pillow cannot read it
            file.seek(0)
            return reader(file, "")
    raise _error(path, "is not an image", ", ".join(FORMATS), "Convert it, or leave it out.")


def _check_size(size: tuple[int, int], path: Path) -> None:
    if min(size) < MIN_SIDE or size[0] * size[1] > MAX_PIXELS:
        found = f"is {size[1]} x {size[0]} pixels (height x width)"
        expected = f"at least {MIN_SIDE} a side, at most {MAX_PIXELS:,} in all"
        raise _error(path, found, expected, "Use it at another size, or leave it out.")


def _unreadable(path: Path, error: Exception, expected: str = "a whole photo") -> PhotoError:
    system = getattr(error, "strerror", None)  # Pillow's OSErrors of damaged photos carry none
    mend = "Check its name and your rights to it." if system else "Copy it again, or leave it out."
    found = f"cannot be read ({system or f'{type(error).__name__}: {error}'})"
    return _error(path, found, expected, mend)


def _error(path: Path, found: str, expected: str, mend: str) -> PhotoError:
    return PhotoError(f"{path} {found}; expected {expected}. {mend}")


def _shrunk(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    factor = min(1, (longest or max(size)) / max(size))
    return max(1, round(factor * size[0])), max(1, round(factor * size[1]))


def _orientation(image: ImageFile.ImageFile) -> int:
    if image.format == "TIFF":  # Pillow turns these as it loads them, and gives the turned size
        return 1
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a photo whose EXIF cannot be read is still a photo
        return 1


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image), path)).convert("RGB")
    if image.mode == "La":  # Pillow knows no way from here to RGBA but this
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bits(gray: np.ndarray, path: Path) -> np.ndarray:
    """Compute ``round(255 gray / white)``, where Pillow's own conversion would cut off at 255."""
    low, high = gray.min(), gray.max()
    if not (low >= 0 and high <= WHITE):  # so put that NaN is caught as well
        found = f"has gray levels from {low} to {high}"
        raise _error(path, found, f"0 to {WHITE}", "Save it with 8 bits a channel.")
    white = WHITE if gray.dtype.kind != "f" else min(w for w in FLOAT_WHITES if high <= w)
    return np.rint(gray.astype(np.float32) * np.float32(255 / white)).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class PhotoFolder:
    """The photos of a folder, by name; `scan` makes one.

    Attributes:
        root: The folder.
        names: Paths of the photos relative to it, with ``/`` between their parts, sorted.
        crops: Names that are no files but parts of other photos.
    """

    root: Path
    names: tuple[str, ...]
    crops: Mapping[str, Crop] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """First folder of each name, ``""`` for a photo beside such folders; None without any."""
        labels = tuple(name.split("/")[0] if "/" in name else "" for name in self.names)
        return labels if any(labels) else None

    def path(self, name: str) -> Path:
        """Return where on disk a photo is, or the one it is a part of."""
        return self.root / (self.crops[name].photo if name in self.crops else name)

    def load(self, name: str, *, longest: int | None = None) -> Photo:
        """Read a photo, as `read_image` or `read_crop` does."""
        if name in self.crops:
            return read_crop(self.path(name), self.crops[name].box, longest=longest)
        return read_image(self.path(name), longest=longest)

    def select(self, pattern: str) -> "PhotoFolder":
        """Keep the photos whose file name matches, as ``test_*`` does; case matters."""
        kept = (name for name in self.names if fnmatchcase(name.rpartition("/")[2], pattern))
        return replace(self, names=tuple(kept))


def scan(root: str | os.PathLike[str]) -> PhotoFolder:
    """List every file under a folder, hidden ones and clutter aside, without opening any.

    Raises:
        PhotoError: There is no such folder, or no file in it, or a part of it may not be read.
    """
    root, names = Path(root), []
    for folder, subfolders, files in os.walk(root, onerror=_stop):
        subfolders[:] = filter(_is_visible, subfolders)  # os.walk goes into what is left here
        paths = (Path(folder, name) for name in filter(_is_visible, files))
        names += [path.relative_to(root).as_posix() for path in paths if path.is_file()]
    if not names:
        raise _error(root, "holds no files", "a folder of photos", "Put photos into it.")
    return PhotoFolder(root=root, names=tuple(sorted(names)))


def _stop(error: OSError) -> None:
    """Stop where os.walk would pass over a folder that it cannot read in silence."""
    raise _unreadable(Path(error.filename), error, "a folder") from error


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.casefold() not in CLUTTER


def iter_photos(
    folder: PhotoFolder,
    names: Iterable[str] | None = None,
    *,
    longest: int | None = None,
    ahead: int = 4,
) -> Iterator[tuple[str, Photo | PhotoError]]:
    """Yield names with photos, in order, read in the background; for a bad photo, its error.

    Args:
        folder: Where the photos are.
        names: Which of them; all by default.
        longest: As in `read_image`.
        ahead: How many threads read, and how many photos may wait beside the one handed out.
    """

    def read(name: str) -> tuple[str, Photo | PhotoError]:
        try:
            return name, folder.load(name, longest=longest)
        except PhotoError as error:  # anew: a traceback would keep the half-decoded photo alive
            return name, PhotoError(*error.args)

    yield from prefetch(read, folder.names if names is None else names, ahead=ahead)
