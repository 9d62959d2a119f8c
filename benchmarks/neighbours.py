"""Exact search against NNDescent: from how many descriptors on is the graph faster in all?

Descriptors are made: unit vectors in clusters, 40-d. Each size is timed in a new process of its own, so
that NNDescent pays for reading what it compiled, on a machine where it has run before.
"""

import json
import subprocess
import sys
import time

import numpy as np

from delfjax.search.index import build_index

KINDS = ("exact", "nndescent")
SIZES = (500, 5_000, 100_000)
QUERIES = 1000  # of one photo
SESSION = 100  # photos asked in one session


def made(count: int, seed: int = 0, dimensions: int = 40) -> np.ndarray:
    """Unit vectors around ``count / 50`` centers."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(max(count // 50, 1), dimensions))
    vectors = centers[random.integers(len(centers), size=count)]
    vectors = vectors + 0.35 * random.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def one(count: int) -> dict:
    """Time both over one size, in this process."""
    database = made(count)
    queries = database[:QUERIES] + 0.02
    seconds = {}
    for name in KINDS:
        start = time.perf_counter()
        index = build_index(database, name)
        index.search(queries)  # the first search compiles as well
        seconds[f"{name}, to the first answer"] = time.perf_counter() - start
        start = time.perf_counter()
        index.search(queries)
        seconds[f"{name}, each further one"] = time.perf_counter() - start
    recall = index.recall(queries, sample=200)
    for name in KINDS:
        first, further = (seconds[f"{name}, {part}"] for part in PARTS)
        seconds[f"{name}, {SESSION} queries"] = first + (SESSION - 1) * further
    return {
        "descriptors": count,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "recall at 60": round(recall, 4),
    }


PARTS = ("to the first answer", "each further one")


def run() -> dict:
    """Time every size, and find by interpolation where both cost the same."""
    rows = []
    for count in SIZES:
        code = f"import json; from benchmarks.neighbors import one; print(json.dumps(one({count})))"
        done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    total = {
        name: np.array([row["seconds"][f"{name}, {SESSION} queries"] for row in rows])
        for name in KINDS
    }
    ratio = np.log(total["exact"] / total["nndescent"])
    line = float(np.exp(np.interp(0, ratio, np.log(SIZES))))
    return {
        "value": round(line, -3),
        "what": f"descriptors from which NNDescent beats exact search over {SESSION} queries",
        "rows": rows,
        "config": {"queries": QUERIES, "session": SESSION, "dimensions": 40},
    }
