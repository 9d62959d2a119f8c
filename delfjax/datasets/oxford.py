"""Oxford5k and Paris6k: photos, and four text files a query (the paper's Table 1).

``LANDMARK_1_query.txt`` names a photo and a box in it; ``_good``, ``_ok`` and ``_junk`` list photos,
one a line. Good and ok are positives, and so is the query's own photo, which stays in the database.
Photos are named by their *stem*, without folder and suffix: Oxford's archive unpacks flat, those of
Paris into folders. Source: ``compute_ap.cpp`` of Philbin et al., CVPR 2007, and its data.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.catalog import MissingDataError, missing_message
from delfjax.datasets.truth import Truth, oxford_truth
from delfjax.images.reading import Box, original_size, scan

LANDMARKS = {
    "oxford5k": "all_souls ashmolean balliol bodleian christ_church cornmarket hertford keble "
    "magdalen pitt_rivers radcliffe_camera",
    "paris6k": "defense eiffel invalides louvre moulinrouge museedorsay notredame pantheon pompidou "
    "sacrecoeur triomphe",
}
QUERIES = 5  # of each landmark
PREFIX = "oxc1_"  # stems begin with it in Oxford's query files, and nowhere else
KINDS = ("query", "good", "ok", "junk")
TRUTH_FILE = re.compile(rf"(.+/)?[^/]+_({'|'.join(KINDS)})\.txt")
SUFFIXES = (".jpg", ".jpeg", ".png")
# In the archives of Paris6k these are no photos, and its publisher lists them as corrupt. As is
# usual, they are left out of database and truth.
CORRUPT_NUMBERS = {
    "louvre": (136, 146),
    "moulinrouge": (422,),
    "museedorsay": (1059,),
    "notredame": (188,),
    "pantheon": (284, 960, 974),
    "pompidou": (195, 196, 201, 467, 640),
    "sacrecoeur": (299, 330, 353),
    "triomphe": (662, 833, 863, 867),
}
CORRUPT = frozenset(
    f"paris_{place}_{number:06d}"
    for place, numbers in CORRUPT_NUMBERS.items()
    for number in numbers
)
NAMED = 10  # names that an error lists at most


class Line(NamedTuple):
    """A line of a text file, and where it stands, for errors."""

    text: str
    where: str


def load(name: str, folder: Path) -> Benchmark:
    """Read ``oxford5k`` or ``paris6k``.

    Raises:
        DatasetError: A file is missing or says what cannot be.
        PhotoError: A query's photo cannot be read.
    """
    photos = tuple(photo for photo in photos_of(folder) if _stem(photo) not in CORRUPT)
    queries, truths = read_ground_truth(folder, folder, photos, ignored=CORRUPT)
    _check_names(name, folder, {query.name for query in queries})
    truth = {STANDARD: truths}
    return Benchmark(name=name, root=folder, database=photos, queries=queries, truths=truth)


def read_ground_truth(
    folder: Path, root: Path, database: Iterable[str], *, ignored: Collection[str] = ()
) -> tuple[tuple[Query, ...], tuple[Truth, ...]]:
    """Read the queries, sorted by name, and what each should find.

    Args:
        folder: The text files lie in it or below it.
        root: Where the photos lie.
        database: The photos, relative to ``root``. Their order gives them their numbers.
        ignored: Stems to pass over where they are listed.

    Raises:
        DatasetError: A file of a query is missing or says what cannot be.
        PhotoError: A query's photo cannot be read.
    """
    photos = by_stem(database)
    texts = by_stem(name for name in scan(folder).names if TRUTH_FILE.fullmatch(name))
    names = {stem.rpartition("_")[0] for stem in texts}
    stated = [_read_query(name, folder, texts, ignored) for name in sorted(names)]
    named = (line for query in stated for lines in query.listed.values() for line in lines)
    check_on_disk(named, photos, root)
    numbers = {stem: number for number, stem in enumerate(photos)}
    queries, truths = [], []
    for query in stated:
        photo = photos[query.stem]
        box = box_of(query.corners, root / photo, query.where)
        queries.append(Query(name=query.name, photo=photo, box=box))
        kinds = {
            kind: [numbers[line.text] for line in lines] for kind, lines in query.listed.items()
        }
        truths.append(oxford_truth(**kinds))
    return tuple(queries), tuple(truths)


@dataclass(frozen=True, kw_only=True)
class _Stated:
    """What a query's files say, photos by their stems."""

    name: str
    where: str
    stem: str
    corners: tuple[float, ...]
    listed: dict[str, list[Line]]


