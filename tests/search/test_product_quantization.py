"""The paper's codes by faiss: their size, what they find, and the message where faiss is missing."""

import sys

import numpy as np
import pytest
from test_index import DATABASE, QUERIES

from delfjax.search.exact import ExactIndex
from delfjax.search.index import build_index
from delfjax.search.product_quantization import ProductQuantizationConfig, ProductQuantizationIndex

try:
    import faiss
except ImportError:
    faiss = None

needs_faiss = pytest.mark.skipif(faiss is None, reason="faiss is not installed (extra: index)")


@pytest.fixture(scope="module")
def index():
    return build_index(DATABASE, "codes")


@needs_faiss
def test_a_descriptor_is_50_bits(index):
    assert index._file.code_size == 7  # of them 50 used
    lists = 3000 // 39
    assert index.memory == 3000 * (7 + 8) + (lists + 32) * 40 * 4


def test_the_papers_figures_by_default():
    config = ProductQuantizationConfig()
    assert (config.lists, config.parts * config.bits) == (8192, 50)


@needs_faiss
def test_finds_neighbors_coarsely(index):
    index.effort = 76
    rows, distances = index.search(QUERIES, 60)
    truth, _ = ExactIndex(DATABASE).search(QUERIES, 60)
    shared = np.mean([len(set(a) & set(b)) / 60 for a, b in zip(rows, truth, strict=True)])
    assert shared > 0.3  # chance: 0.02
    assert (np.diff(distances, axis=1) >= 0).all()


@needs_faiss
def test_what_the_probed_lists_lack_is_at_infinity(index):
    index.effort = 1
    rows, distances = index.search(QUERIES, 1000)
    assert (rows[:, -1] == -1).all()
    assert (np.isinf(distances) == (rows == -1)).all()


@needs_faiss
def test_repeats_itself(index):
    index.effort = 64
    again = ProductQuantizationIndex.build(DATABASE)
    for ours, theirs in zip(index.search(QUERIES), again.search(QUERIES), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_faiss
def test_grows():
    index = ProductQuantizationIndex.build(DATABASE[:2500])
    index.add(DATABASE[2500:])
    assert len(index) == 3000
    rows, _ = index.search(DATABASE[2500:], 20)
    assert (rows == np.arange(2500, 3000)[:, None]).any(1).mean() > 0.8


@needs_faiss
def test_recall_needs_the_descriptors_that_codes_have_not(index):
    with pytest.raises(ValueError, match="give recall an exact index"):
        index.recall(QUERIES)
    assert 0 <= index.recall(QUERIES, exact=ExactIndex(DATABASE)) <= 1


@needs_faiss
def test_recall_counts_true_neighbors(index):
    """Not rough distances, which may be too short: the rows that the true search gives, too."""
    exact, every = ExactIndex(DATABASE), ProductQuantizationIndex.build(DATABASE, probes=76)
    rows, _ = every.search(QUERIES, 20)
    truth, _ = exact.search(QUERIES, 20)
    shared = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(rows, truth, strict=True)])
    found = every.recall(QUERIES, 20, sample=len(QUERIES), exact=exact)
    assert found == pytest.approx(shared, abs=1e-3)
    fine = ProductQuantizationIndex.build(DATABASE, parts=40, probes=76)
    assert fine.recall(QUERIES, 20, exact=exact) > found


@needs_faiss
def test_what_is_not_found_is_no_neighbor():
    one = ProductQuantizationIndex.build(DATABASE, probes=1)
    assert one.recall(QUERIES, 1000, exact=ExactIndex(DATABASE)) < 0.5


@needs_faiss
@pytest.mark.parametrize(
    ("database", "settings", "message"),
    [
        (DATABASE[:1000], {}, "1000 descriptors: codes are learned from 1248 at least"),
        (DATABASE, {"parts": 7}, "7 parts do not divide 40 dimensions"),
    ],
)
def test_what_cannot_be_encoded_is_an_error(database, settings, message):
    with pytest.raises(ValueError, match=message):
        ProductQuantizationIndex.build(database, **settings)


def test_without_faiss_the_mend_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="delfjax\\[index\\]"):
        ProductQuantizationIndex.build(DATABASE)
