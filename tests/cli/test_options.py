"""Options of the command line make the configurations that they name."""

import pytest

from delfjax.cli.main import parse
from delfjax.cli.options import run_config
from delfjax.evaluation.config import RunConfig
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import IndexConfig


def config(*options) -> RunConfig:
    return run_config(parse(["benchmark", "rendered", *options]))


def test_the_defaults_are_those_of_the_configuration():
    assert config() == RunConfig()


def test_an_index_has_its_settings():
    found = config("--index", "sharded", "--index-settings", "inner=pq", "size=40", "spread=1.5")
    settings = {"inner": "pq", "size": 40, "spread": 1.5}
    assert found.index == IndexConfig(kind="sharded", settings=settings)


def test_stages_have_their_settings():
    found = config(
        *("--global", "rmac", "--longest", "320", "--fuse", "0.25", "--global-whiten", "rendered"),
        *("--expand", "average", "--expand-photos", "3", "--model", "delf_att"),
    )
    assert found.global_descriptor == GlobalConfig(pooling="rmac", longest=320)
    assert found.expansion == ExpansionConfig(kind="average", max_photos=3)
    assert (found.model, found.fusion_weight, found.whitening) == ("delf_att", 0.25, "rendered")


@pytest.mark.parametrize("setting", ["beam", "=3", ""])
def test_a_setting_without_name_or_value_is_refused(setting, capsys):
    with pytest.raises(SystemExit):
        config("--index-settings", setting)
    assert "expected NAME=VALUE" in capsys.readouterr().err