def _read_query(
    name: str, folder: Path, texts: Mapping[str, str], ignored: Collection[str]
) -> _Stated:
    for kind in KINDS:
        if f"{name}_{kind}" not in texts:
            raise DatasetError(
                f"{folder}: {name}_{kind}.txt is missing; expected {', '.join(KINDS)} of each query. "
                "Unpack the ground truth anew"
            )
    lines = {kind: read_lines(folder / texts[f"{name}_{kind}"]) for kind in KINDS}
    where, stem, corners = _read_box(lines.pop("query"), folder / texts[f"{name}_query"])
    listed = {kind: [line for line in lines[kind] if line.text not in ignored] for kind in lines}
    if stem not in {line.text for line in listed["good"] + listed["ok"]}:
        listed["good"].append(Line(stem, where))
    _check_once(listed)
    return _Stated(name=name, where=where, stem=stem, corners=corners, listed=listed)


def _read_box(lines: Sequence[Line], path: Path) -> tuple[str, str, tuple[float, ...]]:
    """Return where the line of a query file is, its photo's stem, and the box."""
    text, where = lines[0] if lines else ("", f"{path}, line 1")
    try:
        (_,), (stem, *numbers) = lines, text.split()
        left, top, right, bottom = map(float, numbers)
    except ValueError:
        raise DatasetError(
            f"{where}: {text!r}, {len(lines)} lines; expected one of five words: a photo's name "
            "and a box in it, x1 y1 x2 y2"
        ) from None
    return where, stem.removeprefix(PREFIX), (left, top, right, bottom)


def _check_once(listed: Mapping[str, list[Line]]) -> None:
    seen: dict[str, str] = {}
    for lines in listed.values():
        for stem, where in lines:
            if stem in seen:
                raise DatasetError(
                    f"{where}: {stem} is in {seen[stem]} too; expected once, as good, ok or junk"
                )
            seen[stem] = where


def _check_names(name: str, folder: Path, found: Collection[str]) -> None:
    landmarks = LANDMARKS[name].split()
    expected = [f"{landmark}_{i}" for landmark in landmarks for i in range(1, QUERIES + 1)]
    if unknown := set(found).difference(expected):
        raise DatasetError(
            f"{folder}: {min(unknown)}_query.txt is no query of {name}; expected 1 to {QUERIES} of "
            f"{', '.join(landmarks)}. Remove what is of another data set"
        )
    if lacking := [f"{query}_query.txt" for query in expected if query not in found]:
        raise MissingDataError(missing_message(name, folder.parent, lacking))


# --- what the files of other publishers share with these -------------------------------------------


def photos_of(folder: Path) -> tuple[str, ...]:
    """List the photos in a folder and below it, relative to it, by their suffix."""
    return tuple(name for name in scan(folder).names if name.casefold().endswith(SUFFIXES))


def by_stem(names: Iterable[str]) -> dict[str, str]:
    """Key paths by their stem.

    Raises:
        DatasetError: Two have the same.
    """
    found: dict[str, str] = {}
    for name in names:
        stem = _stem(name)
        if found.setdefault(stem, name) != name:
            raise DatasetError(
                f"{found[stem]} and {name}: expected one file named {stem}; remove one of the two"
            )
    return found


def read_lines(path: Path) -> list[Line]:
    """Read the lines of a text file that are not blank, stripped.

    Raises:
        DatasetError: The file cannot be read, or is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: cannot be read as text ({error}); get it again from its publisher"
        ) from error
    numbered = enumerate(map(str.strip, lines), start=1)
    return [Line(text, f"{path}, line {number}") for number, text in numbered if text]


def check_on_disk(named: Iterable[Line], photos: Collection[str], root: Path) -> None:
    """Refuse names that are not among the photos.

    Raises:
        DatasetError: It lists them, and says where the first is named.
    """
    absent: dict[str, str] = {}
    for text, where in named:
        if text not in photos:
            absent.setdefault(text, where)
    if absent:
        listed = ", ".join(list(absent)[:NAMED])
        more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
        raise DatasetError(
            f"{next(iter(absent.values()))}: {listed}{more}: no such photo in {root}; expected every "
            "photo that is named. Unpack the photos anew"
        )


def box_of(corners: Sequence[float], photo: Path, where: str) -> Box:
    """Return the box of ``x1 y1 x2 y2``: here, and nowhere else, x and y change places.

    Published boxes overhang by a pixel or so, which is cut off when the photo is read.

    Raises:
        DatasetError: The box is inverted, or wholly outside the photo.
        PhotoError: The photo cannot be read.
    """
    left, top, right, bottom = corners
    height, width = original_size(photo)
    inside = max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)
    if not (inside and all(map(isfinite, corners))):
        raise DatasetError(
            f"{where}: box {left} {top} {right} {bottom} (x1 y1 x2 y2) of {photo}, {width} pixels wide "
            f"and {height} high; expected x1 < x2 and y1 < y2, within the photo"
        )
    return Box(top=top, left=left, bottom=bottom, right=right)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem
