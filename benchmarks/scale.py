"""Compare indexes of delfjax, pynndescent, hnswlib and faiss on a million descriptors.

Each index is built, saved, and searched with the same queries at several efforts (thoroughness of a
search). Search times are compared at one recall, interpolated between efforts. Then a new process loads
each index and searches it once.
"""

import gc
import json
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks import indexes
from benchmarks.indexes import BEAMS, RECALL, THREADS, TIE, Implementation, K
from benchmarks.timing import measure, run_in_process

ROUNDS = 5  # number of times that each search is repeated
IMPLEMENTATIONS = {
    "delfjax nndescent": lambda: indexes.delfjax_index("nndescent", BEAMS, threads=THREADS),
    "pynndescent": indexes.pynndescent_index,
    "hnswlib": indexes.hnswlib_index,
    "faiss HNSW": indexes.faiss_hnsw,
    "faiss IVF": lambda: indexes.faiss_index("IVF{lists},Flat", "nprobe", (16, 32, 64, 128, 256)),
    "delfjax exact": lambda: indexes.delfjax_index("exact"),
    "faiss flat": lambda: indexes.faiss_index("Flat"),
}


@cache
def implementation(name: str) -> Implementation:
    """Return the implementation with this name."""
    return IMPLEMENTATIONS[name]()


def run(size: int = 1_000_000) -> dict:
    """Build, search and compare the indexes of all libraries that are installed."""
    from benchmarks import descriptors  # imported here so that new processes start without it

    photos, queries = descriptors.load_real()
    real = np.concatenate(photos)
    database = descriptors.enlarge(real, size)
    names = [name for name in IMPLEMENTATIONS if find_spec(implementation(name).package)]
    with tempfile.TemporaryDirectory() as folder:
        rows, built = _build(names, database, Path(folder))
        curves = _search(built, queries)
        _load(rows, Path(folder), queries)
    # Recall at which times are compared. It is raised if the curve of an index begins above `RECALL`.
    matched = max(RECALL, *(min(curve)[0] for curve in curves.values() if len(curve) > 1))
    for name, curve in curves.items():
        rows[name] |= indexes.time_at_recall(curve, matched)
    ours, theirs = rows["delfjax nndescent"], rows.get("hnswlib")
    value, what = ours["ms per 1,000 queries"], "ms for 1,000 queries in our graph"
    if theirs:
        value = round(value / theirs["ms per 1,000 queries"], 2)
        what = "query time of our graph, relative to hnswlib"
    return {
        "value": value,
        "what": f"{what}, at recall@60 {matched:.3f}, {size} descriptors",
        "rows": [{"index": name, **row} for name, row in rows.items()],
        "not installed": sorted(set(IMPLEMENTATIONS) - set(names)),
        "real descriptors": len(real),
        "synthetic descriptors": descriptors.compare_synthetic(photos, queries),
        "config": {"size": size, "k": K, "threads": THREADS, "queries": len(queries)},
    }


def load_and_search(name: str, path: Path, queries: Path) -> None:
    """Load an index and search it once. `run` calls this function in a new process."""
    made = implementation(name)
    made.search(made.load(path), np.load(queries), made.efforts[-1])


def measure_memory(name: str, path: Path, queries: Path) -> float:
    """Return the MB of an index: the memory that loading it a second time adds."""
    made, loaded = implementation(name), []
    for _ in range(2):
        before = _resident_bytes()
        loaded.append(made.load(path))
        made.search(loaded[-1], np.load(queries), made.efforts[-1])
        gc.collect()
    return (_resident_bytes() - before) / 1e6


def _resident_bytes() -> int:
    """Return the bytes of memory that this process uses (on Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _build(names: list[str], database: np.ndarray, folder: Path) -> tuple[dict, dict]:
    """Build and save each index; return measurements and indexes by name."""
    rows, built = {}, {}
    for number, name in enumerate(names):
        made, path = implementation(name), folder / str(number)
        built[name], seconds = measure(lambda made=made: made.build(database))
        made.save(built[name], path)
        rows[name] = {
            "build s": round(seconds, 1),
            "MB on disk": round(indexes.file_size(path) / 1e6, 1),
        }
    return rows, built


def _search(built: dict, queries: np.ndarray) -> dict[str, list[tuple[float, float]]]:
    """Measure the recall and seconds of each index at each effort. All indexes run alternately."""
    exact = implementation("delfjax exact").search(built["delfjax exact"], queries, None)
    recalls, seconds = {}, {}
    runs = [(name, effort) for name in built for effort in implementation(name).efforts]
    for name, effort in runs:  # a first search, which compiles
        _, found = implementation(name).search(built[name], queries, effort)
        recalls[name, effort] = float((found <= exact[1][:, -1:] + TIE).mean())
        seconds[name, effort] = []
    for _ in range(ROUNDS):
        for name, effort in runs:
            search = implementation(name).search
            _, taken = measure(lambda s=search, n=name, e=effort: s(built[n], queries, e))
            seconds[name, effort].append(taken)
    return {
        name: [(recalls[each], min(seconds[each])) for each in runs if each[0] == name]
        for name in built
    }


def _load(rows: dict, folder: Path, queries: np.ndarray) -> None:
    """Measure how long a new process takes to load and search each index, and the index's memory."""
    path = folder / "queries.npy"
    np.save(path, queries[:100])
    for number, name in enumerate(rows):
        arguments = f"{name!r}, Path({str(folder / str(number))!r}), Path({str(path)!r})"
        call = f"load_and_search({arguments})"
        seconds = [measure(lambda call=call: run_in_process(__name__, call))[1] for _ in range(2)]
        memory = json.loads(run_in_process(__name__, f"measure_memory({arguments})"))
        rows[name] |= {"cold start s": round(min(seconds), 2), "MB in memory": round(memory, 1)}
