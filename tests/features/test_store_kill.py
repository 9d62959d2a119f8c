"""A store whose writer is killed, 50 times at seeded moments: nothing half-written, lost or doubled."""

import os
import random
import sys
from multiprocessing.connection import Connection

import kills
import numpy as np

from delfjax.features import shards
from delfjax.features.store import SHARDS, FeatureStore
from delfjax.types import Features

PHOTOS, KILLS = 400, 50
MADE_BY = {"model": "abc"}
MOMENTS = ("any", "half a shard", "a whole shard without its name", "a shard without its report")


def name(number: int) -> str:
    return f"class {number % 7}/{number:04d}.jpg"


def made_up(number: int) -> Features:
    """Features of a photo, which depend on its number alone; some photos have none."""
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
    """Write the photos that lack, and report each shard; die at a moment of some shard."""
    with FeatureStore(path, MADE_BY, shard_photos=5) as store:
        reports.send([])
        save, flush, flushes = shards.save_file, store.flush, iter(range(PHOTOS))

        def die(when: str) -> None:
            if moment == when and next(flushes) == shard:
                kills.die()

        def save_or_die(tensors: dict, file: os.PathLike, metadata: dict) -> None:
            save(tensors, file, metadata)
            die("a whole shard without its name")
            if moment == "half a shard":
                content = file.read_bytes()
                file.write_bytes(content[: len(content) // 2])
                die("half a shard")
                file.write_bytes(content)

        def flush_and_report() -> None:
            waiting = list(store._waiting)
            flush()
            die("a shard without its report")
            reports.send(waiting)

        shards.save_file, store.flush = save_or_die, flush_and_report
        fill(store)


def fill(store: FeatureStore) -> None:
    for number in range(PHOTOS):
        if name(number) not in store:
            store.write(name(number), made_up(number))


def killed(path: str, moment: str, seeded: random.Random) -> set[str]:
    """Append in a process that is killed, by itself or from here; return what it said it had flushed."""
    after = seeded.uniform(0, 0.03) if moment == "any" else None
    sent = kills.killed(append, path, moment, seeded.randrange(8), after=after)
    return {name for names in sent for name in names}


def check(path: str, expected: FeatureStore, known: list[str]) -> FeatureStore:
    """All that is in a store is there once, and what was not known is whole."""
    store = FeatureStore(path)
    kept = [each for shard in store._shards for each in shard.names]
    assert sorted(kept) == store.names, "each photo is in one shard"
    assert set(known) <= set(kept)
    fresh = sorted(set(kept) - set(known))
    found, wanted = store.gather(fresh), expected.gather(fresh)
    for part in ("offsets", "positions", "descriptors"):
        np.testing.assert_array_equal(getattr(found, part).ravel(), getattr(wanted, part).ravel())
    return store


def test_a_killed_writer_loses_only_what_waited(tmp_path, monkeypatch):
    """Killed until the store is full or 50 kills are done, then taken up by a run that is left alone."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # so that it finds this file
    seeded, done = random.Random(0), 0
    with FeatureStore(tmp_path / "whole", MADE_BY) as expected:
        fill(expected)
    while done < KILLS:
        path, flushed, known = str(tmp_path / f"killed {done}"), set(), []
        while done < KILLS and len(flushed) < PHOTOS:
            flushed |= killed(path, MOMENTS[done % len(MOMENTS)], seeded)
            done += 1
            known = check(path, expected, known).names
            assert flushed <= set(known)
        with FeatureStore(path, MADE_BY, shard_photos=5) as store:
            fill(store)
        assert check(path, expected, []).names == expected.names
        assert not list((store.path / SHARDS).glob("*.part")), (
            "what was half-written is overwritten"
        )
        for each in seeded.sample(expected.names, 20):
            *parts, size = vars(store.read(each)).values()
            *wanted, wanted_size = vars(expected.read(each)).values()
            assert size == wanted_size
            for part, other in zip(parts, wanted, strict=True):
                np.testing.assert_array_equal(part, other)
