"""The command train: what options come to, and both steps of the paper from a folder to a model."""

import argparse

import pytest
from worlds import classes, network, settings

from delfjax.cli.main import parser
from delfjax.cli.train import CONFIGS, configured
from delfjax.files import StoreError
from delfjax.models import weights
from delfjax.models.checkpoints import load_model, read_manifest
from delfjax.training.config import embedded, paper, through_conv5


def options(*arguments) -> argparse.Namespace:
    return parser().parse_args(["train", *map(str, arguments)])


def run(*arguments) -> int:
    given = options(*arguments)
    return given.run(given)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(
        weights, "load_backbone", lambda spec, *, file=None, conv5=False: network(conv5=conv5)
    )
    monkeypatch.setitem(CONFIGS, "embedded", settings)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return classes(tmp_path_factory.mktemp("command") / "photos", 3, 5).root


# --- options


@pytest.mark.parametrize("variant", ["finetune", "attention", "joint", "joint-stop"])
def test_settings_are_those_of_the_configuration(variant, monkeypatch):
    monkeypatch.setitem(CONFIGS, "embedded", embedded)
    for name, settings_of in (("embedded", embedded), ("paper", paper)):
        given = options(*f"--config {name} --variant {variant} --photos p --out r".split())
        assert configured(given) == settings_of(variant)


def test_options_take_the_place_of_settings():
    changes = "--steps 40 --batch 16 --rate 0.5 --seed 7 --save-every 20"
    config = configured(options(*f"--config paper --photos p --out r {changes}".split()))
    assert (config.optimizer.steps, config.optimizer.rate) == (40, 0.5)
    assert (config.batch, config.seed, config.save_every) == (16, 7, 20)
    assert config.network == paper().network


def test_through_conv5():
    config = configured(
        options("--config", "paper", "--through", "conv5", "--photos", "p", "--out", "r")
    )
    assert config == through_conv5(paper())


def test_photos_and_run_have_to_be_named():
    with pytest.raises(SystemExit):
        options("--photos", "p")


# --- runs


@pytest.mark.parametrize("through", ["conv4", "conv5"])
def test_both_steps_from_a_folder_to_a_model(photos, tmp_path, capsys, through):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run("--photos", photos, "--out", one, "--through", through) == 0
    out, err = capsys.readouterr()
    assert f"{one}/model.safetensors: step " in out
    assert "validation descriptor accuracy" in out
    assert "finetune" in err  # the progress

    start = "--start", one / "model.safetensors"
    assert run("--photos", photos, "--out", two, "--variant", "attention", *start) == 0
    assert "validation attention accuracy" in capsys.readouterr().out
    manifests = [read_manifest(folder / "model.safetensors") for folder in (one, two)]
    assert [manifest["holds"] for manifest in manifests] == [["backbone"], ["attention"]]
    assert manifests[0]["backbone"] == manifests[1]["backbone"]
    backbone, attention = load_model(two / "model.safetensors")  # its backbone lies beside it
    assert backbone.folded
    assert backbone.stages == (2, 3, 4)
    assert attention is not None


def test_the_same_command_goes_on_and_another_is_refused(photos, tmp_path, capsys):
    command = "--photos", photos, "--out", tmp_path / "run"
    assert [run(*command), run(*command)] == [0, 0]
    first, second = capsys.readouterr().out.split(f"{tmp_path / 'run'}/model")[1:]
    assert first == second
    with pytest.raises(StoreError, match="made with seed = 0, but 1 was requested"):
        run(*command, "--seed", 1)


def test_broken_photos_exit_with_3(tmp_path, capsys):
    photos = classes(tmp_path / "photos", 3, 5)
    photos.path("b/2.png").write_text("no photo")
    assert run("--photos", photos.root, "--out", tmp_path / "run") == 3
    assert "b/2.png is not an image" in capsys.readouterr().err
