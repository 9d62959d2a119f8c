"""Indexes of a million descriptors side by side: ours, pynndescent, hnswlib, faiss, and exact search.

Each is built, saved, and asked the same held-out queries at several efforts, in turn; times are at
one recall, read off between the efforts. A new process then loads each, and answers. What is not installed
is left out, and named.
"""

import gc
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

THREADS = 2
K, RECALL = 60, 0.95
ROUNDS = 5
BEAMS = (60, 70, 85, 100, 130, 180)
TIE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A way to index: how it is built, saved, loaded and asked, and the efforts worth trying."""

    needs: str
    build: Callable
    save: Callable
    load: Callable
    search: Callable  # index, queries, effort -> rows, distances
    efforts: tuple = (None,)


def ours(kind: str, efforts: tuple = (None,), **settings: object) -> Peer:
    from delfjax.search.index import build_index, load_index

    def search(index, queries, effort):
        if effort is not None:
            index.effort = effort
        return index.search(queries, K)

    return Peer(
        needs="delfjax",
        build=lambda rows: build_index(rows, kind, **settings),
        save=lambda index, path: index.save(path),
        load=load_index,
        search=search,
        efforts=efforts,
    )


def _pynndescent() -> Peer:
    def build(rows):
        from pynndescent import NNDescent

        index = NNDescent(
            rows,
            n_neighbors=K,
            random_state=0,
            n_jobs=THREADS,
            compressed=True,
            parallel_batch_queries=True,
        )
        index.prepare()
        return index

    return Peer(
        needs="pynndescent",
        build=build,
        save=lambda index, path: path.write_bytes(pickle.dumps(index, protocol=5)),
        load=lambda path: pickle.loads(path.read_bytes()),
        search=lambda index, queries, effort: index.query(queries, k=K, epsilon=effort),
        efforts=(0.01, 0.03, 0.06, 0.1, 0.15, 0.2),
    )


def _hnswlib() -> Peer:
    def made():
        import hnswlib

        return hnswlib.Index("l2", 40)

    def build(rows):
        index = made()
        index.init_index(len(rows), M=16, ef_construction=100, random_seed=0)
        index.set_num_threads(THREADS)
        index.add_items(rows)
        return index

    def load(path):
        index = made()
        index.load_index(str(path))
        index.set_num_threads(THREADS)
        return index

    def search(index, queries, effort):
        index.set_ef(effort)
        rows, squared = index.knn_query(queries, K)
        return rows, np.sqrt(squared)

    save = lambda index, path: index.save_index(str(path))  # noqa: E731
    return Peer(needs="hnswlib", build=build, save=save, load=load, search=search, efforts=BEAMS)


def _faiss(kind: str, effort_name: str = "", efforts: tuple = (None,)) -> Peer:
    def threaded():
        import faiss

        faiss.omp_set_num_threads(THREADS)
        return faiss

    def build(rows):
        lists = 4 * round(len(rows) ** 0.5)
        index = threaded().index_factory(rows.shape[1], kind.format(lists=lists))
        if "HNSW" in kind:
            index.hnsw.efConstruction = 100
        index.train(rows)
        index.add(rows)
        return index

    def search(index, queries, effort):
        if effort is not None:
            threaded().ParameterSpace().set_index_parameter(index, effort_name, effort)
        squared, rows = index.search(queries, K)
        return rows, np.sqrt(np.maximum(squared, 0))

    return Peer(
        needs="faiss",
        build=build,
        save=lambda index, path: threaded().write_index(index, str(path)),
        load=lambda path: threaded().read_index(str(path)),
        search=search,
        efforts=efforts,
    )


PEERS = {
    "delfjax nndescent": lambda: ours("nndescent", BEAMS, threads=THREADS),
    "pynndescent": _pynndescent,
    "hnswlib": _hnswlib,
    "faiss HNSW": lambda: _faiss("HNSW16", "efSearch", BEAMS),
    "faiss IVF": lambda: _faiss("IVF{lists},Flat", "nprobe", (16, 32, 64, 128, 256)),
    "delfjax exact": lambda: ours("exact"),
    "faiss flat": lambda: _faiss("Flat"),
}
peer = cache(lambda name: PEERS[name]())


def cold(name: str, path: Path, asked: Path) -> None:
    """Load an index and answer, in this process, which is new."""
    peer(name).search(peer(name).load(path), np.load(asked), peer(name).efforts[-1])


def warm(name: str, path: Path, asked: Path) -> float:
    """Return the MB that an index takes, once its library is there: those of a second beside a first."""
    queries, indexes = np.load(asked), []
    for _ in range(2):
        before = _resident()
        indexes.append(peer(name).load(path))
        peer(name).search(indexes[-1], queries, peer(name).efforts[-1])
        gc.collect()
    return (_resident() - before) / 1e6


def _resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def run(size: int = 1_000_000, store: Path | None = None) -> dict:
    """Build, time and compare.

    Args:
        size: Descriptors.
        store: Of real ones; by default the rendered set's, which is extracted if need be.
    """
    from benchmarks import (
        descriptors,
    )  # not at the top: the new processes are not to import all this

    photos, queries = descriptors.read(store)
    real = np.concatenate(photos)
    database = descriptors.enlarged(real, size)
    seen = descriptors.statistics(photos, queries)
    names = [name for name in PEERS if find_spec(peer(name).needs)]
    with tempfile.TemporaryDirectory() as folder:
        rows, indexes = _build(names, database, Path(folder))
        curves = _curves(indexes, queries)
        _start(rows, Path(folder), queries)
    matched = max(RECALL, *(min(curve)[0] for name, curve in curves.items() if len(curve) > 1))
    for name, curve in curves.items():
        rows[name] |= read_off(curve, matched)
    ours, theirs = rows["delfjax nndescent"], rows.get("hnswlib")
    ratio = ours["ms per 1,000 queries"] / theirs["ms per 1,000 queries"] if theirs else None
    return {
        "value": round(ratio, 2) if theirs else ours["ms per 1,000 queries"],
        "what": f"query time over hnswlib's at recall@60 {matched:.3f}, {size} descriptors",
        "rows": [{"index": name, **row} for name, row in rows.items()],
        "left out": sorted(set(PEERS) - set(names)),
        "real descriptors": len(real),
        "likeness of the invented ones": seen,
        "config": {"size": size, "k": K, "threads": THREADS, "queries": len(queries)},
    }


def _build(names: list[str], database: np.ndarray, folder: Path) -> tuple[dict, dict]:
    """Build and save each."""
    rows, indexes = {}, {}
    for number, name in enumerate(names):
        start = time.perf_counter()
        indexes[name] = peer(name).build(database)
        built = time.perf_counter() - start
        path = folder / str(number)
        peer(name).save(indexes[name], path)
        rows[name] = {"build s": round(built, 1), "MB on disk": round(bytes_on_disk(path) / 1e6, 1)}
    return rows, indexes


def bytes_on_disk(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _curves(indexes: dict, queries: np.ndarray) -> dict[str, list[tuple[float, float]]]:
    """Return recall and seconds of each index at each effort, timed in turn."""
    true = peer("delfjax exact").search(indexes["delfjax exact"], queries, None)[1][:, -1:]
    curves = {}
    for name, index in indexes.items():  # the first answers compile
        for effort in peer(name).efforts:
            found = peer(name).search(index, queries, effort)[1]
            curves.setdefault(name, []).append([float((found <= true + TIE).mean()), np.inf])
    for _ in range(ROUNDS):
        for place in range(max(map(len, curves.values()))):
            for name, curve in curves.items():
                if place < len(curve):
                    start = time.perf_counter()
                    peer(name).search(indexes[name], queries, peer(name).efforts[place])
                    curve[place][1] = min(curve[place][1], time.perf_counter() - start)
    return {name: [tuple(point) for point in curve] for name, curve in curves.items()}


def read_off(curve: list[tuple[float, float]], recall: float) -> dict:
    """Interpolate the time at a recall; at the most effort where the curve ends before."""
    recalls, seconds = (np.array(part) for part in zip(*sorted(curve), strict=True))
    reached = min(recall, recalls[-1]) if len(curve) > 1 else recalls[0]
    at = float(np.exp(np.interp(reached, recalls, np.log(seconds))))
    return {
        "recall@60": round(float(reached), 4),
        "ms per 1,000 queries": round(1e6 * at / 1000, 1),
        "curve (recall, ms)": [[round(r, 4), round(1000 * s, 1)] for r, s in curve],
    }


def _start(rows: dict, folder: Path, queries: np.ndarray) -> None:
    """Time a new process for each index, the quicker of two; and ask another for its memory."""
    asked = folder / "asked.npy"
    np.save(asked, queries[:100])
    for number, name in enumerate(rows):
        arguments = f"{name!r}, Path({str(folder / str(number))!r}), Path({str(asked)!r})"
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            _process(f"cold({arguments})")
            seconds.append(time.perf_counter() - start)
        rows[name] |= {
            "cold start s": round(min(seconds), 2),
            "MB in memory": round(json.loads(_process(f"warm({arguments})")), 1),
        }


def _process(call: str) -> str:
    """Run a call in a new process; return the last line that it prints."""
    code = f"from pathlib import Path; from benchmarks.scale import cold, warm; print({call})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().splitlines()[-1]
