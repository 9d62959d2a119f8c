"""Load Oxford5k and Paris6k, the benchmarks of the paper's Table 1.

Each query, such as ``keble_1``, has four text files. ``keble_1_query.txt`` holds the query photo
and a box. ``keble_1_good.txt``, ``keble_1_ok.txt`` and ``keble_1_junk.txt`` list photos, one per
line. Good and ok photos are correct. Junk photos are ignored in the scores. The query photo is also
in the database, where it is correct. Text files name a photo by its *stem*: the file name without
folder and suffix. Source: ``compute_ap.cpp`` of Philbin et al., CVPR 2007.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, Truth, invalid
from delfjax.datasets.text_files import Line, check_photos_exist, read_box, read_lines
from delfjax.images.folder import list_files, scan
from delfjax.types import Box

QUERY_COUNT = 55  # 5 queries for each of 11 landmarks
QUERY_PREFIX = "oxc1_"  # precedes the stem in the query files of Oxford5k only
KINDS = ("query", "good", "ok", "junk")
TRUTH_FILE = re.compile(rf"(.+/)?[^/]+_({'|'.join(KINDS)})\.txt")
# Photos of Paris6k that are damaged, according to the publisher. As in other papers, they are left
# out of the database and of the ground truth.
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
    f"paris_{landmark}_{number:06d}"
    for landmark, numbers in CORRUPT_NUMBERS.items()
    for number in numbers
)


def load(name: str, folder: Path) -> Benchmark:
    """Load ``oxford5k`` or ``paris6k``.

    ``folder`` holds the photos and text files, in any sub-folders. Errors: see `read_ground_truth`.
    """
    photos = (photo for photo in scan(folder).names if _stem(photo) not in CORRUPT)
    database = tuple(f"{folder.name}/{photo}" for photo in photos)
    root = folder.parent
    queries, truths = read_ground_truth(folder, root, database, ignored=CORRUPT)
    if len(queries) != QUERY_COUNT:
        fix = f"unpack the ground truth of {name} again; remove the files of other data sets"
        raise invalid(folder, f"found {len(queries)} queries; expected {QUERY_COUNT}", fix=fix)
    return Benchmark(
        name=name, root=root, database=database, queries=queries, truths={STANDARD: truths}
    )


def read_ground_truth(
    folder: Path, root: Path, database: Iterable[str], *, ignored: Collection[str] = ()
) -> tuple[tuple[Query, ...], tuple[Truth, ...]]:
    """Read queries, sorted by name, and ground truth from text files in the format of Oxford5k.

    Args:
        folder: Folder that holds the text files, in any sub-folders.
        root: Folder to which the paths in ``database`` are relative.
        database: Paths of the database photos.
        ignored: File names, without suffix, of photos to skip in the text files.

    Raises:
        DatasetError: If a text file of a query is missing or invalid, or a listed photo is missing.
        PhotoError: If the photo of a query cannot be read.
    """
    photos = _by_stem(database)
    numbers = {stem: number for number, stem in enumerate(photos)}
    text_files = _by_stem(name for name in list_files(folder) if TRUTH_FILE.fullmatch(name))
    queries, truths = [], []
    for name in sorted({stem.rpartition("_")[0] for stem in text_files}):
        if missing := [kind for kind in KINDS if f"{name}_{kind}" not in text_files]:
            expected = f"expected four files per query ({', '.join(KINDS)})"
            found = f"{name}_{missing[0]}.txt is missing; {expected}"
            raise invalid(folder, found, fix="unpack the ground truth again")
        paths = {kind: folder / text_files[f"{name}_{kind}"] for kind in KINDS}
        stem, box, location = _read_query_file(paths.pop("query"), photos, root)
        lists = {
            kind: [line for line in read_lines(path) if line.text not in ignored]
            for kind, path in paths.items()
        }
        if stem not in {line.text for line in lists["good"] + lists["ok"]}:
            lists["good"].append(Line(stem, location))
        seen: dict[str, str] = {}
        for listed, place in chain(*lists.values()):
            if listed in seen:
                found = f"photo {listed} is also listed in {seen[listed]}; expected it once"
                raise invalid(place, found, fix="remove one of the two lines")
            seen[listed] = place
        check_photos_exist(chain(*lists.values()), photos, root)
        good, ok, junk = ([numbers[line.text] for line in lines] for lines in lists.values())
        queries.append(Query(name=name, photo=photos[stem], box=box))
        truths.append(Truth(np.array(good + ok, int), np.array(junk, int)))
    return tuple(queries), tuple(truths)


def _read_query_file(path: Path, photos: Mapping[str, str], root: Path) -> tuple[str, Box, str]:
    """Return the stem of the query photo, the box, and the location of the line that holds both."""
    lines = read_lines(path)
    if len(lines) != 1:
        expected = "expected a single line: PHOTO x1 y1 x2 y2"
        raise invalid(path, f"found {len(lines)} lines; {expected}")
    text, location = lines[0]
    stem, *corners = text.split()
    stem = stem.removeprefix(QUERY_PREFIX)
    check_photos_exist([Line(stem, location)], photos, root)
    return stem, read_box(corners, root / photos[stem], location), location


def _by_stem(names: Iterable[str]) -> dict[str, str]:
    """Return a dict from stems to paths. Raise an error if two paths have the same stem."""
    found: dict[str, str] = {}
    for name in names:
        stem = _stem(name)
        if found.setdefault(stem, name) != name:
            both = f"{found[stem]} and {name}"
            raise invalid(both, f"both files are named {stem}", fix="remove one of them")
    return found


def _stem(name: str) -> str:
    return PurePosixPath(name).stem
