"""The descriptions of the models are true, and `delfjax models` prints them."""

import json
import re
from pathlib import Path

import pytest

import delfjax as dx
from delfjax.cli.main import main
from delfjax.features.factory import DEFAULT_MODEL
from delfjax.models.zoo import FOLDER, model_cards

RUNS = {"delf_att": "att", "delf_ft_att": "ft_att", "delf_ft": "ft_norm", "resnet50_v1": "norm"}


def test_every_model_is_described_and_the_default_is_first():
    assert set(model_cards()) == set(dx.model_names())
    assert next(iter(model_cards())) == DEFAULT_MODEL


def test_the_default_model_has_attention_and_is_the_best_on_real_photos():
    cards = model_cards()
    assert cards[DEFAULT_MODEL].selection == "attention"
    measured = {name: card.real for name, card in cards.items() if card.real}
    assert max(measured, key=lambda name: measured[name]) == DEFAULT_MODEL


@pytest.mark.parametrize("name", model_cards())
def test_map_on_the_rendered_benchmark_is_that_of_the_results(name):
    path = Path(f"data/results/rendered+places_{RUNS.get(name, name)}.json")
    value = round(json.loads(path.read_text())["value"], 1) if path.exists() else None
    assert model_cards()[name].rendered == value


def test_readme_shows_the_map_on_real_photos():
    rows = re.findall(
        r"^\| `(\w+)`[^|]* \| \**([\d.]+) / ([\d.]+)\** \| [\d.]+ / ",
        (FOLDER / "README.md").read_text(),
        re.MULTILINE,
    )
    found = {name: [float(few), float(many)] for name, few, many in rows}
    assert found == {name: card.real for name, card in model_cards().items() if card.real}


def test_command_lists_the_models(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert f"{DEFAULT_MODEL} (the default)\n" in text
    assert "mAP       rendered 79.2, real 79.5 / 83.2\n" in text
    assert main(["models", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["models"]["delf_ft"]["real"] == [74.5, 79.4]
