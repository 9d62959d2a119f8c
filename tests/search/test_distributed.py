"""Shards compared with one index of everything. Shards on a cluster: tests/features/test_cluster.py."""

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES

from delfjax.search import distributed
from delfjax.search.distributed import ShardedIndex, merge
from delfjax.search.exact import ExactIndex
from delfjax.search.index import Neighbors, build_index, load_index


@pytest.fixture(scope="module")
def exact():
    return ExactIndex(DATABASE).search(QUERIES, 60)


def sizes(index):
    return [info.length for info in index.infos]


@pytest.mark.parametrize("size", [40, 999, 1000, 3000, 5000])
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


@pytest.mark.parametrize("first", [1, 100, 1000, 2800, 2999])
def test_adding_fills_the_last_shard_and_builds_new_ones(exact, first):
    index = ShardedIndex.build(DATABASE[:first], size=700, inner="exact")
    index.add(DATABASE[first:])
    assert sizes(index) == [700, 700, 700, 700, 200]
    found = index.search(QUERIES, 60)
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.distances, exact.distances)


def test_indexes_built_separately_can_be_shards(exact):
    parts = [build_index(rows, "exact") for rows in np.array_split(DATABASE, 4)]
    rows, _ = ShardedIndex(parts).search(QUERIES, 60)
    np.testing.assert_array_equal(rows, exact.rows)


def test_shards_of_graphs_find_more_than_one_graph():
    index = ShardedIndex.build(DATABASE, size=1000, beam=60)
    assert index.recall(QUERIES) >= build_index(DATABASE, "nndescent", beam=60).recall(QUERIES)


def test_the_effort_of_old_and_new_shards_is_searched_and_saved(tmp_path):
    index = ShardedIndex.build(DATABASE[:300], size=200, degree=4, beam=5, entries=1)
    before = index.search(QUERIES, 5)
    index.effort = 200
    assert (index.search(QUERIES, 5).distances < before.distances).any()
    index.add(DATABASE[300:700])
    assert (sizes(index), index.effort) == ([200, 200, 200, 100], 200)
    index.save(tmp_path)
    loaded = load_index(tmp_path)
    assert [shard.effort for shard in loaded.shards] == [200] * 4
    assert [shard.config.beam for shard in loaded.shards] == [5] * 4


def test_a_neighbor_that_no_shard_finds_stays_missing():
    found = Neighbors(np.array([[4, -1]], np.int32), np.array([[0.5, np.inf]], np.float32))
    rows, distances = merge([found, found], [0, 10], 3)
    assert rows.tolist() == [[4, 14, -1]]
    assert distances.tolist() == [[0.5, 0.5, np.inf]]


def test_empty_shards_are_an_error():
    with pytest.raises(ValueError, match="size is 0; expected a whole number of at least 1"):
        ShardedIndex.build(DATABASE, size=0)


def test_a_shard_that_cannot_be_built_is_named():
    pytest.importorskip("faiss")
    with pytest.raises(ValueError, match=r"shard 2 of 2, with 1200 .* needs at least 1248"):
        ShardedIndex.build(DATABASE[:2700], size=1500, inner="pq")


def test_recall_of_quantized_shards_uses_true_distances():
    pytest.importorskip("faiss")
    exact = ExactIndex(DATABASE)
    index = ShardedIndex.build(DATABASE, size=1500, inner="pq")
    rows, truth = index.search(QUERIES, 20).rows, exact.search(QUERIES, 20).rows
    shared = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(rows, truth, strict=True)])
    found = index.recall(QUERIES, 20, sample=len(QUERIES), exact=exact)
    assert found == pytest.approx(shared, abs=5e-3)


def test_quantized_shards_grow():
    pytest.importorskip("faiss")
    index = ShardedIndex.build(DATABASE[:1400], size=1500, inner="pq")
    index.add(DATABASE[1400:])
    assert sizes(index) == [1500, 1500]


@pytest.mark.parametrize("step", ["build_index", "_copy_and_add"])
def test_an_index_that_cannot_grow_is_unchanged(monkeypatch, step):
    index = ShardedIndex.build(DATABASE[:900], size=1000, inner="exact")

    def fail(*_, **__):
        raise ValueError("too few")

    monkeypatch.setattr(distributed, step, fail)
    with pytest.raises(ValueError, match="too few"):
        index.add(DATABASE[900:1100])
    assert (len(index), sizes(index), len(index.descriptors)) == (900, [900], 900)
