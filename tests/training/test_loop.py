"""Complete training runs: resumed after a kill, on several devices and hosts, diverged, refused."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import classes, draw, network, settings, unfolded

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import StoreError
from delfjax.models import weights
from delfjax.models.backbone import cut_at_conv4, fold_batch_norm
from delfjax.models.checkpoints import load_model, read_manifest
from delfjax.training import loop, train, with_conv5
from delfjax.training.loop import DivergenceError, shard_batch

PROCESS = Path(__file__).parents[1] / "training_process.py"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return three classes of five photos each. Two photos of each class are held out."""
    return classes(tmp_path_factory.mktemp("train") / "photos", 3, 5)


@pytest.fixture(scope="module")
def uninterrupted(photos, tmp_path_factory):
    """Return the result of a run without interruptions."""
    return run(photos, tmp_path_factory.mktemp("uninterrupted") / "run")


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """Return the result of a run of two updates."""
    return run(photos, tmp_path_factory.mktemp("finished") / "run", settings(steps=2))


def run(photos, path, config=None, start=None):
    """Train the tiny network."""
    return train(photos, path, config=config or settings(), start=start or network())


def validation_losses(log):
    return {record["step"]: record["validation_loss"] for record in log}


def parameters(trained):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(nnx.state(trained.model))]


def arrays(module):
    return {path: np.asarray(value[...]) for path, value in nnx.to_flat_state(nnx.state(module))}


# --- a run


def test_run_logs_validates_and_keeps_the_best_state(uninterrupted):
    assert list(validation_losses(uninterrupted.log)) == [2, 4, 6]
    assert uninterrupted.step == min(
        validation_losses(uninterrupted.log), key=validation_losses(uninterrupted.log).get
    )
    assert (
        uninterrupted.validation_metrics["validation_loss"]
        == validation_losses(uninterrupted.log)[uninterrupted.step]
    )
    assert uninterrupted.log[-1]["seconds"] > 0
    assert not uninterrupted.failed


def test_finished_run_is_only_loaded(photos, finished, monkeypatch):
    monkeypatch.setattr(loop, "train_step", None)
    second = run(photos.root, str(finished.file.parent), settings(steps=2))
    assert parameters(second) == parameters(finished)
    assert second.log == finished.log


def test_finished_run_without_a_log_is_loaded(photos, finished, tmp_path):
    shutil.copytree(finished.file.parent, tmp_path / "run")
    path = tmp_path / "run" / "log.jsonl"
    for log in (None, "", '{"step": 1e999, "seconds": 1}\n'):
        path.unlink() if log is None else path.write_text(log)
        second = run(photos, tmp_path / "run", settings(steps=2))
        assert parameters(second) == parameters(finished)
        assert second.log == []


def test_without_validation_the_last_state_is_the_best(photos, tmp_path):
    trained = run(photos, tmp_path / "run", settings(steps=4, validation_fraction=0.0))
    assert trained.step == 4
    assert trained.validation_metrics == {}


def test_broken_photos_are_listed(tmp_path):
    photos = classes(tmp_path / "photos", 3, 5)
    for name in ("a/0.png", "b/3.png"):
        photos.path(name).write_text("no photo")
    trained = run(photos, tmp_path / "run", settings(steps=2))
    assert set(trained.failed) == {"a/0.png", "b/3.png"}


# --- interrupted runs


def test_killed_run_resumes_bit_by_bit(photos, uninterrupted, tmp_path):
    process = start_process(photos.root, tmp_path / "run", "--kill-in-save", "4")
    _, err = process.communicate()
    assert process.returncode == -9, err
    assert (tmp_path / "run" / "states" / "2").is_dir()
    assert not (tmp_path / "run" / "states" / "6").exists()
    resumed = run(photos, tmp_path / "run")
    assert parameters(resumed) == parameters(uninterrupted)
    assert validation_losses(resumed.log) == validation_losses(uninterrupted.log)
    assert resumed.step == uninterrupted.step


