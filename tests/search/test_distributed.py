"""Shards against one index of everything."""

import numpy as np
import pytest
from test_index import DATABASE, QUERIES

from delfjax.search.distributed import ShardedIndex, merge
from delfjax.search.exact import ExactIndex
from delfjax.search.index import build_index


@pytest.fixture(scope="module")
def exact():
    return ExactIndex(DATABASE).search(QUERIES, 60)


@pytest.mark.parametrize("size", [40, 999, 1000, 3000, 5000])
def test_exact_shards_are_one_exact_index_to_the_bit(exact, size):
    index = build_index(DATABASE, "sharded", inner="exact", size=size)
    assert len(index.shards) == -(-3000 // size)
    rows, distances = index.search(QUERIES, 60)
    np.testing.assert_array_equal(rows, exact[0])
    np.testing.assert_array_equal(distances, exact[1])


def test_equal_descriptors_of_several_shards_come_in_the_order_of_their_rows():
    database = np.tile(DATABASE[:10], (30, 1))
    rows, _ = ShardedIndex.build(database, size=70, inner="exact").search(DATABASE[3:4], 30)
    assert rows[0].tolist() == list(range(3, 300, 10))


@pytest.mark.parametrize("first", [0, 100, 1000, 2999])
def test_shards_grow(exact, first):
    index = ShardedIndex.build(DATABASE[:first], size=700, inner="exact")
    index.add(DATABASE[first:])
    assert [len(shard) for shard in index.shards] == [700, 700, 700, 700, 200]
    rows, distances = index.search(QUERIES, 60)
    np.testing.assert_array_equal(rows, exact[0])
    np.testing.assert_array_equal(distances, exact[1])


def test_shards_built_elsewhere_are_put_together(exact):
    parts = [build_index(rows, "exact") for rows in np.array_split(DATABASE, 4)]
    rows, _ = ShardedIndex(parts).search(QUERIES, 60)
    np.testing.assert_array_equal(rows, exact[0])


def test_shards_of_graphs_find_more_than_one_graph():
    index = ShardedIndex.build(DATABASE, size=1000, beam=60)
    assert index.recall(QUERIES) > 0.95
    index.effort = 200
    assert [shard.effort for shard in index.shards] == [200] * 3


def test_what_no_shard_finds_stays_unfound():
    found = np.array([[4, -1]], np.int32), np.array([[0.5, np.inf]], np.float32)
    rows, distances = merge([found, found], [0, 10], 3)
    assert rows.tolist() == [[4, 14, -1]]
    assert distances.tolist() == [[0.5, 0.5, np.inf]]


def test_no_shards_are_an_error():
    with pytest.raises(ValueError, match="expected at least one shard"):
        ShardedIndex([])


def test_shards_of_nothing_are_an_error():
    with pytest.raises(ValueError, match="size of a shard must be at least 1, got 0"):
        ShardedIndex.build(DATABASE, size=0)
