"""Load Revisited Oxford and Paris (Radenovic et al., CVPR 2018).

The file ``gnd_roxford5k.pkl`` holds a dict. ``imlist`` has the names of the database photos, and
``qimlist`` the names of the query photos, without suffix. ``gnd`` has one dict per query: the box
``bbx``, and the indices of the ``easy``, ``hard`` and ``junk`` photos in ``imlist``, from 0.
Query photos are cropped and not in the database. The DELF paper does not use these benchmarks.
"""

import io
import pickle
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any, NoReturn

import numpy as np

from delfjax.datasets.benchmark import Benchmark, DatasetError, Query, Truth, invalid
from delfjax.datasets.text_files import Line, check_photos_exist, read_box
from delfjax.files import check_size, reading

MAX_PICKLE_BYTES = 16_000_000  # the names of 100,000 photos take 3 MB
PROTOCOLS = ("medium", "easy", "hard")  # the first is the default


def load(name: str, folder: Path) -> Benchmark:
    """Load ``roxford5k`` or ``rparis6k``. ``folder`` holds ``gnd_NAME.pkl`` and the folder ``jpg``.

    Raises:
        DatasetError: If the content of ``gnd_NAME.pkl`` is invalid, or a photo is missing.
        FileNotFoundError: If ``gnd_NAME.pkl`` or the folder ``jpg`` is missing.
        PhotoError: If the photo of a query cannot be read.
    """
    path = folder / f"gnd_{name}.pkl"
    database, query_names, annotations = _read(path)
    photos = {photo.name for photo in (folder / "jpg").iterdir()}
    listed = (Line(f"{stem}.jpg", str(path)) for stem in (*database, *query_names))
    check_photos_exist(listed, photos, folder / "jpg")
    queries, truths = [], []
    for stem, annotation in zip(query_names, annotations, strict=True):
        photo, location = f"{folder.name}/jpg/{stem}.jpg", f"{path}, query {stem}"
        box = read_box(annotation.get("bbx"), folder.parent / photo, location)
        queries.append(Query(name=stem, photo=photo, box=box))
        truths.append(_read_truths(annotation, len(database), location))
    return Benchmark(
        name=name,
        root=folder.parent,
        database=tuple(f"{folder.name}/jpg/{stem}.jpg" for stem in database),
        queries=tuple(queries),
        truths={protocol: tuple(each[protocol] for each in truths) for protocol in PROTOCOLS},
    )


def _read(path: Path) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Return the database names, the query names, and the annotation of each query."""
    match load_plain(path):
        case {"imlist": list(database), "qimlist": list(queries), "gnd": list(annotations)}:
            pass
        case _:
            raise invalid(path, "is not a dict of the lists imlist, qimlist and gnd")
    for name in (*database, *queries):
        if not isinstance(name, str) or "/" in name:
            expected = "expected a string without folder names"
            raise invalid(path, f"found the photo name {short_repr(name)}; {expected}")
    if len(queries) != len(annotations) or not all(isinstance(each, dict) for each in annotations):
        found = f"qimlist has {len(queries)} names, gnd has {len(annotations)} entries"
        raise invalid(path, f"{found}; expected one entry of gnd, a dict, for each name in qimlist")
    if both := set(database).intersection(queries):
        raise invalid(path, f"photo {min(both)} is in both qimlist and imlist")
    return database, queries, annotations


def _read_truths(annotation: dict[str, Any], database_size: int, location: str) -> dict[str, Truth]:
    levels: dict[str, list[int]] = {}
    for level in ("easy", "hard", "junk"):
        numbers = annotation.get(level)
        if not isinstance(numbers, list) or not all(
            type(number) is int and 0 <= number < database_size for number in numbers
        ):
            expected = f"expected a list of integers from 0 to {database_size - 1}"
            raise invalid(location, f"{level} is {short_repr(numbers)}; {expected}")
        levels[level] = numbers
    easy, hard, junk = (np.array(numbers, int) for numbers in levels.values())
    try:
        return {
            "medium": Truth(np.append(easy, hard), junk),
            "easy": Truth(easy, np.append(junk, hard)),
            "hard": Truth(hard, np.append(junk, easy)),
        }
    except ValueError as error:  # a photo is listed twice
        found = f"the lists {', '.join(levels)} repeat a photo ({error})"
        raise invalid(location, found) from None


def load_plain(path: Path) -> object:
    """Read a pickle file of dicts, lists, tuples, strings and numbers, written by Python 2 or 3.

    A pickle file can name any Python function, which then runs during reading. `load_plain` refuses
    all such names, as the documentation of `pickle` recommends. Ground truth needs none.

    Raises:
        DatasetError: If the file cannot be read, exceeds `MAX_PICKLE_BYTES`, or holds other data.
        FileNotFoundError: If the file does not exist.
    """
    expected = "a pickle of dicts, lists, tuples, strings and numbers"
    with reading(path, expected, fix="download the file again", error=DatasetError):
        check_size(path.stat().st_size, MAX_PICKLE_BYTES)
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()


# The unpickler in C would allocate as much memory as a number in the file demands.
class _PlainUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse a name that the file asks for."""
        raise ValueError(f"it asks for {module}.{name}; no code from the file was run")
