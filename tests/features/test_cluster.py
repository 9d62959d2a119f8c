"""Two workers do what one process does, to the bit, even where one of them is killed at it."""

import builtins
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_extract_folder import FEW, contents
from worlds import classes, extractor, flat

from delfjax.features import extract_folder as module
from delfjax.features.cluster import Client, connect_cluster, map_in_order
from delfjax.features.extract_folder import extract_folder
from delfjax.features.handcrafted import HandcraftedConfig
from delfjax.images.reading import PhotoError, scan
from delfjax.search.distributed import ClusterIndex, ShardedIndex
from delfjax.search.index import build_index, load_index
from delfjax.search.searcher import Searcher
from delfjax.types import Features

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    with connect_cluster(workers=2) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture(autouse=True)
def two_workers(request):
    """Wait until whoever a test killed has been replaced."""
    if "client" in request.fixturenames:
        request.getfixturevalue("client").wait_for_workers(2)


@dataclass(frozen=True)
class Slow:
    """An extractor that says who begins with a photo, and takes its time."""

    log: Path
    seconds: float = 0.02
    spec: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="slow"))
    config: HandcraftedConfig = field(default_factory=HandcraftedConfig)
    checksum: str = "slow"
    name: str = "slow"

    def with_config(self, config):
        raise NotImplementedError

    def __call__(self, photo):
        seeded = np.random.default_rng(int(photo.sum()))
        return Features(
            positions=seeded.uniform(0, 40, (30, 2)).astype(np.float32),
            scales=np.ones(30, np.float32),
            scores=seeded.uniform(0, 9, 30).astype(np.float32),
            descriptors=seeded.normal(size=(30, 64)).astype(np.float32),
            image_size=photo.shape[:2],
        )

    def stream(self, photos):
        for name, photo in photos:
            with self.log.open("a") as log:
                log.write(f"{os.getpid()} {name}\n")
            time.sleep(self.seconds)
            yield name, photo if isinstance(photo, PhotoError) else self(photo)

    @property
    def begun(self) -> list[tuple[int, str]]:
        """Process and photo, in the order of time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(int(pid), name) for pid, name in map(str.split, lines)]

    def kill_after(self, count: int) -> threading.Thread:
        """Kill whoever begins with the photo of this number, at it."""

        def wait_and_kill() -> None:
            while len(self.begun) < count:
                time.sleep(0.002)
            os.kill(self.begun[count - 1][0], signal.SIGKILL)

        thread = threading.Thread(target=wait_and_kill)
        thread.start()
        return thread


# --- extraction


def test_two_workers_fill_the_store_of_one_process(tmp_path, client):
    photos = classes(tmp_path / "photos", count=3, views=4)
    photos.path("b/1.png").write_text("no photo")
    alone = extract_folder(extractor(), photos, tmp_path / "alone", config=FEW)
    store = extract_folder(extractor(), photos, tmp_path / "together", config=FEW, client=client)
    assert (store.report.extracted, list(store.report.failed)) == (
        alone.report.extracted,
        ["b/1.png"],
    )
    assert str(store.report.failed["b/1.png"]) == str(alone.report.failed["b/1.png"])
    assert store.made_by == alone.made_by
    assert contents(store) == contents(alone)


@pytest.mark.parametrize("after", [3, 30])
def test_a_worker_killed_at_extraction_loses_and_doubles_nothing(
    tmp_path, client, monkeypatch, after
):
    """While the PCA is learned, or after that."""
    monkeypatch.setattr(module, "CHUNK_PHOTOS", 4)
    photos, slow = flat(tmp_path / "photos", 40), Slow(tmp_path / "log")
    alone = extract_folder(Slow(tmp_path / "other"), photos, tmp_path / "alone", config=FEW)
    killer = slow.kill_after(after)
    store = extract_folder(slow, photos, tmp_path / "store", config=FEW, client=client)
    killer.join()
    assert sorted(store.report.extracted) == list(photos.names)
    kept = [name for shard in store._shards for name in shard.names]
    assert sorted(kept) == list(photos.names)
    assert contents(store) == contents(alone)
    killed, at = slow.begun[after - 1]
    assert killed in {pid for pid, name in slow.begun if name == at}
    assert any(pid != killed for pid, name in slow.begun if name == at), "another did it again"


def test_what_is_there_is_not_extracted_again(tmp_path, client):
    photos, slow = flat(tmp_path / "photos", 6), Slow(tmp_path / "log", seconds=0)
    extract_folder(slow, photos, tmp_path / "store", config=FEW)
    flat(photos.root, 8)
    store = extract_folder(slow, scan(photos.root), tmp_path / "store", config=FEW, client=client)
    assert store.report.extracted == ["6.png", "7.png"]
    assert [name for _, name in slow.begun][-2:] == ["6.png", "7.png"]


# --- index and search


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Nine photos of three landmarks: 540 descriptors."""
    root = tmp_path_factory.mktemp("store")
    return extract_folder(extractor(), classes(root / "photos"), root / "store", config=FEW)


