"""Load Google-Landmarks. Version 1 is the data set of the paper (Sec. 5).

The functions do not check whether the photos exist: of millions of photos, some are always missing.
Sources: the publisher's page, and ``dataset_file_io.py`` of tensorflow/models.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from reprlib import repr as short_repr

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query, Truth, invalid
from delfjax.files import reading

PHOTO_ID = re.compile(r"[0-9a-f]{16}")
LANDMARK_ID = re.compile(r"[0-9]{1,18}")
LABEL_HEADERS = (("id", "url", "landmark_id"), ("id", "url"), ("id",))
PROTOCOLS = {"Private": "private", "Public": "public"}  # by value of the column Usage


def load_v2(folder: Path) -> Benchmark:
    """Load ``google_landmarks_v2``.

    The photos in the folder ``index`` are the database, and the labeled photos in ``test`` are the
    queries. Unlabeled test photos are left out: the database may hold correct photos for them.
    The photo with the id ``0123456789abcdef`` is ``index/0/1/2/0123456789abcdef.jpg``.

    The publisher divides the queries into two parts. The protocol ``private`` scores one part, and
    ``public`` the other. Means over queries leave out the queries of the part that is not scored.

    Raises:
        DatasetError: If a csv file cannot be read, or its content is invalid.
        FileNotFoundError: If a csv file is missing.
    """
    numbers = {photo: number for number, photo in enumerate(read_labels(folder / "index.csv"))}
    halves = read_solution(folder / "retrieval_solution_v2.1.csv", numbers)
    query_ids = [photo for half in halves.values() for photo in half]

    def truth(positives: tuple[str, ...]) -> Truth:
        return Truth(np.array([numbers[photo] for photo in positives], int))

    return Benchmark(
        name="google_landmarks_v2",
        root=folder.parent,
        database=tuple(_v2_path(folder, "index", photo) for photo in numbers),
        queries=tuple(
            Query(name=photo, photo=_v2_path(folder, "test", photo)) for photo in query_ids
        ),
        truths={
            protocol: tuple(truth(half.get(photo, ())) for photo in query_ids)
            for protocol, half in halves.items()
        },
        metric="map_at_100",
    )


def load_v1(folder: Path) -> Benchmark:
    """Load ``google_landmarks_v1``. Photos that show the landmark of a query are correct.

    ``train.csv`` lists the database, and ``test.csv`` the queries, in the columns ``id``, ``url``
    and ``landmark_id``. The published ``test.csv`` lacks the column ``landmark_id``: you have to
    add it. If ``index.csv`` exists, its photos are added to the database. Photos without a landmark
    id are always wrong. The photo ``ID`` of ``train.csv`` is ``train/ID.jpg``, and so on for the
    other csv files. A query without a correct photo becomes a distractor query.

    Raises:
        DatasetError: If a csv file is invalid, or no query shows a landmark of a database photo.
        FileNotFoundError: If a csv file is missing.
    """
    database, queries = _v1_labels(folder, "train"), _v1_labels(folder, "test")
    if (folder / "index.csv").exists():
        database |= _v1_labels(folder, "index")
    members: dict[int | None, list[int]] = defaultdict(list)
    for number, landmark in enumerate(database.values()):
        members[landmark].append(number)
    members.pop(None, None)
    # All queries of a landmark share one Truth, which saves memory.
    truth_of = {landmark: Truth(np.array(photos)) for landmark, photos in members.items()}
    truths = {photo: truth_of[mark] for photo, mark in queries.items() if mark in truth_of}
    if not truths:
        fix = "add the column landmark_id, with ids that also occur in train.csv"
        raise invalid(folder / "test.csv", "no query shows a landmark of a database photo", fix=fix)
    return Benchmark(
        name="google_landmarks_v1",
        root=folder.parent,
        database=tuple(database),
        queries=_v1_queries(truths),
        truths={STANDARD: tuple(truths.values())},
        distractor_queries=_v1_queries(photo for photo in queries if photo not in truths),
    )


def read_labels(path: Path) -> dict[str, int | None]:
    """Read a csv file into a dict from photo id to landmark id. A missing landmark id is None.

    Raises:
        DatasetError: If the file cannot be read, or a line is invalid.
        FileNotFoundError: If the file does not exist.
    """
    labels: dict[str, int | None] = {}
    for location, row in _read_rows(path, LABEL_HEADERS):
        label = row.get("landmark_id", "")
        if label in ("", "None"):
            labels[row["id"]] = None
        elif LANDMARK_ID.fullmatch(label):
            labels[row["id"]] = int(label)
        else:
            raise invalid(location, f"landmark_id is {label!r}; expected an integer")
    return labels


def read_solution(path: Path, index: Container[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Read the correct photos of each test photo from ``retrieval_solution_v2.1.csv``.

    ``index`` holds the ids of the database photos. Test photos that are not scored are left out.

    Returns:
        Dict with the keys ``"private"`` and ``"public"``, the two parts of the test photos. Each
        value is a dict from the id of a test photo to the ids of its correct photos.

    Raises:
        DatasetError: If the file cannot be read, a line is invalid, or a photo is not in ``index``.
        FileNotFoundError: If the file does not exist.
    """
    halves: dict[str, dict[str, tuple[str, ...]]] = {half: {} for half in PROTOCOLS.values()}
    for location, row in _read_rows(path, (("id", "images", "Usage"),)):
        usage = row["Usage"]
        if usage not in (*PROTOCOLS, "Ignored"):
            expected = "expected Public, Private or Ignored"
            raise invalid(location, f"the value of Usage is {usage!r}; {expected}")
        if row["images"] == "None" or usage == "Ignored":
            continue
        positives = tuple(row["images"].split())
        if len(set(positives)) < len(positives):
            photo = max(positives, key=positives.count)
            raise invalid(
                location, f"photo {photo!r} appears more than once in the column 'images'"
            )
        if unknown := [each for each in positives if each not in index]:
            found = f"photo {unknown[0]!r} is not in the index; expected an id of index.csv"
            raise invalid(location, found, fix="download both csv files again")
        halves[PROTOCOLS[usage]][row["id"]] = positives
    return halves


