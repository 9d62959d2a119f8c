"""A run's folder: what is saved comes back, the best and the last are kept, nothing is mixed."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from delfjax.files import StoreError
from delfjax.training.run_folder import Run
from delfjax.training.step import State

MADE_BY = {"rate": 0.1, "stages": ("conv4",)}


def state(step: int) -> State:
    random = np.random.default_rng(step)
    values = jnp.asarray(random.normal(size=(3, 2)).astype(np.float32))
    trained = nnx.State({"attention": {"kernel": nnx.Param(values)}})
    moments = (jnp.int32(step), {"mu": values / 3})
    return State(jnp.int32(step), trained, nnx.State({}), moments)


def fill(run, losses):
    for step, loss in losses.items():
        run.write({"step": step, "loss": loss})
        run.save(step, state(step), loss=loss)


def test_a_state_comes_back_bit_by_bit(tmp_path):
    with Run(tmp_path / "run", MADE_BY) as run:
        run.save(3, state(3), loss=1.0)
    with Run(tmp_path / "run", MADE_BY) as run:
        found = run.restore(run.saved, state(0))
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
def test_the_last_and_the_best_are_kept(tmp_path, losses, best, kept):
    with Run(tmp_path / "run", MADE_BY) as run:
        fill(run, losses)
        assert (run.saved, run.best) == (max(losses), best)
        assert {step for step in losses if run.state_folder(step).exists()} == kept
    with Run(tmp_path / "run", MADE_BY) as run:
        assert (run.saved, run.best) == (max(losses), best)


def test_an_empty_run_has_no_state(tmp_path):
    with Run(tmp_path / "run", MADE_BY) as run:
        assert (run.saved, run.best, run.log) == (0, 0, [])


# --- the log


def test_log_is_one_record_a_line_with_the_time(tmp_path):
    with Run(tmp_path / "run", MADE_BY) as run:
        fill(run, {1: 3.0, 2: 1.0})
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [(record["step"], record["loss"]) for record in records] == [(1, 3.0), (2, 1.0)]
    assert 0 <= records[0]["seconds"] <= records[1]["seconds"]


def test_what_was_logged_after_the_last_state_is_dropped(tmp_path):
    with Run(tmp_path / "run", MADE_BY) as run:
        fill(run, {1: 3.0, 2: 1.0})
        run.write({"step": 3, "loss": 0.5})
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 4, "lo')  # killed while it wrote
    with Run(tmp_path / "run", MADE_BY) as run:
        assert [record["step"] for record in run.log] == [1, 2]
        run.write({"step": 3, "loss": 0.6})
    assert [json.loads(line)["loss"] for line in log.read_text().splitlines()] == [3.0, 1.0, 0.6]


def test_time_goes_on_where_it_stopped(tmp_path):
    with Run(tmp_path / "run", MADE_BY) as run:
        fill(run, {1: 3.0})
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(json.dumps({"step": 1, "seconds": 1000.0}) + "\n")
    with Run(tmp_path / "run", MADE_BY) as run:
        run.write({"step": 2})
        assert 1000 <= run.log[-1]["seconds"] < 2000


# --- refusals


def test_another_run_is_refused(tmp_path):
    Run(tmp_path / "run", MADE_BY).__exit__(None, None, None)
    with pytest.raises(StoreError, match=r"made with rate = 0.1, but 0.2 was requested"):
        Run(tmp_path / "run", {**MADE_BY, "rate": 0.2})


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(StoreError, match="neither empty nor a training run"):
        Run(tmp_path, MADE_BY)


# --- event files


def test_event_files_hold_the_log(tmp_path):
    pytest.importorskip("tensorboardX", reason="an extra: delfjax[train]")
    from tensorboardX.event_file_writer import directory_check  # noqa: F401 - it is the real one
    from tensorboardX.proto.event_pb2 import Event

    with Run(tmp_path / "run", MADE_BY, tensorboard=True) as run:
        fill(run, {1: 3.0, 2: 1.0})
    (file,) = (tmp_path / "run").glob("events.out.tfevents.*")
    data, events = file.read_bytes(), []
    while data:  # a record is its length, a checksum, the event, a checksum
        length = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    scalars = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert [each for each in scalars if each[1] == "loss"] == [(1, "loss", 3.0), (2, "loss", 1.0)]


def test_event_files_without_their_package_are_refused_before_anything_is_made(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ModuleNotFoundError, match=r"install delfjax\[train\], or leave out"):
        Run(tmp_path / "run", MADE_BY, tensorboard=True)
    assert not (tmp_path / "run").exists()
