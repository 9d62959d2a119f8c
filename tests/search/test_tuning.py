"""The least effort for a recall."""

import numpy as np
import pytest
from test_index import DATABASE, QUERIES

from delfjax.search.exact import ExactIndex
from delfjax.search.index import build_index
from delfjax.search.tuning import tune


@pytest.mark.parametrize("recall", [0.9, 0.99])
def test_the_least_effort_is_found(recall):
    index = build_index(DATABASE, "nndescent", degree=6, spread=1.0)
    exact = ExactIndex(DATABASE)
    setting = tune(index, QUERIES, recall, 10, exact=exact)
    assert index.effort == setting.effort
    assert setting.recall == index.recall(QUERIES, 10, sample=1000, exact=exact) >= recall
    assert setting.milliseconds > 0
    assert f"effort {setting.effort}: recall 0.9" in str(setting)
    index.effort = int(setting.effort / 2 ** (1 / 8)) - 1
    assert index.recall(QUERIES, 10, sample=1000, exact=exact) < recall


def test_exact_search_has_nothing_to_tune():
    with pytest.raises(ValueError, match="ExactIndex has no effort to tune"):
        tune(ExactIndex(DATABASE), QUERIES)


def test_a_recall_out_of_reach_is_an_error():
    class Blind(type(build_index(DATABASE[:50], "nndescent"))):
        def search(self, queries, k=60):
            rows, distances = super().search(queries, k)
            return rows, distances + np.float32(0.1)

    index = build_index(DATABASE[:500], "nndescent")
    blind = Blind(index.descriptors, index._edges, index._entries, index.config)
    with pytest.raises(ValueError, match=r"at the most effort, 500, but 0\.95 is asked for"):
        tune(blind, QUERIES)
