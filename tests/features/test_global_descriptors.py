"""Global descriptors: values, compiled programs, and the store that keeps them."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import classes, draw, extractor, network

from delfjax.features import global_descriptors
from delfjax.features.global_descriptors import (
    GlobalConfig,
    GlobalExtractor,
    extract_global_descriptors,
)
from delfjax.files import StoreError
from delfjax.models.pooling import POOLINGS


def global_extractor(**options) -> GlobalExtractor:
    return GlobalExtractor(extractor(), GlobalConfig(**{"longest": 64} | options))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return classes(tmp_path_factory.mktemp("global") / "photos", count=3, views=2)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_descriptor_of_a_photo_is_a_unit_vector(pooling):
    vector = global_extractor(pooling=pooling)(draw(0))
    assert vector.shape == (64,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert (vector >= 0).all(), "conv4 ends with a ReLU"


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (40, 56)])
def test_the_mosaic_does_not_change_the_descriptor(size):
    """The result equals that of the network applied to the photo without padding."""
    photo = draw(1, size)
    apply = nnx.jit(lambda model, photos: model(photos)["conv4"][0])
    maps = np.asarray(apply(network(), jnp.float32(photo)[None]), float)
    expected = (maps**3).mean((0, 1)) ** (1 / 3)
    vector = global_extractor(pooling="gem")(photo)
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)


def test_photos_of_one_mosaic_size_share_a_program():
    describe = global_extractor(
        pooling="rmac", exponent=3.25
    )  # no other test compiles this setting
    before = global_descriptors._describe._cache_size()
    for size in ((48, 64), (47, 60), (44, 64), (64, 48), (60, 47)):
        describe(draw(0, size))
    assert global_descriptors._describe._cache_size() == before + 1


def test_the_descriptors_of_several_scales_are_added(photos):
    photo = photos.load("a/0.png")
    both = global_extractor(scales=(1.0, 0.5))(photo)
    one, half = (global_extractor(scales=(scale,))(photo) for scale in (1.0, 0.5))
    np.testing.assert_allclose(both, (one + half) / np.linalg.norm(one + half), atol=1e-4)


# --- the store


def test_a_second_run_extracts_nothing(photos, tmp_path, monkeypatch):
    path = tmp_path / "new" / "gem"
    store = extract_global_descriptors(global_extractor(), photos, path)
    vectors = store.gather().descriptors
    assert store.report.extracted == list(photos.names) == list(store.names)
    monkeypatch.setattr(GlobalExtractor, "__call__", None)
    again = extract_global_descriptors(global_extractor(), photos, path)
    assert (again.report.extracted, again.report.kept) == ([], list(photos.names))
    names = ["c/1.png", "a/0.png"]
    np.testing.assert_array_equal(again.gather(names).descriptors, vectors[[5, 0]])
    assert again.made_by == store.made_by


def test_stored_descriptors_have_single_precision(photos, tmp_path):
    store = extract_global_descriptors(global_extractor(), photos, tmp_path / "gem")
    for name in photos.names:
        expected = global_extractor()(photos.load(name))
        np.testing.assert_array_equal(store.read(name).descriptors[0], expected)


def test_an_interrupted_run_continues(photos, tmp_path, monkeypatch):
    complete = extract_global_descriptors(global_extractor(), photos, tmp_path / "complete")
    path, done = tmp_path / "continued", []
    original = GlobalExtractor.__call__

    def stop(self, photo):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(photo)
        return original(self, photo)

    with monkeypatch.context() as patched:
        patched.setattr(GlobalExtractor, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            extract_global_descriptors(global_extractor(), photos, path)
    continued = extract_global_descriptors(global_extractor(), photos, path)
    assert (len(continued.report.kept), len(continued.report.extracted)) == (2, 4)
    vectors = (store.gather().descriptors for store in (continued, complete))
    np.testing.assert_array_equal(*vectors)


def test_broken_photos_are_reported(tmp_path):
    photos = classes(tmp_path / "photos", count=2, views=2)
    photos.path("a/1.png").write_text("no photo")
    store = extract_global_descriptors(global_extractor(), photos, tmp_path / "gem")
    assert list(store.report.failed) == ["a/1.png"]
    assert len(store) == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [({"pooling": "mac"}, "made with global = "), ({"longest": 32}, "'longest': 64")],
)
def test_a_store_made_with_other_settings_is_refused(photos, tmp_path, other, message):
    path = tmp_path / "gem"
    extract_global_descriptors(global_extractor(), photos, path)
    with pytest.raises(StoreError, match=message):
        extract_global_descriptors(global_extractor(**other), photos, path)


def test_changed_photos_are_described_again(tmp_path):
    photos = classes(tmp_path / "photos", count=3, views=1)
    describe = global_extractor()
    path = tmp_path / "gem"
    first = extract_global_descriptors(describe, photos, path).read(photos.names[1])
    a, b, c = photos.names
    photos.path(a).write_bytes(photos.path(b).read_bytes())
    photos.path(c).write_text("no photo any more")
    again = extract_global_descriptors(describe, photos, path)
    report = again.report
    assert (report.extracted, report.changed, report.kept) == ([a], [a], [b])
    assert [*report.failed] == [c]
    np.testing.assert_array_equal(again.read(a).descriptors, first.descriptors)
    assert c not in again
