"""Make a benchmark from any folder with one sub-folder per class.

A database photo is correct if it has the same class as the query. Limitation: two photos of one class
may show different objects, so the scores are useful for comparisons only.
"""

import os
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, invalid
from delfjax.datasets.truth import Truth
from delfjax.images.folder import PhotoFolder, scan

MAX_LISTED = 20  # maximum number of classes that a message names
LABELED = "labeled"  # name of such a benchmark on the command line and in results


def find_classes(photos: PhotoFolder) -> dict[str, list[str]]:
    """Return the sorted photos of each class. Evaluation and training use this rule.

    Outer folders that contain all photos are skipped. The class of a photo is the name of its outermost
    sub-folder below these folders. Photos outside of the sub-folders have no class.

    Raises:
        DatasetError: The photos have fewer than two classes.
    """
    outer = os.path.commonpath([f"{name}/" for name in photos.names] or [""])
    classes: dict[str, list[str]] = defaultdict(list)
    for name in photos.names:
        first, *rest = name.removeprefix(f"{outer}/").split("/")
        if rest:
            classes[first].append(name)
    if len(classes) < 2:
        found = f"one class ({', '.join(classes)})" if classes else "photos but no sub-folders"
        raise invalid(
            photos.root / outer,
            f"has {found}; expected at least two sub-folders, one per class",
            fix="move the photos of each class into their own sub-folder",
        )
    return dict(sorted(classes.items()))


def describe_classes(photos: PhotoFolder) -> str:
    """Return the classes of `find_classes` in one line, with their numbers of photos, and what is left out."""
    classes = find_classes(photos)
    listed = ", ".join(f"{name} ({len(names)})" for name, names in [*classes.items()][:MAX_LISTED])
    more = ", ..." if len(classes) > MAX_LISTED else ""
    parts = [f"{len(classes)} classes: {listed}{more}"]
    if others := sorted(set(photos.names).difference(*classes.values())):
        parts.append(f"{len(others)} photos are in no class folder, such as {others[0]}")
    return "; ".join(filter(None, [*parts, photos.skipped_summary]))


def labeled(folder: PhotoFolder | Path | str, queries: str = "*", database: str = "*") -> Benchmark:
    """Make a benchmark from a folder with one sub-folder per class.

    The positives (correct photos) of a query are the database photos of the same class. If the query
    itself is in the database, it is junk (ignored in the scores).

    Args:
        folder: The folder. `find_classes` defines the class of a photo.
        queries: Pattern for the file names of the queries, such as ``test_*``.
        database: Pattern for the file names of the database photos.

    Raises:
        DatasetError: The folder has fewer than two classes, or a pattern matches no photo.
        PhotoError: The folder does not exist or holds no photos.
    """
    photos = folder if isinstance(folder, PhotoFolder) else scan(folder)
    classes = {name: label for label, names in find_classes(photos).items() for name in names}
    query_names, database_names = (
        tuple(name for name in photos.names if fnmatchcase(name.rpartition("/")[2], pattern))
        for pattern in (queries, database)
    )
    if not (query_names and database_names):
        pattern = database if query_names else queries
        found = f"no file name matches the pattern {pattern!r}"
        raise invalid(photos.root, found, fix="change this pattern")
    numbers = {name: number for number, name in enumerate(database_names)}
    members: dict[str, list[int]] = defaultdict(list)
    for name, number in numbers.items():
        members[classes.get(name, name)].append(number)

    def truth(name: str) -> Truth:
        itself = [numbers[name]] if name in numbers else []
        others = np.setdiff1d(np.array(members[classes.get(name, name)], int), itself)
        return Truth(positives=others, junk=np.array(itself, int))

    return Benchmark(
        name=photos.root.resolve().name,
        root=photos.root,
        database=database_names,
        queries=tuple(Query(name=name, photo=name) for name in query_names),
        truths={STANDARD: tuple(map(truth, query_names))},
    )
