"""The folder of a training run: settings, saved states and log.

A folder belongs to one run. It cannot be opened with other settings, or by two processes at once.
Orbax saves states atomically. A checksum covers the arrays of each state. Two states are kept: the
last state, from which an interrupted run resumes, and the state with the lowest validation loss.
Resuming deletes log records that are newer than the last state. The ``step`` of a state or of a log
record is the number of updates before it.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from delfjax.files import (
    CHECKSUM,
    Lock,
    StoreError,
    atomic_write,
    claim_folder,
    failure,
    reading,
    with_checksum,
)
from delfjax.training.step import TrainState

SETTINGS, STATES, LOG, LOCK = "run.json", "states", "log.jsonl", ".run.lock"
LOG_KEYS = ("step", "seconds")  # keys of every record


class RunFolder(AbstractContextManager["RunFolder"]):
    """The open folder of a training run, with its saved states and its log.

    Args:
        path: The folder; created if missing.
        settings: All values that determine the result of the run, by name.

    Attributes:
        log: Log records so far. Each holds metrics, ``step`` (number of updates so far) and
            ``seconds`` (duration of training so far).

    Raises:
        StoreError: If the folder holds a run with other settings, damaged files or unrelated
            files, is in use by another process, or cannot be written.
    """

    def __init__(self, path: Path | str, settings: Mapping[str, Any]) -> None:
        self.path = Path(path).absolute()  # Orbax needs an absolute path
        loss = itemgetter("loss")
        keep = [LatestN(1), BestN(get_metric_fn=loss, reverse=True, n=1)]
        options = ocp.CheckpointManagerOptions(
            best_fn=loss,
            best_mode="min",
            preservation_policy=AnyPreservationPolicy(keep),
            cleanup_tmp_directories=True,  # a killed process may have left a state half written
            enable_async_checkpointing=False,  # the next update reuses the memory of the state
        )
        with ExitStack() as stack:  # after an error, unlock the folder
            claim_folder(self.path, SETTINGS, settings, kind="training run")
            stack.enter_context(Lock(self.path / LOCK))
            with self._reading_states():
                self._states = ocp.CheckpointManager(self.path / STATES, options=options)
                stack.callback(self._states.close)
                for step in self._states.all_steps():
                    self._metrics(step)
            file = self.path / LOG
            self.log = _read_log(file, self.last_step)
            self._started = time.monotonic() - (self.log[-1]["seconds"] if self.log else 0)
            with atomic_write(file) as temporary:
                temporary.write_text("".join(json.dumps(record) + "\n" for record in self.log))
            self._open = stack.pop_all()

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @property
    def last_step(self) -> int:
        """Number of updates after which the last state was saved. 0 if no state was saved."""
        return self._states.latest_step() or 0

    @property
    def best_step(self) -> int:
        """Number of updates of the saved state with the lowest loss. 0 if no state was saved."""
        return self._states.best_step() or 0

    def save(self, step: int, state: TrainState, *, loss: float) -> None:
        """Save a state with its validation loss. Keep only the last state and the best state."""
        metrics = with_checksum({"loss": loss, "state": _sha256(state)})
        self._states.save(step, args=ocp.args.StandardSave(state), metrics=metrics)

    def restore(self, step: int, example: TrainState) -> TrainState:
        """Load the training state that was saved after ``step`` updates.

        ``example`` is a state of the same network, with the same shapes and devices of arrays.

        Raises:
            StoreError: If the state is missing, damaged or unreadable.
        """
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, example)
        with self._reading_states():
            state: TrainState = self._states.restore(step, args=ocp.args.StandardRestore(shapes))
            if _sha256(state) != self._metrics(step)["state"]:
                raise ValueError(f"state {step} does not match its checksum")
        return state

    def _metrics(self, step: int) -> dict[str, Any]:
        """Return the loss of a saved state and the checksum of its arrays."""
        if not any((self.path / STATES / str(step)).iterdir()):
            raise ValueError(f"state {step} is empty")
        metrics = dict(self._states.metrics(step))
        checksum = metrics.pop(CHECKSUM)
        if checksum != with_checksum(metrics)[CHECKSUM]:
            raise ValueError(f"the loss of state {step} does not match its checksum")
        return metrics

    @contextmanager
    def _reading_states(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax raises many kinds of exceptions for damaged files
            raise StoreError(
                f"{self.path / STATES}: the saved states cannot be read ({failure(error)}). Fix: "
                f"check the permissions. If a state is damaged, remove {self.path} to train again"
            ) from error

    def write_log(self, record: Mapping[str, float | int]) -> None:
        """Append metrics and ``step`` to the log, with ``seconds`` (duration of training)."""
        record = {**record, "seconds": round(time.monotonic() - self._started, 2)}
        self.log.append(record)
        try:
            with (self.path / LOG).open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise StoreError(
                f"{self.path / LOG}: cannot be written ({error.strerror}). "
                "Fix: free disk space, or change the permissions"
            ) from error


def _sha256(state: TrainState) -> str:
    """Return one SHA-256 of the types, shapes and values of all arrays of a state."""
    checksum = hashlib.sha256()
    for array in map(np.asarray, jax.tree.leaves(state)):
        checksum.update(f"{array.dtype}{array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).data)
    return checksum.hexdigest()


def _read_log(file: Path, last_step: int) -> list[dict[str, Any]]:
    """Read the log records up to the record of ``last_step``."""
    if file.is_file() and not file.stat().st_size:  # a run that has written no record yet
        return []
    with suppress(FileNotFoundError), reading(file, "log records", fix="remove this log"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.endswith("\n")]  # a kill may cut it
        if not all(isinstance(each[key], int | float) for each in records for key in LOG_KEYS):
            raise ValueError(f"the {' or '.join(LOG_KEYS)} of a record is not a number")
        return [record for record in records if record["step"] <= last_step]
    return []
