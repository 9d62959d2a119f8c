"""A folder with one sub-folder a class, as a benchmark: what shares a query's class is correct.

Classes are not views: photos of one class may show nothing in common. Figures serve for order and
sanity, not for the paper's tables.
"""

from collections import defaultdict

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.truth import Truth
from delfjax.images.reading import PhotoFolder

LABELED = "labeled"  # stands for such a folder where a benchmark is named


def labeled(folder: PhotoFolder, queries: str = "*", database: str = "*") -> Benchmark:
    """Make a benchmark of a folder.

    A query's positives are the database photos of its class. Its junk is the query itself, where it
    is in the database too.

    Args:
        folder: The folder; a photo's class is its first sub-folder.
        queries: Which photos are queries, by a pattern of file names.
        database: Which are the database.

    Raises:
        DatasetError: The folder has no classes, or a pattern matches no photo.
    """
    if folder.labels is None:
        raise DatasetError(f"{folder.root}: expected one sub-folder a class, found photos only")
    asked, searched = _matching(folder, queries), _matching(folder, database)
    numbers = {name: number for number, name in enumerate(searched)}
    members: dict[str, list[int]] = defaultdict(list)
    for name, number in numbers.items():
        members[_label(name)].append(number)

    def truth(name: str) -> Truth:
        itself = [numbers[name]] if name in numbers else []
        others = np.setdiff1d(np.array(members[_label(name)], int), itself)
        return Truth(positives=others, junk=np.array(itself, int))

    return Benchmark(
        name=folder.root.resolve().name,
        root=folder.root,
        database=searched,
        queries=tuple(Query(name=name, photo=name) for name in asked),
        truths={STANDARD: tuple(map(truth, asked))},
    )


def _matching(folder: PhotoFolder, pattern: str) -> tuple[str, ...]:
    if not (names := folder.select(pattern).names):
        raise DatasetError(f"{folder.root}: no photo's file name matches {pattern!r}")
    return names


def _label(name: str) -> str:
    return name.split("/")[0]
