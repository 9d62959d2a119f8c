"""What all indexes have in common: dimensions, settings, kinds and recall."""

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES

from delfjax.search.exact import ExactIndex
from delfjax.search.index import (
    EXACT_LIMIT,
    IndexConfig,
    Neighbors,
    build_index,
)
from delfjax.search.nndescent import NNDescentIndex


def test_too_many_neighbors_are_an_error():
    with pytest.raises(ValueError, match="k is 60; expected at most 50, the number of descriptors"):
        ExactIndex(DATABASE[:50]).search(QUERIES, 60)


def test_other_dimensions_are_an_error():
    index = ExactIndex(DATABASE)
    with pytest.raises(ValueError, match=r"have 20 dimensions; expected 40, .*same PCA"):
        index.search(QUERIES[:, :20], 5)


def test_small_databases_are_searched_exactly(monkeypatch):
    assert isinstance(build_index(DATABASE), ExactIndex)
    assert EXACT_LIMIT == 1_000_000
    monkeypatch.setattr("delfjax.search.index.EXACT_LIMIT", 49)
    assert isinstance(build_index(DATABASE[:49]), ExactIndex)
    assert isinstance(build_index(DATABASE[:50]), NNDescentIndex)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (IndexConfig(kind="nndescent", settings={"probes": 3}), "unknown fields probes"),
        (IndexConfig(kind="nndescent", settings={"beam": 0}), "beam is 0; expected a whole number"),
        (
            IndexConfig(kind="sharded", settings={"probes": 3}),
            "shard 1 of 1, with 8.*unknown fields probes",
        ),
        (IndexConfig(kind="exact", settings={"kind": "pq"}), "has no settings; got kind"),
        (IndexConfig(kind="pq", settings={"dimensions": 3}), "unknown fields dimensions"),
        (IndexConfig(kind="exact", settings={"beam": 3}), "has no settings; got beam"),
        (
            IndexConfig(kind="tree"),
            "index 'tree'; expected one of auto, exact, nndescent, sharded, pq",
        ),
    ],
)
def test_an_impossible_configuration_is_an_error(config, message):
    with pytest.raises(ValueError, match=message):
        config.build(np.eye(8, dtype=np.float32))


# --- recall


def test_recall_of_exact_search_is_one():
    assert ExactIndex(DATABASE).recall(QUERIES, exact=ExactIndex(DATABASE)) == 1.0


def test_recall_counts_missing_neighbors():
    class EverySecond(ExactIndex):
        def search(self, queries, k=60):
            rows, distances = super().search(queries, 2 * k)
            return Neighbors(rows[:, ::2], distances[:, ::2])

    recall = EverySecond(DATABASE).recall(QUERIES, exact=ExactIndex(DATABASE))
    assert recall == pytest.approx(0.5, abs=0.02)


def test_a_missing_neighbor_is_not_the_last_row():
    class Nothing(ExactIndex):
        def search(self, queries, k=60):
            rows, distances = super().search(queries, k)
            return Neighbors(np.full_like(rows, -1), distances)

    assert Nothing(DATABASE[:1]).recall(QUERIES, 1, exact=ExactIndex(DATABASE[:1])) == 0


def test_recall_ignores_the_distances_that_an_index_returns():
    class TooNear(ExactIndex):
        def search(self, queries, k=60):
            rows, distances = super().search(queries, k)
            return Neighbors((rows + 1) % len(self), 0 * distances)

    assert TooNear(DATABASE).recall(QUERIES, exact=ExactIndex(DATABASE)) < 0.1


def test_recall_of_a_poor_graph_and_of_a_small_database():
    poor = IndexConfig(kind="nndescent", settings={"degree": 2, "beam": 1}).build(DATABASE)
    assert 0 < poor.recall(QUERIES, sample=1000, exact=ExactIndex(DATABASE)) < 1
    small = NNDescentIndex.build(DATABASE[:20])
    assert small.recall(QUERIES, exact=ExactIndex(DATABASE[:20])) == 1
