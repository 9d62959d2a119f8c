"""Google-Landmarks: version 2, with its solutions, and version 1 as the paper used its data (Sec. 5).

Photos are not looked for: of five million some are always gone, and what cannot be read is reported
when it is read. All else is checked as it is loaded, in time linear in the number of photos.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.google_files import read_labels, read_retrieval_solution
from delfjax.datasets.oxford import photos_of
from delfjax.datasets.truth import Truth

SOLUTION = "retrieval_solution_v2.1.csv"
NOTHING = np.empty(0, int)


def load_v2(folder: Path) -> Benchmark:
    """Read ``google_landmarks_v2``: the test photos that have truth against the index.

    Photo ``0123456789abcdef`` of the index is ``index/0/1/2/0123456789abcdef.jpg``, as the archives
    unpack. The protocols are the public and the private half; a query has nothing to find in the half
    that it is not of. Ignored test photos, which nobody has labeled, are no distractor queries: they
    are left out.

    Raises:
        DatasetError: A file cannot be read, or a line of it says what cannot be.
    """
    index = read_labels(folder / "index.csv")
    solution = read_retrieval_solution(folder / SOLUTION, index)
    numbers = {photo: number for number, photo in enumerate(index)}
    halves = {"private": solution.private, "public": solution.public}
    asked = [photo for half in halves.values() for photo in half]

    def truth(photos: tuple[str, ...]) -> Truth:
        return Truth(np.array([numbers[photo] for photo in photos], int), NOTHING)

    return Benchmark(
        name="google_landmarks_v2",
        root=folder,
        database=tuple(_path("index", photo) for photo in index),
        queries=tuple(Query(name=photo, photo=_path("test", photo)) for photo in asked),
        truths={
            protocol: tuple(truth(half.get(photo, ())) for photo in asked)
            for protocol, half in halves.items()
        },
        metric="map_at_100",
    )


def load_v1(folder: Path) -> Benchmark:
    """Read ``google_landmarks_v1``: photos that are correct where they show the query's landmark.

    A query without a landmark, or with one that is not in the database, is a distractor query. The
    layout is one of two:

    - ``train.csv`` (``id,url,landmark_id``), which is searched, and ``test.csv`` with a column
      ``landmark_id`` added to its ``id,url``. Where there is ``index.csv`` (``id,url``), its photos
      are searched too and count as wrong. Photos are ``train/ID.jpg``, and so on.
    - Folders ``index/LANDMARK/`` and ``test/LANDMARK/``. Photos of ``test`` in no such folder are
      distractor queries.

    Raises:
        DatasetError: A file cannot be read, or no query has a landmark of the database.
    """
    if (folder / "train.csv").exists():
        database = _listed(folder, "train")
        if (folder / "index.csv").exists():
            database |= _listed(folder, "index")
        asked = _listed(folder, "test")
    else:
        database, asked = _foldered(folder, "index"), _foldered(folder, "test")
    members: dict[object, list[int]] = defaultdict(list)
    for number, landmark in enumerate(database.values()):
        members[landmark].append(number)
    members.pop(None, None)
    truths = {landmark: Truth(np.array(each), NOTHING) for landmark, each in members.items()}
    queries = {photo: truths[mark] for photo, mark in asked.items() if mark in truths}
    if not queries:
        raise DatasetError(
            f"{folder}: no photo of test has a landmark of the database; expected landmark_id in "
            "test.csv, or folders named as in index"
        )
    return Benchmark(
        name="google_landmarks_v1",
        root=folder,
        database=tuple(database),
        queries=_queries(queries),
        truths={STANDARD: tuple(queries.values())},
        distractor_queries=_queries(
            {photo: mark for photo, mark in asked.items() if photo not in queries}
        ),
    )


def _path(split: str, photo: str) -> str:
    return f"{split}/{photo[0]}/{photo[1]}/{photo[2]}/{photo}.jpg"


def _listed(folder: Path, split: str) -> dict[str, int | None]:
    """Return the landmarks of the photos of a csv file, by their paths."""
    labels = read_labels(folder / f"{split}.csv")
    return {f"{split}/{photo}.jpg": landmark for photo, landmark in labels.items()}


def _foldered(folder: Path, split: str) -> dict[str, str | None]:
    """Return the landmarks of photos that were sorted into folders, by their paths."""
    names = photos_of(folder / split)
    return {f"{split}/{name}": name.split("/")[0] if "/" in name else None for name in names}


def _queries(asked: Mapping[str, object]) -> tuple[Query, ...]:
    """Make queries, named by their paths without ``test/`` and suffix."""
    return tuple(
        Query(name=photo.removeprefix("test/").rpartition(".")[0], photo=photo) for photo in asked
    )
