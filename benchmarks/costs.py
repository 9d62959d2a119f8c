"""What every stage costs against the size of the collection, from thousands to ten million descriptors.

Each kind of index is built of each size that it can bear here, saved, and asked a photo's worth of held-out
descriptors. A size is of real descriptors as far as they go, and of invented ones beyond (`descriptors`).
Every kind at every size is kept in the cache folder as it is done: a run that is cut goes on there.
What does not depend on the size is read from the results of the other benchmarks, or timed here once.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import descriptors, scale
from benchmarks.scale import BEAMS, RECALL, THREADS, K, Peer
from delfjax import files, provenance
from delfjax.features.pca import PCA
from delfjax.search.distributed import SHARD_SIZE
from delfjax.search.nndescent import BRUTE_FORCE_LIMIT

SIZES = (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
TRUTHS = 128  # queries whose true neighbors are known: as many as exact search answers at once
LEAST, ROUNDS = 3, 5  # a search is timed so often,
ENOUGH = 2.0  # and less than five times if that takes so many seconds
FEW = BRUTE_FORCE_LIMIT + 1  # descriptors of the first use: for fewer, pynndescent does not compile
SAVED = 1e9  # bytes in memory: a larger index is not written to disk
FEATURES, CHANNELS = 1000, 1024  # of a photo, at conv4
RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of index, and the sizes that it is tried at here."""

    made: Callable[[], Peer]
    needs: str = "delfjax"
    least: int = 0
    most: int


KINDS = {
    "exact": Kind(made=scale.PEERS["delfjax exact"], most=10_000_000),
    "codes": Kind(made=lambda: scale.ours("pq"), needs="faiss", most=10_000_000),
    "faiss HNSW": Kind(made=scale.PEERS["faiss HNSW"], needs="faiss", most=1_000_000),
    "nndescent": Kind(made=scale.PEERS["delfjax nndescent"], most=1_000_000),
    "sharded": Kind(
        made=lambda: scale.ours("sharded", BEAMS, threads=THREADS),
        least=SHARD_SIZE + 1,
        most=3_000_000,
    ),
}


@cache
def peer(name: str) -> Peer:
    """Return a kind's peer, having used it once on a few descriptors, so that what it compiles is."""
    made = KINDS[name].made()
    few = np.random.default_rng(0).standard_normal((FEW, 40), np.float32)
    made.search(made.build(few), few[:FEATURES], made.efforts[0])
    return made


def run(largest: int = SIZES[-1], store: Path | None = None) -> dict:
    """Measure every kind at every size.

    Args:
        largest: The most descriptors that are tried.
        store: Of real ones; by default the rendered set's, which is extracted if need be.
    """
    photos, queries = descriptors.read(store)
    real, sizes = np.concatenate(photos), [size for size in SIZES if size <= largest]
    names = [name for name, kind in KINDS.items() if find_spec(kind.needs)]
    config = {
        "k": K,
        "threads": THREADS,
        "queries": len(queries),
        "recall": RECALL,
        "shard": SHARD_SIZE,
    }
    of = provenance.to_json(config | provenance.versions() | {"real": files.digest(real.tobytes())})
    kept = files.cache_folder() / "costs" / f"{files.digest(of.encode())[:12]}.json"
    rows = _cells(kept, names, sizes, real, queries)
    graphs = [row for row in rows if row["index"] == "nndescent"]
    result = {
        "value": graphs[-1]["ms per 1,000 queries"],
        "what": f"ms of a photo's 1,000 queries in one graph of {graphs[-1]['descriptors']} descriptors",
        "rows": rows,
        "left out": sorted(set(KINDS) - set(names)),
        "stages": stages(),
        "real descriptors": len(real),
        "config": config | {"sizes": sizes},
    }
    if sizes[-1] > len(real):
        result["likeness of the invented ones"] = descriptors.statistics(photos, queries)
    kept.unlink()
    return result


