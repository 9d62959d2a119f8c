"""PCA: agreement with the official code and with scikit-learn, saving and loading."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn import decomposition

from delfjax.features.pca import PAPER_DIMENSIONS, PCA, l2_normalize, truncate_descriptors


def descriptors(count, channels=12, seed=0) -> np.ndarray:
    """Return random descriptors like those of conv4: non-negative, not normalized, unequal channels."""
    rng = np.random.default_rng(seed)
    return (rng.exponential(1, (count, channels)) * rng.uniform(0.2, 5, channels)).astype("f4")


def test_projection_agrees_with_the_official_code():  # oracle O10
    pca = PCA(
        mean=np.array([1.0, 2, 3]),
        components=np.array([[2.0, 0, -1], [0, 1, 1]]),
        variances=np.array([4.0, 1]),
        whiten=True,
    )
    data = np.array([[1.0, 2, -2], [-5, 0, 3], [-1, 2, 0], [0, 4, -1]])
    expected = [[2.5, -5], [-6, -2], [-0.5, -3], [1, -2]]
    np.testing.assert_allclose(pca.project(data), expected)


def test_a_discriminative_projection_brings_photos_of_a_landmark_together():
    """Each landmark has a direction; the photos of all landmarks vary much more in two others."""
    rng = np.random.default_rng(0)

    def photos(landmarks: np.ndarray) -> np.ndarray:
        data = np.eye(12)[landmarks] + rng.normal(0, 0.05, (len(landmarks), 12))
        data[:, -2:] += rng.normal(0, 2, (len(landmarks), 2))
        return data.astype("f4")

    def correct(pca: PCA) -> float:
        landmarks = np.repeat(np.arange(8), 6)
        vectors = pca(photos(landmarks))
        similarity = vectors @ vectors.T - 2 * np.eye(len(vectors))
        return float(np.mean(landmarks[similarity.argmax(1)] == landmarks))

    labels = np.repeat(np.arange(8), 15)
    training = photos(labels)
    learned = PCA.fit_discriminative(training, [*map(str, labels)], dimensions=6)
    assert learned(training).shape == (120, 6)
    assert learned(training).dtype == np.float32
    assert correct(learned) > 0.95
    assert correct(PCA.fit(training, dimensions=6, whiten=True)) < 0.9


def test_l2_normalization_agrees_with_the_official_code():  # oracle O13
    normalized = l2_normalize(np.array([[-4.0, 0, 4]]))
    np.testing.assert_allclose(normalized, [[-0.70710677, 0, 0.70710677]], rtol=1e-7)


def test_rows_of_zeros_stay_zeros():
    np.testing.assert_array_equal(l2_normalize(np.zeros((2, 3), np.float32)), 0)


@pytest.mark.parametrize("whiten", [False, True])
def test_reduced_descriptors_are_unit_vectors_in_single_precision(whiten):
    reduced = PCA.fit(descriptors(200), dimensions=5, whiten=whiten)(descriptors(30, seed=1))
    assert reduced.shape == (30, 5)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1, rtol=1e-5)


def test_the_norm_of_a_descriptor_has_no_effect():
    pca, data = PCA.fit(descriptors(200), dimensions=5), descriptors(30, seed=1)
    np.testing.assert_allclose(pca(data), pca(7 * data), atol=1e-5)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_truncated_descriptor_equals_that_of_a_smaller_pca(whiten):
    large, small = (PCA.fit(descriptors(200), dimensions=size, whiten=whiten) for size in (9, 4))
    data = descriptors(30, seed=1)
    np.testing.assert_allclose(truncate_descriptors(large(data), 4), small(data), atol=1e-5)
    assert truncate_descriptors(large(data), None).shape == (30, 9)


@pytest.mark.parametrize("dimensions", [0, 10])
def test_an_invalid_number_of_dimensions_raises(dimensions):
    with pytest.raises(ValueError, match=f"is {dimensions}; expected 1 to 9"):
        truncate_descriptors(np.ones((2, 9), np.float32), dimensions)


def test_the_default_is_the_papers_number_of_dimensions():
    assert PAPER_DIMENSIONS == 40
    assert PCA.fit(descriptors(100, 64)).components.shape == (40, 64)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("count", [200, 9], ids=["more than channels", "fewer than channels"])
def test_projection_agrees_with_sklearn(count, whiten):
    data, others = descriptors(count), l2_normalize(descriptors(30, seed=1))
    expected = (
        decomposition.PCA(5, svd_solver="full", whiten=whiten)
        .fit(l2_normalize(data))
        .transform(others)
    )
    projected = PCA.fit(data, dimensions=5, whiten=whiten).project(others)
    signs = np.sign((projected * expected).sum(0))  # the sign of an axis is arbitrary
    np.testing.assert_allclose(projected * signs, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("count", [200, 9], ids=["more than channels", "fewer than channels"])
def test_a_saved_pca_can_be_loaded(tmp_path, count, whiten):
    pca = PCA.fit(descriptors(count), dimensions=5, whiten=whiten)
    pca.save(tmp_path / "pca.safetensors")
    loaded = PCA.load(tmp_path / "pca.safetensors")
    for name in ("mean", "components", "variances"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(pca, name))
    assert loaded.whiten is whiten
    # An interrupted extraction goes on with the loaded PCA.
    np.testing.assert_array_equal(loaded(descriptors(300)), pca(descriptors(300)))


def test_a_loaded_pca_rounds_like_the_fitted_one(tmp_path):
    """An interrupted extraction goes on with the loaded PCA."""
    many = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    pca = PCA.fit(many, dimensions=40)
    pca.save(tmp_path / "pca.safetensors")
    loaded = PCA.load(tmp_path / "pca.safetensors")
    np.testing.assert_array_equal(loaded(many[:40]), pca(many[:40]))


def test_saving_does_not_depend_on_the_memory_layout(tmp_path):
    # safetensors ignores strides, and scikit-learn stores components column by column.
    components = np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    one = np.ones(3, np.float32)
    pca = PCA(mean=one, components=components, variances=one[:2])
    pca.save(tmp_path / "pca.safetensors")
    saved = load_file(tmp_path / "pca.safetensors")["components"]
    np.testing.assert_array_equal(saved, components)


def test_too_few_descriptors_raise():
    with pytest.raises(ValueError, match="cannot fit a PCA of 5 dimensions to 4 descriptors"):
        PCA.fit(descriptors(4), dimensions=5)
