"""The folder of a training run: saved states, the log, and refused folders."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from delfjax.files import StoreError
from delfjax.training.run_folder import RunFolder
from delfjax.training.step import TrainState

SETTINGS = {"learning_rate": 0.1, "stages": ("conv4",)}


def state(step: int) -> TrainState:
    random = np.random.default_rng(step)
    values = jnp.asarray(random.normal(size=(3, 2)).astype(np.float32))
    trainable = nnx.State({"attention": {"kernel": nnx.Param(values)}})
    opt_state = (jnp.int32(step), {"mu": values / 3})
    return TrainState(jnp.int32(step), trainable, opt_state)


def fill(run, losses):
    for step, loss in losses.items():
        run.write_log({"step": step, "loss": loss})
        run.save(step, state(step), loss=loss)


def test_states_are_restored_bit_by_bit(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        run.save(3, state(3), loss=1.0)
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        found = run.restore(run.last_step, state(0))
    assert jax.tree.structure(found) == jax.tree.structure(state(3))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(state(3)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize(
    ("losses", "best", "kept"),
    [
        ({1: 3.0, 2: 1.0, 3: 2.0, 4: 5.0}, 2, {2, 4}),
        ({1: 3.0, 2: 2.0, 3: 1.0}, 3, {3}),
        ({1: 1.0, 2: 2.0}, 1, {1, 2}),
    ],
)
def test_last_and_best_state_are_kept(tmp_path, losses, best, kept):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        fill(run, losses)
        assert (run.last_step, run.best_step) == (max(losses), best)
        assert {int(state.name) for state in (run.path / "states").glob("[0-9]*")} == kept
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        assert (run.last_step, run.best_step) == (max(losses), best)


@pytest.mark.parametrize("part", ["metrics/metrics", "default"])
def test_a_state_with_another_loss_or_other_arrays_is_refused(tmp_path, part):
    with RunFolder(tmp_path, SETTINGS) as run:
        fill(run, {1: 1.0, 2: 2.0})
    one, other = (tmp_path / "states" / number / part for number in "12")
    if part == "default":
        shutil.rmtree(other)
        one.rename(other)
    else:
        other.write_text(other.read_text().replace("2.0", "0.5"))
    message = "state 2 does not match its checksum"
    with pytest.raises(StoreError, match=message), RunFolder(tmp_path, SETTINGS) as run:
        run.restore(2, state(0))


def test_new_run_has_no_state(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        assert (run.last_step, run.best_step, run.log) == (0, 0, [])


# --- the log


def test_log_has_one_record_per_line_with_its_time(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        fill(run, {1: 3.0, 2: 1.0})
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [(record["step"], record["loss"]) for record in records] == [(1, 3.0), (2, 1.0)]
    assert 0 <= records[0]["seconds"] <= records[1]["seconds"]


def test_records_after_the_last_state_are_dropped(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        fill(run, {1: 3.0, 2: 1.0})
        run.write_log({"step": 3, "loss": 0.5})
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 4, "lo')  # killed while it wrote
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        assert [record["step"] for record in run.log] == [1, 2]
        run.write_log({"step": 3, "loss": 0.6})
    assert [json.loads(line)["loss"] for line in log.read_text().splitlines()] == [3.0, 1.0, 0.6]


def test_time_continues_after_an_interruption(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        fill(run, {1: 3.0})
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(json.dumps({"step": 1, "seconds": 1000.0}) + "\n")
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        run.write_log({"step": 2})
        assert 1000 <= run.log[-1]["seconds"] < 2000


# --- refused folders


def test_folder_of_another_run_is_refused(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS).__exit__(None, None, None)
    with pytest.raises(StoreError, match=r"made with learning_rate = 0.1, but 0.2 was requested"):
        RunFolder(tmp_path / "run", {**SETTINGS, "learning_rate": 0.2})


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(StoreError, match="neither empty nor a training run"):
        RunFolder(tmp_path, SETTINGS)


def test_folder_of_a_running_training_is_refused(tmp_path):
    with RunFolder(tmp_path, SETTINGS), pytest.raises(StoreError, match="held by another process"):
        RunFolder(tmp_path, SETTINGS)
    with pytest.raises(StoreError, match="damaged"):
        damaged_log(tmp_path)
    (tmp_path / "log.jsonl").unlink()
    RunFolder(tmp_path, SETTINGS).__exit__(None, None, None)


def test_an_empty_state_is_named(tmp_path):
    with RunFolder(tmp_path, SETTINGS) as run:
        fill(run, {1: 3.0})
    (tmp_path / "states" / "99").mkdir()
    with pytest.raises(StoreError, match="state 99 is empty"):
        RunFolder(tmp_path, SETTINGS)


def damaged_log(path):
    (path / "log.jsonl").write_text("[]\n")
    RunFolder(path, SETTINGS)
