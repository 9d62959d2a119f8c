"""Real descriptors, and more of their kind than there are photos for.

An invented descriptor is a real one, moved by half the difference of two of its near neighbors, back on
the sphere: so it keeps to the directions in which descriptors there vary. `statistics` says how well: what
half of the photos, doubled so, look like to descriptors of other photos, beside all of them.
"""

from pathlib import Path

import numpy as np

from delfjax import datasets
from delfjax.cli import main
from delfjax.cli.evaluate import store_path
from delfjax.cli.networks import extractor_for
from delfjax.cli.options import pca_config
from delfjax.evaluation.benchmark import extract_benchmark
from delfjax.features.pca import l2_normalize
from delfjax.features.store import FeatureStore
from delfjax.models.zoo import zoo
from delfjax.search.exact import ExactIndex
from delfjax.search.nndescent import nearest_neighbors

OPTIONS = ["benchmark", "rendered+places", "--longest", "320"]  # of the results of the rendered set
OPTIONS += ["--model", str(zoo()["delf_ft_att"])]
HELD = 20  # photos that only ask
QUERIES = 1000
BLOCK = 100_000  # invented descriptors made at a time
NEAR, STEP = 15, 0.5  # neighbors whose differences are taken, and how much of one


def stored() -> FeatureStore:
    """Open the features of the rendered set, extracting what is not there."""
    options = main.parser().parse_args(OPTIONS)
    loaded, extractor = datasets.load(options.name, options.root), extractor_for(options)
    path = store_path(loaded.name.partition("+")[0], loaded.root, extractor, options)
    return extract_benchmark(extractor, loaded, path, config=pca_config(options))[0]


def split(store: FeatureStore, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the descriptors of each photo but a few, and queries from those few."""
    random = np.random.default_rng(seed)
    names = np.array(store.names)[random.permutation(len(store))].tolist()
    held = store.gather(names[:HELD]).descriptors
    return (
        [store.read(name).descriptors for name in names[HELD:]],
        held[random.permutation(len(held))[:QUERIES]],
    )


def enlarged(real: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return ``count`` descriptors in random order: real ones, and invented ones where they do not do."""
    random = np.random.default_rng(seed)
    missing = max(count - len(real), 0)
    near = nearest_neighbors(real, NEAR, seed=seed, threads=2) if missing else None
    base = random.integers(len(real), size=missing)
    ends = [near[base, random.integers(NEAR, size=missing)] for _ in range(2 if missing else 0)]
    rows = np.empty((len(real) + missing, real.shape[1]), np.float16)  # as a store would keep them
    rows[: len(real)] = real
    for start in range(0, missing, BLOCK):  # of ten million, single precision would take gigabytes
        one, other, around = (part[start : start + BLOCK] for part in (*ends, base))
        made = l2_normalize(real[around] + STEP * (real[one] - real[other]))
        rows[len(real) + start : len(real) + start + BLOCK] = made
    return rows[random.permutation(len(rows))[:count]].astype(np.float32)


def statistics(photos: list[np.ndarray], queries: np.ndarray) -> dict[str, dict[str, float]]:
    """Compare all photos' descriptors with half of the photos' and with that half doubled."""
    everything, half = np.concatenate(photos), np.concatenate(photos[::2])
    doubled = enlarged(half, len(everything))
    found = {"all photos": everything, "half of them": half, "that half, enlarged": doubled}
    return {name: _seen(rows, queries) for name, rows in found.items()}


def _seen(database: np.ndarray, queries: np.ndarray) -> dict[str, float]:
    """Medians of the distances to neighbors and of the local dimension (Levina and Bickel 2004); hubness."""
    rows, distances = ExactIndex(database).search(queries, 60)
    distances = np.maximum(distances, 1e-6)
    dimension = -1 / np.log(distances[:, :-1] / distances[:, -1:]).mean(1)
    hits = np.bincount(rows.ravel())
    hits = hits[hits > 0]
    skew = ((hits - hits.mean()) ** 3).mean() / hits.std() ** 3
    seen = {f"distance to neighbor {k}": np.median(distances[:, k - 1]) for k in (1, 10, 60)}
    seen |= {"local dimension": np.median(dimension), "skewness of hits": skew}
    return {"descriptors": len(database), **{key: round(float(x), 3) for key, x in seen.items()}}


def read(path: Path | None = None) -> tuple[list[np.ndarray], np.ndarray]:
    """Return `split` of the rendered set's store, or of another one."""
    return split(stored() if path is None else FeatureStore(path))
