"""The store: what is written is read back, nothing is mixed, nothing is seen half-written."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import delfjax.features.store
from delfjax.features import shards
from delfjax.features.pca import PCA
from delfjax.features.store import SHARDS, FeatureStore, StoreError
from delfjax.files import Lock
from delfjax.types import Features

MADE_BY = {"model": "abc", "extraction": {"scales": (0.5, 1.0)}, "reduction": {"dimensions": 4}}
FIELDS = ("positions", "scales", "scores", "descriptors")


def made_up(count: int, seed: int = 0) -> Features:
    random = np.random.default_rng(seed)
    descriptors = random.normal(size=(count, 4)).astype(np.float32)
    return Features(
        positions=random.uniform(0, 99, (count, 2)).astype(np.float32),
        scales=random.choice(np.float32([0.5, 1.0]), count),
        scores=np.sort(random.uniform(0, 9, count).astype(np.float32))[::-1],
        descriptors=descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
        image_size=(90, 100),
    )


@pytest.fixture
def store(tmp_path):
    """An empty store, open to read and to write; nothing is on disk before it is flushed."""
    with FeatureStore(tmp_path / "store", MADE_BY) as store:
        yield store


def files(store: FeatureStore) -> list[str]:
    return sorted(path.name for path in (store.path / SHARDS).glob("[!.]*"))


def fill(path, *names: str, count: int = 3, **options) -> FeatureStore:
    with FeatureStore(path, MADE_BY, **options) as store:
        for name in names:
            store.write(name, made_up(count))
    return store


# --- what is written is read back


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_features_come_back(store, count, flushed):
    features = made_up(count)
    store.write("photo.jpg", features)
    if flushed:
        store.flush()
    found = store.read("photo.jpg")
    assert len(found) == count
    assert found.image_size == (90, 100)
    for part in ("positions", "scales", "scores"):
        np.testing.assert_array_equal(getattr(found, part), getattr(features, part))
    # Half precision has 11 bits; the numbers of a unit vector are at most 1.
    np.testing.assert_allclose(found.descriptors, features.descriptors, rtol=0, atol=2**-11)
    assert all(getattr(found, f.name).dtype == np.float32 for f in fields(found)[:-1])


def test_what_was_read_is_written_without_loss(store):
    store.write("one", made_up(9))
    store.write("two", store.read("one"))
    np.testing.assert_array_equal(store.read("two").descriptors, store.read("one").descriptors)


@pytest.mark.parametrize(
    "name", ["a.jpg", "class/a.jpg", "a/b/c d.jpg", "Zürich/東京.png", "a\nb", "\udcff.jpg", ""]
)
def test_names_are_those_of_photos(store, name):
    assert name not in store
    store.write(name, made_up(2))
    store.flush()
    assert name in store
    assert store.names == [name]
    assert FeatureStore(store.path).names == [name]
    assert len(store.read(name)) == 2


def test_names_are_sorted_and_counted(store):
    for name in ("b/2", "a/10", "b/1", "a/2"):
        store.write(name, made_up(1))
        store.flush()
    assert store.names == ["a/10", "a/2", "b/1", "b/2"]
    assert len(store) == 4


@pytest.mark.parametrize("flushed", [False, True])
def test_a_photo_that_is_there_stays(store, flushed):
    store.write("a", made_up(3))
    if flushed:
        store.flush()
    store.write("a", made_up(5))
    assert len(store.read("a")) == 3
    assert len(store) == 1


WRITES = st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3), st.integers(0, 9))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.one_of(WRITES, st.none()), max_size=8), max_size=4), st.integers(1, 4))
def test_any_writes_flushes_and_reopenings_read_back(tmp_path_factory, sessions, photos):
    """A session is a list of writes, and of flushes, which are None."""
    path, expected = tmp_path_factory.mktemp("any") / "store", {}
    store = FeatureStore(path, MADE_BY, shard_photos=photos)
    for session in sessions:
        with store:
            for step in session:
                if step is None:
                    store.flush()
                    continue
                name, count, seed = step
                store.write(name, made_up(count, seed))
                expected.setdefault(name, made_up(count, seed))
                assert name in store
            assert store.names == sorted(expected)
    for found in (store, FeatureStore(path)):
        assert found.names == sorted(expected)
        assert len(found) == len(expected)
        for name, features in expected.items():
            for part in FIELDS:
                whole = getattr(shards.to_stored_precision(features), part)
                np.testing.assert_array_equal(getattr(found.read(name), part), whole)


@pytest.mark.parametrize("limit", [None, 0, 4, 99])
def test_many_photos_are_gathered_end_to_end(tmp_path, limit):
    lengths = {"c": 5, "a": 0, "b": 9, "d": 2}
    with FeatureStore(tmp_path, MADE_BY, shard_photos=3) as store:
        for seed, (name, count) in enumerate(lengths.items()):
            store.write(name, made_up(count, seed))
    for names in (None, ["d", "b"], ["a"], ["b", "b"]):
        found = store.gather(names, limit=limit)
        assert found.names == (tuple(names) if names else ("a", "b", "c", "d"))
        photos = [store.read(name)[:limit] for name in found.names]
        np.testing.assert_array_equal(np.diff(found.offsets), [len(photo) for photo in photos])
        for part in ("positions", "descriptors"):
            whole = np.concatenate([getattr(photo, part) for photo in photos])
            np.testing.assert_array_equal(getattr(found, part), whole)
            assert getattr(found, part).dtype == np.float32


def test_a_databases_checksum_is_of_names_rows_and_descriptors(tmp_path):
    store = fill(tmp_path, "a", "b", "c")
    whole, names = store.gather(), ["a", "b", "c"]
    assert whole.checksum == store.gather(names).checksum
    assert whole.checksum == replace(whole, scores=whole.scores + 1).checksum
    moved, other = whole.offsets.copy(), whole.descriptors.copy()
    moved[1] += 1
    other[0, 0] += 0.5
    changed = [
        *(store.gather(names[::-1]), store.gather(names[:2]), store.gather(limit=2)),
        *(replace(whole, offsets=moved), replace(whole, descriptors=other)),
    ]
    assert len({whole.checksum, *(each.checksum for each in changed)}) == 6


def test_nothing_is_gathered_of_an_empty_store(store):
    assert store.gather().names == ()
    with pytest.raises(StoreError, match="no features of 'a'; extract that photo first"):
        store.gather(["a"])


@pytest.mark.parametrize("whiten", [False, True])
def test_the_pca_comes_back(store, whiten):
    assert store.pca is None
    descriptors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    store.pca = PCA.fit(descriptors, dimensions=4, whiten=whiten)
    found = FeatureStore(store.path).pca
    np.testing.assert_array_equal(found(descriptors), store.pca(descriptors))
    assert found.whiten is whiten
    assert store.names == []


# --- shards


def test_a_shard_is_written_when_enough_photos_wait(tmp_path):
    with FeatureStore(tmp_path, MADE_BY, shard_photos=2) as store:
        for number, there in enumerate([0, 1, 1, 2, 2]):
            store.write(str(number), made_up(1))
            assert len(files(store)) == there
    assert files(store) == [f"shard-{number:06d}.safetensors" for number in range(3)]
    assert fill(tmp_path, "5").names == list("012345")
    assert len(files(store)) == 4


def test_a_shard_is_written_when_photos_wait_too_long(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("delfjax.features.store.time.monotonic", lambda: now[0])
    with FeatureStore(tmp_path, MADE_BY, shard_seconds=10) as store:
        for at, there in ((100, 0), (109, 0), (110, 1), (119, 1), (128, 1), (129, 2)):
            now[0] = at
            store.write(str(at), made_up(1))
            assert len(files(store)) == there


def test_a_reader_reads_no_more_than_it_is_asked_for(tmp_path, monkeypatch):
    """Opening takes names alone; a photo, its own rows."""
    fill(tmp_path, "a", "b", "c", count=7)
    taken, whole = [], shards.safe_open

    class Spy:
        def __init__(self, *arguments):
            self.file = whole(*arguments)

        def metadata(self):
            return self.file.metadata()

        def get_slice(self, part):
            return SpySlice(self.file.get_slice(part), part)

    class SpySlice:
        def __init__(self, tensor, part):
            self.tensor, self.part = tensor, part

        def __getitem__(self, rows):
            taken.append((self.part, rows))
            return self.tensor[rows]

    with monkeypatch.context() as patch:
        patch.setattr(shards, "safe_open", Spy)
        store = FeatureStore(tmp_path)
        assert (len(store), "b" in store, taken) == (3, True, [])
        store.read("b")
    assert taken[:2] == [("offsets", slice(1, 3)), ("image_sizes", 1)]
    assert dict(taken[2:]) == dict.fromkeys(FIELDS, slice(7, 14))


def test_descriptors_have_one_width(store):
    store.write("a", made_up(3))
    narrow = made_up(3).with_descriptors(made_up(3).descriptors[:, :2])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b: descriptors of 2 dimensions, but those of .* 4"):
            store.write("b", narrow)
        store.flush()


# --- one writer, or several


def test_one_process_at_a_time_writes(store):
    store.write("a", made_up(3))
    store.flush()
    other = FeatureStore(store.path, MADE_BY)
    with pytest.raises(StoreError, match=r"\.shard\.lock: held by another process.* wait until"):
        other.__enter__()
    assert other.names == ["a"], "readers are free"
    with pytest.raises(StoreError, match="open to read; write inside of: with store"):
        other.write("b", made_up(1))


def test_the_lock_is_let_go_of_by_whoever_ends(tmp_path):
    path = tmp_path / "lock"
    hold = (
        "import sys; from pathlib import Path; from delfjax.files import Lock\n"
        "lock = Lock(Path(sys.argv[1])); print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="held by another process"):
            Lock(path)
        process.kill()
    Lock(path).release()


def test_a_writer_sees_what_was_written_before_it_entered(tmp_path):
    late = FeatureStore(tmp_path, MADE_BY)
    fill(tmp_path, "a")
    assert late.names == []
    with late:
        assert late.names == ["a"]
        late.write("b", made_up(1))
    assert FeatureStore(tmp_path).names == ["a", "b"]


def test_several_writers_fill_one_store(tmp_path):
    """A photo that two have written counts once, in the first shard by name."""
    with (
        FeatureStore(tmp_path, MADE_BY, writer="worker-2") as two,
        FeatureStore(tmp_path, MADE_BY, writer="worker-1") as one,
    ):
        two.write("both", made_up(2))
        one.write("both", made_up(1))
        two.write("second", made_up(2))
        one.write("first", made_up(1))
    store = FeatureStore(tmp_path)
    assert files(store) == ["worker-1-000000.safetensors", "worker-2-000000.safetensors"]
    assert store.names == ["both", "first", "second"]
    assert len(store.read("both")) == 1
    assert store.gather().offsets.tolist() == [0, 1, 2, 4]
    fill(tmp_path, "third", writer="worker-1")
    assert files(store)[1] == "worker-1-000001.safetensors"


@pytest.mark.parametrize("writer", ["", "a/b", "..", "a b"])
def test_a_writers_name_is_that_of_files(tmp_path, writer):
    with pytest.raises(ValueError, match="expected letters, digits, - and _ only"):
        FeatureStore(tmp_path, MADE_BY, writer=writer)


# --- nothing is mixed


def test_a_store_opens_with_what_made_it_or_without(store):
    assert FeatureStore(store.path, MADE_BY).made_by == FeatureStore(store.path).made_by
    assert FeatureStore(str(store.path)).made_by["model"] == "abc"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "xyz"}, "made with model = abc, but xyz was requested. Fix: use another folder"),
        ({"reduction": {"dimensions": 8}}, "made with reduction = {'dimensions': 4}, but"),
        ({"seed": 1}, "made with seed = None, but 1"),
    ],
)
def test_a_store_refuses_to_mix(store, change, message):
    with pytest.raises(StoreError, match=message):
        FeatureStore(store.path, MADE_BY | change)
    fewer = {key: value for key, value in MADE_BY.items() if key != "model"}
    with pytest.raises(StoreError, match="made with model = abc, but None"):
        FeatureStore(store.path, fewer)


def test_a_store_is_not_made_among_other_files(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(StoreError, match="neither empty nor a feature store"):
        FeatureStore(tmp_path, MADE_BY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_may_be_made_in_an_empty_folder(tmp_path):
    assert FeatureStore(tmp_path, MADE_BY).names == []


def test_a_store_whose_making_was_killed_is_made(tmp_path):
    (tmp_path / ".store.json.0123abcd").write_text('{"mod')
    assert FeatureStore(tmp_path, MADE_BY).made_by["model"] == "abc"


def test_there_has_to_be_a_store_to_open(tmp_path):
    with pytest.raises(StoreError, match="no feature store here; make one with: extract"):
        FeatureStore(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_shards_of_another_store_are_refused(tmp_path):
    fill(tmp_path / "a", "photo")
    with FeatureStore(tmp_path / "b", MADE_BY | {"model": "xyz"}) as other:
        other.write("photo", made_up(3))
    (other.path / SHARDS / files(other)[0]).rename(tmp_path / "a" / SHARDS / "w-000000.safetensors")
    with pytest.raises(StoreError, match=r"w-000000\.safetensors: made by another model.* move"):
        FeatureStore(tmp_path / "a")


def test_the_old_format_is_refused(tmp_path):
    FeatureStore(tmp_path, MADE_BY)
    (tmp_path / "features").mkdir()
    for made_by in (MADE_BY, None):
        with pytest.raises(
            StoreError, match=r"a file a photo, which is read no more.* extract again"
        ):
            FeatureStore(tmp_path, made_by)


# --- nothing is half-written


@pytest.mark.parametrize("moment", ["before", "amid", "after"])
def test_a_write_cut_short_leaves_no_shard_and_loses_no_photo(store, monkeypatch, moment):
    """Whether the interrupt falls before the shard is whole or after: at last every photo is there once."""
    whole = shards.save_file

    def interrupted(tensors, path, metadata):
        if moment == "after":
            whole(tensors, path, metadata)
        elif moment == "amid":
            path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    store.write("old", made_up(3))
    store.flush()
    store.write("new", made_up(5))
    with monkeypatch.context() as patch:
        patch.setattr(shards, "save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.flush()
    assert FeatureStore(store.path).names == ["old"]
    store.flush()
    found = FeatureStore(store.path)
    assert found.names == ["new", "old"]
    assert len(found.read("new")) == 5
    assert not list((store.path / SHARDS).glob("*.part"))


@pytest.mark.parametrize("line", ["Shard", "write_shard"])
def test_an_interrupt_between_the_lines_of_a_flush_doubles_nothing(store, monkeypatch, line):
    whole = getattr(delfjax.features.store, line)

    def interrupted(*arguments):
        whole(*arguments)
        raise KeyboardInterrupt

    store.write("a", made_up(3))
    with monkeypatch.context() as patch:
        patch.setattr(delfjax.features.store, line, interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.flush()
    store.write("b", made_up(5))
    store.flush()
    for found in (store, FeatureStore(store.path)):
        assert (found.names, len(found)) == (["a", "b"], 2)
        assert [len(found.read(name)) for name in "ab"] == [3, 5]


def test_an_error_keeps_what_was_ready(tmp_path):
    def extract() -> None:
        with FeatureStore(tmp_path, MADE_BY) as store:
            store.write("a", made_up(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract()
    assert FeatureStore(tmp_path).names == ["a"]
    assert fill(tmp_path, "b").names == ["a", "b"], "and lets another write"


def test_a_missing_photo_is_named(store):
    with pytest.raises(StoreError, match=r"no features of 'a/b.jpg'; extract that photo first"):
        store.read("a/b.jpg")


@pytest.mark.parametrize("left", [0, 7, 400, -1])
def test_a_damaged_file_is_named(tmp_path, left):
    store = fill(tmp_path, "a.jpg")
    path = tmp_path / SHARDS / files(store)[0]
    path.write_bytes(path.read_bytes()[:left])
    for access in (lambda: FeatureStore(tmp_path), store.__enter__):
        with pytest.raises(
            StoreError, match=r"shard-000000\.safetensors: damaged .*; remove it and"
        ):
            access()
    path.unlink()
    assert fill(tmp_path, "a.jpg").names == ["a.jpg"]


def test_a_foreign_safetensors_file_is_named(tmp_path):
    store = fill(tmp_path, "a.jpg")
    shards.save_file({"x": np.zeros(3)}, tmp_path / SHARDS / "other-000000.safetensors")
    with pytest.raises(StoreError, match=r"other-000000\.safetensors: damaged \('names'\)"):
        FeatureStore(store.path)
