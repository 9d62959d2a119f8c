"""Train a network on a folder of labeled photos, and write a model file (Sec. 4.2).

An interrupted run can be resumed. On one CPU, the resumed run ends with exactly the same parameters
as a run without interruption. Every device holds all parameters and an equal share of each batch.
XLA sums losses and gradients over the devices.
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
from jaxtyping import Array
from tqdm.auto import tqdm

from delfjax import provenance
from delfjax.files import atomic_write, digest
from delfjax.images.folder import PhotoFolder, prefetch, scan
from delfjax.images.reading import PhotoError
from delfjax.models import checkpoints, weights
from delfjax.models.backbone import ResNet, checksum, cut_at_conv4, fold_batch_norm
from delfjax.models.resnet import PUBLISHED, RESNET50_V1, SPECS
from delfjax.ranges import ConfigError
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
from delfjax.training.run_folder import RunFolder
from delfjax.training.step import (
    TrainContext,
    TrainState,
    init_training,
    merge_model,
    train_step,
    validation_step,
)

LOG_EVERY = 10  # updates between two log records
AXIS = "photos"  # name of the axis of the device mesh
MODEL, START = "model.safetensors", "start.safetensors"  # trained model; copy of the initial model


class DivergenceError(ValueError):
    """Raised when the loss or the gradient becomes NaN or infinite in training."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The result of a training run.

    Attributes:
        file: Path of the model file.
        model: Network of the saved state with the lowest validation loss.
        step: Number of updates after which ``model`` was saved.
        log: Log records of the run. Each record holds metrics, ``step`` (number of updates so far)
            and ``seconds`` (duration of training so far).
        failed: Mapping from the names of unreadable photos to the errors.
    """

    file: Path
    model: Classifier
    step: int
    log: list[dict[str, Any]]
    failed: dict[str, PhotoError]

    @property
    def validation_metrics(self) -> dict[str, float]:
        """Loss and accuracy of the model on held-out photos. Empty if no photos were held out."""
        return {
            name: value
            for record in self.log
            if record["step"] == self.step
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
) -> TrainedModel:
    """Train descriptors or attention on a folder of photos, and write ``out/model.safetensors``.

    Repeat the call to resume an interrupted run, or to load the result of a finished run.

    Args:
        photos: Folder with one sub-folder of photos per class (landmark).
        out: Folder for the model, the settings, the log and the saved states; created if missing.
        config: All settings of the run. None: ``small_config(variant)``.
        variant: Parts to train if ``config`` is None. ``"finetune"`` (the default) trains the
            descriptors (step 1 of the paper), ``"attention"`` the attention (step 2), and
            ``"joint"`` both.
        start: Initial backbone: the name of ImageNet weights or of a model that comes with delfjax,
            the path of a model file, or a `ResNet`. For step 2, pass the model file from step 1.

    Returns:
        The model file, the network and the log. ``delfjax.load(trained.file)`` loads the model for
        extraction. If ``out`` also contains ``start.safetensors``, keep both files together. The
        model file then contains no backbone, and needs the backbone in ``start.safetensors``.

    Raises:
        StoreError: If ``out`` holds a run with other settings or photos, damaged files or
            unrelated files, is in use by another process, or cannot be written.
        DivergenceError: If the loss or the gradient becomes NaN or infinite.
        DatasetError: If the photos have fewer than two classes.
        ValueError: If conv5 is trained, but the initial model ends after conv4.
        PhotoError: If the folder cannot be read, or no photo can be read.
        WeightsError: If the initial backbone cannot be loaded.
        ConfigError: If both ``config`` and ``variant`` are given, or if the batch size is not a
            multiple of the number of devices.
    """
    if config and variant:
        raise ConfigError(
            f'both a config and the variant "{variant}" were given; expected one of the two. '
            f'Fix: leave out the variant; the config has the variant "{config.network.variant}"'
        )
    config = config or small_config(variant or "finetune")
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    if config.batch_size % mesh.size:
        raise ConfigError(
            f"batch_size is {config.batch_size}; expected a multiple of {mesh.size}, the number of "
            f"devices. Fix: set batch_size to {mesh.size}, {2 * mesh.size} or another multiple"
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
    with RunFolder(out, settings) as run:
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
        made_by = {"classes": len(labeled.classes), **provenance.describe(config)}
        _save_model(trained, start, made_by)
    return trained


def _initial_backbone(start: Path | str | ResNet, config: TrainingConfig) -> ResNet:
    """Load the backbone that training starts from."""
    if isinstance(start, ResNet):
        backbone = start
    elif str(start) in SPECS:
        conv5 = config.network.pooled_layer == "conv5"
        backbone = weights.load_backbone(SPECS[str(start)], conv5=conv5)
    else:
        backbone, _ = checkpoints.load_model(checkpoints.model_path(start, PUBLISHED))
    # A frozen backbone is faster with its batch norms folded into the convolutions.
    return backbone if config.network.trainable_stages else fold_batch_norm(backbone)


def _save_model(
    trained: TrainedModel, start: Path | str | ResNet, made_by: Mapping[str, Any]
) -> None:
    """Write the model file. First copy the initial model file if the backbone in it is needed."""
    is_trained = bool(trained.model.config.trainable_stages)
    if not (is_trained or isinstance(start, ResNet) or str(start) in SPECS):
        source, copy = checkpoints.model_path(start), trained.file.with_name(START)
        if not (copy.exists() and copy.samefile(source)):
            with atomic_write(copy) as temporary:
                shutil.copyfile(source, temporary)
    checkpoints.save_model(
        trained.file,
        fold_batch_norm(cut_at_conv4(trained.model.backbone)),
        trained.model.attention,
        with_backbone=is_trained or isinstance(start, ResNet),
        training={
            **made_by,
            # Somebody may have removed the log of a finished run.
            "seconds": round(trained.log[-1]["seconds"]) if trained.log else None,
            "step": trained.step,
            **trained.validation_metrics,
        },
    )


def _run_settings(
    config: TrainingConfig, photos: LabeledPhotos, backbone: ResNet
) -> dict[str, Any]:
    """Return all values that determine the result, as a flat dict. Errors can name its keys."""
    files = [
        f"{photos.classes[label]}/{name.rpartition('/')[2]}"
        for name, label in zip(photos.folder.names, photos.labels, strict=True)
    ]
    # Names do not identify photos: a file may be replaced.
    sources = list(prefetch(photos.folder.source, photos.folder.names))
    contents = [source.sha256 if source else None for source in sources]
    return {
        **flatten_dict(asdict(config), sep="."),
        "photos": f"{len(files)}, {digest(json.dumps(files))[:16]}",
        "photos_sha256": digest(json.dumps(contents))[:16],
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
    """Run the remaining updates; log, validate and save the state at regular intervals."""
    config = context.config
    steps = range(run.last_step, config.optimizer.steps)
    bar = tqdm(steps, config.network.variant, unit="update", initial=steps.start, total=steps.stop)
    pending: tuple[int, Mapping[str, Array]] | None = None
    labels = training.photos.labels
    batches = prefetch(lambda step: training(batch_rows(labels, config, step)), steps)
    for step, batch in zip(bar, batches, strict=True):
        size = sample_input_size(config.augmentation, seed=config.seed, step=step)
        state, metrics = train_step(context, state, *shard_batch(mesh, *batch), size=size)
        # Record the previous update during this update. Waiting now would idle the accelerator.
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
    """Check the metrics of an update, and log the metrics of every tenth update (`LOG_EVERY`)."""
    values = {name: float(value) for name, value in metrics.items()}
    _check_finite(run, step, values)
    if step % LOG_EVERY == 0:
        bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
        run.write_log({"step": step, **values})


def _check_finite(run: RunFolder, step: int, metrics: Mapping[str, float]) -> None:
    """Raise a `DivergenceError` if a metric is NaN or infinite."""
    for name, value in metrics.items():
        if math.isfinite(value):
            continue
        saved = f"the last saved state is from update {run.last_step}"
        raise DivergenceError(
            f"{run.path}: at update {step}, the {name.replace('_', ' ')} is {value}; expected a "
            f"finite number; {saved if run.last_step else 'no state was saved'}. "
            "Fix: start a new run in another folder, with a lower learning rate or a longer warmup"
        )


def validate(
    context: TrainContext, state: TrainState, reader: SquareReader, mesh: Mesh
) -> dict[str, float]:
    """Compute the mean loss and accuracy on the photos of ``reader``. No photos: an empty dict."""
    totals: dict[str, float] = {}
    count, batch_size = len(reader.photos), context.config.batch_size
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size)
        # The last batch is filled up with repeated photos, which are not counted.
        batch = shard_batch(mesh, *reader(rows % count), rows < count)
        sums = validation_step(context, state, *batch)
        totals = {name: totals.get(name, 0) + float(value) for name, value in sums.items()}
    return {f"validation_{name}": total / count for name, total in totals.items()}


def shard_batch(mesh: Mesh, *arrays: np.ndarray) -> tuple[Array, ...]:
    """Split each array of a batch along the first axis, and put one part on each device."""
    return tuple(jax.device_put(arrays, NamedSharding(mesh, PartitionSpec(AXIS))))
