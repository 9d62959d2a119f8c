"""Kill the writer of a store 25 times at seeded moments: no photo is lost, duplicated or incomplete."""

import os
import random
import sys
from multiprocessing.connection import Connection

import kills
import numpy as np

from delfjax.features import shards
from delfjax.features import store as store_module
from delfjax.features.store import SHARDS, FeatureStore
from delfjax.types import Features

PHOTOS, KILLS = 300, 25
MADE_BY = {"model": "abc"}
MOMENTS = ("any", "half a shard", "before renaming a shard", "before reporting a shard")


def name(number: int) -> str:
    return f"class {number % 7}/{number:04d}.jpg"


def random_features(number: int) -> Features:
    """Return features that depend only on the number of the photo. Some photos have none."""
    seeded = np.random.default_rng(number)
    count = int(seeded.integers(0, 60))
    return Features(
        positions=seeded.uniform(0, 99, (count, 2)).astype(np.float32),
        scales=seeded.choice(np.float32([0.5, 1.0]), count),
        scores=seeded.uniform(0, 9, count).astype(np.float32),
        descriptors=seeded.normal(size=(count, 40)).astype(np.float32),
        image_size=(90 + number, 100),
    )


def append(path: str, moment: str, shard: int, reports: Connection) -> None:
    """Write the missing photos and report each shard. Die at the given moment of the given shard."""
    store_module.SHARD_PHOTOS = 5
    with FeatureStore(path, MADE_BY) as store:
        reports.send([])
        save, flush, flushes = shards.save_file, store.flush, iter(range(PHOTOS))

        def die(when: str) -> None:
            if moment == when and next(flushes) == shard:
                kills.die()

        def save_or_die(tensors: dict, file: os.PathLike, metadata: dict) -> None:
            save(tensors, file, metadata)
            die("before renaming a shard")
            if moment == "half a shard":
                content = file.read_bytes()
                file.write_bytes(content[: len(content) // 2])
                die("half a shard")
                file.write_bytes(content)

        def flush_and_report() -> None:
            pending = list(store._pending)
            flush()
            die("before reporting a shard")
            reports.send(pending)

        shards.save_file, store.flush = save_or_die, flush_and_report
        fill(store)


def fill(store: FeatureStore) -> None:
    for number in range(PHOTOS):
        if name(number) not in store:
            store.write(name(number), random_features(number))


def killed(path: str, moment: str, seeded: random.Random) -> set[str]:
    """Run `append` in a process that is killed, and return the photos that it reported as written."""
    after = seeded.uniform(0, 0.03) if moment == "any" else None
    sent = kills.killed(append, path, moment, seeded.randrange(8), after=after)
    return {name for names in sent for name in names}


def check(path: str, expected: FeatureStore, known: list[str]) -> FeatureStore:
    """Check that photos which are not in ``known`` are complete, and that no known photo is lost."""
    store = FeatureStore(path)
    assert set(known) <= set(store.names)
    new = sorted(set(store.names) - set(known))
    if new:
        found, wanted = store.gather(new), expected.gather(new)
        for part in ("offsets", "positions", "descriptors"):
            np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part))
    return store


def test_a_killed_writer_loses_only_the_photos_in_memory(tmp_path, monkeypatch):
    """Kill the writer until the store is complete or 25 times, then let a last run finish."""
    # New processes import this file.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    seeded, done = random.Random(0), 0
    with FeatureStore(tmp_path / "expected", MADE_BY) as expected:
        fill(expected)
    while done < KILLS:
        path, flushed, known = str(tmp_path / f"killed {done}"), set(), []
        while done < KILLS and len(flushed) < PHOTOS:
            flushed |= killed(path, MOMENTS[done % len(MOMENTS)], seeded)
            done += 1
            known = check(path, expected, known).names
            assert flushed <= set(known)
        with FeatureStore(path, MADE_BY) as store:
            fill(store)
        assert check(path, expected, []).names == expected.names
        assert not list((store.path / SHARDS).glob("*.part")), "temporary files are removed"
        for each in seeded.sample(expected.names, 20):
            *parts, size = vars(store.read(each)).values()
            *wanted, wanted_size = vars(expected.read(each)).values()
            assert size == wanted_size
            for part, other in zip(parts, wanted, strict=True):
                np.testing.assert_array_equal(part, other)
