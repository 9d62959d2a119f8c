"""The store: what is written is read back, nothing is mixed, nothing is seen half-written."""

from dataclasses import fields

import numpy as np
import pytest

from delfjax.axes import Features
from delfjax.reduction import Reduction
from delfjax.store import FeatureStore, StoreError

MADE_BY = {"model": "abc", "extraction": {"scales": (0.5, 1.0)}, "reduction": {"dimensions": 4}}


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
    return FeatureStore(tmp_path / "store", MADE_BY)


# --- what is written is read back


@pytest.mark.parametrize("count", [0, 1, 50])
def test_features_come_back(store, count):
    features = made_up(count)
    store.write("photo.jpg", features)
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
    "name", ["a.jpg", "class/a.jpg", "a/b/c d.jpg", "Zürich/東京.png", "a.npz"]
)
def test_names_are_those_of_photos(store, name):
    assert name not in store
    store.write(name, made_up(2))
    assert name in store
    assert store.names == [name]
    assert FeatureStore(store.path).names == [name]
    assert len(store.read(name)) == 2


def test_names_are_sorted_and_counted(store):
    for name in ("b/2", "a/10", "b/1", "a/2"):
        store.write(name, made_up(1))
    assert store.names == ["a/10", "a/2", "b/1", "b/2"]
    assert len(store) == 4


def test_a_photo_may_be_written_anew(store):
    store.write("a", made_up(3))
    store.write("a", made_up(5))
    assert len(store.read("a")) == 5
    assert len(store) == 1


@pytest.mark.parametrize("whiten", [False, True])
def test_the_reduction_comes_back(store, whiten):
    assert store.reduction is None
    descriptors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    store.reduction = Reduction.fit(descriptors, dimensions=4, whiten=whiten)
    found = FeatureStore(store.path).reduction
    np.testing.assert_array_equal(found(descriptors), store.reduction(descriptors))
    assert found.whiten is whiten
    assert store.names == []


# --- nothing is mixed


def test_a_store_opens_with_what_made_it_or_without(store):
    assert FeatureStore(store.path, MADE_BY).made_by == FeatureStore(store.path).made_by
    assert FeatureStore(str(store.path)).made_by["model"] == "abc"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "xyz"}, "made with model = abc, but xyz is asked for; use another folder"),
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


def test_there_has_to_be_a_store_to_open(tmp_path):
    with pytest.raises(StoreError, match="no feature store here; make one with: extract"):
        FeatureStore(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


# --- nothing is half-written


def test_a_write_cut_short_leaves_no_features(store, monkeypatch):
    store.write("old", made_up(3))

    def savez(stream, **arrays):
        stream.write(b"PK half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        for name in ("new", "sub/new", "old"):
            with pytest.raises(KeyboardInterrupt):
                store.write(name, made_up(5))
    assert store.names == ["old"]
    assert "new" not in store
    assert len(store.read("old")) == 3
    store.write("new", made_up(5))
    assert len(store.read("new")) == 5


def test_a_missing_photo_is_named(store):
    with pytest.raises(StoreError, match=r"no features of 'a/b.jpg'; extract that photo first"):
        store.read("a/b.jpg")


@pytest.mark.parametrize("left", [0, 7, 400])
def test_a_damaged_file_is_named(store, left):
    store.write("a.jpg", made_up(20))
    path = store.path / "features" / "a.jpg.npz"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(StoreError, match=r"a\.jpg\.npz: damaged .*; remove it and extract again"):
        store.read("a.jpg")
