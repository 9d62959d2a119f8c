"""The folder of a training run: its settings, saved states and log.

A folder belongs to one configuration and refuses another. Orbax saves states atomically. Two are kept: the
last one, from which an interrupted run resumes, and the one with the lowest validation loss. Resuming
drops log records that are newer than the last state.
"""

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from delfjax.files import StoreError, atomic_write, claim_folder
from delfjax.training.step import TrainState

SETTINGS, STATES, LOG = "run.json", "states", "log.jsonl"


class RunFolder(AbstractContextManager):
    """The folder of a training run, opened to save states and to write the log.

    Args:
        path: The folder; created if missing.
        settings: Everything that determines the result of the run.
        tensorboard: Whether to write TensorBoard event files as well.

    Attributes:
        log: Records so far, each with a ``step``, its metrics and ``seconds`` since the start.

    Raises:
        StoreError: If the folder belongs to another run, to delfjax 0.1.0, or holds other files.
        ModuleNotFoundError: If ``tensorboard`` needs the package tensorboardX, and it is missing.
    """

    def __init__(
        self, path: Path | str, settings: Mapping[str, Any], *, tensorboard: bool = False
    ) -> None:
        self.path = Path(path).absolute()  # Orbax needs an absolute path
        self._writes = jax.process_index() == 0  # one of several hosts writes
        event_writer = _import_event_writer() if tensorboard else None
        if self._writes:
            _refuse_old_run(self.path / SETTINGS)
            claim_folder(self.path, SETTINGS, settings, kind="training run")
        loss = itemgetter("loss")
        keep = [LatestN(1), BestN(get_metric_fn=loss, reverse=True, n=1)]
        options = ocp.CheckpointManagerOptions(
            best_fn=loss,
            best_mode="min",
            preservation_policy=AnyPreservationPolicy(keep),
            cleanup_tmp_directories=True,  # a killed process may have left a state half written
            enable_async_checkpointing=False,  # the next step reuses the memory of the state
        )
        self._states = ocp.CheckpointManager(self.path / STATES, options=options)
        file = self.path / LOG
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        records = [json.loads(line) for line in lines if line.endswith("\n")]  # a kill may cut one
        self.log = [record for record in records if record["step"] <= self.last_step]
        self._started = time.monotonic() - (self.log[-1]["seconds"] if self.log else 0)
        if self._writes:
            with atomic_write(file) as temporary:
                temporary.write_text("".join(json.dumps(record) + "\n" for record in self.log))
        self._events = None
        if event_writer and self._writes:
            # Events of earlier attempts after the last state are no longer valid.
            purge_step = self.last_step + 1 if self.last_step else None
            self._events = event_writer(str(self.path), purge_step=purge_step)

    def __exit__(self, *error: object) -> None:
        self._states.close()
        if self._events:
            self._events.close()

    @property
    def last_step(self) -> int:
        """Step of the last saved state; 0 if there is none."""
        return self._states.latest_step() or 0

    @property
    def best_step(self) -> int:
        """Step of the saved state with the lowest loss; 0 if there is none."""
        return self._states.best_step() or 0

    def save(self, step: int, state: TrainState, *, loss: float) -> None:
        """Save a state with its validation loss, and delete those that are neither last nor best."""
        self._states.save(step, args=ocp.args.StandardSave(state), metrics={"loss": loss})

    def restore(self, step: int, example: TrainState) -> TrainState:
        """Return the saved state of a step, with the shapes and on the devices of an example."""
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, example)
        return self._states.restore(step, args=ocp.args.StandardRestore(shapes))

    def write_log(self, record: Mapping[str, float | int]) -> None:
        """Append a step and its metrics to the log, with the seconds that the run has taken so far."""
        record = {**record, "seconds": round(time.monotonic() - self._started, 2)}
        self.log.append(record)
        if self._writes:
            with (self.path / LOG).open("a") as file:
                file.write(json.dumps(record) + "\n")
        if self._events:
            for name, value in record.items():
                self._events.add_scalar(name, value, record["step"])


def _refuse_old_run(settings: Path) -> None:
    """Raise an error for a run of delfjax 0.1.0, whose settings and states have other names."""
    if settings.exists() and "optimizer.rate" in json.loads(settings.read_text()):
        raise StoreError(
            f"{settings.parent}: this run was started by delfjax 0.1.0, and this version cannot resume "
            "it. Fix: finish it with delfjax 0.1.0, or use another folder. Its model.safetensors can "
            "still be loaded"
        )


def _import_event_writer() -> type:
    try:
        from tensorboardX import SummaryWriter  # an optional dependency
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "TensorBoard event files need the package tensorboardX, which is not installed. "
            "Fix: install delfjax[train], or leave out --tensorboard"
        ) from error
    return SummaryWriter
