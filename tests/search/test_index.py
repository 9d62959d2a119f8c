"""Exact search against brute force, and what all indexes have in common."""

import numpy as np
import pytest

from delfjax.search import exact as module
from delfjax.search.exact import ExactIndex
from delfjax.search.index import build_index


def unit_vectors(count, seed=0, dimensions=40):
    """Clustered, as descriptors are: isotropic noise has no neighbors worth finding."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(50, dimensions))
    noise = 0.35 * random.normal(size=(count, dimensions))
    vectors = centers[random.integers(50, size=count)] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


DATABASE, QUERIES = unit_vectors(3000), unit_vectors(150, seed=1)


def brute_force(database, queries, k):
    distances = np.linalg.norm(queries[:, None].astype(float) - database[None], axis=-1)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, axis=1)


@pytest.mark.parametrize("chunk", [256, 1000, 65536])
def test_exact_is_brute_force(monkeypatch, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    rows, distances = ExactIndex(DATABASE).search(QUERIES, 60)
    expected_rows, expected = brute_force(DATABASE, QUERIES, 60)
    np.testing.assert_allclose(distances, expected, atol=2e-3)
    assert (rows == expected_rows).mean() > 0.999  # but for ties within float32
    assert (np.diff(distances, axis=1) >= -1e-6).all()


@pytest.mark.parametrize("count", [0, 1, 128, 129, 1100])
def test_any_number_of_queries(count):
    rows, distances = ExactIndex(DATABASE[:300]).search(unit_vectors(1100)[:count], 7)
    assert rows.shape == distances.shape == (count, 7)


def test_as_many_neighbors_as_descriptors(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 16)
    rows, _ = ExactIndex(DATABASE[:50]).search(QUERIES[:2], 50)
    assert (np.sort(rows) == np.arange(50)).all()


def test_too_many_neighbors_is_an_error():
    with pytest.raises(ValueError, match="60 neighbors among 50 descriptors"):
        ExactIndex(DATABASE[:50]).search(QUERIES, 60)


def test_other_dimensions_are_an_error():
    with pytest.raises(ValueError, match="reduce both by the same PCA"):
        ExactIndex(DATABASE).search(QUERIES[:, :20], 5)


def test_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="expected auto, exact, nndescent"):
        build_index(DATABASE, "faiss")


def test_small_databases_are_searched_exactly():
    assert isinstance(build_index(DATABASE), ExactIndex)


def test_unknown_settings_are_an_error():
    with pytest.raises(ValueError, match="no settings, got beam"):
        build_index(DATABASE, "exact", beam=3)


@pytest.mark.parametrize("count", [5, 200, 500])
def test_equal_descriptors_come_in_the_order_of_their_rows(monkeypatch, count):
    monkeypatch.setattr(module, "CHUNK", 256)  # over several chunks, too
    database = np.concatenate([DATABASE[:100], np.tile(DATABASE[7], (count, 1))])
    rows, _ = ExactIndex(database).search(DATABASE[7:8], count + 1)
    assert rows[0].tolist() == [7, *range(100, 100 + count)]


@pytest.mark.parametrize("first", [0, 1, 2999])
def test_exact_grows(first):
    index = ExactIndex(DATABASE[:first])
    index.add(DATABASE[first:])
    np.testing.assert_array_equal(index.descriptors, DATABASE)
    rows, distances = index.search(QUERIES, 60)
    expected = ExactIndex(DATABASE).search(QUERIES, 60)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(distances, expected[1])


def test_exact_holds_each_descriptor_once():
    assert ExactIndex(DATABASE).memory == 4096 * 40 * 4  # chunks are padded


def test_exact_recall_is_one():
    assert ExactIndex(DATABASE).recall(QUERIES) == 1.0


def test_recall_counts_what_is_missed():
    class Forgetful(ExactIndex):
        def search(self, queries, k=60):
            rows, distances = super().search(queries, 2 * k)
            return rows[:, ::2], distances[:, ::2]  # every second neighbor

    assert Forgetful(DATABASE).recall(QUERIES) == pytest.approx(0.5, abs=0.02)
