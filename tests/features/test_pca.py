"""Reduction: the official worked numbers, agreement with scikit-learn, what is saved is read back."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn import decomposition

from delfjax.features.pca import PAPER_DIMENSIONS, PCA, l2_normalize, truncate_descriptors


def descriptors(count, channels=12, seed=0) -> np.ndarray:
    """Draw descriptors as conv4 gives them: non-negative, of any length, some channels livelier."""
    rng = np.random.default_rng(seed)
    return (rng.exponential(1, (count, channels)) * rng.uniform(0.2, 5, channels)).astype("f4")


def test_projection_of_the_official_code():
    # O10
    pca = PCA(
        mean=np.array([1.0, 2, 3]),
        components=np.array([[2.0, 0, -1], [0, 1, 1]]),
        variances=np.array([4.0, 1]),
        whiten=True,
    )
    data = np.array([[1.0, 2, -2], [-5, 0, 3], [-1, 2, 0], [0, 4, -1]])
    expected = [[2.5, -5], [-6, -2], [-0.5, -3], [1, -2]]
    np.testing.assert_allclose(pca.project(data), expected)


def test_l2_norm_of_the_official_code():
    # O13
    found = l2_normalize(np.array([[-4.0, 0, 4]]))
    np.testing.assert_allclose(found, [[-0.70710677, 0, 0.70710677]], rtol=1e-7)


def test_rows_of_zeros_stay_zeros():
    np.testing.assert_array_equal(l2_normalize(np.zeros((2, 3), np.float32)), 0)


@pytest.mark.parametrize("whiten", [False, True])
def test_output_is_unit_vectors_in_float32(whiten):
    reduced = PCA.fit(descriptors(200), dimensions=5, whiten=whiten)(descriptors(30, seed=1))
    assert reduced.shape == (30, 5)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1, rtol=1e-5)


def test_length_of_a_descriptor_does_not_matter():
    pca, data = PCA.fit(descriptors(200), dimensions=5), descriptors(30, seed=1)
    np.testing.assert_allclose(pca(data), pca(7 * data), atol=1e-5)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_truncated_descriptor_is_that_of_a_smaller_pca(whiten):
    large, small = (PCA.fit(descriptors(200), dimensions=size, whiten=whiten) for size in (9, 4))
    data = descriptors(30, seed=1)
    np.testing.assert_allclose(truncate_descriptors(large(data), 4), small(data), atol=1e-5)
    assert truncate_descriptors(large(data), None).shape == (30, 9)


@pytest.mark.parametrize("dimensions", [0, 10])
def test_what_cannot_be_truncated_is_an_error(dimensions):
    with pytest.raises(ValueError, match=rf"cannot keep {dimensions} of 9 dimensions"):
        truncate_descriptors(np.ones((2, 9), np.float32), dimensions)


def test_paper_dimensions():
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
    found = PCA.fit(data, dimensions=5, whiten=whiten).project(others)
    signs = np.sign((found * expected).sum(0))  # of an axis, either direction is as good
    np.testing.assert_allclose(found * signs, expected, atol=1e-4 * np.abs(expected).max())


def test_fitting_twice_gives_the_same():
    first, second = (PCA.fit(descriptors(200), dimensions=5) for _ in range(2))
    np.testing.assert_array_equal(first.components, second.components)


def test_axes_come_strongest_first():
    variances = PCA.fit(descriptors(200), dimensions=5).variances
    assert (np.diff(variances) <= 0).all()


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("count", [200, 9], ids=["more than channels", "fewer than channels"])
def test_what_is_saved_is_read_back(tmp_path, count, whiten):
    pca = PCA.fit(descriptors(count), dimensions=5, whiten=whiten)
    pca.save(tmp_path / "pca.safetensors")
    read = PCA.load(tmp_path / "pca.safetensors")
    for name in ("mean", "components", "variances"):
        np.testing.assert_array_equal(getattr(read, name), getattr(pca, name))
    assert read.whiten is whiten
    np.testing.assert_allclose(read(descriptors(30)), pca(descriptors(30)), atol=1e-6)


def test_columns_are_saved_as_columns(tmp_path):
    # safetensors writes memory as it lies, whatever its order.
    components = np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    one = np.ones(3, np.float32)
    pca = PCA(mean=one, components=components, variances=one[:2])
    pca.save(tmp_path / "pca.safetensors")
    saved = load_file(tmp_path / "pca.safetensors")["components"]
    np.testing.assert_array_equal(saved, components)


def test_too_few_descriptors():
    with pytest.raises(ValueError, match="cannot fit 5 dimensions to 4 descriptors: give more"):
        PCA.fit(descriptors(4), dimensions=5)
