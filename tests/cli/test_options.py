"""Options of the command line make the configurations that they name."""

from delfjax.cli.main import parse
from delfjax.cli.options import run_config
from delfjax.evaluation.config import RunConfig
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.search.expansion import ExpansionConfig


def config(*options) -> RunConfig:
    return run_config(parse(["benchmark", "rendered", *options]))


def test_the_defaults_are_those_of_the_configuration():
    assert config() == RunConfig()


def test_stages_have_their_settings():
    found = config(
        *("--global", "rmac", "--longest", "320", "--fuse", "0.25"),
        *("--global-whiten", "rendered_train"),
        *("--expand", "average", "--model", "delf_att"),
    )
    assert found.global_descriptor == GlobalConfig(pooling="rmac", longest=320)
    assert found.expansion == ExpansionConfig(kind="average")
    assert (found.model, found.fusion_weight) == ("delf_att", 0.25)
    assert found.whitening == "rendered_train"
