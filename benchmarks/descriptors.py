"""Load real descriptors of rendered photos, and make synthetic descriptors for larger databases.

A synthetic descriptor is a real one plus half the difference of two of its near neighbors, normalized. So
it varies in the same directions as the real descriptors near it. `compare_synthetic` checks the similarity:
it replaces half of the photos by synthetic descriptors made from the other half.
"""

import numpy as np
from scipy.stats import skew

from delfjax import datasets, evaluate, load
from delfjax.features.pca import l2_normalize
from delfjax.features.store import FeatureStore
from delfjax.paper.runs import HEADLINE, PROFILES, RUNS
from delfjax.search.exact import ExactIndex
from delfjax.search.nndescent import nearest_neighbors

QUERY_PHOTOS, QUERIES = 20, 1000  # number of query photos, and of descriptors chosen from them
BLOCK = 100_000  # synthetic descriptors that are computed at once
NEAR, STEP = 15, 0.5  # neighbors from which two are drawn, and factor of their difference


def load_real() -> tuple[list[np.ndarray], np.ndarray]:
    """Return the descriptors of each database photo, and query descriptors from other photos."""
    config = RUNS["ft_att"].at(PROFILES["embedded"])
    store = FeatureStore(evaluate(load(config.model), datasets.load(HEADLINE), config).store)
    random = np.random.default_rng(0)
    names = np.array(store.names)[random.permutation(len(store))].tolist()
    held_out = store.gather(names[:QUERY_PHOTOS]).descriptors
    queries = held_out[random.permutation(len(held_out))[:QUERIES]]
    return [store.read(name).descriptors for name in names[QUERY_PHOTOS:]], queries


def enlarge(real: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` descriptors in random order: real ones, filled up with synthetic ones."""
    random = np.random.default_rng(0)
    missing = max(count - len(real), 0)
    rows = np.empty((len(real) + missing, real.shape[1]), np.float16)  # as in a feature store
    rows[: len(real)] = real
    if missing:
        near = nearest_neighbors(real, NEAR, threads=2)
        base = random.integers(len(real), size=missing)
        ends = [near[base, random.integers(NEAR, size=missing)] for _ in range(2)]
    for start in range(0, missing, BLOCK):  # in blocks: all of them in float32 would need gigabytes
        first, second, center = (part[start : start + BLOCK] for part in (*ends, base))
        made = l2_normalize(real[center] + STEP * (real[first] - real[second]))
        rows[len(real) + start : len(real) + start + BLOCK] = made
    return rows[random.permutation(len(rows))[:count]].astype(np.float32)


def compare_synthetic(photos: list[np.ndarray], queries: np.ndarray) -> dict[str, dict]:
    """Compare statistics of all photos, of half of them, and of this half filled up synthetically."""
    everything, half = np.concatenate(photos), np.concatenate(photos[::2])
    databases = {
        "all photos": everything,
        "half of the photos": half,
        "that half, enlarged": enlarge(half, len(everything)),
    }
    return {name: _statistics(rows, queries) for name, rows in databases.items()}


def _statistics(database: np.ndarray, queries: np.ndarray) -> dict[str, float]:
    """Return statistics of the 60 nearest neighbors of queries in a database.

    These are medians of the neighbor distances, the median local dimension (Levina and Bickel, 2004), and
    the skewness of hits. The hits of a descriptor are the queries that find it among their neighbors.
    """
    rows, distances = ExactIndex(database).search(queries, 60)
    distances = np.maximum(distances, 1e-6)
    dimension = -1 / np.log(distances[:, :-1] / distances[:, -1:]).mean(1)
    hits = np.bincount(rows.ravel())
    found = {f"distance to neighbor {k}": np.median(distances[:, k - 1]) for k in (1, 10, 60)}
    found |= {"local dimension": np.median(dimension), "skewness of hits": skew(hits[hits > 0])}
    return {"descriptors": len(database), **{key: round(float(x), 3) for key, x in found.items()}}
