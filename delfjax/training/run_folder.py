"""The folder of a training run: its settings, its states, its log.

A run remembers all that determines what it learns and refuses anything else. States are saved by Orbax,
whole or not at all: the last one, from which a run that was cut short goes on, and the best one on the
validation photos. What was logged after the state that a run goes on from is dropped.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from delfjax.files import claim_folder
from delfjax.training.step import State

MANIFEST, STATES, LOG = "run.json", "states", "log.jsonl"


class Run:
    """A folder that a run is kept in.

    Args:
        path: The folder; made if missing.
        made_by: All that determines what is learned.
        tensorboard: Whether to write event files beside the log.

    Attributes:
        log: Records so far, one a logged step.

    Raises:
        StoreError: If the folder holds another run, or something else.
        ModuleNotFoundError: If event files are asked for, and tensorboardX is not installed.
    """

    def __init__(
        self, path: Path | str, made_by: Mapping[str, Any], *, tensorboard: bool = False
    ) -> None:
        self.path = Path(path).absolute()  # as Orbax wants it
        self._leads = jax.process_index() == 0  # of several hosts, one writes
        writer = _event_writer() if tensorboard else None
        if self._leads:
            claim_folder(self.path, MANIFEST, made_by, kind="training run")
        self._states = ocp.CheckpointManager(self.path / STATES, options=_policy())
        self.log = [record for record in _read(self.path / LOG) if record["step"] <= self.saved]
        self._started = time.monotonic() - (self.log[-1]["seconds"] if self.log else 0)
        if self._leads:
            _write(self.path / LOG, self.log)
        self._events = None
        if writer and self._leads:  # what earlier files say of later steps no longer holds
            self._events = writer(str(self.path), purge_step=self.saved + 1 if self.saved else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._states.close()
        if self._events:
            self._events.close()

    @property
    def saved(self) -> int:
        """Step of the last saved state; 0 if there is none."""
        return self._states.latest_step() or 0

    @property
    def best(self) -> int:
        """Step of the state that did best on the validation photos."""
        return self._states.best_step() or 0

    def state_folder(self, step: int) -> Path:
        """Return where a state is kept."""
        return self.path / STATES / str(step)

    def save(self, step: int, state: State, *, loss: float) -> None:
        """Keep a state, and forget those that are neither the last nor the best.

        Args:
            step: How many steps it has made.
            state: The state.
            loss: What it is judged by; lower is better.
        """
        self._states.save(step, args=ocp.args.StandardSave(state), metrics={"loss": loss})

    def restore(self, step: int, like: State) -> State:
        """Return a saved state, on the devices that another one is on."""
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._states.restore(step, args=ocp.args.StandardRestore(shapes))

    def write(self, record: Mapping[str, float | int]) -> None:
        """Log a ``step`` and whatever was measured, with the time that all parts of the run took."""
        record = {**record, "seconds": round(time.monotonic() - self._started, 2)}
        self.log.append(record)
        if self._leads:
            with (self.path / LOG).open("a") as file:
                file.write(json.dumps(record) + "\n")
        if self._events:
            for name, value in record.items():
                self._events.add_scalar(name, value, record["step"])


def _policy() -> ocp.CheckpointManagerOptions:
    keep = [LatestN(1), BestN(get_metric_fn=_loss, reverse=True, n=1)]
    return ocp.CheckpointManagerOptions(
        best_fn=_loss,
        best_mode="min",
        preservation_policy=AnyPreservationPolicy(keep),
        cleanup_tmp_directories=True,  # of a state that was being written when the run was killed
        enable_async_checkpointing=False,  # the next step takes the state's memory
    )


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def _read(path: Path) -> list[dict[str, Any]]:
    """Read a log, without the line that may have been cut short."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text("".join(json.dumps(record) + "\n" for record in records))
    temporary.replace(path)


def _event_writer() -> Callable[..., Any]:
    try:
        from tensorboardX import SummaryWriter  # an extra: most runs do without
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "TensorBoard's event files need the package tensorboardX, which is not installed; "
            "install delfjax[train], or leave out --tensorboard"
        ) from error
    return SummaryWriter
