"""Read the text files of ground truth, and check the photos and boxes in these files."""

from collections.abc import Collection, Iterable
from math import isfinite
from pathlib import Path
from reprlib import repr as short_repr
from typing import NamedTuple

from delfjax.datasets.benchmark import invalid
from delfjax.files import check_regular, failure
from delfjax.images.reading import original_size
from delfjax.types import Box

MAX_LISTED = 10  # maximum number of missing photos that an error message names
UNPACK = "unpack the photos again"


class Line(NamedTuple):
    """A line of a text file, without outer spaces. ``location`` is the path and line number."""

    text: str
    location: str


def read_lines(path: Path, *, fix: str = "download the file again") -> list[Line]:
    """Read the lines of a UTF-8 text file. Blank lines are left out.

    Raises:
        DatasetError: If the file cannot be read. ``fix`` ends the message, after "Fix:".
    """
    try:
        check_regular(path)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        found = f"cannot be read as UTF-8 text ({failure(error)})"
        raise invalid(path, found, fix=f"check its permissions, or {fix}") from error
    numbered = enumerate(map(str.strip, lines), start=1)
    return [Line(text, f"{path}, line {number}") for number, text in numbered if text]


def check_photos_exist(listed: Iterable[Line], photos: Collection[str], folder: Path) -> None:
    """Raise a `DatasetError` if a line in ``listed`` names a photo that does not exist.

    ``photos`` are the names of the photos that exist in ``folder``.
    """
    missing = [line for line in listed if line.text not in photos]
    if missing:
        names = list(dict.fromkeys(line.text for line in missing))
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        found = f"these photos are missing in {folder}: {', '.join(names[:MAX_LISTED])}{more}"
        raise invalid(missing[0].location, found, fix=UNPACK)


def read_box(corners: object, photo: Path, location: str) -> Box:
    """Convert the corners of a box in the ground truth to a `Box`.

    The box may extend beyond the photo: some boxes of the publishers do, by a few pixels.

    Args:
        corners: The coordinates ``x1, y1, x2, y2`` in pixels, as numbers or strings.
        photo: Path of the photo.
        location: File and line of the box, for the message.

    Raises:
        DatasetError: If ``corners`` are not four numbers, or the box has no area inside the photo.
        PhotoError: If the photo cannot be read.
    """
    try:
        left, top, right, bottom = map(float, corners if isinstance(corners, Iterable) else ())
    except (TypeError, ValueError, OverflowError):
        found = f"box is {short_repr(corners)}; expected four numbers: x1 y1 x2 y2"
        raise invalid(location, found) from None
    height, width = original_size(photo)
    overlaps = max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)
    if not (overlaps and all(map(isfinite, (left, top, right, bottom)))):
        raise invalid(
            location,
            f"box is {left} {top} {right} {bottom} (x1 y1 x2 y2), and {photo} is {width} pixels "
            f"wide and {height} high; expected x1 < x2, y1 < y2, and a box that overlaps the photo",
        )
    return Box(top=top, left=left, bottom=bottom, right=right)
