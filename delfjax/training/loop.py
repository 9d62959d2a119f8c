"""Train a model: from a folder of labeled photos to a model file (Sec. 4.2).

An interrupted run resumes. On one CPU a resumed run gives exactly the parameters of an uninterrupted one.
Every device holds all parameters and its share of each batch. XLA sums losses and gradients over the
devices of all hosts, so the result does not depend on their number.
"""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped
from tqdm.auto import tqdm

from delfjax import provenance
from delfjax.files import digest
from delfjax.images.reading import PhotoError, PhotoFolder, prefetch, scan
from delfjax.models import checkpoints, weights
from delfjax.models.backbone import ResNet, checksum, cut_at_conv4, fold_batch_norm
from delfjax.models.resnet import RESNET50_V1, SPECS
from delfjax.training.classifier import Classifier
from delfjax.training.config import TrainingConfig, Variant, small_config
from delfjax.training.data import (
    LabeledPhotos,
    SquareReader,
    batch_rows,
    label_by_folder,
    sample_input_size,
    split_validation,
)
from delfjax.training.run_folder import STATES, RunFolder
from delfjax.training.step import (
    TrainContext,
    TrainState,
    init_training,
    merge_model,
    train_step,
    validation_step,
)

LOG_EVERY = 10  # steps between two log records
AXIS = "photos"  # of the device mesh
MODEL, START = "model.safetensors", "start.safetensors"  # files in the folder of a run


class DivergenceError(ValueError):
    """A loss or a gradient became NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The result of a training run.

    Attributes:
        file: The model file.
        model: The network in the state with the lowest validation loss.
        step: Number of steps that led to this state.
        log: Log records of the run, each with ``step``, metrics and ``seconds``.
        failed: Errors of the photos that could not be read, by name.
    """

    file: Path
    model: Classifier
    step: int
    log: list[dict[str, Any]]
    failed: dict[str, PhotoError]

    @property
    def validation_metrics(self) -> dict[str, float]:
        """Validation loss and accuracies of the model; empty if no photos were held out."""
        records = [record for record in self.log if record["step"] == self.step]
        return {
            name: value
            for record in records
            for name, value in record.items()
            if name.startswith("validation")
        }


def train(
    photos: PhotoFolder | Path | str,
    out: Path | str,
    *,
    config: TrainingConfig | None = None,
    variant: Variant | None = None,
    start: Path | str | ResNet = RESNET50_V1.name,
    tensorboard: bool = False,
) -> TrainedModel:
    """Train descriptors or attention on a folder of photos, and write ``out/model.safetensors``.

    The same call resumes an interrupted run. If the run is finished, the call only loads it.

    Args:
        photos: Folder with one sub-folder of photos per landmark.
        out: Folder of the run; created if missing. Besides the model it holds settings, log and saved
            states.
        config: All settings of the run. By default `small_config`.
        variant: Which variant `small_config` trains: ``"finetune"`` (the default) is step 1 of the
            paper, ``"attention"`` is step 2. Give either this or ``config``.
        start: The initial backbone: an ImageNet backbone, a model of the zoo, a model file such as
            step 1 writes for step 2, or a `ResNet`.
        tensorboard: Whether to write TensorBoard event files into ``out``.

    Raises:
        StoreError: If ``out`` belongs to a run with other settings.
        DivergenceError: If the loss becomes NaN or infinite.
        PhotoError: If the photos have fewer than two classes, or none of them can be read.
        WeightsError: If the model or the weights to start from cannot be loaded.
        ValueError: If both ``config`` and ``variant`` are given, or the devices cannot share a batch
            equally.
    """
    if config and variant:
        raise ValueError(
            f'both a config and the variant "{variant}" were given; expected one of them. Fix: leave '
            "out the variant, which the config sets as well"
        )
    config = config or small_config(variant or "finetune")
    mesh = Mesh(np.array(jax.devices()), (AXIS,))  # the devices of all hosts
    if config.batch_size < 1 or config.batch_size % mesh.size:
        raise ValueError(
            f"batch_size is {config.batch_size}; expected a multiple of {mesh.size}, the number of "
            "devices"
        )
    labeled = label_by_folder(photos if isinstance(photos, PhotoFolder) else scan(photos))
    training, validation = (
        SquareReader(part, config.augmentation.resize)
        for part in split_validation(labeled, config.validation_fraction, seed=config.seed)
    )
    backbone = _initial_backbone(start, config)
    initial = init_training(config, backbone, len(labeled.classes))
    context, state = jax.device_put(initial, NamedSharding(mesh, PartitionSpec()))
    settings = _run_settings(config, labeled, backbone)
    with RunFolder(out, settings, tensorboard=tensorboard) as run:
        if run.last_step:
            state = run.restore(run.last_step, state)
        state = _train(context, state, training, validation, run, mesh)
        trained = TrainedModel(
            file=Path(out) / MODEL,
            model=merge_model(context, run.restore(run.best_step, state)),
            step=run.best_step,
            log=run.log,
            failed=training.failed | validation.failed,
        )
    if jax.process_index() == 0:
        _save_model(
            trained, start, {"classes": len(labeled.classes), **provenance.describe(config)}
        )
    return trained


