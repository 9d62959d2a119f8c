"""A cluster of two workers gives the results of one process, even if a worker is killed."""

import builtins
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_extract_folder import FEW, contents
from worlds import classes, extractor, flat

from delfjax.features import cluster as cluster_module
from delfjax.features import extract_folder as module
from delfjax.features.cluster import connect_cluster, map_in_order, wait_for
from delfjax.features.extract_folder import extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError
from delfjax.search.distributed import ShardedIndex
from delfjax.search.index import build_index, load_index
from delfjax.search.searcher import Searcher
from delfjax.types import Features

FutureCancelledError = pytest.importorskip("distributed.client").FutureCancelledError


WORKER_SECONDS = 120  # time that two workers have to start, also on a busy machine


@contextmanager
def cluster():
    with connect_cluster(workers=2) as client:
        client.wait_for_workers(2, timeout=WORKER_SECONDS)
        yield client


@pytest.fixture(scope="module")
def client():
    """Connect to two workers that no test kills."""
    with cluster() as connected:
        yield connected


@pytest.fixture
def mortal_client():
    """Connect to two workers of which a test may kill one."""
    with cluster() as connected:
        yield connected


@dataclass(frozen=True)
class Slow(HandcraftedExtractor):
    """An extractor that logs process and name when it starts a photo, and then sleeps."""

    log: Path
    seconds: float = 0.02
    config: ExtractionConfig = field(default_factory=ExtractionConfig)
    checksum: str = "slow"
    name: str = "slow"

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
    def started(self) -> list[tuple[int, str]]:
        """Return process and photo of each start, in order of time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(int(pid), name) for pid, name in map(str.split, lines)]

    def kill_after(self, count: int) -> threading.Thread:
        """Kill the process that starts the photo of this number, during that photo."""

        def wait_and_kill() -> None:
            while len(self.started) < count:
                time.sleep(0.002)
            os.kill(self.started[count - 1][0], signal.SIGKILL)

        thread = threading.Thread(target=wait_and_kill)
        thread.start()
        return thread


# --- extraction


def test_two_workers_give_the_store_of_one_process(tmp_path, client):
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
def test_a_killed_worker_loses_and_duplicates_no_photo(tmp_path, mortal_client, monkeypatch, after):
    """The worker is killed before or after the PCA is learned."""
    monkeypatch.setattr(module, "CHUNK_PHOTOS", 4)
    photos, slow = flat(tmp_path / "photos", 40), Slow(tmp_path / "log")
    fast = Slow(tmp_path / "other", seconds=0)
    alone = extract_folder(fast, photos, tmp_path / "alone", config=FEW)
    killer = slow.kill_after(after)
    store = extract_folder(slow, photos, tmp_path / "store", config=FEW, client=mortal_client)
    killer.join()
    assert sorted(store.report.extracted) == list(photos.names)
    assert store.names == list(photos.names)
    assert contents(store) == contents(alone)
    killed, photo = slow.started[after - 1]
    assert killed in {pid for pid, name in slow.started if name == photo}
    assert any(pid != killed for pid, name in slow.started if name == photo), (
        "another worker repeated it"
    )


def test_stored_photos_are_not_extracted_again(tmp_path, client):
    photos, slow = flat(tmp_path / "photos", 6), Slow(tmp_path / "log", seconds=0)
    extract_folder(slow, photos, tmp_path / "store", config=FEW)
    flat(photos.root, 8)
    store = extract_folder(slow, scan(photos.root), tmp_path / "store", config=FEW, client=client)
    assert store.report.extracted == ["6.png", "7.png"]
    assert [name for _, name in slow.started][-2:] == ["6.png", "7.png"]


# --- index and search


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Nine photos of three landmarks: 540 descriptors."""
    root = tmp_path_factory.mktemp("store")
    return extract_folder(extractor(), classes(root / "photos"), root / "store", config=FEW)


def rank_all(store, index) -> list[np.ndarray]:
    searcher = Searcher(store.gather(), index)
    rankings = [searcher(store.read(name)).ranking for name in store.names]
    return [
        getattr(ranking, name) for ranking in rankings for name in ("images", "inliers", "votes")
    ]


