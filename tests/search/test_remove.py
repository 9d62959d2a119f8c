"""Remove descriptors from an index: like an index without them, with each kind, and on disk."""

import tracemalloc

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES
from places import place
from test_product_quantization import INDEX_KINDS

from delfjax.features.database import Database
from delfjax.search.index import build_index, load_index
from delfjax.search.nndescent import NNDescentConfig, NNDescentIndex
from delfjax.search.searcher import Searcher

SETTINGS = {"exact": {}, "nndescent": {}, "sharded": {"size": 1000, "inner": "nndescent"}, "pq": {}}
REMOVED = np.random.default_rng(0).permutation(len(DATABASE))[: len(DATABASE) // 5]
KEPT = np.delete(DATABASE, REMOVED, axis=0)


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_a_fifth_of_the_descriptors_can_be_removed(kind, tmp_path):
    index = build_index(DATABASE, kind, **SETTINGS.get(kind, {}))
    index.remove(REMOVED)
    assert len(index) == len(KEPT)
    exact, fresh = build_index(KEPT, "exact"), build_index(KEPT, kind, **SETTINGS.get(kind, {}))
    assert index.recall(QUERIES, exact=exact) >= fresh.recall(QUERIES, exact=exact) - 0.01
    if kind != "pq":
        np.testing.assert_array_equal(index.descriptors, KEPT)
    index.save(tmp_path)
    found, loaded = index.search(QUERIES), load_index(tmp_path).search(QUERIES)
    np.testing.assert_array_equal(found.rows, loaded.rows)
    assert found.rows.max() < len(KEPT)
    index.add(DATABASE[REMOVED])
    assert len(index) == len(DATABASE)
    assert index.search(DATABASE[REMOVED[:5]], 1).rows.min() >= (0 if kind == "pq" else len(KEPT))


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_rows_out_of_range_change_nothing(kind):
    index = build_index(DATABASE, kind, **SETTINGS.get(kind, {}))
    for rows in ([3000], [-1, 2], range(3000)):
        with pytest.raises(ValueError, match=r"expected 0 to 2999|Fix: keep at least one"):
            index.remove(np.array(rows))
    index.remove(np.array([], int))
    assert len(index) == 3000


def test_whole_shards_and_all_entries_can_be_removed():
    sharded = build_index(DATABASE, "sharded", size=1000, inner="exact")
    sharded.remove(np.arange(500, 2500))
    np.testing.assert_array_equal(
        sharded.descriptors, np.delete(DATABASE, np.arange(500, 2500), axis=0)
    )
    graph = build_index(DATABASE, "nndescent", entries=5)
    recall = graph.recall(QUERIES)
    graph.remove(graph._entries)
    assert graph.recall(QUERIES) > recall - 0.05
    graph.remove(np.arange(1, len(graph)))
    assert graph.search(QUERIES, 1).rows.max() == 0


def test_removing_many_nodes_of_a_graph_needs_little_memory():
    """Each of 5,000 nodes loses 12 edges, and has 300 new candidates."""
    random, count = np.random.default_rng(0), 10_000
    edges = random.integers(0, count, (count, 24))
    vectors = random.normal(size=(count, 8))
    graph = NNDescentIndex(vectors, edges, np.arange(256), NNDescentConfig())
    tracemalloc.start()
    try:
        graph.remove(np.arange(0, count, 2))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25e6, "it were 43 MB with all candidates at the same time"


def test_photos_are_removed_from_a_search():
    names, photos = ["a", "b", "c"], [place(seed) for seed in range(3)]
    searcher = Searcher(Database.from_features(names, photos), "exact")
    searcher.remove(["b"])
    fresh = Searcher(Database.from_features(["a", "c"], [photos[0], photos[2]]), "exact")
    assert searcher.database.names == ("a", "c")
    assert searcher.database.checksum == fresh.database.checksum
    for photo in photos:
        found, expected = searcher(photo).ranking, fresh(photo).ranking
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.inliers, expected.inliers)
    for names, message in ((["b"], "'b' is not in the database"), (["a", "c"], "no photo would")):
        with pytest.raises(ValueError, match=message):
            searcher.remove(names)
    assert len(searcher.database) == 2
