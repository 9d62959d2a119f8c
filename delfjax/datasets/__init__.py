"""Load benchmarks from published data sets, the rendered data sets, or labeled folders.

The folder ``$DELFJAX_DATA`` holds one sub-folder per published data set. ``delfjax data`` lists and
downloads these data sets. The rendered data sets have synthetic photos and are part of the repository.
A labeled folder has one sub-folder per class of photos.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from delfjax.datasets import google_landmarks, holidays, oxford, rendered, revisited
from delfjax.datasets.benchmark import Benchmark, DatasetError, Query
from delfjax.datasets.catalog import data_folder, missing_message, missing_parts
from delfjax.datasets.labeled_folder import LABELED, labeled
from delfjax.images.folder import scan

__all__ = [
    "LABELED",
    "NAMES",
    "RENDERED",
    "Benchmark",
    "DatasetError",
    "Query",
    "available",
    "data_folder",
    "labeled",
    "load",
]

_LOADERS: dict[str, Callable[[Path], Benchmark]] = {
    "oxford5k": partial(oxford.load, "oxford5k"),
    "paris6k": partial(oxford.load, "paris6k"),
    "roxford5k": partial(revisited.load, "roxford5k"),
    "rparis6k": partial(revisited.load, "rparis6k"),
    "holidays": holidays.load,
    "google_landmarks_v1": google_landmarks.load_v1,
    "google_landmarks_v2": google_landmarks.load_v2,
}
_DISTRACTORS = ("flickr100k", "revisitop1m")
RENDERED = tuple(rendered.FOLDERS)
NAMES = (
    *_LOADERS,
    "oxford5k+flickr100k",
    "paris6k+flickr100k",
    "roxford5k+revisitop1m",
    "rparis6k+revisitop1m",
    *RENDERED,
)


def load(name: str, root: Path | str | None = None) -> Benchmark:
    """Load a benchmark by name.

    The name of a published photo is its path in ``root``. A photo of ``oxford5k`` has the same name
    in ``oxford5k+flickr100k``, so the features that were stored for one are valid for the other.

    Args:
        name: One of `NAMES`. ``A+B`` is data set ``A``, and the photos of ``B`` are distractors:
            database photos that are correct for no query.
        root: Folder that holds one sub-folder per data set. By default ``$DELFJAX_DATA`` if set,
            otherwise ``datasets`` in the cache folder.

    Raises:
        DatasetError: If the name is unknown, or files are missing or invalid.
        PhotoError: If a query photo or a folder of photos cannot be read.
    """
    root = data_folder() if root is None else Path(root)
    if name not in NAMES:
        raise DatasetError(f"unknown benchmark {name!r}. Fix: use one of {', '.join(NAMES)}")
    base, _, distractors = name.partition("+")
    if name in RENDERED:
        return rendered.load(rendered.find_folder(root, name), name=name)
    for part in filter(None, (base, distractors)):
        if missing_parts(part, root):
            raise DatasetError(missing_message(part, root))
    benchmark = _LOADERS[base](root / base)
    if not distractors:
        return benchmark
    photos = tuple(f"{distractors}/{photo}" for photo in scan(root / distractors).names)
    database = benchmark.database + photos
    return replace(benchmark, name=name, database=database, distractor_count=len(photos))


def available(root: Path | str | None = None) -> tuple[str, ...]:
    """List the names of the benchmarks whose required files exist, without reading these files.

    ``root`` is the folder of the data sets, as in `load`.
    """
    root = data_folder() if root is None else Path(root)
    complete = {part for part in (*_LOADERS, *_DISTRACTORS) if not missing_parts(part, root)}
    for name in RENDERED:
        if (rendered.find_folder(root, name) / rendered.CHECKSUMS).is_file():
            complete |= {*name.split("+")}
    return tuple(name for name in NAMES if complete.issuperset(name.split("+")))