def stages() -> list[dict]:
    """Seconds of what does not depend on the size: a photo's, but for the candidates of a query."""
    extraction, stores, verification = (
        provenance.read_result(RESULTS / f"bench_{name}.json")
        for name in ("extraction", "stores", "verification")
    )
    (store,) = (row for row in stores["rows"] if row["format"] == "delfjax.features.store")
    longest = extraction["config"]["longest"]
    extracted = extraction["rows"][1]["features of a photo, 7 scales (s)"]
    verified = max(row["ours, 100 candidates (s)"] for row in verification["rows"])
    found = [
        (f"extraction, 7 scales, {longest} pixels", extracted, "bench_extraction.json"),
        (f"reduction of {FEATURES} descriptors to 40", _pca(), "here"),
        ("reading from the store", store["read of a photo (ms)"] / 1000, "bench_stores.json"),
        ("verification of 100 candidates", verified, "bench_verification.json"),
    ]
    return [dict(zip(("stage", "seconds", "measured"), each, strict=True)) for each in found]


def _pca() -> float:
    """Seconds of the PCA of one photo: what its axes are does not matter."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((FEATURES, CHANNELS), np.float32)
    axes = random.standard_normal((40, CHANNELS), np.float32)
    reduce = PCA(mean=rows[0], components=axes, variances=axes[:, 0])
    return round(_timed(lambda: reduce(rows))[1], 5)


def _cells(
    kept: Path, names: list[str], sizes: list[int], real: np.ndarray, queries: np.ndarray
) -> list[dict]:
    """Measure each cell that ``kept`` does not hold yet, size by size."""
    rows = provenance.read_result(kept)["rows"] if kept.exists() else []
    done = {(row["index"], row["descriptors"]) for row in rows}
    cells = [(n, size) for size in sizes for n in names if KINDS[n].least <= size <= KINDS[n].most]
    database, true = np.empty((0, 40), np.float32), np.empty(0)
    with tqdm(cells, unit="cell") as bar:
        for name, size in bar:
            bar.set_description(f"{name}, {size:,}")
            if (name, size) in done:
                continue
            if len(database) != size:
                del database
                database = descriptors.enlarged(real, size)
                true = _true(database, queries[:TRUTHS])
            rows.append(
                {"index": name, "descriptors": size, **_cell(name, database, queries, true)}
            )
            provenance.write_result(kept, {"rows": rows})
    found = {(row["index"], row["descriptors"]): row for row in rows}
    return [found[cell] for cell in cells]


def _true(database: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Distance of each query's K-th neighbor, by exact search."""
    exact = peer("exact")
    return exact.search(exact.build(database), queries, None)[1][:, -1:]


def _recall(
    found: np.ndarray, database: np.ndarray, queries: np.ndarray, true: np.ndarray
) -> float:
    """Share of the rows found that are as near as the true K-th: the distance that codes give is not theirs."""
    apart = np.linalg.norm(database[found] - queries[:, None], axis=2)
    return float(((apart <= true + scale.TIE) & (found >= 0)).mean())


def _cell(name: str, database: np.ndarray, queries: np.ndarray, true: np.ndarray) -> dict:
    """Build, save and ask one index; the search is timed at one recall, as far as it goes there."""
    asked = peer(name)
    start = time.perf_counter()
    index = asked.build(database)
    built = time.perf_counter() - start
    curve = []
    for effort in asked.efforts:
        found, seconds = _timed(lambda effort=effort: asked.search(index, queries, effort))
        curve.append((_recall(found[0][:TRUTHS], database, queries[:TRUTHS], true), seconds))
    memory = getattr(index, "memory", None)
    disk = _saved(asked, index) if (memory or 0) <= SAVED else None
    held = memory or disk  # faiss does not say what HNSW holds: all of it is in its file
    return {
        "build s": round(built, 5),
        **scale.read_off(curve, max(RECALL, min(curve)[0])),
        "bytes on disk": disk and round(disk / len(database), 2),
        "bytes in memory": round(held / len(database), 2),
    }


def _saved(asked: Peer, index: object) -> int:
    with tempfile.TemporaryDirectory() as folder:
        asked.save(index, path := Path(folder) / "index")
        return scale.bytes_on_disk(path)


def _timed(run: Callable) -> tuple[object, float]:
    """Return what a function gives, and its least seconds."""
    seconds = []
    while len(seconds) < LEAST or (len(seconds) < ROUNDS and sum(seconds) < ENOUGH):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return found, min(seconds)
