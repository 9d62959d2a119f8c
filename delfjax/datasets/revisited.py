"""Revisited Oxford and Paris, and their million distractors (Radenovic et al., CVPR 2018).

``gnd_roxford5k.pkl`` holds ``imlist`` and ``qimlist``, the photos of ``jpg/`` without suffix, and
``gnd``: of each query a box ``bbx``, and as numbers in ``imlist``, from 0, what is ``easy``, ``hard``
and ``junk``. Queries are cropped, and are not in the database. Not in the paper, which is older.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from delfjax.datasets.benchmark import Benchmark, DatasetError, Query
from delfjax.datasets.oxford import Line, box_of, check_on_disk, photos_of, read_lines
from delfjax.datasets.pickles import load_plain
from delfjax.datasets.truth import Truth, revisited_truth
from delfjax.images.reading import Box

PROTOCOLS = ("medium", "easy", "hard")  # the first is what results are usually given by
LEVELS = ("easy", "hard", "junk")
LIST = "revisitop1m.txt"  # of the distractors


def load(name: str, folder: Path) -> Benchmark:
    """Read ``roxford5k`` or ``rparis6k``.

    Raises:
        DatasetError: A file is missing or says what cannot be.
        PhotoError: A query's photo cannot be read.
    """
    path = folder / f"gnd_{name}.pkl"
    database, asked, stated = _read(path)
    photos = {photo.name for photo in (folder / "jpg").iterdir()}
    listed = (Line(f"{stem}.jpg", str(path)) for stem in (*database, *asked))
    check_on_disk(listed, photos, folder / "jpg")
    queries, truths = [], []
    for stem, query in zip(asked, stated, strict=True):
        photo, where = f"jpg/{stem}.jpg", f"{path}, query {stem}"
        queries.append(Query(name=stem, photo=photo, box=_box(query, folder / photo, where)))
        truths.append(_truths(query, len(database), where))
    return Benchmark(
        name=name,
        root=folder,
        database=tuple(f"jpg/{stem}.jpg" for stem in database),
        queries=tuple(queries),
        truths={protocol: tuple(each[protocol] for each in truths) for protocol in PROTOCOLS},
    )


def distractors(folder: Path) -> tuple[str, ...]:
    """List the photos of ``revisitop1m``: those of its list, unopened, or without it, those there.

    Raises:
        DatasetError: The list names what lies elsewhere, or cannot be read.
    """
    if not (folder / LIST).exists():
        return photos_of(folder)
    names = []
    for text, where in read_lines(folder / LIST):
        name = PurePosixPath("jpg", text)
        if ".." in name.parts or name.parts[0] != "jpg":
            raise DatasetError(f"{where}: {text!r}; expected a photo within {folder / 'jpg'}")
        names.append(str(name if name.suffix else name.with_suffix(".jpg")))
    return tuple(names)


def _read(path: Path) -> tuple[list[str], list[str], list[dict]]:
    """Return the names of the database and of the queries, and what is stated of each query."""
    match load_plain(path):
        case {"imlist": list(database), "qimlist": list(asked), "gnd": list(stated)}:
            pass
        case _:
            raise DatasetError(f"{path}: expected a dict of lists: imlist, qimlist and gnd")
    for name in (*database, *asked):
        if not isinstance(name, str) or "/" in name:
            raise DatasetError(
                f"{path}: photo {name!r}; expected a name, without folder and suffix"
            )
    if len(asked) != len(stated) or not all(isinstance(query, dict) for query in stated):
        raise DatasetError(
            f"{path}: {len(asked)} names in qimlist, {len(stated)} queries in gnd; expected a dict "
            "for each name"
        )
    if both := set(database).intersection(asked):
        raise DatasetError(f"{path}: {min(both)} is in qimlist and imlist; expected it in one")
    return database, asked, stated


def _box(query: dict, photo: Path, where: str) -> Box:
    try:
        left, top, right, bottom = map(float, query["bbx"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise DatasetError(
            f"{where}: bbx {query.get('bbx')}; expected four numbers, x1 y1 x2 y2"
        ) from None
    return box_of((left, top, right, bottom), photo, where)


def _truths(query: dict, size: int, where: str) -> dict[str, Truth]:
    levels = [_numbers(query, level, size, where) for level in LEVELS]
    try:
        return {protocol: revisited_truth(*levels, protocol) for protocol in PROTOCOLS}
    except ValueError as error:  # a photo is listed twice
        raise DatasetError(f"{where}: {', '.join(LEVELS)}: {error}") from None


def _numbers(query: dict, level: str, size: int, where: str) -> list[int]:
    """Return the photos of a level, a list or an array, once they prove to be in the database."""
    numbers = query.get(level)
    flat = isinstance(numbers, list | tuple) or (
        isinstance(numbers, np.ndarray) and numbers.ndim == 1
    )
    if not flat or not all(type(n) is int or isinstance(n, np.integer) for n in numbers):
        raise DatasetError(f"{where}: {level} {numbers!r}; expected a flat list of integers")
    if strange := [int(n) for n in numbers if not 0 <= n < size]:
        raise DatasetError(
            f"{where}: {level} has photo {strange[0]}; expected 0 to {size - 1}, as imlist has {size}"
        )
    return [int(n) for n in numbers]
