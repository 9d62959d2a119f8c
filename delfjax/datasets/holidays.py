"""Load INRIA Holidays (Jegou et al., ECCV 2008): photos of 500 scenes.

A file name ``NNNNKK.jpg`` has two numbers: the scene ``NNNN`` and the photo ``KK`` of this scene.
Photo ``00`` of a scene is the query. The other photos of the scene are correct for this query. The
query photo is also in the database, but is ignored in the ranking for this query. Source:
``holidays_map.py`` of the publisher. The DELF paper has no results for this benchmark.
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, Truth, invalid
from delfjax.datasets.text_files import UNPACK, Line, check_photos_exist, read_lines

FILE_NAME = re.compile(r"([0-9]{4})([0-9]{2})\.jpg")
PHOTO_LIST = "holidays_images.dat"  # if this file exists, only the listed photos are used


def load(folder: Path) -> Benchmark:
    """Load ``holidays``. The photos lie in the sub-folder ``jpg`` of ``folder``.

    Raises:
        DatasetError: If a photo is missing, a file name is invalid, or a scene has too few photos.
    """
    found = sorted(path.name for path in (folder / "jpg").iterdir() if path.suffix == ".jpg")
    lines = [Line(name, str(folder / "jpg")) for name in found]
    if (path := next(folder.rglob(PHOTO_LIST), None)) is not None:
        lines = read_lines(path)
        check_photos_exist(lines, set(found), folder / "jpg")
    positives: dict[str, list[int]] = defaultdict(list)
    queries: dict[str, int] = {}
    for number, (name, location) in enumerate(lines):
        if (match := FILE_NAME.fullmatch(name)) is None:
            expected = "expected six digits and .jpg, as in 100000.jpg"
            raise invalid(location, f"found the file name {name!r}; {expected}", fix=UNPACK)
        scene, index = match.groups()
        if index == "00":
            queries[scene] = number
        else:
            positives[scene].append(number)
    if incomplete := queries.keys() ^ positives.keys():
        scene = min(incomplete)
        expected = f"expected the query {scene}00.jpg and at least one other photo"
        raise invalid(folder, f"scene {scene} is incomplete; {expected}", fix=UNPACK)
    jpg = f"{folder.name}/jpg"
    truths = (Truth(np.array(positives[scene]), np.array([queries[scene]])) for scene in queries)
    return Benchmark(
        name="holidays",
        root=folder.parent,
        database=tuple(f"{jpg}/{line.text}" for line in lines),
        queries=tuple(Query(name=f"{scene}00", photo=f"{jpg}/{scene}00.jpg") for scene in queries),
        truths={STANDARD: tuple(truths)},
    )
