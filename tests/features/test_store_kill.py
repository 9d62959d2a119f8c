"""Kill an extraction at seeded moments: no photo that was written is lost, and the next run continues."""

import os
import random
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import kills
import numpy as np
from kills import Fuse
from PIL import Image

from delfjax.features import store as store_module
from delfjax.features.extract_folder import PCAConfig, extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.features.store import FeatureStore
from delfjax.images.folder import scan
from delfjax.types import Features

KILLS, PHOTOS, ROWS = 12, 12, 20
STATEMENTS = 110  # of SQL in the extraction of these photos
FEW = PCAConfig(dimensions=8, photos=5, features=ROWS)


class Toy(HandcraftedExtractor):
    """An extractor whose features depend only on the photo."""

    name = "toy"
    config = ExtractionConfig()
    checksum = "toy"

    def __init__(self) -> None:
        pass

    def __call__(self, photo: np.ndarray) -> Features:
        seeded = np.random.default_rng(int(photo.sum()))
        return Features(
            positions=seeded.uniform(0, 9, (ROWS, 2)).astype(np.float32),
            scales=np.ones(ROWS, np.float32),
            scores=seeded.uniform(0, 9, ROWS).astype(np.float32),
            descriptors=seeded.normal(size=(ROWS, 32)).astype(np.float32),
            image_size=(16, 16),
        )


def extract(folder: str, path: str, statement: int, reports: Connection) -> None:
    """Extract the missing photos, commit and report each, and die at a statement of SQL."""
    execute, flush, fuse = FeatureStore._execute, FeatureStore.flush, Fuse(statement)

    def execute_or_die(store: FeatureStore, sql: str, *values: object) -> list:
        fuse.tick()
        return execute(store, sql, *values)

    def flush_and_report(store: FeatureStore) -> None:
        flush(store)
        reports.send(store.names)

    store_module.COMMIT_SECONDS = 0
    FeatureStore._execute, FeatureStore.flush = execute_or_die, flush_and_report
    reports.send([])
    extract_folder(Toy(), scan(folder), path, config=FEW)
    kills.die()


def check(path: Path, expected: FeatureStore) -> set[str]:
    """Check all photos in a store, and return their names. They are not reduced before the PCA is known."""
    store = FeatureStore(path)
    assert store.dimensions in (None, 32 if store.pca is None else 8)
    if store.pca is not None and len(store):
        found, wanted = store.gather(), expected.gather(store.names)
        for part in ("offsets", "positions", "descriptors"):
            np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part))
    return set(store.names)


def draw(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        photo = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(photo).save(folder / f"{number:04}.png")


def test_a_killed_extraction_continues_to_the_same_features(tmp_path, monkeypatch):
    """Kills are spread over the whole run: photos for the PCA, the PCA, and the other photos."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # new processes import this file
    seeded, written, path = random.Random(0), set(), tmp_path / "store"
    draw(tmp_path / "photos", range(PHOTOS))
    photos = scan(tmp_path / "photos")
    expected = extract_folder(Toy(), photos, tmp_path / "expected", config=FEW)
    complete = 0
    for turn in range(KILLS):
        statement, after = seeded.randint(1, STATEMENTS), None
        if turn % 3 == 0:
            statement, after = 0, seeded.uniform(0, 0.2)
        sent = kills.killed(extract, str(photos.root), str(path), statement, after=after)
        written |= {name for names in sent for name in names}
        if not (path / store_module.FILE).exists():
            continue
        known = check(path, expected)
        assert written <= known, "what was written stays"
        store = extract_folder(Toy(), photos, path, config=FEW) if turn % 2 else FeatureStore(path)
        if turn % 2:
            assert set(store.report.kept) == known
            assert check(path, expected) == set(expected.names)
            np.testing.assert_array_equal(store.pca.components, expected.pca.components)
            complete, written, path = complete + 1, set(), tmp_path / f"store {turn}"
    assert complete > KILLS / 3
