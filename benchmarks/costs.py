"""Measure each kind of index at several database sizes, from thousands to ten million descriptors.

Each kind of index is built at every size that is feasible on this machine, saved, and searched with
held-out descriptors. Databases larger than the real one are filled with synthetic descriptors. Each result
is saved in the cache folder, so a run that was stopped continues at the next measurement.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import descriptors, indexes
from benchmarks.indexes import BEAMS, RECALL, THREADS, TIE, Implementation, K
from benchmarks.timing import measure
from delfjax import files, provenance
from delfjax.features.pca import PCA
from delfjax.features.store import FeatureStore
from delfjax.search.distributed import SHARD_SIZE
from delfjax.search.nndescent import BRUTE_FORCE_LIMIT
from delfjax.types import Features

SIZES = (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
RECALL_QUERIES = 128  # number of queries with which recall is measured
MIN_ROUNDS, MAX_ROUNDS, ENOUGH = 3, 5, 2.0  # repetitions of a search, and seconds that suffice
MAX_SAVED = 1e9  # bytes in memory above which an index is not saved
# Work in bench.json.
EXTRACTION = "photo file to 1,000 features, longest side 640"
VERIFICATION = "RANSAC of 100 candidates, 20% of 1,000 matches are inliers"
FEATURES, CHANNELS = 1000, 1024  # features of a photo, and dimensions at layer conv4


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of index, and the range of database sizes at which it is measured.

    Attributes:
        make: Function that returns the implementation of this kind.
        smallest: Smallest number of descriptors.
        largest: Largest number of descriptors.
    """

    make: Callable[[], Implementation]
    smallest: int = 0
    largest: int


KINDS = {
    "exact": Kind(make=lambda: indexes.delfjax_index("exact"), largest=10_000_000),
    "pq": Kind(make=lambda: indexes.delfjax_index("pq"), largest=10_000_000),
    "faiss HNSW": Kind(make=indexes.faiss_hnsw, largest=1_000_000),
    "nndescent": Kind(
        make=lambda: indexes.delfjax_index("nndescent", BEAMS, threads=THREADS), largest=1_000_000
    ),
    "sharded": Kind(
        make=lambda: indexes.delfjax_index("sharded", BEAMS, threads=THREADS),
        smallest=SHARD_SIZE + 1,
        largest=3_000_000,
    ),
}
NEED_FAISS = ("pq", "faiss HNSW")


@cache
def implementation(name: str) -> Implementation:
    """Return the implementation of a kind of index, used once so that its functions are compiled."""
    made = KINDS[name].make()
    # pynndescent is used, and so compiled, only for databases above this limit.
    few = np.random.default_rng(0).standard_normal((BRUTE_FORCE_LIMIT + 1, 40), np.float32)
    made.search(made.build(few), few[:FEATURES], made.efforts[0])
    return made


def run(largest: int = SIZES[-1]) -> dict:
    """Measure every kind of index at every size of `SIZES` up to ``largest`` descriptors."""
    photos, queries = descriptors.load_real()
    real, sizes = np.concatenate(photos), [size for size in SIZES if size <= largest]
    names = [name for name in KINDS if name not in NEED_FAISS or find_spec("faiss")]
    config = {
        "k": K,
        "threads": THREADS,
        "queries": len(queries),
        "recall": RECALL,
        "shard": SHARD_SIZE,
    }
    key = provenance.to_json(
        config | provenance.versions() | {"real": files.digest(real.tobytes())}
    )
    kept = files.cache_folder() / "costs" / f"{files.digest(key.encode())[:12]}.json"
    rows = _measure_all(kept, names, sizes, real, queries)
    graph = [row for row in rows if row["index"] == "nndescent"][-1]
    result = {
        "value": graph["ms per 1,000 queries"],
        "what": f"ms for 1,000 queries in a graph of {graph['descriptors']} descriptors",
        "rows": rows,
        "not installed": sorted(set(KINDS) - set(names)),
        "stages": measure_stages(),
        "real descriptors": len(real),
        "config": config | {"sizes": sizes},
    }
    if sizes[-1] > len(real):
        result["synthetic descriptors"] = descriptors.compare_synthetic(photos, queries)
    kept.unlink()
    return result


