"""Product quantization by faiss: its size, what it finds, and the message if faiss is missing."""

import sys

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES

from delfjax.search.exact import ExactIndex
from delfjax.search.index import KINDS, build_index
from delfjax.search.product_quantization import (
    ProductQuantizationConfig,
    ProductQuantizationIndex,
)

try:
    import faiss
except ImportError:
    faiss = None

needs_faiss = pytest.mark.skipif(faiss is None, reason="faiss is not installed (extra: index)")
# A new kind of index is tested by each test with these parameters.
INDEX_KINDS = [pytest.param(kind, marks=[needs_faiss] * (kind == "pq")) for kind in KINDS]


@pytest.fixture(scope="module")
def index():
    return build_index(DATABASE, "pq")


@needs_faiss
def test_a_descriptor_has_50_bits(index):
    assert index._file.code_size == 7, "56 bits, of which 50 are used"


def test_the_defaults_are_the_papers():
    config = ProductQuantizationConfig()
    assert (config.lists, config.parts * config.bits) == (8192, 50)


@needs_faiss
def test_missing_neighbors_are_infinitely_far(index):
    index.effort = 1
    rows, distances = index.search(QUERIES, 1000)
    assert (rows[:, -1] == -1).all()
    assert (np.isinf(distances) == (rows == -1)).all()


@needs_faiss
def test_building_is_deterministic(index):
    index.effort = 64
    again = ProductQuantizationIndex.build(DATABASE)
    for ours, theirs in zip(index.search(QUERIES), again.search(QUERIES), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_faiss
def test_neighbors_are_found_roughly_and_recall_uses_true_distances(index):
    """The rough distances of codes may be too short; recall counts the true neighbors all the same."""
    index.effort, exact = 76, ExactIndex(DATABASE)  # all lists
    rows, distances = index.search(QUERIES, 20)
    truth, _ = exact.search(QUERIES, 20)
    shared = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(rows, truth, strict=True)])
    assert shared > 0.3, "chance is 0.007"
    assert (np.diff(distances, axis=1) >= 0).all()
    found = index.recall(QUERIES, 20, sample=len(QUERIES), exact=exact)
    assert found == pytest.approx(shared, abs=1e-3)
    fine = ProductQuantizationIndex.build(DATABASE, parts=40, probes=76)
    assert fine.recall(QUERIES, 20, exact=exact) > found


@needs_faiss
@pytest.mark.parametrize(
    ("database", "settings", "message"),
    [
        (DATABASE[:1000], {}, "5 bits needs at least 1248 descriptors, got 1000"),
        (DATABASE, {"parts": 7}, "parts is 7; expected a divisor of 40"),
    ],
)
def test_a_database_that_cannot_be_quantized_is_an_error(database, settings, message):
    with pytest.raises(ValueError, match=message):
        ProductQuantizationIndex.build(database, **settings)


def test_without_faiss_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="Fix: pip install 'delfjax\\[index\\]'"):
        ProductQuantizationIndex.build(DATABASE)