def _v2_path(folder: Path, split: str, photo: str) -> str:
    return f"{folder.name}/{split}/{photo[0]}/{photo[1]}/{photo[2]}/{photo}.jpg"


def _v1_labels(folder: Path, split: str) -> dict[str, int | None]:
    labels = read_labels(folder / f"{split}.csv")
    return {f"{folder.name}/{split}/{photo}.jpg": landmark for photo, landmark in labels.items()}


def _v1_queries(photos: Iterable[str]) -> tuple[Query, ...]:
    return tuple(Query(name=Path(photo).stem, photo=photo) for photo in photos)


def _read_rows(
    path: Path, headers: tuple[tuple[str, ...], ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the location and the fields of each line. Check that ids are valid and unique."""
    seen: set[str] = set()
    expected = " or ".join(",".join(header) for header in headers)
    fix = "download the file again"
    with (
        reading(path, "a csv file", fix=fix, error=DatasetError),
        path.open(newline="", encoding="utf-8-sig") as stream,
    ):
        lines = csv.reader(stream)
        header = tuple(next(lines, ()))
        if header not in headers:
            found = short_repr(",".join(header))
            raise invalid(f"{path}, line 1", f"the header is {found}; expected {expected}")
        for fields in filter(None, lines):
            location = f"{path}, line {lines.line_num}"
            if len(fields) != len(header):
                columns = f"{len(header)}: {','.join(header)}"
                raise invalid(location, f"found {len(fields)} fields; expected {columns}")
            if not PHOTO_ID.fullmatch(photo := fields[0]):
                digits = "16 hexadecimal digits (0 to 9, a to f)"
                raise invalid(location, f"the id is {photo!r}; expected {digits}")
            if photo in seen:
                raise invalid(location, f"id {photo!r} is also on an earlier line")
            seen.add(photo)
            yield location, dict(zip(header, fields, strict=True))
