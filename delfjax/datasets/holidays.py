"""INRIA Holidays: 500 scenes, of each a query and one or more other photos (Jégou et al., ECCV 2008).

Photo ``jpg/NNNNKK.jpg`` shows scene ``NNNN``; ``KK = 00`` is the query, the others are its positives.
The query stays in the database but is ignored in its own ranking, and is not cropped. Not in the
paper's tables. Source: ``holidays_map.py`` of the publisher's evaluation package.
"""

import re
from collections import defaultdict
from pathlib import Path

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.oxford import Line, check_on_disk, read_lines
from delfjax.datasets.truth import holidays_truth

NAME = re.compile(r"([0-9]{4})([0-9]{2})\.jpg")
LIST = "holidays_images.dat"  # of the evaluation package: if it is there, the set is what it lists


def load(folder: Path) -> Benchmark:
    """Read ``holidays``.

    Raises:
        DatasetError: A photo that is listed is missing, or a name is no number, or a scene has no
            query or nothing else.
    """
    found = sorted(p.name for p in (folder / "jpg").iterdir() if p.suffix == ".jpg")
    lines = [Line(name, str(folder / "jpg")) for name in found]
    if (path := next(folder.rglob(LIST), None)) is not None:
        lines = read_lines(path)
        check_on_disk(lines, set(found), folder / "jpg")
    scenes: dict[str, list[int]] = defaultdict(list)
    queries: dict[str, int] = {}
    for number, (name, where) in enumerate(lines):
        if (match := NAME.fullmatch(name)) is None:
            raise DatasetError(
                f"{where}: {name!r}; expected six digits and .jpg, such as 100000.jpg"
            )
        if match[2] == "00":
            queries[match[1]] = number
        else:
            scenes[match[1]].append(number)
    if odd := queries.keys() ^ scenes.keys():
        raise DatasetError(
            f"{folder}: scene {min(odd)} is not whole; expected {min(odd)}00.jpg, its query, and one or "
            "more others. Unpack the photos anew"
        )
    return Benchmark(
        name="holidays",
        root=folder,
        database=tuple(f"jpg/{line.text}" for line in lines),
        queries=tuple(Query(name=f"{scene}00", photo=f"jpg/{scene}00.jpg") for scene in queries),
        truths={
            STANDARD: tuple(holidays_truth(queries[scene], scenes[scene]) for scene in queries)
        },
    )
