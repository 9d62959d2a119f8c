"""The neighbor graph: recall, determinism, and that every node can be reached."""

import json
import subprocess
import sys

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES, unit_vectors

from delfjax.search import graph, nndescent
from delfjax.search.exact import ExactIndex
from delfjax.search.nndescent import NNDescentIndex, nearest_neighbors


@pytest.fixture(scope="module")
def index():
    return NNDescentIndex.build(DATABASE)


def reached(index):
    """Return every node that can be reached from the entries."""
    found, waiting = set(), index._entries.tolist()
    while waiting:
        if (node := waiting.pop()) not in found:
            found.add(node)
            waiting += [row for row in index._edges[node].tolist() if row >= 0]
    return found


def test_most_neighbors_are_found(index):
    exact = ExactIndex(DATABASE)
    assert index.recall(QUERIES, exact=exact) > 0.9, "in other clusters than the database"
    assert index.recall(unit_vectors(200, seed=0)[::-1] + 0.02, exact=exact) > 0.95


def test_all_neighbors_are_found_with_enough_effort():
    index = NNDescentIndex.build(DATABASE[:500])
    index.effort = 500
    rows, _ = index.search(QUERIES, 60)
    expected, _ = ExactIndex(DATABASE[:500]).search(QUERIES, 60)
    assert (rows == expected).mean() > 0.999, "except ties within float32"


def test_distances_are_exact_and_sorted(index):
    rows, distances = index.search(QUERIES, 60)
    true = np.linalg.norm(QUERIES[:, None] - DATABASE[rows], axis=-1)
    np.testing.assert_allclose(distances, true, atol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(row)) == 60 for row in rows.tolist())


def test_results_do_not_depend_on_the_threads_of_a_search(index):
    again = NNDescentIndex.build(DATABASE)
    np.testing.assert_array_equal(index._edges, again._edges)
    rows, distances = index.search(QUERIES, 60)
    for again.threads in (1, 2, 7):
        found = again.search(QUERIES, 60)
        np.testing.assert_array_equal(found[0], rows)
        np.testing.assert_array_equal(found[1], distances)


def test_another_seed_gives_another_graph():
    one, other = (NNDescentIndex.build(DATABASE[:500], seed=seed) for seed in (0, 1))
    assert (one._edges != other._edges).any()


@pytest.mark.parametrize("count", [1, 2, 61])
def test_tiny_databases(count):
    index = NNDescentIndex.build(DATABASE[:count])
    rows, distances = index.search(QUERIES, count)
    exact = np.sort(np.linalg.norm(QUERIES[:, None] - DATABASE[:count], axis=-1))
    assert (np.sort(rows) == np.arange(count)).all()
    np.testing.assert_allclose(distances, exact, atol=1e-3)


def test_more_neighbors_than_the_beam_width(index):
    rows, _ = index.search(QUERIES, 300)
    assert (rows >= 0).all()


def test_read_only_queries_are_not_compiled_again(index):
    index.search(QUERIES, 60)
    compiled = len(graph.search_block.signatures)
    queries = QUERIES[:2].copy()
    queries.flags.writeable = False
    index.search(queries, 60)
    assert len(graph.search_block.signatures) == compiled


def test_equal_descriptors_are_returned_in_row_order():
    database = np.concatenate([DATABASE[:400], np.tile(DATABASE[7], (100, 1))])
    index = NNDescentIndex.build(database)
    index.effort = 200
    rows, distances = index.search(DATABASE[7:8], 101)
    assert rows[0].tolist() == [7, *range(400, 500)]
    assert (distances == 0).all()


def test_separate_clusters_can_be_reached():
    random = np.random.default_rng(0)
    centers = np.repeat(np.eye(40, dtype=np.float32), 100, axis=0)
    islands = (centers + 1e-3 * random.normal(size=centers.shape)).astype(np.float32)
    index = NNDescentIndex.build(islands, entries=3)
    assert len(reached(index)) == len(islands)
    queries, exact = islands[::37] + 1e-4, ExactIndex(islands)
    assert index.recall(queries, exact=exact) > 0.8, "three entries for forty clusters"
    assert NNDescentIndex.build(islands).recall(queries, exact=exact) > 0.99


def test_every_node_can_be_reached(index):
    assert len(reached(index)) == len(DATABASE)


def test_edges_lead_to_other_nodes_once_each(index):
    for node, row in enumerate(index._edges.tolist()):
        ends = [end for end in row if end >= 0]
        assert node not in ends
        assert len(set(ends)) == len(ends)
        assert row == ends + [-1] * (len(row) - len(ends))


SEARCH = """
import json, sys
import numpy as np
from delfjax.search import graph
from delfjax.search.index import load_index
rows, _ = load_index(sys.argv[1]).search(np.load(sys.argv[2]), 60)
misses = sum(graph.search_block.stats.cache_misses.values())
print(json.dumps([rows.tolist(), misses, "pynndescent" in sys.modules, "sklearn" in sys.modules]))
"""


def test_a_new_process_searches_without_compiling(index, tmp_path):
    index.save(tmp_path / "index")
    np.save(tmp_path / "queries.npy", QUERIES)

    def search():
        command = [sys.executable, "-c", SEARCH, tmp_path / "index", tmp_path / "queries.npy"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    search()  # without the tests' shape checks, the code may not have been compiled before
    rows, *rest = search()
    assert rest == [0, False, False]
    np.testing.assert_array_equal(rows, index.search(QUERIES, 60)[0])


def assert_neighbors_are_near(share):
    rows = nearest_neighbors(DATABASE, 20, seed=3)
    assert rows.shape == (3000, 20)
    true, _ = ExactIndex(DATABASE).search(DATABASE, 21)
    found = [len(set(ours) & set(near[1:])) for ours, near in zip(rows, true, strict=True)]
    assert np.mean(found) > share * 20
    assert (rows != np.arange(3000)[:, None]).all(), "a row is no neighbor of itself"


def test_neighbors_of_few_rows_are_exact():
    assert_neighbors_are_near(0.999)


# Numba compiles pynndescent for a minute; on a busy machine, for more than five.
@pytest.mark.timeout(1200)
def test_pynndescent_finds_the_neighbors_of_many_rows(monkeypatch, index):
    monkeypatch.setattr(nndescent, "BRUTE_FORCE_LIMIT", 0)
    assert_neighbors_are_near(0.97)
    other, exact = NNDescentIndex.build(DATABASE), ExactIndex(DATABASE)
    found, expected = (each.recall(QUERIES, exact=exact) for each in (other, index))
    assert found == pytest.approx(expected, abs=0.01)
    assert len(reached(other)) == len(DATABASE)
