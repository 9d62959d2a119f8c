"""The lowest effort that reaches a recall."""

import pytest
from descriptors import DATABASE, QUERIES

from delfjax.search.exact import ExactIndex
from delfjax.search.index import Neighbors, build_index
from delfjax.search.nndescent import NNDescentIndex
from delfjax.search.tuning import tune


@pytest.mark.parametrize("recall", [0.9, 0.99])
def test_the_lowest_effort_is_found(recall):
    index = build_index(DATABASE, "nndescent", degree=6, spread=1.0)
    exact = ExactIndex(DATABASE)
    tuned = tune(index, QUERIES, recall, 10, exact=exact)
    assert index.effort == tuned.effort
    assert tuned.recall == index.recall(QUERIES, 10, sample=1000, exact=exact) >= recall
    assert tuned.milliseconds > 0
    assert f"effort {tuned.effort}: recall 0.9" in str(tuned)
    index.effort = int(tuned.effort / 2 ** (1 / 8)) - 1
    assert index.recall(QUERIES, 10, sample=1000, exact=exact) < recall


def test_exact_search_cannot_be_tuned():
    with pytest.raises(ValueError, match="'exact' has no effort to tune"):
        tune(ExactIndex(DATABASE), QUERIES)


def test_a_recall_out_of_reach_is_an_error():
    class WrongRows(NNDescentIndex):
        def search(self, queries, k=60):
            rows, distances = super().search(queries, k)
            return Neighbors((rows + 1) % len(self), distances)

    index = WrongRows.build(DATABASE[:500])
    with pytest.raises(
        ValueError, match=r"at the highest effort, 500; expected at least 0\.95\. Fix"
    ):
        tune(index, QUERIES)