def _initial_backbone(start: Path | str | ResNet, config: TrainingConfig) -> ResNet:
    """Load the backbone that training starts from."""
    if isinstance(start, ResNet):
        backbone = start
    elif str(start) in SPECS:
        conv5 = config.network.pooled_layer == "conv5"
        backbone = weights.load_backbone(SPECS[str(start)], conv5=conv5)
    else:
        backbone, _ = checkpoints.load_model(start)
    # A frozen backbone is faster without batch norms.
    return backbone if config.network.trainable_stages else fold_batch_norm(backbone)


def _save_model(
    trained: TrainedModel, start: Path | str | ResNet, made_by: Mapping[str, Any]
) -> None:
    """Write the model file. A frozen backbone that comes from a file is copied beside it."""
    is_trained = bool(trained.model.config.trainable_stages)
    checkpoints.save_model(
        trained.file,
        fold_batch_norm(cut_at_conv4(trained.model.backbone)),
        trained.model.attention,
        with_backbone=is_trained or isinstance(start, ResNet),
        training={
            **made_by,
            "seconds": round(trained.log[-1]["seconds"]),
            "step": trained.step,
            **trained.validation_metrics,
        },
    )
    if not (is_trained or isinstance(start, ResNet) or str(start) in SPECS):
        shutil.copyfile(checkpoints.model_path(start), trained.file.with_name(START))


def _run_settings(
    config: TrainingConfig, photos: LabeledPhotos, backbone: ResNet
) -> dict[str, Any]:
    """Return everything that determines the result, as a flat dict: errors name the entry that differs."""
    files = [
        f"{photos.classes[label]}/{name.rpartition('/')[2]}"
        for name, label in zip(photos.folder.names, photos.labels, strict=True)
    ]
    return {
        **flatten_dict(asdict(config), sep="."),
        "photos": f"{len(files)}, {digest(json.dumps(files).encode())[:16]}",
        "backbone": checksum(nnx.state(backbone))[:16],
    }


def _train(
    context: TrainContext,
    state: TrainState,
    training: SquareReader,
    validation: SquareReader,
    run: RunFolder,
    mesh: Mesh,
) -> TrainState:
    """Run the remaining steps, and log, validate and save at regular intervals."""
    config = context.config
    steps = range(run.last_step, config.optimizer.steps)
    bar = tqdm(steps, config.network.variant, unit="step", initial=steps.start, total=steps.stop)
    pending: tuple[int, Mapping[str, Array]] | None = None
    labels = training.photos.labels
    batches = prefetch(lambda step: training(host_share(batch_rows(labels, config, step))), steps)
    for step, batch in zip(bar, batches, strict=True):
        size = sample_input_size(config.augmentation, seed=config.seed, step=step)
        state, metrics = train_step(context, state, *shard_batch(mesh, *batch), size=size)
        # Record the previous step while this one runs; waiting for it would idle the accelerator.
        if pending:
            _record(run, *pending, bar)
        pending = step + 1, metrics
        if (step + 1) % config.save_every == 0 or step + 1 == steps.stop:
            _record(run, *pending, bar)
            pending = None
            validated = validate(context, state, validation, mesh)
            _check_finite(run, step + 1, validated)
            run.write_log({"step": step + 1, **validated})
            # Without validation photos, the last state counts as the best.
            run.save(step + 1, state, loss=validated.get("validation_loss", -step))
    return state


def _record(run: RunFolder, step: int, metrics: Mapping[str, Array], bar: tqdm) -> None:
    """Check the metrics of a step, and log them every `LOG_EVERY` steps."""
    values = {name: float(value) for name, value in metrics.items()}
    _check_finite(run, step, values)
    if step % LOG_EVERY == 0:
        bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
        run.write_log({"step": step, **values})


def _check_finite(run: RunFolder, step: int, metrics: Mapping[str, float]) -> None:
    """Raise a `DivergenceError` if a metric is NaN or infinite."""
    broken = {name: value for name, value in metrics.items() if not math.isfinite(value)}
    if not broken:
        return
    name, value = next(iter(broken.items()))
    saved = "no state was saved before"
    if run.last_step:
        path = run.path / STATES / str(run.last_step)
        saved = f"the last good state, of step {run.last_step}, is {path}"
    raise DivergenceError(
        f"step {step}: {name.replace('_', ' ')} is {value}; expected a finite number; {saved}. "
        "Fix: start a run in another folder with a lower learning rate or a longer warmup"
    )


def validate(
    context: TrainContext, state: TrainState, reader: SquareReader, mesh: Mesh
) -> dict[str, float]:
    """Return the mean loss and accuracy over the center crops of photos; empty without photos."""
    totals: dict[str, float] = {}
    count, batch_size = len(reader.photos), context.config.batch_size
    for start in range(0, count, batch_size):
        rows = host_share(np.arange(start, start + batch_size))
        # The last batch is filled up with repeated photos, which do not count.
        batch = shard_batch(mesh, *reader(rows % count), rows < count)
        sums = validation_step(context, state, *batch)
        totals = {name: totals.get(name, 0) + float(value) for name, value in sums.items()}
    return {f"validation_{name}": total / count for name, total in totals.items()}


def host_share(rows: Shaped[np.ndarray, " b"]) -> Shaped[np.ndarray, " share"]:
    """Return the rows of a batch that this host reads."""
    return np.split(rows, jax.process_count())[jax.process_index()]


def shard_batch(mesh: Mesh, *arrays: np.ndarray) -> tuple[Array, ...]:
    """Join the rows that each host has read to one batch, divided over all devices."""
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return tuple(jax.make_array_from_process_local_data(sharding, array) for array in arrays)
