"""Exact search against brute force."""

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES, unit_vectors

from delfjax.search import exact as module
from delfjax.search.exact import ExactIndex


def brute_force(database, queries, k):
    distances = np.linalg.norm(queries[:, None].astype(float) - database[None], axis=-1)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, axis=1)


@pytest.mark.parametrize("chunk", [256, 65536])
def test_exact_search_equals_brute_force(monkeypatch, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    rows, distances = ExactIndex(DATABASE).search(QUERIES, 60)
    expected_rows, expected = brute_force(DATABASE, QUERIES, 60)
    np.testing.assert_allclose(distances, expected, atol=2e-3)
    assert (rows == expected_rows).mean() > 0.999, "except ties within float32"
    assert (np.diff(distances, axis=1) >= -1e-6).all()


@pytest.mark.parametrize("count", [0, 128, 129, 1100])
def test_any_number_of_queries(count):
    rows, distances = ExactIndex(DATABASE[:300]).search(unit_vectors(1100)[:count], 7)
    assert rows.shape == distances.shape == (count, 7)


def test_as_many_neighbors_as_descriptors(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 16)
    rows, _ = ExactIndex(DATABASE[:50]).search(QUERIES[:2], 50)
    assert (np.sort(rows) == np.arange(50)).all()


def test_equal_descriptors_are_returned_in_row_order(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 256)  # several chunks
    database = np.concatenate([DATABASE[:100], np.tile(DATABASE[7], (500, 1))])
    rows, _ = ExactIndex(database).search(DATABASE[7:8], 501)
    assert rows[0].tolist() == [7, *range(100, 600)]
