"""Create a benchmark from any folder with one sub-folder per class.

A database photo is correct if it has the same class as the query. Limitation: two photos of one
class may show different objects. The scores are useful only to compare methods.
"""

from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, Truth, invalid
from delfjax.images.folder import PhotoFolder, scan

MAX_LISTED = 20  # maximum number of classes that a message names
LABELED = "labeled"  # name of such a benchmark on the command line and in results


def find_classes(photos: PhotoFolder) -> dict[str, list[str]]:
    """Return a dict from class name to the sorted names of the photos of this class.

    The classes are the `PhotoFolder.labels`. Photos without a label have no class.

    Raises:
        DatasetError: If the photos have fewer than two classes.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for name, label in zip(photos.names, photos.labels or (), strict=False):
        if label:
            classes[label].append(name)
    if len(classes) < 2:
        found = f"one class ({', '.join(classes)})" if classes else "photos but no sub-folders"
        found = f"has {found}; expected at least two sub-folders, one per class"
        fix = "move the photos of each class into their own sub-folder"
        raise invalid(photos.root, found, fix=fix)
    return dict(sorted(classes.items()))


def describe_classes(photos: PhotoFolder) -> str:
    """Return a line with the classes of `find_classes` and the number of photos without a class."""
    classes = find_classes(photos)
    listed = ", ".join(f"{name} ({len(names)})" for name, names in [*classes.items()][:MAX_LISTED])
    more = ", ..." if len(classes) > MAX_LISTED else ""
    parts = [f"{len(classes)} classes: {listed}{more}"]
    if others := sorted(set(photos.names).difference(*classes.values())):
        parts.append(f"photos in no class folder: {len(others)}, such as {others[0]}")
    return "; ".join(filter(None, [*parts, photos.skipped_summary]))


def labeled(folder: PhotoFolder | Path | str, queries: str = "*", database: str = "*") -> Benchmark:
    """Create a benchmark from a folder with one sub-folder per class.

    For a query, the database photos of the same class are correct. If the photo of the query is
    also in the database, it is ignored in the ranking for this query.

    Args:
        folder: Folder of photos. `find_classes` defines the class of a photo.
        queries: Pattern, such as ``test_*``. Photos whose file name matches it are the queries.
        database: Pattern. Photos whose file name matches it are the database.

    Raises:
        DatasetError: If the folder has fewer than two classes, or a pattern matches no photo.
        PhotoError: If the folder does not exist or holds no photos.
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
