"""The command ``delfjax train``: its options, and both steps of the paper from a folder to a model."""

import argparse

import pytest
from worlds import classes, network, settings

from delfjax.cli.main import parse
from delfjax.cli.output import UsageError
from delfjax.cli.train import CONFIGS, training_config
from delfjax.files import StoreError
from delfjax.models import weights
from delfjax.models.checkpoints import load_model, read_manifest
from delfjax.training import paper_config, small_config, with_conv5


def options(*arguments) -> argparse.Namespace:
    return parse(["train", *map(str, arguments)])


def run(*arguments) -> int:
    given = options(*arguments)
    return given.run(given)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Train the tiny network, in a few steps."""
    monkeypatch.setattr(
        weights, "load_backbone", lambda spec, *, file=None, conv5=False: network(conv5=conv5)
    )
    monkeypatch.setitem(CONFIGS, "small", settings)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return classes(tmp_path_factory.mktemp("command") / "photos", 3, 5).root


# --- options


@pytest.mark.parametrize("variant", ["finetune", "attention", "joint"])
def test_preset_and_variant_give_the_configuration(variant, monkeypatch):
    monkeypatch.setitem(CONFIGS, "small", small_config)
    for name, preset in (("small", small_config), ("paper", paper_config)):
        given = options(*f"--config {name} --variant {variant} --photos p --out r".split())
        assert training_config(given) == preset(variant)


def test_options_override_the_preset():
    changes = "--steps 40 --batch-size 16 --learning-rate 0.5 --seed 7 --save-every 20"
    config = training_config(options(*f"--config paper --photos p --out r {changes}".split()))
    assert (config.optimizer.steps, config.optimizer.learning_rate) == (40, 0.5)
    assert (config.batch_size, config.seed, config.save_every) == (16, 7, 20)
    assert config.network == paper_config().network


def test_pooled_layer_conv5():
    command = "--config", "paper", "--pooled-layer", "conv5", "--photos", "p", "--out", "r"
    assert training_config(options(*command)) == with_conv5(paper_config())


def test_photos_and_run_are_required():
    with pytest.raises(SystemExit):
        options("--photos", "p")


# --- runs


def test_both_steps_from_a_folder_to_a_model(photos, tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run("--photos", photos, "--out", one, "--pooled-layer", "conv5") == 0
    out, err = capsys.readouterr()
    assert f"{one}/model.safetensors: update " in out
    assert "validation descriptor accuracy" in out
    assert "finetune" in err  # the progress bar

    start = "--start", one / "model.safetensors"
    assert run("--photos", photos, "--out", two, "--variant", "attention", *start) == 0
    assert "validation attention accuracy" in capsys.readouterr().out
    manifests = [read_manifest(folder / "model.safetensors") for folder in (one, two)]
    assert [manifest["holds"] for manifest in manifests] == [["backbone"], ["attention"]]
    assert manifests[0]["backbone"] == manifests[1]["backbone"]
    backbone, attention = load_model(two / "model.safetensors")
    assert backbone.folded
    assert backbone.stages == (2, 3, 4)
    assert attention is not None


def test_same_command_resumes_and_other_settings_are_refused(photos, tmp_path, capsys):
    command = "--photos", photos, "--out", tmp_path / "run"
    assert [run(*command), run(*command)] == [0, 0]
    first, second = capsys.readouterr().out.split(f"{tmp_path / 'run'}/model")[1:]
    assert first == second
    with pytest.raises(StoreError, match="made with seed = 0, but 1 was requested"):
        run(*command, "--seed", 1)


def test_weights_file_belongs_to_an_imagenet_backbone(photos, tmp_path):
    command = "--photos", photos, "--out", tmp_path / "run", "--weights", "keras.h5"
    assert run(*command) == 0
    with pytest.raises(
        UsageError, match=r"the model delf_ft of --start has weights of its own\. Fix: leave"
    ):
        run(*command, "--start", "delf_ft")


def test_broken_photos_exit_with_3(tmp_path, capsys):
    photos = classes(tmp_path / "photos", 3, 5)
    photos.path("b/2.png").write_text("no photo")
    assert run("--photos", photos.root, "--out", tmp_path / "run") == 3
    assert "b/2.png" in capsys.readouterr().err
