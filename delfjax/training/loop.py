"""A whole training run: from labeled photos and a backbone to a trained model (Sec. 4.2).

`fit` goes on where the run's folder says it stopped. After a kill at any moment it comes to what it would
have come to without, on one CPU bit by bit.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array
from tqdm.auto import tqdm

from delfjax.files import digest
from delfjax.images.reading import PhotoError, PhotoFolder
from delfjax.models.backbone import ResNet, checksum, fold_batch_norm
from delfjax.training import devices
from delfjax.training.augmentation import draw_size
from delfjax.training.classifier import Classifier
from delfjax.training.config import TrainingConfig
from delfjax.training.data import LabeledPhotos, Squares, batches, divide, labeled
from delfjax.training.run_folder import Run
from delfjax.training.step import State, Task, prepare, train_step, trained_model, validation_step

LOG_EVERY = 10  # steps between two records of the log


class DivergenceError(ValueError):
    """A loss or a gradient is no number any more."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run has come to.

    Attributes:
        config: Its settings.
        model: The network in its best state.
        step: Which state that is.
        log: What was logged on the way.
        seconds: How long it took.
        classes: Names of the landmarks.
        failed: Photos that could not be read.
    """

    config: TrainingConfig
    model: Classifier
    step: int
    log: list[dict[str, Any]]
    seconds: float
    classes: tuple[str, ...]
    failed: dict[str, PhotoError]

    @property
    def validated(self) -> dict[str, float]:
        """What validation said of that state; nothing where no photos were held out."""
        records = [record for record in self.log if record["step"] == self.step]
        return {
            name: value
            for record in records
            for name, value in record.items()
            if name.startswith("validation")
        }


def fit(
    config: TrainingConfig,
    photos: PhotoFolder,
    backbone: ResNet,
    path: Path | str,
    *,
    tensorboard: bool = False,
) -> Trained:
    """Train, or go on training, or find that it is done.

    Args:
        config: All settings.
        photos: A folder of photos, one sub-folder a landmark.
        backbone: What to start from: ImageNet's, or for step 2 the one that step 1 has fine-tuned.
        path: Folder of the run.
        tensorboard: Whether to write event files.

    Raises:
        StoreError: If the folder holds another run.
        DivergenceError: If the loss becomes NaN or infinite.
        PhotoError: If the photos have no classes, or none can be read.
        ValueError: If the devices cannot share a batch.
    """
    mesh = devices.all_devices()
    devices.check_batch(config.batch, mesh.size)
    everything = labeled(photos)
    learning, held_out = divide(everything, config.validation, seed=config.seed)
    side = config.augmentation.square
    squares, validation = Squares(learning, side), Squares(held_out, side)
    if not config.network.stages:
        backbone = fold_batch_norm(backbone)  # nothing in it is trained, and so it is faster
    task, state = devices.everywhere(mesh, prepare(config, backbone, len(everything.classes)))
    with Run(path, _made_by(config, everything, backbone), tensorboard=tensorboard) as run:
        if run.saved:
            state = run.restore(run.saved, state)
        state = _train(task, state, squares, validation, run, mesh)
        return Trained(
            config=config,
            model=trained_model(task, run.restore(run.best, state)),
            step=run.best,
            log=run.log,
            seconds=run.log[-1]["seconds"],
            classes=everything.classes,
            failed=squares.failed | validation.failed,
        )


def _made_by(config: TrainingConfig, photos: LabeledPhotos, backbone: ResNet) -> dict[str, Any]:
    """Return all that determines what is learned, one level deep, so that a difference is easily named."""
    made_by: dict[str, Any] = {}
    for name, value in asdict(config).items():
        nested = isinstance(value, dict)
        made_by |= (
            {f"{name}.{key}": each for key, each in value.items()} if nested else {name: value}
        )
    files = [
        f"{photos.classes[label]}/{name.rpartition('/')[2]}"
        for name, label in zip(photos.names, photos.labels, strict=True)
    ]
    made_by["photos"] = f"{len(files)}, {digest(json.dumps(files).encode())[:16]}"
    return made_by | {"backbone": checksum(nnx.state(backbone))[:16]}


def _train(
    task: Task, state: State, squares: Squares, validation: Squares, run: Run, mesh: Mesh
) -> State:
    """Make the steps that are left; log, validate and save on the way."""
    config = task.config
    steps = range(run.saved, config.optimizer.steps)
    bar = tqdm(steps, config.network.variant, unit="step", initial=steps.start, total=steps.stop)
    running: tuple[int, Mapping[str, Array]] | None = None
    incoming = batches(
        squares,
        batch=config.batch,
        steps=steps,
        seed=config.seed,
        balanced=config.balanced,
        part=devices.own_part(config.batch),
    )
    for step, batch in zip(bar, incoming, strict=True):
        size = draw_size(config.augmentation, seed=config.seed, step=step)
        state, logged = train_step(task, state, *devices.spread(mesh, *batch), size=size)
        # The last step's numbers first: to wait for these would leave the accelerator idle.
        if running:
            _record(run, *running, bar)
        running = step + 1, logged
        if (step + 1) % config.save_every == 0 or step + 1 == steps.stop:
            _record(run, *running, bar)
            running = None
            judged = validate(task, state, validation, mesh)
            _check(run, step + 1, judged)
            run.write({"step": step + 1, **judged})
            # Without photos to validate on, the last state is the best.
            run.save(step + 1, state, loss=judged.get("validation_loss", -step))
    return state


def _record(run: Run, step: int, logged: Mapping[str, Array], bar: tqdm) -> None:
    """Check a step's numbers, and log them every so often."""
    numbers = {name: float(value) for name, value in logged.items()}
    _check(run, step, numbers)
    if step % LOG_EVERY == 0:
        bar.set_postfix(loss=f"{numbers['loss']:.3f}", refresh=False)
        run.write({"step": step, **numbers})


def _check(run: Run, step: int, numbers: Mapping[str, float]) -> None:
    """Stop where a loss or a gradient is no number any more.

    Raises:
        DivergenceError: Naming the step, and the state to go back to.
    """
    broken = {name: value for name, value in numbers.items() if not math.isfinite(value)}
    if not broken:
        return
    kept = "no state had been saved yet"
    if run.saved:
        kept = f"the last good state, of step {run.saved}, is kept in {run.state_folder(run.saved)}"
    name, value = next(iter(broken.items()))
    raise DivergenceError(
        f"step {step}: the {name.replace('_', ' ')} is {value}, expected a finite number; {kept}. "
        "Start a run in another folder with a lower rate or a longer warm-up"
    )


def validate(task: Task, state: State, squares: Squares, mesh: Mesh) -> dict[str, float]:
    """Return mean loss and accuracy over photos, their middles cut out; nothing if there are none."""
    totals: dict[str, float] = {}
    for rows, real in _fillings(len(squares.photos), task.config.batch):
        part = devices.own_part(len(rows))
        batch = (*squares(rows[part]), real[part])
        sums = validation_step(task, state, *devices.spread(mesh, *batch))
        totals = {name: totals.get(name, 0) + float(value) for name, value in sums.items()}
    return {f"validation_{name}": total / len(squares.photos) for name, total in totals.items()}


def _fillings(count: int, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows in batches of one size, and which of them are no filling."""
    for start in range(0, count, batch):
        rows = np.arange(start, start + batch)
        yield rows % count, rows < count
