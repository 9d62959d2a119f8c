"""Make a benchmark from any folder with one sub-folder per class.

A database photo is correct if it has the same class as the query. Limitation: two photos of one class
may show different objects, so the scores are useful for comparisons only.
"""

from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.truth import Truth
from delfjax.images.reading import scan

LABELED = "labeled"  # name of such a benchmark on the command line and in results


def labeled(folder: Path | str, queries: str = "*", database: str = "*") -> Benchmark:
    """Make a benchmark from a folder with one sub-folder per class.

    The positives (correct photos) of a query are the database photos of the same class. If the query
    itself is in the database, it is junk (ignored in the scores).

    Args:
        folder: The folder. The class of a photo is the name of the outermost sub-folder.
        queries: Pattern for the file names of the queries, such as ``test_*``.
        database: Pattern for the file names of the database photos.

    Raises:
        DatasetError: The folder has no sub-folders, or a pattern matches no photo.
        PhotoError: The folder does not exist or holds no files.
    """
    photos = scan(folder)
    if photos.labels is None:
        raise DatasetError(
            f"{folder}: has photos but no sub-folders; expected one sub-folder per class. Fix: move the "
            "photos of each class into their own sub-folder"
        )
    query_names, database_names = (
        tuple(name for name in photos.names if fnmatchcase(name.rpartition("/")[2], pattern))
        for pattern in (queries, database)
    )
    if not (query_names and database_names):
        pattern = database if query_names else queries
        raise DatasetError(
            f"{folder}: no file name matches the pattern {pattern!r}. Fix: change this pattern"
        )
    numbers = {name: number for number, name in enumerate(database_names)}
    members: dict[str, list[int]] = defaultdict(list)
    for name, number in numbers.items():
        members[_class_of(name)].append(number)

    def truth(name: str) -> Truth:
        itself = [numbers[name]] if name in numbers else []
        others = np.setdiff1d(np.array(members[_class_of(name)], int), itself)
        return Truth(positives=others, junk=np.array(itself, int))

    return Benchmark(
        name=photos.root.resolve().name,
        root=photos.root,
        database=database_names,
        queries=tuple(Query(name=name, photo=name) for name in query_names),
        truths={STANDARD: tuple(map(truth, query_names))},
    )


def _class_of(name: str) -> str:
    return name.split("/")[0]
