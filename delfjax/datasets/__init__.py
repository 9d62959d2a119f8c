"""Benchmarks of the field, real and rendered, behind one door: `load` returns a `Benchmark`.

Real ones lie in one folder, each in a folder of its own name, as their publishers' archives unpack.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from delfjax.datasets import google_landmarks, holidays, oxford, rendered, revisited
from delfjax.datasets.benchmark import Benchmark, DatasetError, Query
from delfjax.datasets.catalog import MissingDataError, missing_message, missing_parts

LOADERS: dict[str, Callable[[Path], Benchmark]] = {
    "oxford5k": partial(oxford.load, "oxford5k"),
    "paris6k": partial(oxford.load, "paris6k"),
    "roxford5k": partial(revisited.load, "roxford5k"),
    "rparis6k": partial(revisited.load, "rparis6k"),
    "holidays": holidays.load,
    "google_landmarks_v1": google_landmarks.load_v1,
    "google_landmarks_v2": google_landmarks.load_v2,
}
DISTRACTORS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "flickr100k": oxford.photos_of,
    "revisitop1m": revisited.distractors,
}
RENDERED = ("rendered", "rendered+places")
NAMES = (
    *LOADERS,
    "oxford5k+flickr100k",
    "paris6k+flickr100k",
    "roxford5k+revisitop1m",
    "rparis6k+revisitop1m",
    *RENDERED,
)


def load(name: str, root: Path | str) -> Benchmark:
    """Load a benchmark.

    Photos are named relative to ``root``, so that a set's features serve it with distractors too.

    Args:
        name: One of `NAMES`; what follows a ``+`` are distractors.
        root: The folder of data sets; see `rendered.find_folder` for where the rendered one is.

    Raises:
        DatasetError: There is no such benchmark, or its files say what cannot be.
        MissingDataError: Files are missing; it says which, and where to get them.
    """
    root, (base, _, more) = Path(root), name.partition("+")
    if name not in NAMES:
        raise DatasetError(f"no benchmark {name!r}; expected one of {', '.join(NAMES)}")
    if name in RENDERED:
        return rendered.load(rendered.find_folder(root), distractors=bool(more))
    for part in filter(None, (base, more)):
        if lacking := missing_parts(part, root):
            raise MissingDataError(missing_message(part, root, lacking))
    benchmark = _moved(LOADERS[base](root / base), root)
    if not more:
        return benchmark
    photos = tuple(f"{more}/{photo}" for photo in DISTRACTORS[more](root / more))
    database = benchmark.database + photos
    return replace(benchmark, name=name, database=database, distractor_count=len(photos))


def available(root: Path | str) -> tuple[str, ...]:
    """Return the benchmarks of which every part is there; whether each is whole, `load` finds out."""
    root = Path(root)
    whole = {part for part in (*LOADERS, *DISTRACTORS) if not missing_parts(part, root)}
    if (rendered.find_folder(root) / "SHA256SUMS").is_file():
        whole |= {"rendered", "places"}
    return tuple(name for name in NAMES if whole.issuperset(name.split("+")))


def _moved(benchmark: Benchmark, root: Path) -> Benchmark:
    """Name photos relative to ``root``, above the benchmark's own folder."""
    folder = benchmark.root.relative_to(root).as_posix()

    def moved(queries: tuple[Query, ...]) -> tuple[Query, ...]:
        return tuple(replace(query, photo=f"{folder}/{query.photo}") for query in queries)

    return replace(
        benchmark,
        root=root,
        database=tuple(f"{folder}/{photo}" for photo in benchmark.database),
        queries=moved(benchmark.queries),
        distractor_queries=moved(benchmark.distractor_queries),
    )
