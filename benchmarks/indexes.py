"""One interface to nearest-neighbor indexes of delfjax, pynndescent, hnswlib and faiss.

Libraries are imported on first use. So the measured time of a new process includes only the imports that
the process needs.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

THREADS = 2
K, RECALL = 60, 0.95  # neighbors per query, and recall at which search times are compared
BEAMS = (60, 70, 85, 100, 130, 180)  # efforts of graphs: number of nodes that a search keeps
TIE = 1e-4  # distances that differ by less count as equal


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """Functions of one implementation of a nearest-neighbor index.

    Attributes:
        package: Python package that must be installed.
        build: Function that takes descriptors and returns an index.
        save: Function that takes an index and a path, and writes the index.
        load: Function that takes a path and returns the index.
        search: Function that takes an index, queries and an effort, and returns rows and distances.
        efforts: Efforts (thoroughness of a search) to measure, lowest first. ``(None,)`` if the search
            has no such setting.
    """

    package: str
    build: Callable
    save: Callable
    load: Callable
    search: Callable
    efforts: tuple = (None,)


def delfjax_index(kind: str, efforts: tuple = (None,), **settings: object) -> Implementation:
    """Return the implementation of an index of delfjax."""
    from delfjax.search.index import build_index, load_index

    def search(index, queries, effort):
        if effort is not None:
            index.effort = effort
        return index.search(queries, K)

    return Implementation(
        package="delfjax",
        build=lambda rows: build_index(rows, kind, **settings),
        save=lambda index, path: index.save(path),
        load=load_index,
        search=search,
        efforts=efforts,
    )


def pynndescent_index() -> Implementation:
    """Return the implementation of the neighbor graph of pynndescent."""

    def build(rows):
        from pynndescent import NNDescent

        options = {"compressed": True, "parallel_batch_queries": True}
        index = NNDescent(rows, n_neighbors=K, random_state=0, n_jobs=THREADS, **options)
        index.prepare()
        return index

    return Implementation(
        package="pynndescent",
        build=build,
        save=lambda index, path: path.write_bytes(pickle.dumps(index, protocol=5)),
        load=lambda path: pickle.loads(path.read_bytes()),
        search=lambda index, queries, effort: index.query(queries, k=K, epsilon=effort),
        efforts=(0.01, 0.03, 0.06, 0.1, 0.15, 0.2),
    )


def hnswlib_index() -> Implementation:
    """Return the implementation of the HNSW graph of hnswlib."""

    def build(rows):
        import hnswlib

        index = hnswlib.Index("l2", rows.shape[1])
        index.init_index(len(rows), M=16, ef_construction=100, random_seed=0)
        index.set_num_threads(THREADS)
        index.add_items(rows)
        return index

    def load(path):
        import hnswlib

        index = hnswlib.Index("l2", 40)
        index.load_index(str(path))
        index.set_num_threads(THREADS)
        return index

    def search(index, queries, effort):
        index.set_ef(effort)
        rows, squared = index.knn_query(queries, K)
        return rows, np.sqrt(squared)

    return Implementation(
        package="hnswlib",
        build=build,
        save=lambda index, path: index.save_index(str(path)),
        load=load,
        search=search,
        efforts=BEAMS,
    )


def faiss_index(factory: str, effort_name: str = "", efforts: tuple = (None,)) -> Implementation:
    """Return the implementation of an index of faiss.

    Args:
        factory: Description of the index for ``faiss.index_factory``. ``{lists}`` is replaced by the
            number of inverted lists.
        effort_name: Name of the setting that trades time for recall.
        efforts: Values of that setting.
    """

    def import_faiss():
        import faiss

        faiss.omp_set_num_threads(THREADS)
        return faiss

    def build(rows):
        lists = 4 * round(len(rows) ** 0.5)
        index = import_faiss().index_factory(rows.shape[1], factory.format(lists=lists))
        if "HNSW" in factory:
            index.hnsw.efConstruction = 100
        index.train(rows)
        index.add(rows)
        return index

    def search(index, queries, effort):
        if effort is not None:
            import_faiss().ParameterSpace().set_index_parameter(index, effort_name, effort)
        squared, rows = index.search(queries, K)
        return rows, np.sqrt(np.maximum(squared, 0))

    return Implementation(
        package="faiss",
        build=build,
        save=lambda index, path: import_faiss().write_index(index, str(path)),
        load=lambda path: import_faiss().read_index(str(path)),
        search=search,
        efforts=efforts,
    )


def faiss_hnsw() -> Implementation:
    """Return the implementation of the HNSW graph of faiss."""
    return faiss_index("HNSW16", "efSearch", BEAMS)


def file_size(path: Path) -> int:
    """Return the size in bytes of a file, or of all files in a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def time_at_recall(curve: list[tuple[float, float]], recall: float) -> dict:
    """Interpolate the time of 1,000 queries at a given recall.

    Args:
        curve: Recall (from 0 to 1) and seconds at each effort.
        recall: The recall. If the curve does not reach this recall, the nearest measured one is used.
    """
    recalls, seconds = (np.array(part) for part in zip(*sorted(curve), strict=True))
    reached = float(np.clip(recall, recalls[0], recalls[-1]))
    at = float(np.exp(np.interp(reached, recalls, np.log(seconds))))
    return {
        "recall@60": round(reached, 4),
        "ms per 1,000 queries": round(1e6 * at / 1000, 1),
        "curve (recall, ms)": [[round(r, 4), round(1000 * s, 1)] for r, s in curve],
    }
