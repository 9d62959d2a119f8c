"""Feature store: reading what was written, the PCA, locks, settings, interruptions and damage."""

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from denied import no_permission
from hypothesis import given, settings
from hypothesis import strategies as st

from delfjax.features import store as store_module
from delfjax.features.factory import extractor_of
from delfjax.features.pca import PCA
from delfjax.features.store import COMMIT_SECONDS, FILE, FeatureStore, _checksum
from delfjax.files import Lock, StoreError
from delfjax.types import Features

V0_1_0 = Path(__file__).parents[1] / "data" / "v0_1_0"
MADE_BY = {"model": "abc", "extraction": {"scales": (0.5, 1.0)}, "reduction": {"dimensions": 4}}


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
    """Yield an empty store that was entered. Others see photos when it is flushed."""
    with FeatureStore(tmp_path / "store", MADE_BY) as store:
        yield store


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


WRITES = st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3), st.integers(0, 9))
REMOVALS = st.sampled_from("abcdefgh")
STEPS = st.lists(st.one_of(WRITES, REMOVALS, st.none()), max_size=8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(STEPS, max_size=4))
def test_any_sequence_of_changes_can_be_read(tmp_path_factory, sessions):
    """A session is a list of writes, removals and flushes. None is a flush."""
    path, expected = tmp_path_factory.mktemp("any") / "store", {}
    store = FeatureStore(path, MADE_BY)
    for session in sessions:
        with store:
            for step in session:
                if step is None:
                    store.flush()
                elif isinstance(step, str):
                    store.remove([step] if step in store else [])
                    expected.pop(step, None)
                else:
                    name, count, seed = step
                    store.write(name, random_features(count, seed))
                    expected.setdefault(name, random_features(count, seed))
                    assert name in store
            assert store.names == sorted(expected)
    for reader in (store, FeatureStore(path)):
        assert reader.names == sorted(expected)
        assert len(reader) == len(expected)
        for name, features in expected.items():
            stored = reader.read(name)
            for key in ("positions", "scales", "scores"):
                np.testing.assert_array_equal(getattr(stored, key), getattr(features, key))
            rounded = features.descriptors.astype(np.float16)
            np.testing.assert_array_equal(stored.descriptors, rounded)


@pytest.mark.parametrize("selection", ["attention", "norm"])
def test_a_database_knows_whether_attention_selected_its_features(tmp_path, selection):
    settings = MADE_BY | {"extraction": {"selection": selection}}
    with FeatureStore(tmp_path, settings) as store:
        for name in "ab":
            store.write(name, random_features(3))
        database = store.gather()
    for each in (database, database.select(np.array([1]))):
        assert each.attention == (selection == "attention")


@pytest.mark.parametrize("limit", [None, 0, 4, 99])
def test_photos_are_gathered_into_one_database(tmp_path, limit):
    lengths = {"c": 5, "a": 0, "b": 9, "d": 2}
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
    with pytest.raises(ValueError, match="extract photos first"):
        store.gather()
    for read in (store.read, lambda name: store.gather([name])):
        with pytest.raises(StoreError, match=r"no features of 'a'\. Fix: extract this photo first"):
            read("a")


def test_photos_can_be_removed(tmp_path):
    with FeatureStore(tmp_path, MADE_BY) as store:
        for name in "dabce":
            store.write(name, random_features(3, ord(name)))
        with pytest.raises(StoreError, match="no features of 'x'"):
            store.remove(["a", "x"])
        store.remove(["a", "e"])
        assert store.names == ["b", "c", "d"]
    store = FeatureStore(tmp_path)
    assert store.names == ["b", "c", "d"]
    expected = random_features(3, ord("c")).positions
    np.testing.assert_array_equal(store.read("c").positions, expected)


def test_the_file_shrinks_when_photos_are_removed(tmp_path):
    store = fill(tmp_path, *"abcdefgh", count=2000)
    before = (tmp_path / FILE).stat().st_size
    with store:
        store.remove("abcdef")
    assert (tmp_path / FILE).stat().st_size < before / 3


