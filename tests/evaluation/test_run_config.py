"""The configuration of a run: what it refuses, and that JSON keeps it."""

import json
from dataclasses import replace

import pytest

from delfjax.evaluation.config import RunConfig
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.paper.runs import PAPER_RULE
from delfjax.provenance import to_json
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import IndexConfig
from delfjax.search.searcher import SearchConfig

POOLING = GlobalConfig(longest=64, scales=(1.0, 0.5))
EVERYTHING = RunConfig(
    model="delf_att",
    index=IndexConfig(kind="nndescent", settings={"beam": 60}),
    search=SearchConfig(features=100),
    global_descriptor=POOLING,
    fusion_weight=0.25,
    expansion=ExpansionConfig(kind="alpha"),
)


@pytest.mark.parametrize("config", [RunConfig(), EVERYTHING])
def test_json_keeps_a_configuration(config):
    assert RunConfig.from_dict(json.loads(to_json(config.to_dict()))) == config


def test_evaluations_rank_as_searches_do():
    assert RunConfig().search == SearchConfig()


def test_saved_settings_without_score_and_scales_are_those_of_the_paper():
    saved = RunConfig(search=PAPER_RULE).to_dict()  # as before these settings existed
    assert "score" not in saved["search"]
    assert "scale_aware" not in saved["search"]["ransac"]
    assert RunConfig.from_dict(saved).search == PAPER_RULE


def test_unknown_fields_are_refused():
    with pytest.raises(
        ValueError,
        match=r"SearchConfig: unknown fields neighbours; the known fields are .*neighbors",
    ):
        RunConfig.from_dict({"search": {"neighbours": 60}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fusion_weight": 0.25}, "a fusion weight needs global descriptors"),
        ({"shortlist": 5}, "a shortlist needs global descriptors"),
        ({"whitening": "photos"}, "a whitening needs global descriptors"),
        ({"expansion": ExpansionConfig(kind="alpha")}, "'alpha' needs global descriptors"),
        (
            {"global_descriptor": POOLING, "expansion": ExpansionConfig(kind="local")},
            "needs local features",
        ),
        (
            {"global_descriptor": POOLING, "model": "sift"},
            "sift: handcrafted features have no network",
        ),
        ({"search": SearchConfig(truncate=41)}, "truncate is 41; expected at most 40"),
        ({"global_descriptor": POOLING, "shortlist": 0}, "shortlist is 0; expected a whole number"),
        (
            {"global_descriptor": POOLING, "fusion_weight": 25.0},
            "expected a number of at least 0 and at most 1",
        ),
        (
            {"global_descriptor": POOLING, "fusion_weight": float("nan")},
            "expected a number of at least 0 and at most 1",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**fields)


def test_optional_methods_are_named_for_tables():
    assert RunConfig().optional_methods == []
    assert EVERYTHING.optional_methods == ["global gem", "fused at 0.25", "alpha expansion"]


def test_local_features_are_left_out_of_a_purely_global_search():
    assert RunConfig().uses_local_features
    assert EVERYTHING.uses_local_features
    assert not replace(EVERYTHING, fusion_weight=None).uses_local_features
