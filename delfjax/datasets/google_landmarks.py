"""Load Google-Landmarks: version 1, the data set of the paper (Sec. 5), and version 2.

The csv files are checked. Missing photos are reported when they are read: of millions of photos, some
are always missing. Sources: the publisher's page, and ``dataset_file_io.py`` of tensorflow/models.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from reprlib import repr as short_repr

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, invalid
from delfjax.datasets.truth import Truth
from delfjax.files import check_regular

PHOTO_ID = re.compile(r"[0-9a-f]{16}")
LANDMARK_ID = re.compile(r"[0-9]{1,18}")
LABEL_HEADERS = (("id", "url", "landmark_id"), ("id", "url"), ("id",))
PROTOCOLS = {"Private": "private", "Public": "public"}  # by value of the column Usage


def load_v2(folder: Path) -> Benchmark:
    """Load ``google_landmarks_v2``. The database is called index; labeled test photos are the queries.

    Photo ``0123456789abcdef`` of the index is the file ``index/0/1/2/0123456789abcdef.jpg``. The queries
    have two halves, ``private`` and ``public``. Each half is a protocol, in which the queries of the
    other half have no positives (correct photos). Test photos without labels are left out. They are not
    distractor queries, since the index may hold correct photos.

    Raises:
        DatasetError: A file cannot be read or its content is invalid.
    """
    numbers = {photo: number for number, photo in enumerate(read_labels(folder / "index.csv"))}
    halves = read_solution(folder / "retrieval_solution_v2.1.csv", numbers)
    query_ids = [photo for half in halves.values() for photo in half]

    def truth(positives: tuple[str, ...]) -> Truth:
        return Truth(np.array([numbers[photo] for photo in positives], int))

    return Benchmark(
        name="google_landmarks_v2",
        root=folder,
        database=tuple(_v2_path("index", photo) for photo in numbers),
        queries=tuple(Query(name=photo, photo=_v2_path("test", photo)) for photo in query_ids),
        truths={
            protocol: tuple(truth(half.get(photo, ())) for photo in query_ids)
            for protocol, half in halves.items()
        },
        metric="map_at_100",
    )


def load_v1(folder: Path) -> Benchmark:
    """Load ``google_landmarks_v1``. A database photo is correct if it shows the landmark of the query.

    ``train.csv`` lists the database, with the columns ``id,url,landmark_id``. ``test.csv`` lists the
    queries. The published ``test.csv`` lacks the column ``landmark_id``; you have to add it. A query is
    a distractor query if it has no landmark, or if no database photo shows the landmark. If
    ``index.csv`` (``id,url``) exists, its photos are added to the database and count as wrong. The
    photos of ``train.csv`` are the files ``train/ID.jpg``, and so on for the other csv files.

    Raises:
        DatasetError: A file cannot be read, or no query shows a landmark of a database photo.
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
        raise invalid(
            folder / "test.csv",
            "no query shows a landmark of a database photo",
            fix="add the column landmark_id, with ids that also occur in train.csv",
        )
    return Benchmark(
        name="google_landmarks_v1",
        root=folder,
        database=tuple(database),
        queries=_v1_queries(truths),
        truths={STANDARD: tuple(truths.values())},
        distractor_queries=_v1_queries(photo for photo in queries if photo not in truths),
    )


def read_labels(path: Path) -> dict[str, int | None]:
    """Read a csv file of photo ids and landmark ids. A photo without a landmark gets None.

    Raises:
        DatasetError: The file cannot be read or a line is invalid.
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
    """Read ``retrieval_solution_v2.1.csv``: the correct index photos of each test photo.

    Returns:
        The ids of the correct photos, by half of the test photos (``private`` and ``public``) and id
        of a test photo. Test photos that are not scored are left out.

    Raises:
        DatasetError: The file cannot be read, a line is invalid, or a photo is not in ``index``.
    """
    halves: dict[str, dict[str, tuple[str, ...]]] = {half: {} for half in PROTOCOLS.values()}
    for location, row in _read_rows(path, (("id", "images", "Usage"),)):
        usage = row["Usage"]
        if usage not in (*PROTOCOLS, "Ignored"):
            expected = "expected Public, Private or Ignored"
            raise invalid(location, f"the column Usage is {usage!r}; {expected}")
        if row["images"] == "None" or usage == "Ignored":
            continue
        positives = tuple(row["images"].split())
        if len(set(positives)) < len(positives):
            raise invalid(location, "the column images has a photo twice; expected it once")
        if unknown := [each for each in positives if each not in index]:
            raise invalid(
                location,
                f"photo {unknown[0]!r} is not in the index; expected an id of index.csv",
                fix="download both files again",
            )
        halves[PROTOCOLS[usage]][row["id"]] = positives
    return halves


def _v2_path(split: str, photo: str) -> str:
    return f"{split}/{photo[0]}/{photo[1]}/{photo[2]}/{photo}.jpg"


def _v1_labels(folder: Path, split: str) -> dict[str, int | None]:
    """Return a dict from photo paths to landmark ids, for the database or the queries."""
    labels = read_labels(folder / f"{split}.csv")
    return {f"{split}/{photo}.jpg": landmark for photo, landmark in labels.items()}


def _v1_queries(photos: Iterable[str]) -> tuple[Query, ...]:
    return tuple(Query(name=Path(photo).stem, photo=photo) for photo in photos)


def _read_rows(
    path: Path, headers: tuple[tuple[str, ...], ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the location and the fields of each line. Raise an error for an invalid or repeated id."""
    seen: set[str] = set()
    expected = " or ".join(",".join(header) for header in headers)
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as stream:
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
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise invalid(path, f"cannot be read ({error}); expected a csv file") from error