def test_a_photo_is_written_when_others_have_waited_too_long(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(store_module.time, "monotonic", lambda: now[0])
    with FeatureStore(tmp_path, MADE_BY) as store:
        for at, written in ((10, 0), (10.9, 0), (11, 3), (12, 3), (12.9, 3), (13.1, 6)):
            now[0] = COMMIT_SECONDS * at
            store.write(str(at), random_features(1))
            assert len(FeatureStore(tmp_path)) == written


# --- PCA


@pytest.mark.parametrize("whiten", [False, True])
def test_a_pca_reduces_the_stored_photos_once(tmp_path, whiten):
    descriptors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    pca = PCA.fit(descriptors, dimensions=2, whiten=whiten)
    store = fill(tmp_path, "a", "b", count=9)
    assert (store.pca, store.dimensions) == (None, 4)
    before = store.read("a")
    with store:
        store.reduce(pca)
    for reader in (store, FeatureStore(tmp_path)):
        assert (reader.names, reader.dimensions) == (["a", "b"], 2)
        assert reader.pca.whiten is whiten
        np.testing.assert_array_equal(reader.pca(descriptors), pca(descriptors))
        found = reader.read("a")
        np.testing.assert_array_equal(found.descriptors, pca(before.descriptors).astype(np.float16))
        np.testing.assert_array_equal(found.positions, before.positions)


def test_an_interrupted_reduction_changes_nothing(tmp_path):
    store, calls = fill(tmp_path, "a", "b"), []

    class Interrupted(PCA):
        def __call__(self, descriptors):
            calls.append(0)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return super().__call__(descriptors)

    pca = PCA.fit(random_features(30).descriptors, dimensions=2)
    with pytest.raises(KeyboardInterrupt), store:
        store.reduce(Interrupted(**vars(pca)))
    for reader in (store, FeatureStore(tmp_path)):
        assert (reader.pca, reader.dimensions) == (None, 4)
        assert len(reader.gather()) == 2


def test_all_descriptors_have_the_same_number_of_dimensions(store):
    store.write("a", random_features(3))
    narrow = random_features(3).with_descriptors(random_features(3).descriptors[:, :2])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b: the descriptors have 2 dimensions, but .* 4"):
            store.write("b", narrow)
        store.flush()


# --- locking


def test_only_one_process_at_a_time_can_write(store):
    store.write("a", random_features(3))
    store.flush()
    other = FeatureStore(store.path, MADE_BY)
    with pytest.raises(
        StoreError, match=r"\.sqlite\.lock: this lock is held by another process.* wait until"
    ):
        other.__enter__()
    assert other.names == ["a"], "readers need no lock"
    with pytest.raises(StoreError, match=r"opened only for reading\. Fix: to write"):
        other.write("b", random_features(1))


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


def test_other_stores_see_what_was_written_meanwhile(tmp_path):
    late = FeatureStore(tmp_path, MADE_BY)
    fill(tmp_path, "a")
    with late:
        assert late.names == ["a"]
        late.write("b", random_features(1))
    assert FeatureStore(tmp_path).names == ["a", "b"]


def test_a_reader_reads_while_a_process_writes(store):
    """A change that is not committed does not block readers, although it is larger than their cache."""
    store.write("a", random_features(3))
    store.flush()
    reader = FeatureStore(store.path)
    store.write("b", random_features(200_000))
    assert reader.names == ["a"]
    assert len(reader.read("a")) == len(reader.gather().scales) == 3
    store.flush()
    assert len(reader.read("b")) == 200_000


def test_a_store_in_a_folder_without_permission_can_be_read(shared_path):
    fill(shared_path / "store", "a")
    with no_permission(shared_path / "store", left=0o555):
        store = FeatureStore(shared_path / "store", MADE_BY)
        assert len(store.read("a")) == 3
        with pytest.raises(PermissionError):
            store.__enter__()


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


def test_a_store_can_be_created_after_a_killed_attempt(tmp_path):
    (tmp_path / f".{FILE}.0123abcd.part").write_text("SQLite")
    assert FeatureStore(tmp_path, MADE_BY).made_by["model"] == "abc"


def test_opening_a_missing_store_raises(tmp_path):
    with pytest.raises(
        StoreError, match=r"no feature store here\. Fix: create one with .* delfjax extract"
    ):
        FeatureStore(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("settings", [None, MADE_BY])
def test_a_store_of_version_0_1_0_is_refused(settings):
    message = r"written by an earlier version .* Fix: extract again into a new folder"
    with pytest.raises(StoreError, match=message) as error:
        FeatureStore(V0_1_0 / "store", settings)
    assert "\n" not in str(error.value)


# --- interrupted writes and damaged files


def test_photos_in_memory_are_written_after_an_error(tmp_path):
    def extract() -> None:
        with FeatureStore(tmp_path, MADE_BY) as store:
            store.write("a", random_features(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract()
    assert FeatureStore(tmp_path).names == ["a"]
    assert fill(tmp_path, "b").names == ["a", "b"], "the store is unlocked"


@pytest.mark.parametrize("left", [0, 7, 400, 5000, -5000])
def test_a_damaged_file_raises(tmp_path, left):
    fill(tmp_path, "a.jpg", count=2000)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:left])
    message = r"features\.sqlite: damaged; .* Fix: extract again"
    with pytest.raises(StoreError, match=message) as error:
        FeatureStore(tmp_path).gather()
    assert "\n" not in str(error.value)


CHANGES = [
    "DELETE FROM photos WHERE name = x'61'",
    "UPDATE photos SET checksum = 3 WHERE name = x'61'",
    "UPDATE store SET pca = x'00'",
    "UPDATE store SET made_by = replace(made_by, 'abc', 'xyz')",
    "DELETE FROM store",
    "CREATE VIEW other AS SELECT 1",
    "CREATE TRIGGER other AFTER INSERT ON photos BEGIN DELETE FROM photos; END",
    "DROP TABLE photos",
]


@pytest.mark.parametrize("change", CHANGES)
def test_changes_by_other_programs_are_refused(tmp_path, change):
    fill(tmp_path, "a", "b")
    execute(tmp_path, change)
    with pytest.raises(StoreError, match=r"features\.sqlite: damaged; .* Fix: extract again"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        *(f"{column} = {column} + 1" for column in ("height", "width", "dimensions")),
        *("source = NULL", "features = zeroblob(24)"),
    ],
)
def test_a_changed_row_is_refused(tmp_path, change):
    fill(tmp_path, "a", "b")
    execute(tmp_path, f"UPDATE photos SET {change} WHERE name = x'61'")
    store = FeatureStore(tmp_path)
    assert len(store.read("b")) == 3
    with pytest.raises(StoreError, match=r"damaged; .*the features of 'a' do not match"):
        store.gather()


@pytest.mark.parametrize(
    "change",
    [
        *("features = 'text'", "features = zeroblob(7)", "features = NULL", "source = '[['"),
        *(f"dimensions = {value}" for value in (-1, 10**12, "'x'", "NULL", 2.5)),
        *("source = replace(hex(zeroblob(50000)), '0', '[')", "source = '[1]'"),
    ],
)
def test_a_wrong_row_with_a_valid_checksum_is_refused(tmp_path, change):
    """Files from elsewhere are not trusted."""
    fill(tmp_path, "a")
    execute(tmp_path, f"UPDATE photos SET {change}")
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        ((key, _, *values),) = connection.execute("SELECT * FROM photos").fetchall()
        ((made_by, pca, _),) = connection.execute("SELECT * FROM store").fetchall()
    checksum = _checksum(key, *values)
    execute(tmp_path, f"UPDATE photos SET checksum = {checksum}")
    execute(tmp_path, f"UPDATE store SET checksum = {checksum + _checksum(made_by, pca)}")
    store = FeatureStore(tmp_path)
    with pytest.raises(StoreError, match=r"features\.sqlite: damaged; .* Fix: extract again"):
        store.gather()


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path / FILE)) as connection:
        connection.execute(sql)
        connection.commit()


def test_a_full_disk_is_named_and_loses_only_what_does_not_fit(tmp_path):
    store = fill(tmp_path, "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write_more() -> None:
        with store:
            store.write("b", random_features(20_000))
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))

    try:
        with pytest.raises(StoreError, match=r"features\.sqlite: .* Fix: free disk space"):
            write_more()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fill(tmp_path, "c").names == FeatureStore(tmp_path).names == ["a", "c"]


@pytest.mark.parametrize(
    "wrong", [{"backbone": None}, {"backbone": 5}, {"extraction": None}, {"extraction": []}]
)
def test_settings_of_other_types_are_refused(tmp_path, wrong):
    made_by = {"backbone": "sift", "model": "x", "extraction": {}, "reduction": None} | wrong
    with pytest.raises(StoreError, match=r"features\.sqlite: damaged; expected"):
        extractor_of(FeatureStore(tmp_path, made_by))


def test_a_store_of_an_imported_model_needs_the_model_file(tmp_path):
    made_by = {"backbone": "delf_slim", "model": "x", "extraction": {}, "reduction": None}
    with pytest.raises(
        StoreError, match=r"the backbone delf_slim\. Fix: pass the file of this model \(--model"
    ):
        extractor_of(FeatureStore(tmp_path, made_by))
