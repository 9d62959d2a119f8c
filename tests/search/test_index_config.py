"""An index that is not built yet: how it is asked for, what it refuses, and what its recall is measured on."""

import argparse

import numpy as np
import pytest
from test_index import DATABASE, QUERIES

from delfjax.cli.options import index_config, index_options
from delfjax.search.exact import ExactIndex
from delfjax.search.index import IndexConfig, measure_recall
from delfjax.types import Features


def features(descriptors) -> Features:
    count = len(descriptors)
    ones = np.ones(count, np.float32)
    return Features(
        positions=np.zeros((count, 2), np.float32),
        scales=ones,
        scores=ones,
        descriptors=descriptors,
        image_size=(1, 1),
    )


def read(*arguments):
    parser = argparse.ArgumentParser()
    index_options(parser)
    return index_config(parser.parse_args(arguments))


def test_it_is_asked_for_by_kind_and_settings():
    assert read() == IndexConfig()
    found = read("--index", "sharded", "--index-settings", "inner=codes", "size=40", "spread=1.5")
    assert found == IndexConfig(
        kind="sharded", settings={"inner": "codes", "size": 40, "spread": 1.5}
    )


@pytest.mark.parametrize("setting", ["beam", "=3", ""])
def test_a_setting_without_name_or_value_is_refused(setting, capsys):
    with pytest.raises(SystemExit):
        read("--index-settings", setting)
    assert "expected NAME=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (IndexConfig(kind="nndescent", settings={"probes": 3}), "index nndescent: .*'probes'"),
        (IndexConfig(kind="exact", settings={"beam": 3}), "exact search has no settings, got beam"),
        (IndexConfig(kind="tree"), "index 'tree': expected auto, exact, nndescent"),
    ],
)
def test_an_index_that_cannot_be_is_an_error(index, message):
    with pytest.raises(ValueError, match=message):
        index.build(np.eye(8, dtype=np.float32))


def test_recall_is_measured_against_exact_search():
    asked = [features(QUERIES[:20]), features(QUERIES[20:])]
    poor = IndexConfig(kind="nndescent", settings={"degree": 2, "beam": 1}).build(DATABASE)
    found = measure_recall(poor, DATABASE, asked)
    assert found == poor.recall(QUERIES, 60, sample=1000, exact=ExactIndex(DATABASE)) < 1
    assert measure_recall(ExactIndex(DATABASE), DATABASE, asked) == 1