def measure_stages() -> list[dict]:
    """Return the seconds of the stages of a search that do not depend on the size of the database.

    The PCA and reading from a store are measured here. The other times come from `make bench`.
    """
    compared = provenance.read_result(provenance.RESULTS / "bench.json")["rows"]

    def compared_seconds(work: str, ours: str) -> tuple[str, float]:
        found = [row for row in compared if (row["work"], row["ours"]) == (work, ours)]
        if not found:
            raise ValueError(f"bench.json has no row {work!r}, {ours!r}. Fix: run make bench")
        return work, found[0]["values"][0]

    random = np.random.default_rng(0)
    photo = random.standard_normal((FEATURES, CHANNELS), np.float32)
    components = random.standard_normal((40, CHANNELS), np.float32)
    pca = PCA(mean=photo[0], components=components, variances=components[:, 0])
    features = Features(
        positions=photo[:, :2],
        scales=photo[:, 2],
        scores=photo[:, 3],
        descriptors=photo[:, :40],
        image_size=(480, 640),
    )
    with tempfile.TemporaryDirectory() as folder, FeatureStore(folder, {}) as store:
        store.write("photo", features)
        store.flush()
        reading = _repeat(lambda: store.read("photo"))[1]
    stages = [
        (*compared_seconds(EXTRACTION, "backend jax"), "bench.json"),
        (
            f"PCA of {FEATURES:,} descriptors to 40",
            round(_repeat(lambda: pca(photo))[1], 5),
            "here",
        ),
        ("reading from the store", round(reading, 6), "here"),
        (*compared_seconds(VERIFICATION, "paper's rule"), "bench.json"),
    ]
    return [
        {"stage": stage, "seconds": seconds, "measured": source}
        for stage, seconds, source in stages
    ]


def _measure_all(
    kept: Path, names: list[str], sizes: list[int], real: np.ndarray, queries: np.ndarray
) -> list[dict]:
    """Measure each kind of index at each size, except those already saved in the file ``kept``."""
    rows = provenance.read_result(kept)["rows"] if kept.exists() else []
    done = {(row["index"], row["descriptors"]): row for row in rows}
    wanted = [
        (name, size)
        for size in sizes
        for name in names
        if KINDS[name].smallest <= size <= KINDS[name].largest
    ]
    database, limits = np.empty((0, 40), np.float32), np.empty(0)
    for name, size in (bar := tqdm(wanted, unit="index")):
        bar.set_description(f"{name}, {size:,}")
        if (name, size) in done:
            continue
        if len(database) != size:
            del database
            database, exact = descriptors.enlarge(real, size), implementation("exact")
            nearest = exact.search(exact.build(database), queries[:RECALL_QUERIES], None)
            limits = nearest[1][:, -1:] + TIE
        row = {"index": name, "descriptors": size}
        done[name, size] = row | _measure_index(implementation(name), database, queries, limits)
        provenance.write_result(kept, {"rows": [*done.values()]})
    return [done[each] for each in wanted]


def _measure_index(
    made: Implementation, database: np.ndarray, queries: np.ndarray, limits: np.ndarray
) -> dict:
    """Measure the build time, search time, recall and size of one index.

    Args:
        made: The implementation.
        database: Descriptors of the database.
        queries: Descriptors to search for.
        limits: Distance of the true K-th neighbor from each of the first `RECALL_QUERIES` queries.
    """
    index, build = measure(lambda: made.build(database))
    curve = []
    for effort in made.efforts:
        found, seconds = _repeat(lambda effort=effort: made.search(index, queries, effort))
        rows = found[0][:RECALL_QUERIES]
        # Distances are computed again, because an index of compressed descriptors returns approximate ones.
        distances = np.linalg.norm(database[rows] - queries[:RECALL_QUERIES, None], axis=2)
        curve.append((float(((distances <= limits) & (rows >= 0)).mean()), seconds))
    memory, disk = getattr(index, "memory", None), None
    if (memory or 0) <= MAX_SAVED:
        with tempfile.TemporaryDirectory() as folder:
            made.save(index, path := Path(folder) / "index")
            disk = indexes.file_size(path)
    memory = memory or disk  # faiss does not report the memory of HNSW; its file has the same size
    return {
        "build s": round(build, 5),
        **indexes.time_at_recall(curve, RECALL),
        "bytes on disk": disk and round(disk / len(database), 2),
        "bytes in memory": round(memory / len(database), 2),
    }


def _repeat(run: Callable) -> tuple[object, float]:
    """Run a function several times; return the function's result and the shortest time in seconds."""
    seconds = []
    while len(seconds) < MIN_ROUNDS or (len(seconds) < MAX_ROUNDS and sum(seconds) < ENOUGH):
        result, taken = measure(run)
        seconds.append(taken)
    return result, min(seconds)
