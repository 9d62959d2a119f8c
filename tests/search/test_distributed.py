"""Shards compared with one index of everything. Shards on a cluster: tests/features/test_cluster.py."""

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES

from delfjax.search.distributed import ShardedIndex
from delfjax.search.exact import ExactIndex
from delfjax.search.index import Neighbors, build_index, load_index


@pytest.fixture(scope="module")
def exact():
    return ExactIndex(DATABASE).search(QUERIES, 60)


@pytest.mark.parametrize("size", [999, 5000])
def test_exact_shards_equal_one_exact_index(exact, size):
    index = build_index(DATABASE, "sharded", inner="exact", size=size)
    assert len(index.shards) == -(-3000 // size)
    found = index.search(QUERIES, 60)
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.distances, exact.distances)


def test_equal_descriptors_of_several_shards_are_returned_in_row_order():
    database = np.tile(DATABASE[:10], (30, 1))
    rows, _ = ShardedIndex.build(database, size=70, inner="exact").search(DATABASE[3:4], 30)
    assert rows[0].tolist() == list(range(3, 300, 10))


def test_indexes_built_separately_can_be_shards(exact):
    parts = [build_index(rows, "exact") for rows in np.array_split(DATABASE, 4)]
    rows, _ = ShardedIndex(parts).search(QUERIES, 60)
    np.testing.assert_array_equal(rows, exact.rows)


def test_shards_of_graphs_find_more_than_one_graph():
    exact = ExactIndex(DATABASE)
    index = ShardedIndex.build(DATABASE, size=1000, beam=60)
    graph = build_index(DATABASE, "nndescent", beam=60)
    assert index.recall(QUERIES, exact=exact) >= graph.recall(QUERIES, exact=exact)


def test_the_effort_of_all_shards_is_searched_and_saved(tmp_path):
    index = ShardedIndex.build(DATABASE[:300], size=200, degree=4, beam=5, entries=1)
    before = index.search(QUERIES, 5)
    index.effort = 200
    assert (index.search(QUERIES, 5).distances < before.distances).any()
    index.save(tmp_path / "index")
    loaded = load_index(tmp_path / "index")
    assert [shard.effort for shard in loaded.shards] == [200] * 2
    assert [shard.config.beam for shard in loaded.shards] == [5] * 2


def test_a_neighbor_that_no_shard_finds_stays_missing(monkeypatch):
    found = Neighbors(np.array([[4, -1]], np.int32), np.array([[0.5, np.inf]], np.float32))
    index = ShardedIndex.build(DATABASE[:20], size=10, inner="exact")
    monkeypatch.setattr(ExactIndex, "search", lambda *_: found)
    rows, distances = index.search(QUERIES[:1], 3)
    assert rows.tolist() == [[4, 14, -1]]
    assert distances.tolist() == [[0.5, 0.5, np.inf]]


def test_a_shard_that_cannot_be_built_is_named():
    pytest.importorskip("faiss")
    with pytest.raises(ValueError, match=r"shard 2 of 2, with 1200 .* needs at least 1248"):
        ShardedIndex.build(DATABASE[:2700], size=1500, inner="pq")