def assert_equal(found, expected):
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def test_rankings_equal_those_of_one_process(store, client):
    descriptors, settings = store.gather().descriptors, {"size": 200, "inner": "exact"}
    alone = ShardedIndex.build(descriptors, **settings)
    index = ShardedIndex.build(descriptors, **settings, client=client)
    assert index.client is client
    assert index.lengths == (200, 200, 140)
    assert (len(index), index.dimensions) == (540, 8)
    assert index.effort == alone.effort
    assert_equal(rank_all(store, index), rank_all(store, alone))


def test_a_worker_killed_after_building_changes_no_ranking(store, mortal_client):
    descriptors = store.gather().descriptors
    index = ShardedIndex.build(descriptors, size=100, inner="exact", client=mortal_client)
    workers, shard = mortal_client.run(os.getpid), index.shards[0]
    (address, *_) = mortal_client.who_has([shard])[shard.key]
    os.kill(workers[address], signal.SIGKILL)
    assert_equal(rank_all(store, index), rank_all(store, build_index(descriptors, "exact")))


def test_each_search_uses_the_current_effort(client):
    rows = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    settings = {"size": 500, "threads": 1, "neighbors": 5, "beam": 5}
    alone = ShardedIndex.build(rows, **settings)
    index = ShardedIndex.build(rows, **settings, client=client)
    for effort in (5, 50):
        alone.effort = index.effort = effort
        assert_equal(index.search(rows[:20], 5), alone.search(rows[:20], 5))


def test_shards_on_a_cluster_are_saved_like_those_of_one_process(store, client, tmp_path):
    descriptors, settings = store.gather().descriptors, {"size": 200, "inner": "exact"}
    ShardedIndex.build(descriptors, **settings).save(tmp_path / "alone")
    ShardedIndex.build(descriptors, **settings, client=client).save(tmp_path / "together")
    assert (tmp_path / "together").read_bytes() == (tmp_path / "alone").read_bytes()
    found = load_index(tmp_path / "together").search(descriptors, 1)
    np.testing.assert_allclose(found.distances, 0, atol=1e-2)


# --- the cluster itself


def test_results_are_yielded_in_the_order_of_the_parts(client):
    assert list(map_in_order(client, _wait_and_add, range(9), 100)) == list(range(100, 109))


def _wait_and_add(part: int, shared: int) -> int:
    time.sleep(0.03 * (part % 3 == 0))
    return part + shared


def test_shared_arguments_can_be_as_large_as_a_network(client):
    """Dask warns above 10 MB by default, and warnings are errors in these tests."""
    results = map_in_order(client, _add_length, range(3), np.zeros(2_000_000))
    assert list(results) == [2_000_000, 2_000_001, 2_000_002]


def _add_length(part: int, shared: np.ndarray) -> int:
    return part + len(shared)


def test_the_error_of_a_part_is_raised(client):
    with pytest.raises(ValueError, match="asked for 9 neighbors"):
        next(map_in_order(client, _fail, [9]))


def _fail(part: int) -> None:
    raise ValueError(f"asked for {part} neighbors")


def test_a_scheduler_that_stopped_is_named():
    class Cancelled:
        def result(self):
            raise FutureCancelledError("key", "scheduler-connection-lost")

    client = SimpleNamespace(scheduler=SimpleNamespace(address="tcp://host:1"))
    with pytest.raises(OSError, match=r"tcp://host:1: the scheduler has stopped\. Fix: "):
        wait_for(client, Cancelled())


def test_without_dask_the_error_names_the_package(monkeypatch):
    real_import = builtins.__import__

    def import_without_distributed(name, *rest, **options):
        if name == "distributed":
            raise ImportError("no distributed")
        return real_import(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", import_without_distributed)
    with (
        pytest.raises(ImportError, match=r"pip install 'delfjax\[cluster\]'"),
        connect_cluster(workers=2),
    ):
        pass
    with connect_cluster() as client:
        assert client is None


def test_a_scheduler_without_workers_is_refused(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster_module, "WORKER_SECONDS", 0.1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(TimeoutError, match="0/1 workers"),
        connect_cluster(scheduler=empty.scheduler_address),
    ):
        pass
