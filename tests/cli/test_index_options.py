"""The command-line options of an index."""

import argparse

import pytest

from delfjax.cli.options import index_config, index_options
from delfjax.search.index import IndexConfig


def parse(*arguments):
    parser = argparse.ArgumentParser()
    index_options(parser)
    return index_config(parser.parse_args(arguments))


def test_options_give_kind_and_settings():
    assert parse() == IndexConfig()
    found = parse("--index", "sharded", "--index-settings", "inner=pq", "size=40", "spread=1.5")
    assert found == IndexConfig(kind="sharded", settings={"inner": "pq", "size": 40, "spread": 1.5})


@pytest.mark.parametrize("setting", ["beam", "=3", ""])
def test_a_setting_without_name_or_value_is_refused(setting, capsys):
    with pytest.raises(SystemExit):
        parse("--index-settings", setting)
    assert "expected NAME=VALUE" in capsys.readouterr().err
