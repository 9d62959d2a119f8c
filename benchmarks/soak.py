"""Extract, index and search 2,000 photos of a folder that changes, while processes are killed at random.

The commands are those of ``delfjax``. Each runs again until it ends by itself. A kill is a SIGKILL, after a
random time, of the command or of one of its workers. In the end everything is compared with runs that
nobody killed: names, features, and a search for every photo. The network is tiny and random, because the
kills concern files and processes. A check that fails raises an error.
"""

import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from flax import nnx
from PIL import Image
from tqdm.auto import tqdm

from benchmarks.networks import random_network
from delfjax.features.store import FILE, FeatureStore
from delfjax.models.backbone import ResNet
from delfjax.models.checkpoints import save_model
from delfjax.models.resnet import RESNET_TINY
from delfjax.search.index import load_index
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.types import Features

PHOTOS, STEP = 2000, 500  # photos in all, and photos added in each round
CHANGED, REMOVED, RENAMED = 200, 200, 50
SIDE = 96  # pixels
FEATURES = 40  # per photo
SEED = 0
KILLS = {"extract": 8, "index": 2, "search": 1}  # at most, of each command
SECONDS = {"extract": 8, "index": 15, "search": 5}  # until a kill, at most, from the first output
MAX_GB = 4.0  # resident memory of all processes of a command together
PATIENCE = 60  # seconds for the workers of a killed command to end
FOUND = 0.5  # share of its features that are inliers, from which on a photo counts as found
OPTIONS = ("--longest", str(SIDE), "--max-features", str(FEATURES))


