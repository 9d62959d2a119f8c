"""Read text files that list photos, and check that the listed photos and boxes exist on disk.

Several publishers use such files. Each line keeps its file and line number for error messages.
"""

from collections.abc import Collection, Iterable
from math import isfinite
from pathlib import Path
from reprlib import repr as short_repr
from typing import NamedTuple

from delfjax.datasets.benchmark import invalid
from delfjax.files import check_regular
from delfjax.images.folder import scan
from delfjax.images.reading import original_size
from delfjax.types import Box

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_LISTED = 10  # maximum number of missing photos that an error message names
UNPACK = "unpack the photos again"


class Line(NamedTuple):
    """A line of a text file, without surrounding white space. ``location`` is its file and number."""

    text: str
    location: str


def read_lines(path: Path, *, fix: str = "download the file again") -> list[Line]:
    """Read the lines of a UTF-8 text file that are not blank.

    Raises:
        DatasetError: The file cannot be read or is not text.
    """
    try:
        check_regular(path)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(path, f"cannot be read as UTF-8 text ({error})", fix=fix) from error
    numbered = enumerate(map(str.strip, lines), start=1)
    return [Line(text, f"{path}, line {number}") for number, text in numbered if text]


def list_photos(folder: Path) -> tuple[str, ...]:
    """List the photos in a folder and in its sub-folders, as sorted paths relative to the folder."""
    return tuple(name for name in scan(folder).names if name.casefold().endswith(PHOTO_SUFFIXES))


def check_photos_exist(listed: Iterable[Line], photos: Collection[str], folder: Path) -> None:
    """Raise a `DatasetError` if a line names a photo that is not in ``photos``, the names in ``folder``."""
    missing = [line for line in listed if line.text not in photos]
    if missing:
        names = list(dict.fromkeys(line.text for line in missing))
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        found = f"listed photos are missing in {folder}: {', '.join(names[:MAX_LISTED])}{more}"
        raise invalid(missing[0].location, found, fix=UNPACK)


def read_box(corners: object, photo: Path, location: str) -> Box:
    """Convert a published box ``x1 y1 x2 y2`` into a `Box`, which has y before x.

    A published box may extend beyond the photo by a few pixels. Reading the photo clips the box.

    Args:
        corners: The four numbers or their texts, in pixels of the photo.
        photo: Path of the photo.
        location: File and line of the box, for the message.

    Raises:
        DatasetError: ``corners`` are not four numbers, or the box is empty, not finite, or completely
            outside the photo.
        PhotoError: The photo cannot be read.
    """
    try:
        left, top, right, bottom = map(float, corners if isinstance(corners, Iterable) else ())
    except (TypeError, ValueError, OverflowError):
        found = f"box {short_repr(corners)}; expected four numbers: x1 y1 x2 y2"
        raise invalid(location, found) from None
    height, width = original_size(photo)
    overlaps = max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)
    if not (overlaps and all(map(isfinite, (left, top, right, bottom)))):
        raise invalid(
            location,
            f"box {left} {top} {right} {bottom} (x1 y1 x2 y2); {photo} is {width} pixels wide and "
            f"{height} high; expected x1 < x2, y1 < y2, and a box that overlaps the photo",
        )
    return Box(top=top, left=left, bottom=bottom, right=right)