def answers(store, index) -> list[np.ndarray]:
    searcher = Searcher(store.gather(), index)
    rankings = [searcher(store.read(name)).ranking for name in store.names]
    return [
        getattr(ranking, part)
        for ranking in rankings
        for part in ("images", "inliers", "votes", "affines")
    ]


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("inner", ["exact", "nndescent"])
def test_rankings_are_those_of_one_process(store, client, inner):
    descriptors, settings = store.gather().descriptors, {"size": 200, "inner": inner}
    alone = ShardedIndex.build(descriptors, **settings)
    index = ShardedIndex.build(descriptors, **settings, client=client)
    assert isinstance(index, ClusterIndex)
    assert [len(shard) for shard in index.shards] == [200, 200, 140]
    assert (len(index), index.dimensions) == (540, 8)
    assert (index.memory, index.effort) == (alone.memory, alone.effort)
    assert_same(answers(store, index), answers(store, alone))


def test_a_worker_killed_between_build_and_search_changes_no_ranking(store, client):
    descriptors = store.gather().descriptors
    index = ShardedIndex.build(descriptors, size=100, inner="exact", client=client)
    workers, held = client.run(os.getpid), index.shards[0]._held
    (address, *_) = client.who_has([held])[held.key]
    os.kill(workers[address], signal.SIGKILL)
    assert_same(answers(store, index), answers(store, build_index(descriptors, "exact")))


def test_a_killed_worker_does_not_forget_what_was_added(store, client):
    descriptors = store.gather().descriptors
    index = ShardedIndex.build(descriptors[:250], size=200, inner="exact", client=client)
    index.add(descriptors[250:])
    assert [len(shard) for shard in index.shards] == [200, 200, 140]
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert_same(answers(store, index), answers(store, build_index(descriptors, "exact")))


def test_effort_goes_with_the_question(client):
    rows = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    settings = {"size": 500, "threads": 1, "neighbors": 5, "beam": 5}
    alone = ShardedIndex.build(rows, **settings)
    index = ShardedIndex.build(rows, **settings, client=client)
    for effort in (5, 50):
        alone.effort = index.effort = effort
        assert_same(index.search(rows[:20], 5), alone.search(rows[:20], 5))


def test_shards_are_saved_from_a_cluster_as_from_one_process(store, client, tmp_path):
    descriptors, settings = store.gather().descriptors, {"size": 200, "inner": "exact"}
    ShardedIndex.build(descriptors, **settings).save(tmp_path / "alone")
    ShardedIndex.build(descriptors, **settings, client=client).save(tmp_path / "together")
    alone, together = (
        sorted(file.name for file in (tmp_path / name).iterdir()) for name in ("alone", "together")
    )
    assert together == alone
    loaded = load_index(tmp_path / "together")
    np.testing.assert_array_equal(loaded.descriptors, descriptors)


# --- the cluster itself


def test_parts_come_in_order_whoever_is_quicker(client):
    assert list(map_in_order(client, _wait_and_add, range(9), 100)) == list(range(100, 109))
    assert isinstance(client, Client)


def _wait_and_add(part: int, shared: int) -> int:
    time.sleep(0.03 * (part % 3 == 0))
    return part + shared


def test_what_is_shared_may_be_as_large_as_a_network(client):
    """Dask would warn of 10 MB, and warnings are errors here."""
    found = map_in_order(client, _add_length, range(3), np.zeros(2_000_000))
    assert list(found) == [2_000_000, 2_000_001, 2_000_002]


def _add_length(part: int, shared: np.ndarray) -> int:
    return part + len(shared)


def test_an_error_in_a_part_comes_back(client):
    with pytest.raises(ValueError, match="asked for 9 neighbors"):
        next(map_in_order(client, _fail, [9]))


def _fail(part: int) -> None:
    raise ValueError(f"asked for {part} neighbors")


def test_without_dask_the_mend_is_named(monkeypatch):
    find = builtins.__import__

    def without(name, *rest, **options):
        if name == "distributed":
            raise ImportError("no distributed")
        return find(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(ImportError, match=r"pip install 'delfjax\[cluster\]'"),
        connect_cluster(workers=2),
    ):
        pass
    with connect_cluster() as nobody:
        assert nobody is None