class Commands:
    """Runs commands until they end by themselves. Counts kills and measures memory."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.random, self.counts, self.peak = random.Random(SEED), Counter(), 0
        self.environment = os.environ | {"DELFJAX_CACHE": str(folder / "cache")}
        self.bar = tqdm(desc="soak", unit="kill")

    def run(self, name: str, *arguments: object, kills: bool = True) -> str:
        """Run a command until it ends by itself. Return what it printed."""
        left = KILLS[name] if kills else 0
        while True:
            extra = (
                self.random.choice([(), ("--workers", 2)]) if name == "extract" and kills else ()
            )
            command = [sys.executable, "-m", "delfjax", name, *map(str, (*arguments, *extra))]
            with self.log.open("w+") as log:
                process = psutil.Popen(command, stdout=log, stderr=log, env=self.environment)
                left, code = self._watch(process, name, left)
                log.seek(0)
                text = log.read()
            self.counts[f"{name}, started"] += 1
            check("Traceback" not in text or code < 0 or extra, f"no traceback of {name}: {text}")
            if code == 0:
                return text
            check(code < 0, f"{name} ends with 0 or is killed, not with {code}: {text}")

    def _watch(self, process: psutil.Popen, name: str, left: int) -> tuple[int, int]:
        """Kill a process or its workers until it ends. Return the kills that are left, and its code."""
        due, family = None, []
        while process.poll() is None:
            if due is None and (self.log.stat().st_size or name == "search"):
                due = time.monotonic() + self.random.uniform(0, SECONDS[name])
            with suppress(psutil.NoSuchProcess):
                family = [process, *process.children(recursive=True)]
                self.peak = max(self.peak, sum(map(resident, family)))
            if left and due and time.monotonic() >= due:
                victim = self.random.choice(family + [process] * len(family[1:]))
                kind = "the command" if victim == process else "a worker"
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
                    self.counts[f"{name}, kills of {kind}"] += 1
                    self.bar.update()
                due, left = None, left - 1
            time.sleep(0.1)
        _, alive = psutil.wait_procs(family[1:], timeout=PATIENCE)
        for each in alive:
            each.kill()
        check(not alive, f"workers end with {name} within {PATIENCE} seconds")
        return left, process.returncode


def resident(process: psutil.Process) -> int:
    """Return the bytes of memory of a process, 0 if it has ended."""
    with suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def check(passed: bool, expected: str) -> None:
    """Raise an error unless something is as expected."""
    if not passed:
        raise RuntimeError(f"expected: {expected}")


def draw(path: Path, seed: int) -> None:
    """Write a photo of random blobs at two scales."""
    seeded, layers = np.random.default_rng(seed), []
    for cells in (6, 24):
        colors = Image.fromarray(seeded.integers(0, 256, (cells, cells, 3), np.uint8))
        layers.append(colors.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.blend(*layers, 0.5).save(path, quality=90)


def photo_name(number: int) -> str:
    """Return the name of a photo, in one of ten folders."""
    return f"class {number % 10}/{number:04d}.jpg"


def check_store(photos: Path, store: Path, text: str) -> FeatureStore:
    """Check that a store holds the photos of a folder, by the report of its last extraction and on disk."""
    on_disk = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.jpg"))
    found = FeatureStore(store)
    check(found.names == on_disk, f"exactly the {len(on_disk)} photos on disk are stored")
    counts = f"0 added, 0 changed, {len(on_disk)} kept, 0 failed, 0 gone"
    check(counts in text, f"{counts}, not {text}")
    check(sorted(os.listdir(store)) == [f".{FILE}.lock", FILE], "no temporary file is left")
    return found


def check_same(found: FeatureStore, expected: FeatureStore) -> None:
    """Check that two stores hold the same photos with equal features."""
    check(found.names == expected.names, "the names of a run that nobody killed")
    for name in found.names:
        pairs = zip(
            vars(found.read(name)).values(), vars(expected.read(name)).values(), strict=True
        )
        equal = all(np.array_equal(*pair) for pair in pairs)
        check(equal, f"the features of a run that nobody killed, also of {name}")


def run() -> dict:
    """Run all rounds, compare with runs that nobody killed, and search for every photo."""
    with tempfile.TemporaryDirectory() as folder:
        return soak(Path(folder))


def soak(folder: Path) -> dict:
    """Run all rounds in a folder."""
    photos, store, model = folder / "photos", folder / "store", folder / "tiny.safetensors"
    network = random_network(lambda: ResNet(RESNET_TINY, folded=True, rngs=nnx.Rngs(0)), SEED)
    save_model(model, network, None, with_backbone=True, training={})
    commands, rows, old = Commands(folder), [], {}
    extract = ("extract", photos, store, "--prune", "--model", model, *OPTIONS)

    def update(what: str) -> FeatureStore:
        """Extract, index, search by some photos. All are killed again and again."""
        start, before = time.perf_counter(), commands.bar.n
        commands.run(*extract)
        found = check_store(photos, store, commands.run(*extract, kills=False))
        commands.run("index", store, "--index", "nndescent")
        for name in commands.random.sample(found.names, 2):
            query = folder / f"query{Path(name).suffix}"  # other bytes: a copy would be left out
            query.write_bytes((photos / name).read_bytes() + b"\n")
            text = commands.run("search", store, query, "--model", model, "--top", 1)
            check(re.search(rf"  {name}$", text, re.M), f"{name} is found, not {text}")
        seconds = round(time.perf_counter() - start, 1)
        kills = commands.bar.n - before
        rows.append({"round": what, "photos": len(found), "kills": kills, "seconds": seconds})
        return found

    for start in range(0, PHOTOS, STEP):
        for number in range(start, start + STEP):
            draw(photos / photo_name(number), number)
        before = update(f"{STEP} photos added")
        if not start:
            undisturbed = folder / "undisturbed"
            commands.run("extract", photos, undisturbed, "--model", model, *OPTIONS, kills=False)
            check_same(before, FeatureStore(undisturbed))
    numbers = commands.random.sample(range(PHOTOS), CHANGED + REMOVED + RENAMED)
    for place, number in enumerate(numbers):
        path = photos / photo_name(number)
        old[photo_name(number)] = before.read(photo_name(number))
        if place < CHANGED:
            draw(path, PHOTOS + number)
        elif place < CHANGED + REMOVED:
            path.unlink()
        else:
            path.rename(path.with_stem(f"renamed {number}"))
    found = update(f"{CHANGED} photos changed, {REMOVED} removed, {RENAMED} renamed")

    fresh = folder / "fresh"  # a new store with the same PCA
    with FeatureStore(fresh, found.made_by) as expected:
        expected.reduce(found.pca)
    commands.run("extract", photos, fresh, "--model", model, *OPTIONS, kills=False)
    check_same(found, expected)
    present, gone = search_all(found, store.with_name("store.index"), old)
    gigabytes = round(commands.peak / 1e9, 2)
    check(gigabytes <= MAX_GB, f"at most {MAX_GB} GB of memory, not {gigabytes}")
    return {
        "value": commands.bar.n,
        "what": "kills of processes, after which all counts, features and searches are exact",
        "rows": rows,
        "processes": dict(sorted(commands.counts.items())),
        "features equal to those of a run without kills": len(found),
        "photos that a search finds first": present,
        "removed or replaced photos that a search finds": gone,
        "peak memory of all processes of a command, GB": gigabytes,
        "config": {
            "photos": PHOTOS,
            "side": SIDE,
            "features": FEATURES,
            "seed": SEED,
            "kills of each command": KILLS,
            "memory limit, GB": MAX_GB,
        },
    }


def search_all(store: FeatureStore, index: Path, old: dict[str, Features]) -> tuple[int, int]:
    """Search for all photos of a store, and for photos that are no longer in it. Return both counts."""
    database = store.gather()
    searcher = Searcher(
        database, load_index(index, database=database.checksum), SearchConfig(verified=3)
    )

    def best(query: Features) -> tuple[str, int]:
        ranking = searcher(query).ranking
        return database.names[ranking.images[0]], int(ranking.inliers[0])

    names = [*store.names]
    present = sum(best(store.read(name))[0] == name for name in tqdm(names, desc="search"))
    check(present == len(names), f"every photo finds itself first, not {present} of {len(names)}")
    gone = [name for name, query in old.items() if best(query)[1] > FOUND * len(query)]
    renamed = [name for name in gone if best(old[name])[0] == name]
    check(not renamed and len(gone) == RENAMED, f"only renamed photos are found, not {gone}")
    return present, len(gone) - RENAMED
