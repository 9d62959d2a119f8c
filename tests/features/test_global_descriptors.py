"""Global descriptors: values, compiled programs, and the file that stores them."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import classes, draw, extractor, network

from delfjax.features import global_descriptors
from delfjax.features.global_descriptors import (
    GlobalConfig,
    GlobalDescriptors,
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


# --- the file


def test_a_second_run_extracts_nothing(photos, tmp_path, monkeypatch):
    path = tmp_path / "new" / "gem.safetensors"
    vectors = extract_global_descriptors(global_extractor(), photos, path)
    assert vectors.report.extracted == list(photos.names) == list(vectors.names)
    monkeypatch.setattr(GlobalExtractor, "__call__", None)
    again = extract_global_descriptors(global_extractor(), photos, path)
    assert (again.report.extracted, again.report.kept) == ([], list(photos.names))
    np.testing.assert_array_equal(again.vectors, vectors.vectors)
    names = ["c/1.png", "a/0.png"]
    np.testing.assert_array_equal(again.select(names), vectors.vectors[[5, 0]])
    assert again.made_by == vectors.made_by


def test_an_interrupted_run_continues(photos, tmp_path, monkeypatch):
    complete = extract_global_descriptors(
        global_extractor(), photos, tmp_path / "complete.safetensors"
    )
    path, done = tmp_path / "continued.safetensors", []
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
    np.testing.assert_array_equal(continued.vectors, complete.vectors)


def test_descriptors_are_saved_during_the_run(photos, tmp_path, monkeypatch):
    """A killed process keeps them. Another process cannot write meanwhile, but it can read."""
    path, saved = tmp_path / "gem.safetensors", []
    original = GlobalExtractor.__call__

    def count(self, photo):
        saved.append(len(GlobalDescriptors.load(path).names) if path.exists() else 0)
        with pytest.raises(StoreError, match="held by another process"):
            extract_global_descriptors(global_extractor(), photos, path)
        return original(self, photo)

    monkeypatch.setattr(global_descriptors, "SAVE_SECONDS", 0)
    monkeypatch.setattr(GlobalExtractor, "__call__", count)
    extract_global_descriptors(global_extractor(), photos, path)
    assert saved == [0, 1, 2, 3, 4, 5]
    assert len(extract_global_descriptors(global_extractor(), photos, path).report.kept) == 6


def test_broken_photos_are_reported(tmp_path):
    photos = classes(tmp_path / "photos", count=2, views=2)
    photos.path("a/1.png").write_text("no photo")
    vectors = extract_global_descriptors(global_extractor(), photos, tmp_path / "gem.safetensors")
    assert list(vectors.report.failed) == ["a/1.png"]
    assert len(vectors.names) == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [({"pooling": "mac"}, "made with global = "), ({"longest": 32}, "'longest': 64")],
)
def test_a_file_made_with_other_settings_is_refused(photos, tmp_path, other, message):
    path = tmp_path / "gem.safetensors"
    extract_global_descriptors(global_extractor(), photos, path)
    with pytest.raises(StoreError, match=message):
        extract_global_descriptors(global_extractor(**other), photos, path)


def test_leftovers_of_killed_runs_are_removed(photos, tmp_path):
    path = tmp_path / "[a].safetensors"
    leftover, other = tmp_path / ".[a].safetensors.12.part", tmp_path / ".a.safetensors.12.part"
    for file in (leftover, other):
        file.touch()
    extract_global_descriptors(global_extractor(), photos, path)
    assert (leftover.exists(), other.exists()) == (False, True)