def test_run_interrupted_between_saves_resumes_bit_by_bit(photos, tmp_path, monkeypatch):
    """All random choices are in use, and conv5 is trained."""
    changes = {"optimizer__kind": "sgd", "balance_classes": True}
    config = with_conv5(settings(steps=9, augmentation__gammas=(1.0, 0.5), **changes))
    backbone = network(conv5=True)
    uninterrupted = run(photos, tmp_path / "uninterrupted", config, backbone)
    original = loop.train_step

    def interrupted_step(context, state, *arguments, **options):
        if int(state.step) == 5:
            raise KeyboardInterrupt
        return original(context, state, *arguments, **options)

    monkeypatch.setattr(loop, "train_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path / "run", config, backbone)
    monkeypatch.setattr(loop, "train_step", original)
    resumed = run(photos, tmp_path / "run", config, backbone)
    assert parameters(resumed) == parameters(uninterrupted)
    assert validation_losses(resumed.log) == validation_losses(uninterrupted.log)


# --- several devices


def test_eight_devices_give_the_result_of_one(photos, uninterrupted, tmp_path):
    flag = "--xla_force_host_platform_device_count=8"
    finish(start_process(photos.root, tmp_path / "run", flags=flag))
    compare_losses(tmp_path / "run", uninterrupted)


def test_batches_are_sharded():
    mesh = jax.make_mesh((jax.device_count(),), (loop.AXIS,))
    photos, labels = np.arange(12).reshape(4, 3), np.arange(4)
    for array, found in zip((photos, labels), shard_batch(mesh, photos, labels), strict=True):
        np.testing.assert_array_equal(found, array)
        assert found.sharding.spec == jax.P(loop.AXIS)


def test_batch_size_must_be_a_multiple_of_the_devices(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [None] * 8)
    monkeypatch.setattr(loop, "Mesh", lambda devices, axes: SimpleNamespace(size=len(devices)))
    with pytest.raises(ValueError, match="batch_size is 12; expected a multiple of 8"):
        run(photos, tmp_path / "run", settings(batch_size=12))


def start_process(*arguments, flags=""):
    """Start a training run in a process of its own."""
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
    environment["PYTHONPATH"] = str(PROCESS.parents[1])
    command = [sys.executable, PROCESS, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err


def compare_losses(folder, trained):
    lines = (folder / "log.jsonl").read_text().splitlines()
    found, expected = validation_losses(map(json.loads, lines)), validation_losses(trained.log)
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-5)


# --- divergence


def test_divergence_names_the_update_and_the_last_good_state(photos, tmp_path, monkeypatch):
    original = loop.train_step

    def diverging_step(context, state, *arguments, **options):
        step = int(state.step)
        state, metrics = original(context, state, *arguments, **options)
        return state, metrics | ({"loss": np.float32("nan")} if step == 4 else {})

    monkeypatch.setattr(loop, "train_step", diverging_step)
    with pytest.raises(DivergenceError) as error:
        run(photos, tmp_path / "run")
    saved = tmp_path / "run" / "states" / "4"
    assert str(error.value).startswith(
        f"{tmp_path / 'run'}: at update 5, the loss is nan; expected a finite number; the last "
        "saved state is from update 4."
    )
    assert saved.is_dir()


def test_diverged_state_is_not_saved(photos, tmp_path):
    config = settings(optimizer__kind="sgd", optimizer__learning_rate=1e30, save_every=1)
    with pytest.raises(DivergenceError, match=r"at update 1, .*no state was saved"):
        run(photos, tmp_path / "run", config)
    assert not list((tmp_path / "run" / "states").glob("[0-9]*"))


# --- refused runs


def test_other_settings_photos_and_backbones_are_refused(photos, finished):
    folder, same = finished.file.parent, settings(steps=2)
    seed, rate = (
        settings(steps=2, **each) for each in ({"seed": 1}, {"optimizer__learning_rate": 0.5})
    )
    fewer = replace(photos, names=photos.names[:12])
    for message, *given in (
        ("made with seed = 0, but 1 was requested", photos, folder, seed),
        (r"optimizer\.learning_rate = 0\.003, but 0\.5 was requested", photos, folder, rate),
        ("made with backbone = ", photos, folder, same, network(1)),
        (r"made with photos = 15, .* but 12, ", fewer, folder, same),
    ):
        with pytest.raises(StoreError, match=message):
            run(*given)


def test_a_photo_that_was_replaced_is_refused(tmp_path):
    photos = classes(tmp_path / "photos", 3, 2)
    run(photos, tmp_path / "run", settings(steps=2))
    path = photos.path(photos.names[0])
    status = path.stat()
    path.write_bytes(photos.path(photos.names[1]).read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(StoreError, match="made with photos_sha256 = "):
        run(photos, tmp_path / "run", settings(steps=2))


def test_photos_without_classes_are_refused(photos, tmp_path):
    with pytest.raises(DatasetError, match="expected at least two sub-folders"):
        run(replace(photos, names=()), tmp_path / "run")


def test_config_and_variant_together_are_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="both a config and the variant"):
        train(photos, tmp_path / "run", config=settings(), variant="attention")


# --- model files


def test_steps_1_and_2_write_models_that_share_a_backbone(photos, tmp_path):
    step_1 = run(photos, tmp_path / "one", settings(steps=2))
    step_2 = run(photos, tmp_path / "two", settings("attention", steps=2), step_1.file)
    manifests = [read_manifest(trained.file) for trained in (step_1, step_2)]
    assert [manifest["holds"] for manifest in manifests] == [["backbone"], ["attention"]]
    assert manifests[0]["backbone"] == manifests[1]["backbone"]
    training = manifests[1]["training"]
    assert training["config"]["network"]["variant"] == "attention"
    assert training["config"]["seed"] == 0
    assert training["classes"] == 3
    assert {"seconds", "hardware", "versions", "validation_loss"} <= training.keys()
    backbone, attention = load_model(step_2.file)  # finds the copied backbone of step 1
    np.testing.assert_equal(arrays(backbone), arrays(load_model(step_1.file)[0]))
    copy = step_2.file.with_name("start.safetensors")
    step_2.file.unlink()
    copy.write_bytes(copy.read_bytes()[:99])  # killed while it was copied
    again = run(photos, tmp_path / "two", settings("attention", steps=2), step_1.file)
    assert copy.read_bytes() == step_1.file.read_bytes()
    run(photos, tmp_path / "two", settings("attention", steps=2), copy)
    np.testing.assert_equal(arrays(load_model(again.file)[0]), arrays(backbone))
    for path, value in arrays(step_2.model.attention).items():
        np.testing.assert_array_equal(arrays(attention)[path], value.astype(np.float16))


def test_training_starts_from_imagenet_by_default(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "load_backbone", lambda *_, **__: network(9))
    trained = train(photos, tmp_path / "run", config=settings("attention", steps=2))
    assert read_manifest(trained.file)["holds"] == ["attention"]
    np.testing.assert_equal(arrays(load_model(trained.file)[0]), arrays(network(9)))


def test_model_holds_a_frozen_backbone_that_no_file_holds(photos, tmp_path):
    trained = run(photos, tmp_path / "run", settings("attention", steps=2), unfolded())
    assert trained.model.backbone.folded
    assert trained.model.attention is not None
    assert read_manifest(trained.file)["holds"] == ["attention", "backbone"]


def test_model_file_gives_the_descriptors_of_the_trained_network(photos, tmp_path):
    """Batch norms are folded, conv5 is cut off, and parameters are rounded to half precision."""
    trained = run(photos, tmp_path / "run", with_conv5(settings(steps=2)), unfolded(conv5=True))
    loaded, _ = load_model(trained.file)
    assert arrays(loaded).keys() == arrays(network()).keys()
    photo = jnp.asarray(draw(0)[None], jnp.float32)
    found, expected = (
        np.asarray(jax.jit(lambda photo, model=model: model(photo)["conv4"])(photo))
        for model in (loaded, fold_batch_norm(cut_at_conv4(trained.model.backbone)))
    )
    np.testing.assert_allclose(found, expected, atol=0.01 * expected.max())
