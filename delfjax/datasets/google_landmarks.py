"""Load Google-Landmarks: version 2 with its solution file, and version 1, used by the paper (Sec. 5).

Photos are identified by 16 hexadecimal digits. The csv files are checked as they are read. The photos
are not looked for on disk: of millions, some are always unavailable, and unreadable photos are reported
when they are read. Source: the data set's page, and ``dataset_file_io.py`` of tensorflow/models.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.truth import Truth

PHOTO_ID = re.compile(r"[0-9a-f]{16}")
LANDMARK_ID = re.compile(r"[0-9]{1,18}")
LABEL_HEADERS = (("id", "url", "landmark_id"), ("id", "url"), ("id",))
PROTOCOLS = {"Private": "private", "Public": "public"}  # by the value of Usage


def load_v2(folder: Path) -> Benchmark:
    """Load ``google_landmarks_v2``: search the index with the test photos that have ground truth.

    Photo ``0123456789abcdef`` of the index is ``index/0/1/2/0123456789abcdef.jpg``, as the archives
    unpack. The protocols are ``private`` and ``public``. In each, the queries of the other half have no
    positives. Ignored test photos are left out: nobody has labeled them, so they are not distractor
    queries.

    Raises:
        DatasetError: A file cannot be read or its content is invalid.
    """
    index = read_labels(folder / "index.csv")
    halves = read_solution(folder / "retrieval_solution_v2.1.csv", index)
    numbers = {photo: number for number, photo in enumerate(index)}
    query_ids = [photo for half in halves.values() for photo in half]

    def truth(positives: tuple[str, ...]) -> Truth:
        return Truth(np.array([numbers[photo] for photo in positives], int))

    return Benchmark(
        name="google_landmarks_v2",
        root=folder,
        database=tuple(_v2_path("index", photo) for photo in index),
        queries=tuple(Query(name=photo, photo=_v2_path("test", photo)) for photo in query_ids),
        truths={
            protocol: tuple(truth(half.get(photo, ())) for photo in query_ids)
            for protocol, half in halves.items()
        },
        metric="map_at_100",
    )


def load_v1(folder: Path) -> Benchmark:
    """Load ``google_landmarks_v1``: database photos of the query's landmark are correct.

    A query without a landmark, or with one that the database lacks, is a distractor query. The file
    ``train.csv`` (``id,url,landmark_id``) lists the database. ``test.csv`` lists the queries; its
    publisher left out the column ``landmark_id``, which has to be added. If there is ``index.csv``
    (``id,url``), its photos join the database and count as wrong. Photos are ``train/ID.jpg``, and so
    on.

    Raises:
        DatasetError: A file cannot be read, or no query has a landmark of the database.
    """
    database, queries = _v1_labels(folder, "train"), _v1_labels(folder, "test")
    if (folder / "index.csv").exists():
        database |= _v1_labels(folder, "index")
    members: dict[int | None, list[int]] = defaultdict(list)
    for number, landmark in enumerate(database.values()):
        members[landmark].append(number)
    members.pop(None, None)
    # Queries of one landmark share a single Truth, which saves memory.
    truth_of = {landmark: Truth(np.array(photos)) for landmark, photos in members.items()}
    truths = {photo: truth_of[mark] for photo, mark in queries.items() if mark in truth_of}
    if not truths:
        raise DatasetError(
            f"{folder / 'test.csv'}: no query has a landmark of the database. Fix: add the column "
            "landmark_id"
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
    """Read the landmark of each photo from a csv file; None for a photo without a landmark.

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
            raise DatasetError(f"{location}: landmark {label!r}; expected an integer")
    return labels


def read_solution(path: Path, index: Container[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Read ``retrieval_solution_v2.1.csv``: the correct index photos of each test photo.

    Returns:
        For each half of the test photos, ``private`` and ``public``: index photos by test photo. Test
        photos that are not scored are left out.

    Raises:
        DatasetError: The file cannot be read, a line is invalid, or a photo is not in the index.
    """
    halves: dict[str, dict[str, tuple[str, ...]]] = {half: {} for half in PROTOCOLS.values()}
    for location, row in _read_rows(path, (("id", "images", "Usage"),)):
        usage = row["Usage"]
        if usage not in (*PROTOCOLS, "Ignored"):
            raise DatasetError(f"{location}: usage {usage!r}; expected Public, Private or Ignored")
        if row["images"] == "None" or usage == "Ignored":
            continue
        positives = tuple(row["images"].split())
        if len(set(positives)) < len(positives):
            raise DatasetError(f"{location}: a photo is listed twice; expected each photo once")
        if unknown := [each for each in positives if each not in index]:
            raise DatasetError(
                f"{location}: {unknown[0]!r} is not in the index; expected one of its photos"
            )
        halves[PROTOCOLS[usage]][row["id"]] = positives
    return halves


def _v2_path(split: str, photo: str) -> str:
    return f"{split}/{photo[0]}/{photo[1]}/{photo[2]}/{photo}.jpg"


def _v1_labels(folder: Path, split: str) -> dict[str, int | None]:
    """Return the landmark of each photo path."""
    labels = read_labels(folder / f"{split}.csv")
    return {f"{split}/{photo}.jpg": landmark for photo, landmark in labels.items()}


def _v1_queries(photos: Iterable[str]) -> tuple[Query, ...]:
    return tuple(Query(name=Path(photo).stem, photo=photo) for photo in photos)


def _read_rows(
    path: Path, headers: tuple[tuple[str, ...], ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the location and the fields of each line; the first field, the photo, is unique."""
    seen: set[str] = set()
    expected = " or ".join(",".join(header) for header in headers)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = csv.reader(stream)
            header = tuple(next(lines, ()))
            if header not in headers:
                raise DatasetError(
                    f"{path}, line 1: header {','.join(header)!r}; expected {expected}"
                )
            for fields in filter(None, lines):
                location = f"{path}, line {lines.line_num}"
                if len(fields) != len(header):
                    raise DatasetError(
                        f"{location}: {len(fields)} fields; expected {len(header)}: {','.join(header)}"
                    )
                if not PHOTO_ID.fullmatch(photo := fields[0]):
                    raise DatasetError(
                        f"{location}: photo {photo!r}; expected 16 digits 0 to 9 or a to f"
                    )
                if photo in seen:
                    raise DatasetError(f"{location}: {photo!r} is already on an earlier line")
                seen.add(photo)
                yield location, dict(zip(header, fields, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{path}: cannot be read ({error}); expected a csv file with header {expected}. Fix: get it "
            "again from its publisher"
        ) from error
