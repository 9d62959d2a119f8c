"""Feature store: reading what was written, shards, locks, settings, interrupted and damaged files."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfjax.features import shards
from delfjax.features import store as store_module
from delfjax.features.factory import extractor_of
from delfjax.features.pca import PCA
from delfjax.features.store import SHARDS, FeatureStore
from delfjax.files import Lock, StoreError
from delfjax.types import Features

V0_1_0 = Path(__file__).parents[1] / "data" / "v0_1_0"
MADE_BY = {"model": "abc", "extraction": {"scales": (0.5, 1.0)}, "reduction": {"dimensions": 4}}
FIELDS = ("positions", "scales", "scores", "descriptors")


def random_features(count: int, seed: int = 0) -> Features:
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
    """Yield an empty store that was entered. Photos stay in memory until it is flushed."""
    with FeatureStore(tmp_path / "store", MADE_BY) as store:
        yield store


def files(store: FeatureStore) -> list[str]:
    return sorted(path.name for path in (store.path / SHARDS).glob("[!.]*"))


def fill(path, *names: str, count: int = 3) -> FeatureStore:
    with FeatureStore(path, MADE_BY) as store:
        for name in names:
            store.write(name, random_features(count))
    return store


# --- reading what was written


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_written_features_can_be_read(store, count, flushed):
    features = random_features(count)
    store.write("photo.jpg", features)
    if flushed:
        store.flush()
    stored = store.read("photo.jpg")
    assert len(stored) == count
    assert stored.image_size == (90, 100)
    for name in ("positions", "scales", "scores"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(features, name))
    # Half precision has 11 bits, and the values of a unit vector are at most 1.
    np.testing.assert_allclose(stored.descriptors, features.descriptors, rtol=0, atol=2**-11)
    assert all(getattr(stored, f.name).dtype == np.float32 for f in fields(stored)[:-1])


def test_writing_again_loses_no_precision(store):
    store.write("one", random_features(9))
    store.write("two", store.read("one"))
    np.testing.assert_array_equal(store.read("two").descriptors, store.read("one").descriptors)


@pytest.mark.parametrize(
    "name", ["a.jpg", "class/a.jpg", "a/b/c d.jpg", "Zürich/東京.png", "a\nb", "\udcff.jpg", ""]
)
def test_any_name_of_a_photo_can_be_used(store, name):
    assert name not in store
    store.write(name, random_features(2))
    store.flush()
    assert name in store
    assert store.names == [name]
    assert FeatureStore(store.path).names == [name]
    assert len(store.read(name)) == 2


def test_names_are_sorted_and_counted(store):
    for name in ("b/2", "a/10", "b/1", "a/2"):
        store.write(name, random_features(1))
        store.flush()
    assert store.names == ["a/10", "a/2", "b/1", "b/2"]
    assert len(store) == 4


@pytest.mark.parametrize("flushed", [False, True])
def test_a_stored_photo_is_not_replaced(store, flushed):
    store.write("a", random_features(3))
    if flushed:
        store.flush()
    store.write("a", random_features(5))
    assert len(store.read("a")) == 3
    assert len(store) == 1


WRITES = st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3), st.integers(0, 9))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.one_of(WRITES, st.none()), max_size=8), max_size=4), st.integers(1, 4))
def test_any_sequence_of_writes_and_flushes_can_be_read(tmp_path_factory, sessions, photos):
    """A session is a list of writes and flushes. None is a flush."""
    path, expected = tmp_path_factory.mktemp("any") / "store", {}
    store = FeatureStore(path, MADE_BY)
    for session in sessions:
        with store, pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_module, "SHARD_PHOTOS", photos)
            for step in session:
                if step is None:
                    store.flush()
                    continue
                name, count, seed = step
                store.write(name, random_features(count, seed))
                expected.setdefault(name, random_features(count, seed))
                assert name in store
            assert store.names == sorted(expected)
    for reader in (store, FeatureStore(path)):
        assert reader.names == sorted(expected)
        assert len(reader) == len(expected)
        for name, features in expected.items():
            for key in FIELDS:
                array = getattr(shards.to_stored_precision(features), key)
                np.testing.assert_array_equal(getattr(reader.read(name), key), array)


@pytest.mark.parametrize("limit", [None, 0, 4, 99])
def test_photos_are_gathered_into_one_database(tmp_path, monkeypatch, limit):
    lengths = {"c": 5, "a": 0, "b": 9, "d": 2}
    monkeypatch.setattr(store_module, "SHARD_PHOTOS", 3)
    with FeatureStore(tmp_path, MADE_BY) as store:
        for seed, (name, count) in enumerate(lengths.items()):
            store.write(name, random_features(count, seed))
    for names in (None, ["d", "b"], ["a"], ["b", "b"]):
        database = store.gather(names, limit=limit)
        assert database.names == (tuple(names) if names else ("a", "b", "c", "d"))
        photos = [store.read(name)[:limit] for name in database.names]
        np.testing.assert_array_equal(np.diff(database.offsets), [len(photo) for photo in photos])
        for key in ("positions", "descriptors"):
            expected = np.concatenate([getattr(photo, key) for photo in photos])
            np.testing.assert_array_equal(getattr(database, key), expected)
            assert getattr(database, key).dtype == np.float32


def test_the_checksum_of_a_database_depends_on_names_offsets_and_descriptors(tmp_path):
    store = fill(tmp_path, "a", "b", "c")
    database, names = store.gather(), ["a", "b", "c"]
    assert database.checksum == store.gather(names).checksum
    assert database.checksum == replace(database, scores=database.scores + 1).checksum
    moved, other = database.offsets.copy(), database.descriptors.copy()
    moved[1] += 1
    other[0, 0] += 0.5
    changed = [
        *(store.gather(names[::-1]), store.gather(names[:2]), store.gather(limit=2)),
        *(replace(database, offsets=moved), replace(database, descriptors=other)),
    ]
    assert len({database.checksum, *(each.checksum for each in changed)}) == 6


def test_missing_photos_are_named(store):
    with pytest.raises(ValueError, match="at least one photo"):
        store.gather()
    with pytest.raises(StoreError, match=r"no features of 'a'\. Fix: extract this photo first"):
        store.gather(["a"])


@pytest.mark.parametrize("whiten", [False, True])
def test_the_pca_can_be_read(store, whiten):
    assert store.pca is None
    descriptors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    store.pca = PCA.fit(descriptors, dimensions=4, whiten=whiten)
    pca = FeatureStore(store.path).pca
    np.testing.assert_array_equal(pca(descriptors), store.pca(descriptors))
    assert pca.whiten is whiten
    assert store.names == []


# --- shards


def test_a_shard_is_written_when_enough_photos_are_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_PHOTOS", 2)
    with FeatureStore(tmp_path, MADE_BY) as store:
        for number, written in enumerate([0, 1, 1, 2, 2]):
            store.write(str(number), random_features(1))
            assert len(files(store)) == written
    assert files(store) == [f"part-{number:06d}.safetensors" for number in range(3)]
    assert fill(tmp_path, "5").names == list("012345")
    assert len(files(store)) == 4


def test_a_shard_is_written_when_a_photo_is_in_memory_too_long(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(store_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(store_module, "PART_SECONDS", 10)
    with FeatureStore(tmp_path, MADE_BY) as store:
        for at, written in ((100, 0), (109, 0), (110, 1), (119, 1), (128, 1), (129, 2)):
            now[0] = at
            store.write(str(at), random_features(1))
            assert len(files(store)) == written


def test_a_reader_reads_only_the_rows_it_needs(tmp_path, monkeypatch):
    """Opening a store reads no features. Reading a photo reads only its own rows."""
    fill(tmp_path, "a", "b", "c", count=7)
    reads, real_open = [], shards.safe_open

    class Spy:
        def __init__(self, *arguments):
            self.file = real_open(*arguments)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def get_slice(self, key):
            return SpySlice(self.file.get_slice(key), key)

    class SpySlice:
        def __init__(self, tensor, key):
            self.tensor, self.key = tensor, key

        def __getattr__(self, name):
            return getattr(self.tensor, name)

        def __getitem__(self, rows):
            reads.append((self.key, rows))
            return self.tensor[rows]

    with monkeypatch.context() as patch:
        patch.setattr(shards, "safe_open", Spy)
        store = FeatureStore(tmp_path)
        assert (len(store), "b" in store, reads) == (3, True, [])
        store.read("b")
    assert dict(reads) == dict.fromkeys(FIELDS, slice(7, 14))


def test_all_descriptors_have_the_same_number_of_dimensions(store):
    store.write("a", random_features(3))
    narrow = random_features(3).with_descriptors(random_features(3).descriptors[:, :2])
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"b: descriptors have 2 dimensions, but those of .* 4"
        ):
            store.write("b", narrow)
        store.flush()


# --- locking


def test_only_one_process_at_a_time_can_write(store):
    store.write("a", random_features(3))
    store.flush()
    other = FeatureStore(store.path, MADE_BY)
    with pytest.raises(
        StoreError, match=r"\.shard\.lock: this lock is held by another process.* wait until"
    ):
        other.__enter__()
    assert other.names == ["a"], "readers need no lock"
    with pytest.raises(StoreError, match=r"opened only for reading\. Fix: to write"):
        other.write("b", random_features(1))


def test_a_listing_during_a_merge_is_repeated(tmp_path, monkeypatch):
    """It can lack both the old files and the new one."""
    fill(tmp_path, "a", "b")
    glob, incomplete = Path.glob, [iter(())]
    monkeypatch.setattr(
        Path, "glob", lambda *these: incomplete.pop() if incomplete else glob(*these)
    )
    monkeypatch.setattr(store_module, "OPENING_SECONDS", 0, raising=False)
    assert FeatureStore(tmp_path).names == ["a", "b"]


def test_the_lock_of_a_killed_process_is_released(tmp_path):
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


def test_a_writer_sees_shards_written_before_it_entered(tmp_path):
    late = FeatureStore(tmp_path, MADE_BY)
    fill(tmp_path, "a")
    assert late.names == []
    with late:
        assert late.names == ["a"]
        late.write("b", random_features(1))
    assert FeatureStore(tmp_path).names == ["a", "b"]


def test_a_photo_in_two_shards_counts_once(tmp_path):
    """The first shard by file name counts. Shards of other tools can have other names."""
    store = fill(tmp_path / "store", "both", "second", count=2)
    other = fill(tmp_path / "other", "both", "first", count=1)
    folder = store.path / SHARDS
    (other.path / SHARDS / files(other)[0]).rename(folder / "a-000007.safetensors")
    store = FeatureStore(store.path)
    assert store.names == ["both", "first", "second"]
    assert store.gather().offsets.tolist() == [0, 1, 2, 4]
    fill(store.path, "third")
    assert files(store) == [
        "a-000007.safetensors",
        "part-000000.safetensors",
        "part-000001.safetensors",
    ]


# --- settings


def test_a_store_can_be_opened_with_or_without_its_settings(store):
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
def test_other_settings_are_refused(store, change, message):
    with pytest.raises(StoreError, match=message):
        FeatureStore(store.path, MADE_BY | change)
    fewer = {key: value for key, value in MADE_BY.items() if key != "model"}
    with pytest.raises(StoreError, match="made with model = abc, but None"):
        FeatureStore(store.path, fewer)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(StoreError, match="neither empty nor a feature store"):
        FeatureStore(tmp_path, MADE_BY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_can_be_created_in_an_empty_folder(tmp_path):
    assert FeatureStore(tmp_path, MADE_BY).names == []


def test_a_store_can_be_created_after_a_killed_attempt(tmp_path):
    (tmp_path / ".store.json.0123abcd").write_text('{"mod')
    assert FeatureStore(tmp_path, MADE_BY).made_by["model"] == "abc"


def test_opening_a_missing_store_raises(tmp_path):
    with pytest.raises(
        StoreError, match=r"no feature store here\. Fix: create one with .* delfjax extract"
    ):
        FeatureStore(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_shards_of_another_store_are_refused(tmp_path):
    fill(tmp_path / "a", "photo")
    with FeatureStore(tmp_path / "b", MADE_BY | {"model": "xyz"}) as other:
        other.write("photo", random_features(3))
    (other.path / SHARDS / files(other)[0]).rename(tmp_path / "a" / SHARDS / "w-000000.safetensors")
    with pytest.raises(StoreError, match=r"w-000000\.safetensors: .* another model.* move"):
        FeatureStore(tmp_path / "a")


# --- stores of earlier versions


def test_a_store_of_version_0_1_0_can_be_read():
    expected = json.loads((V0_1_0 / "store.json").read_text())
    store = FeatureStore(V0_1_0 / "store")
    assert store.names == expected["names"]
    assert store.pca.components.shape == (8, 64)
    assert store.read("0.png").descriptors[0].tolist() == expected["first"]
    assert store.gather().checksum == expected["checksum"]


@pytest.mark.parametrize(
    ("extraction", "factor"),
    [({"pyramid": {"longest": 50}}, 0.5), ({"longest": 50}, 0.5), ({"scales": (0.5, 1.0)}, 1)],
)
def test_scales_of_earlier_formats_are_converted(tmp_path, monkeypatch, extraction, factor):
    """They referred to the shrunk copy of a photo, and now refer to the photo."""
    made_by = MADE_BY | {"extraction": extraction}
    photo = random_features(5)  # its longest side has 100 pixels
    with FeatureStore(tmp_path / "store", made_by) as store:
        monkeypatch.setattr(shards, "FORMAT", shards.FORMAT_2)
        store.write("old", photo)
        store.flush()
        monkeypatch.undo()
        store.write("new", photo)
    reopened = FeatureStore(tmp_path / "store")
    np.testing.assert_array_equal(reopened.read("new").scales, photo.scales)
    np.testing.assert_array_equal(reopened.read("old").scales, factor * photo.scales)


# --- interrupted writes and damaged files


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_an_interrupted_write_leaves_no_shard_and_loses_no_photo(store, monkeypatch, moment):
    """After the next flush every photo is stored once, whether the shard was complete or not."""
    real_save = shards.save_file

    def interrupted(tensors, path, metadata):
        if moment == "after":
            real_save(tensors, path, metadata)
        elif moment == "during":
            path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    store.write("old", random_features(3))
    store.flush()
    store.write("new", random_features(5))
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
def test_an_interrupted_flush_duplicates_no_photo(store, monkeypatch, line):
    real = getattr(store_module, line)

    def interrupted(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    store.write("a", random_features(3))
    with monkeypatch.context() as patch:
        patch.setattr(store_module, line, interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.flush()
    store.write("b", random_features(5))
    store.flush()
    for reader in (store, FeatureStore(store.path)):
        assert (reader.names, len(reader)) == (["a", "b"], 2)
        assert [len(reader.read(name)) for name in "ab"] == [3, 5]


def test_photos_in_memory_are_written_after_an_error(tmp_path):
    def extract() -> None:
        with FeatureStore(tmp_path, MADE_BY) as store:
            store.write("a", random_features(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract()
    assert FeatureStore(tmp_path).names == ["a"]
    assert fill(tmp_path, "b").names == ["a", "b"], "the store is unlocked"


def test_reading_a_missing_photo_raises(store):
    with pytest.raises(
        StoreError, match=r"no features of 'a/b.jpg'. Fix: extract this photo first"
    ):
        store.read("a/b.jpg")


@pytest.mark.parametrize("left", [0, 7, 400, -1])
def test_a_damaged_file_raises(tmp_path, left):
    store = fill(tmp_path, "a.jpg")
    path = tmp_path / SHARDS / files(store)[0]
    path.write_bytes(path.read_bytes()[:left])
    for access in (lambda: FeatureStore(tmp_path), store.__enter__):
        with pytest.raises(
            StoreError, match=r"part-000000\.safetensors: damaged; .* Fix: remove the file"
        ):
            access()
    path.unlink()
    assert fill(tmp_path, "a.jpg").names == ["a.jpg"]


def test_photos_can_be_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_PHOTOS", 2)
    with FeatureStore(tmp_path, MADE_BY) as store:
        for name in "dabce":
            store.write(name, random_features(3, ord(name)))
        with pytest.raises(StoreError, match="no features of 'x'"):
            store.remove(["x"])
        store.remove(["a", "e"])
        assert store.names == ["b", "c", "d"]
        store.compact()
    store = FeatureStore(tmp_path)
    assert store.names == ["b", "c", "d"]
    expected = random_features(3, ord("c")).positions
    np.testing.assert_array_equal(store.read("c").positions, expected)
    assert len(files(store)) == 2


def test_the_files_of_a_compact_store_do_not_depend_on_the_order_of_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_PHOTOS", 4)
    contents = []
    for number, order in enumerate(("abcdefghij", "jihg fedc ba", "ab dc ef ghij")):
        for names in order.split():
            with FeatureStore(tmp_path / str(number), MADE_BY) as store:
                for name in names:
                    store.write(name, random_features(3, ord(name)))
                    store.flush()
        with FeatureStore(tmp_path / str(number), MADE_BY) as store:
            store.compact()
        folder = tmp_path / str(number) / SHARDS
        contents.append({file.name: file.read_bytes() for file in folder.glob("*.safetensors")})
    assert len(contents[0]) == 3
    assert contents[0] == contents[1] == contents[2]


def test_a_safetensors_file_with_other_content_raises(tmp_path):
    store = fill(tmp_path, "a.jpg")
    shards.save_file({"x": np.zeros(3)}, tmp_path / SHARDS / "other-000000.safetensors")
    with pytest.raises(
        StoreError, match=r"other-000000\.safetensors: damaged; expected a shard \('format'"
    ):
        FeatureStore(store.path)


@pytest.mark.parametrize(
    "wrong", [{"backbone": None}, {"backbone": 5}, {"extraction": None}, {"extraction": []}]
)
def test_settings_of_other_types_are_refused(tmp_path, wrong):
    made_by = {"backbone": "sift", "model": "x", "extraction": {}, "reduction": None} | wrong
    with pytest.raises(StoreError, match=r"store\.json: damaged; expected the settings"):
        extractor_of(FeatureStore(tmp_path, made_by))


def test_a_store_of_an_imported_model_needs_the_model_file(tmp_path):
    made_by = {"backbone": "delf_slim", "model": "x", "extraction": {}, "reduction": None}
    with pytest.raises(StoreError, match=r"the backbone delf_slim\. Fix: pass this file \(--model"):
        extractor_of(FeatureStore(tmp_path, made_by))
