"""Whole runs: killed and taken up again, on one device, on eight, on two hosts; diverged; refused."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from worlds import classes, network, settings

from delfjax.files import StoreError
from delfjax.images.reading import PhotoError
from delfjax.models.backbone import ResNet
from delfjax.training import loop
from delfjax.training.config import through_conv5
from delfjax.training.loop import DivergenceError, fit

PROCESS = Path(__file__).with_name("training_process.py")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of five photos, two of each held out."""
    return classes(tmp_path_factory.mktemp("train") / "photos", 3, 5)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A run that nothing interrupted."""
    return fit(settings(), photos, network(), tmp_path_factory.mktemp("whole") / "run")


def losses(log):
    return {record["step"]: record["validation_loss"] for record in log}


def parameters(trained):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(nnx.state(trained.model))]


# --- a run


def test_a_run_logs_validates_and_keeps_the_best(whole):
    assert list(losses(whole.log)) == [2, 4, 6]
    assert whole.step == min(losses(whole.log), key=losses(whole.log).get)
    assert whole.validated["validation_loss"] == losses(whole.log)[whole.step]
    assert whole.classes == ("a", "b", "c")
    assert whole.seconds > 0
    assert not whole.failed


def test_a_run_that_is_done_is_only_read(photos, whole, tmp_path, monkeypatch):
    first = fit(settings(steps=2), photos, network(), tmp_path / "run")
    monkeypatch.setattr(loop, "train_step", None)
    again = fit(settings(steps=2), photos, network(), tmp_path / "run")
    assert parameters(again) == parameters(first)
    assert again.log == first.log


def test_without_validation_the_last_state_counts(photos, tmp_path):
    trained = fit(settings(validation=0.0), photos, network(), tmp_path / "run")
    assert trained.step == 6
    assert trained.validated == {}


def test_the_backbone_of_step_2_is_folded_and_stays(photos, tmp_path):
    backbone = ResNet(network().spec, rngs=nnx.Rngs(0))
    trained = fit(settings("attention"), photos, backbone, tmp_path / "run")
    assert trained.model.backbone.folded
    assert trained.model.attention is not None


def test_broken_photos_are_listed(tmp_path):
    photos = classes(tmp_path / "photos", 2, 4)
    for name in ("a/0.png", "b/3.png"):
        photos.path(name).write_text("no photo")
    trained = fit(settings(), photos, network(), tmp_path / "run")
    assert set(trained.failed) == {"a/0.png", "b/3.png"}


# --- killed


@pytest.mark.parametrize("killed", [("--die-in-step", 3), ("--die-in-save", 4)])
def test_a_killed_run_comes_to_the_same(photos, whole, tmp_path, killed):
    option, number = killed
    done = start(photos.root, tmp_path / "run", option, str(number))
    _, err = done.communicate()
    assert done.returncode == -9, err
    assert (tmp_path / "run" / "states" / "2").is_dir()
    assert not (tmp_path / "run" / "states" / "6").exists()
    resumed = fit(settings(), photos, network(), tmp_path / "run")
    assert parameters(resumed) == parameters(whole)
    assert losses(resumed.log) == losses(whole.log)
    assert resumed.step == whole.step


@pytest.mark.parametrize("conv5", [False, True], ids=["through conv4", "through conv5"])
def test_an_interrupted_run_comes_to_the_same(photos, tmp_path, monkeypatch, conv5):
    """In between the batches of one update, with everything at random that there is."""
    changes = {"optimizer__accumulate": 3, "optimizer__kind": "sgd", "augmentation__flip": True}
    config = settings(steps=9, balanced=True, augmentation__gammas=(1.0, 0.5), **changes)
    config, backbone = through_conv5(config) if conv5 else config, network(conv5=conv5)
    whole = fit(config, photos, backbone, tmp_path / "whole")
    step = loop.train_step

    def interrupted(task, state, *arguments, **options):
        if int(state.step) == 5:
            raise KeyboardInterrupt
        return step(task, state, *arguments, **options)

    monkeypatch.setattr(loop, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(config, photos, backbone, tmp_path / "run")
    monkeypatch.setattr(loop, "train_step", step)
    resumed = fit(config, photos, backbone, tmp_path / "run")
    assert parameters(resumed) == parameters(whole)
    assert losses(resumed.log) == losses(whole.log)


# --- several devices, several hosts


def test_eight_devices_learn_what_one_does(photos, whole, tmp_path):
    flag = "--xla_force_host_platform_device_count=8"
    finish(start(photos.root, tmp_path / "run", flags=flag))
    compare(tmp_path / "run", whole)


def test_two_hosts_learn_what_one_does(photos, whole, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    join = photos.root, tmp_path / "run", "--join", address, "--host"
    hosts = [start(*join, str(host)) for host in range(2)]
    for host in hosts:
        finish(host)
    compare(tmp_path / "run", whole)


def start(*arguments, flags=""):
    """Start a training run in a process of its own."""
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
    environment["PYTHONPATH"] = str(PROCESS.parents[1])
    command = [sys.executable, PROCESS, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err


def compare(run, whole):
    lines = (run / "log.jsonl").read_text().splitlines()
    found, expected = losses(map(json.loads, lines)), losses(whole.log)
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-5)


# --- diverged


def test_divergence_names_the_step_and_the_last_good_state(photos, tmp_path, monkeypatch):
    whole = loop.train_step

    def step(task, state, *arguments, **options):
        number = int(state.step)
        state, logged = whole(task, state, *arguments, **options)
        return state, logged | ({"loss": np.float32("nan")} if number == 4 else {})

    monkeypatch.setattr(loop, "train_step", step)
    with pytest.raises(DivergenceError) as error:
        fit(settings(), photos, network(), tmp_path / "run")
    kept = tmp_path / "run" / "states" / "4"
    assert str(error.value).startswith(
        f"step 5: the loss is nan, expected a finite number; the last good state, of step 4, is kept in {kept}"
    )
    assert kept.is_dir()


def test_a_wild_rate_diverges_and_nothing_of_it_is_saved(photos, tmp_path):
    wild = settings(optimizer__kind="sgd", optimizer__rate=1e30, save_every=1)
    with pytest.raises(DivergenceError, match=r"step 1: .*no state had been saved yet"):
        fit(wild, photos, network(), tmp_path / "run")
    assert not list((tmp_path / "run" / "states").glob("[0-9]*"))


# --- refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "made with seed = 0, but 1 is asked for"),
        ({"optimizer__rate": 0.5}, r"made with optimizer.rate = 0.003, but 0.5 is asked for"),
    ],
)
def test_other_settings_are_refused(photos, tmp_path, changes, message):
    fit(settings(steps=2), photos, network(), tmp_path / "run")
    with pytest.raises(StoreError, match=message):
        fit(settings(steps=2, **changes), photos, network(), tmp_path / "run")


def test_another_backbone_or_other_photos_are_refused(photos, tmp_path):
    fit(settings(steps=2), photos, network(), tmp_path / "run")
    with pytest.raises(StoreError, match="made with backbone = "):
        fit(settings(steps=2), photos, network(1), tmp_path / "run")
    with pytest.raises(StoreError, match=r"made with photos = 15, .* but 12, "):
        fit(settings(steps=2), photos.select("[0-3]*"), network(), tmp_path / "run")


def test_photos_without_classes_are_refused(photos, tmp_path):
    with pytest.raises(PhotoError, match="expected at least two sub-folders"):
        fit(settings(), photos.select("none"), network(), tmp_path / "run")
