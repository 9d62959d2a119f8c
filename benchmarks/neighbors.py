"""Find the size of a database from which on a neighbor graph is faster than exact search.

Descriptors are random unit vectors in clusters. Each size is measured in a new process, so the time of
the graph includes loading the functions that numba compiled before.
"""

import json

import numpy as np

from benchmarks.timing import measure, run_in_process
from delfjax.search.index import build_index

KINDS = ("exact", "nndescent")
SIZES = (500, 5_000, 100_000)
FEATURES = 1000  # features per query photo
QUERIES = 100  # query photos, whose total time is compared
DIMENSIONS = 40


def random_descriptors(count: int) -> np.ndarray:
    """Make ``count`` random unit vectors in clusters around ``count / 50`` centers."""
    random = np.random.default_rng(0)
    centers = np.random.default_rng(99).normal(size=(max(count // 50, 1), DIMENSIONS))
    vectors = centers[random.integers(len(centers), size=count)]
    vectors = vectors + 0.35 * random.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def measure_size(count: int) -> dict:
    """Measure both kinds of index (exact and graph) on ``count`` descriptors, in this process."""
    database = random_descriptors(count)
    queries, seconds = database[:FEATURES] + 0.02, {}
    for kind in KINDS:
        index, build = measure(lambda kind=kind: build_index(database, kind))
        first, later = (measure(lambda index=index: index.search(queries))[1] for _ in range(2))
        seconds[f"{kind}, build and first query"] = build + first
        seconds[f"{kind}, each later query"] = later
        seconds[f"{kind}, {QUERIES} queries"] = build + first + (QUERIES - 1) * later
    return {
        "descriptors": count,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "recall at 60": round(index.recall(queries, sample=200), 4),
    }


def run() -> dict:
    """Measure every size, and interpolate the size at which both kinds of index take the same time."""
    calls = [f"json.dumps(measure_size({count}))" for count in SIZES]
    rows = [json.loads(run_in_process(__name__, call)) for call in calls]
    exact, graph = (
        np.array([row["seconds"][f"{kind}, {QUERIES} queries"] for row in rows]) for kind in KINDS
    )
    equal = float(np.exp(np.interp(0, np.log(exact / graph), np.log(SIZES))))
    return {
        "value": round(equal, -3),
        "what": f"descriptors from which a graph beats exact search over {QUERIES} queries",
        "rows": rows,
        "config": {"features": FEATURES, "queries": QUERIES, "dimensions": DIMENSIONS},
    }
