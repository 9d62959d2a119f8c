"""The graph of neighbors: what it finds, that it repeats itself, grows, and leaves nothing out of reach."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_index import DATABASE, QUERIES, unit_vectors

from delfjax.search import graph
from delfjax.search.descent import descend
from delfjax.search.exact import ExactIndex
from delfjax.search.nndescent import NNDescentIndex


@pytest.fixture(scope="module")
def index():
    return NNDescentIndex.build(DATABASE)


def reached(index):
    """Every node that the entries lead to."""
    found, waiting = set(), index._entries.tolist()
    while waiting:
        if (node := waiting.pop()) not in found:
            found.add(node)
            waiting += [row for row in index._edges[node].tolist() if row >= 0]
    return found


def test_finds_most_neighbors(index):
    assert index.recall(QUERIES) > 0.9  # of queries from other clusters than the database's
    assert index.recall(unit_vectors(200, seed=0)[::-1] + 0.02) > 0.95


def test_finds_all_with_enough_effort():
    index = NNDescentIndex.build(DATABASE[:500])
    index.effort = 500
    rows, _ = index.search(QUERIES, 60)
    expected, _ = ExactIndex(DATABASE[:500]).search(QUERIES, 60)
    assert (rows == expected).mean() > 0.999  # but for ties within float32


def test_distances_are_true_and_in_order(index):
    rows, distances = index.search(QUERIES, 60)
    true = np.linalg.norm(QUERIES[:, None] - DATABASE[rows], axis=-1)
    np.testing.assert_allclose(distances, true, atol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(row)) == 60 for row in rows.tolist())


def test_repeats_itself_whatever_the_threads_of_the_search(index):
    again = NNDescentIndex.build(DATABASE)
    np.testing.assert_array_equal(index._edges, again._edges)
    rows, distances = index.search(QUERIES, 60)
    for again.threads in (1, 2, 7):
        found = again.search(QUERIES, 60)
        np.testing.assert_array_equal(found[0], rows)
        np.testing.assert_array_equal(found[1], distances)


def test_another_seed_is_another_graph(index):
    assert (NNDescentIndex.build(DATABASE, seed=1)._edges != index._edges).any()


@pytest.mark.parametrize("count", [1, 2, 3, 30, 61, 70])
def test_tiny_databases(count):
    index = NNDescentIndex.build(DATABASE[:count])
    rows, distances = index.search(QUERIES, count)
    _, exact = ExactIndex(DATABASE[:count]).search(QUERIES, count)
    assert (np.sort(rows) == np.arange(count)).all()
    np.testing.assert_allclose(distances, exact, atol=1e-3)


def test_more_neighbors_than_the_beam_is_wide(index):
    rows, _ = index.search(QUERIES, 300)
    assert (rows >= 0).all()


def test_no_queries(index):
    rows, distances = index.search(QUERIES[:0], 60)
    assert rows.shape == distances.shape == (0, 60)


def test_queries_that_cannot_be_written_to_are_nothing_to_compile(index):
    index.search(QUERIES, 60)
    compiled = len(graph.search_block.signatures)
    queries = QUERIES[:2].copy()
    queries.flags.writeable = False
    index.search(queries, 60)
    assert len(graph.search_block.signatures) == compiled


def test_equal_descriptors_are_all_found_in_order():
    database = np.concatenate([DATABASE[:400], np.tile(DATABASE[7], (100, 1))])
    index = NNDescentIndex.build(database)
    index.effort = 200
    rows, distances = index.search(DATABASE[7:8], 101)
    assert rows[0].tolist() == [7, *range(400, 500)]
    assert (distances == 0).all()


def test_separate_clusters_are_all_within_reach():
    random = np.random.default_rng(0)
    centers = np.repeat(np.eye(40, dtype=np.float32), 100, axis=0)
    islands = (centers + 1e-3 * random.normal(size=centers.shape)).astype(np.float32)
    index = NNDescentIndex.build(islands, entries=3)
    assert len(reached(index)) == len(islands)
    assert index.recall(islands[::37] + 1e-4, 60) > 0.8  # three ways into forty clusters
    assert NNDescentIndex.build(islands).recall(islands[::37] + 1e-4, 60) > 0.99


def test_every_node_is_within_reach(index):
    assert len(reached(index)) == len(DATABASE)


def test_edges_are_to_others_and_to_each_once(index):
    for node, row in enumerate(index._edges.tolist()):
        ends = [end for end in row if end >= 0]
        assert node not in ends
        assert len(set(ends)) == len(ends)
        assert row == ends + [-1] * (len(row) - len(ends))


def test_added_descriptors_are_found_as_if_built_with():
    grown = NNDescentIndex.build(DATABASE[:2700])
    grown.add(DATABASE[2700:])
    assert len(grown) == 3000
    assert len(reached(grown)) == 3000
    np.testing.assert_array_equal(grown.descriptors, DATABASE)
    assert grown.recall(QUERIES) > NNDescentIndex.build(DATABASE).recall(QUERIES) - 0.01
    rows, _ = grown.search(DATABASE[2700:], 1)  # the new ones find themselves
    assert (rows[:, 0] == np.arange(2700, 3000)).mean() > 0.99


def test_a_graph_grown_from_one_descriptor():
    grown = NNDescentIndex.build(DATABASE[:1])
    grown.add(DATABASE[1:1000])
    assert len(reached(grown)) == 1000
    assert grown.recall(QUERIES) > 0.9


def test_nothing_added_is_nothing_changed(index):
    edges = index._edges
    index.add(DATABASE[:0])
    assert index._edges is edges


@pytest.mark.parametrize("setting", [{"beam": 0}, {"degree": 0}, {"spread": 0.5}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be at least 1, got"):
        NNDescentIndex.build(DATABASE, **setting)


def test_no_descriptors_are_refused():
    with pytest.raises(ValueError, match="no descriptors to build a graph of"):
        NNDescentIndex.build(DATABASE[:0])


def test_memory_is_that_of_its_arrays(index):
    assert index.memory == 3000 * (40 + index.config.degree) * 4 + len(index._entries) * 4


ASK = """
import json, sys
import numpy as np
from delfjax import graph
from delfjax.search.index import load_index
rows, _ = load_index(sys.argv[1]).search(np.load(sys.argv[2]), 60)
misses = sum(graph.search_block.stats.cache_misses.values())
print(json.dumps([rows.tolist(), misses, "pynndescent" in sys.modules, "sklearn" in sys.modules]))
"""


def test_a_new_process_loads_and_searches_without_compiling(index, tmp_path):
    index.save(tmp_path / "index")
    np.save(tmp_path / "queries.npy", QUERIES)

    def ask():
        command = [sys.executable, "-c", ASK, tmp_path / "index", tmp_path / "queries.npy"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    ask()  # the tests' shape checks are not in this process: it may be the first of its kind
    rows, *rest = ask()
    assert rest == [0, False, False]
    np.testing.assert_array_equal(rows, index.search(QUERIES, 60)[0])


def test_neighbors_are_near():
    rows = descend(DATABASE, 20, seed=3)
    true, _ = ExactIndex(DATABASE).search(DATABASE, 21)
    found = [len(set(ours) & set(near[1:])) for ours, near in zip(rows, true, strict=True)]
    assert np.mean(found) > 0.97 * 20
    assert (rows != np.arange(3000)[:, None]).all()
