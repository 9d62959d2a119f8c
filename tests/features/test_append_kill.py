"""Kill processes that extend a store or save an index at seeded moments.

Two of three kills happen at a step of the work, such as half of a file. Every third happens at a time.
"""

import os
import random
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import kills
import numpy as np
import pytest
from kills import Fuse
from PIL import Image
from test_store_kill import check

from delfjax.features import extract_folder as module
from delfjax.features import shards
from delfjax.features import store as store_module
from delfjax.features.extract_folder import PCAConfig, extract_folder
from delfjax.features.handcrafted import HandcraftedConfig, HandcraftedExtractor
from delfjax.features.store import FeatureStore
from delfjax.images.folder import scan
from delfjax.search import index_files
from delfjax.search.index import Index, build_index
from delfjax.types import Features

KILLS, EXTRACTION_KILLS = 12, 20
FEW = PCAConfig(dimensions=8, photos=5, features=20)
ROWS, SHARD = 20, 100  # descriptors per photo, and per shard of an index


@pytest.fixture(autouse=True)
def findable(monkeypatch):
    """Let new processes import this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def killed(work, *arguments, turn: int, ticks: int) -> list:
    """Run work in a process that is killed at one of its first ticks, or every third time after a delay."""
    if turn % 3 == 0:
        return kills.killed(work, *arguments, 0, after=random.Random(turn).uniform(0, 0.5))
    order = random.Random(0).sample(range(1, ticks + 1), ticks)
    return kills.killed(work, *arguments, order[turn % ticks], after=None)


def random_features(seed: int, dimensions: int = 8) -> Features:
    seeded = np.random.default_rng(seed)
    descriptors = seeded.normal(size=(ROWS, dimensions)).astype(np.float16)
    return Features(
        positions=seeded.uniform(0, 9, (ROWS, 2)).astype(np.float32),
        scales=np.ones(ROWS, np.float32),
        scores=seeded.uniform(0, 9, ROWS).astype(np.float32),
        descriptors=descriptors.astype(np.float32),
        image_size=(16, 16),
    )


def save_by_halves(fuse: Fuse) -> None:
    """Let the writing of shards and index files tick: half written, written, renamed."""
    save, write, unlink = shards.save_file, index_files._write, Path.unlink

    def save_shard(tensors: dict, file: Path, metadata: dict) -> None:
        save(tensors, file, metadata)
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        fuse.tick()
        file.write_bytes(content)
        fuse.tick()

    def save_part(file: Path, data: bytes) -> None:
        file.with_name(f".{file.name}.part").write_bytes(data[: len(data) // 2])
        fuse.tick()
        write(file, data)
        fuse.tick()

    def remove(file: Path, missing_ok: bool = False) -> None:
        fuse.tick()
        unlink(file, missing_ok)

    shards.save_file, index_files._write, Path.unlink = save_shard, save_part, remove


# --- photos are added to a folder and to its store


class Toy(HandcraftedExtractor):
    """An extractor that ticks at each photo."""

    name = "toy"
    config = HandcraftedConfig()
    checksum = "toy"

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse

    def __call__(self, photo: np.ndarray) -> Features:
        self.fuse.tick()
        return random_features(int(photo.sum()), dimensions=32)


def extract(folder: str, path: str, ticks: int, reports: Connection) -> None:
    """Extract the missing photos, and report each shard."""

    class Reporting(FeatureStore):
        def flush(self) -> None:
            pending = list(self._pending)
            super().flush()
            fuse.tick()
            reports.send(pending)

    fuse = Fuse(ticks)
    save_by_halves(fuse)
    module.FeatureStore, store_module.SHARD_PHOTOS = Reporting, 4
    reports.send([])
    extract_folder(Toy(fuse), scan(folder), path, config=FEW)
    kills.die()


def test_a_killed_extraction_continues_to_the_same_files(tmp_path, monkeypatch):
    """Kills are spread over the whole run: photos for the PCA, the PCA, the other photos, and merging."""
    monkeypatch.setattr(store_module, "SHARD_PHOTOS", 4)
    folder, path, flushed, complete = tmp_path / "photos", tmp_path / "store", set(), True
    for turn in range(EXTRACTION_KILLS):
        if complete:
            draw(folder, range(12 * turn, 12 * (turn + 1)))
            expected = extract_folder(Toy(Fuse(0)), scan(folder), tmp_path / "expected", config=FEW)
        sent = killed(extract, str(folder), str(path), turn=turn, ticks=24)
        flushed |= {name for names in sent for name in names}
        known = set(check(str(path), expected, []).names)
        complete = known == set(expected.names)
        unreduced = path / module.UNREDUCED
        if (unreduced / store_module.MANIFEST).exists():
            known |= set(FeatureStore(unreduced).names)
        assert flushed <= known, "what was written stays"
    assert len(expected) > 12, "photos were added"
    store = extract_folder(Toy(Fuse(0)), scan(folder), path, config=FEW)
    assert set(store.report.kept) == known
    assert check(str(path), expected, []).names == expected.names == store.names
    assert files(path) == files(tmp_path / "expected")


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder, by path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def draw(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        photo = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(photo).save(folder / f"{number:04}.png")


def saved(path: Path) -> np.ndarray:
    """Return the descriptors of an index on disk."""
    _, parts = index_files.read(path)
    return np.concatenate([parts[name]["descriptors"] for name in sorted(parts)])


# --- an index is saved in place of another


def built(descriptors: np.ndarray) -> Index:
    return build_index(descriptors, "sharded", inner="exact", size=SHARD)


def build(path: str, seed: int, ticks: int, reports: Connection) -> None:
    reports.send("begun")
    save_by_halves(Fuse(ticks))
    built(rows_of(seed)).save(path)
    reports.send("saved")
    kills.die()


def rows_of(seed: int) -> np.ndarray:
    """Return the descriptors of three shards."""
    return np.concatenate([random_features(10 * seed + number).descriptors for number in range(15)])


def test_an_index_is_saved_completely_or_not_at_all(tmp_path):
    known, kept = rows_of(KILLS), 0
    built(known).save(tmp_path)
    for turn in range(KILLS):
        sent, after = killed(build, str(tmp_path), turn, turn=turn, ticks=13), rows_of(turn)
        found = saved(tmp_path)
        if "saved" not in sent and np.array_equal(found, known):
            kept += 1
        else:
            np.testing.assert_array_equal(found, after)
        known = found
    assert 0 < kept < KILLS
    built(after).save(tmp_path)
    assert len(list(tmp_path.glob("[!.]*"))) == 1 + 3
    assert not list(tmp_path.glob(".*.part")), "temporary files are removed"
    np.testing.assert_array_equal(saved(tmp_path), after)
