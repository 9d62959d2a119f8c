"""A store whose writer is killed, 50 times at seeded moments: nothing half-written, lost or doubled."""

import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.connection import Connection

import numpy as np
import pytest

from delfjax import shards
from delfjax.axes import Features
from delfjax.store import SHARDS, FeatureStore

PHOTOS, KILLS = 400, 50
MADE_BY = {"model": "abc"}
MOMENTS = ("any", "half a shard", "a whole shard without its name", "a shard without its report")

if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("no forkserver on this system", allow_module_level=True)
# Processes are forked from one that has imported this file, so the store, but neither jax nor threads.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload([__name__])


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


def append(path: str, reports: Connection, moment: str, shard: int) -> None:
    """Write the photos that lack, and report each shard; die at a moment of some shard."""
    with FeatureStore(path, MADE_BY, photos=5) as store:
        reports.send([])
        save, flush, flushes = shards.save_file, store.flush, iter(range(PHOTOS))

        def die(when: str) -> None:
            if moment == when and next(flushes) == shard:
                os.kill(os.getpid(), signal.SIGKILL)

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
    here, there = START.Pipe(duplex=False)
    arguments = (path, there, moment, seeded.randrange(8))
    process = START.Process(target=append, args=arguments)
    process.start()
    there.close()
    flushed = set(here.recv())  # it has begun
    if moment == "any":
        time.sleep(seeded.uniform(0, 0.03))
        process.kill()
    process.join()
    try:
        while True:
            flushed |= set(here.recv())
    except (EOFError, OSError):
        here.close()
    return flushed


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
    seeded, kills = random.Random(0), 0
    with FeatureStore(tmp_path / "whole", MADE_BY) as expected:
        fill(expected)
    while kills < KILLS:
        path, flushed, known = str(tmp_path / f"killed {kills}"), set(), []
        while kills < KILLS and len(flushed) < PHOTOS:
            flushed |= killed(path, MOMENTS[kills % len(MOMENTS)], seeded)
            kills += 1
            known = check(path, expected, known).names
            assert flushed <= set(known)
        with FeatureStore(path, MADE_BY, photos=5) as store:
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
