"""One step of training and one of validation, as pure functions.

A `TrainState` holds what a step changes; a `TrainContext` holds the rest. Random keys are folded with the
number of the step, so a resumed run makes the same random choices.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt8

from delfjax.models.backbone import ResNet
from delfjax.training.augmentation import augment, center_crop
from delfjax.training.classifier import HEADS, Classifier, is_trainable
from delfjax.training.config import TrainingConfig
from delfjax.training.optimizer import learning_rate_schedule, make_optimizer

Metrics = dict[str, Float[Array, ""]]


class TrainState(NamedTuple):
    """Everything that a training step changes, and that a saved state holds.

    Attributes:
        step: Number of batches seen.
        trainable: Parameters that are trained.
        statistics: Running statistics of the batch norms; empty if these are frozen.
        opt_state: State of the optimizer.
    """

    step: Int[Array, ""]
    trainable: nnx.State
    statistics: nnx.State
    opt_state: PyTree


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["frozen"],
    meta_fields=["config", "train_graph", "eval_graph"],
)
@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """Everything that a training step reads and never changes.

    Attributes:
        config: Settings of the run.
        train_graph: Structure of the network in training.
        eval_graph: Structure of the network in validation, where all batch norms use their running
            statistics.
        frozen: Parameters that are not trained.
    """

    config: TrainingConfig
    train_graph: nnx.GraphDef
    eval_graph: nnx.GraphDef
    frozen: nnx.State


def init_training(
    config: TrainingConfig, backbone: ResNet, classes: int
) -> tuple[TrainContext, TrainState]:
    """Build the network and the optimizer, and return them as they are before the first step.

    Args:
        config: Settings of the run.
        backbone: Initial backbone.
        classes: Number of classes.
    """
    model = Classifier(backbone, classes, config.network, rngs=nnx.Rngs(config.seed))
    train_graph, trainable, statistics, frozen = nnx.split(
        model, nnx.All(nnx.Param, _trainable(config)), _running_statistics(config), ...
    )
    # A step reuses the memory of its state. Copies keep the caller's backbone intact.
    trainable, statistics = jax.tree.map(jnp.copy, (trainable, statistics))
    model.eval()
    context = TrainContext(
        config=config, train_graph=train_graph, eval_graph=nnx.graphdef(model), frozen=frozen
    )
    opt_state = make_optimizer(config.optimizer).init(trainable)
    return context, TrainState(jnp.zeros((), jnp.int32), trainable, statistics, opt_state)


def _trainable(config: TrainingConfig) -> nnx.filterlib.Filter:
    return lambda path, _: is_trainable(path, config.network)


def _running_statistics(config: TrainingConfig) -> nnx.filterlib.Filter:
    return nnx.All(nnx.BatchStat, _trainable(config))


@partial(jax.jit, static_argnames="size", donate_argnames="state")
def train_step(
    context: TrainContext,
    state: TrainState,
    squares: UInt8[Array, "b h h 3"],
    labels: Int[Array, " b"],
    *,
    size: int,
) -> tuple[TrainState, Metrics]:
    """Update the parameters by one step of gradient descent.

    Args:
        context: Network structure, frozen parameters and settings.
        state: State before the step. Its memory is reused, so do not use it afterwards.
        squares: Square photos, 0 to 255.
        labels: Class number of each photo.
        size: Side to which the crops are rescaled, in pixels. Each size is compiled once.

    Returns:
        The next state, and the metrics before the step: loss and accuracy of each classifier, the
        norm of the gradient and the learning rate.
    """
    config = context.config
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    photos = augment(key, squares, crop=config.augmentation.crop, size=size)

    def loss(trainable: nnx.State) -> tuple[Array, tuple[nnx.State, Metrics]]:
        model = nnx.merge(
            context.train_graph, trainable, state.statistics, context.frozen, copy=True
        )
        metrics = {n: value.mean() for n, value in photo_metrics(model(photos), labels).items()}
        return metrics["loss"], (nnx.state(model, _running_statistics(config)), metrics)

    gradient, (statistics, metrics) = jax.grad(loss, has_aux=True)(state.trainable)
    optimizer = make_optimizer(config.optimizer)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.trainable)
    trainable = optax.apply_updates(state.trainable, updates)
    metrics["gradient_norm"] = optax.tree.norm(gradient)
    update = state.step // config.optimizer.accumulate_steps
    metrics["learning_rate"] = learning_rate_schedule(config.optimizer)(update)
    return TrainState(state.step + 1, trainable, statistics, opt_state), metrics


def cross_entropy(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    """Return ``L = -log(exp(y)_{y*} / 1^T exp(y))`` (Eq. 2) of each photo.

    Args:
        logits: The logits ``y``.
        labels: The true classes ``y*``.
    """
    # Not optax's function: it rounds differently, which would change trained models in the last digits.
    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]


def photo_metrics(
    outputs: dict[str, Array], labels: Int[Array, " b"]
) -> dict[str, Float[Array, " b"]]:
    """Return loss (Eq. 2) and accuracy of each classifier for each photo, and the sum of losses.

    Args:
        outputs: Outputs of `Classifier`.
        labels: Class number of each photo.

    Returns:
        ``HEAD_loss`` and ``HEAD_accuracy`` (0 or 1) for each of `HEADS`, and ``loss``, their total.
    """
    metrics = {}
    for head in (name for name in HEADS if name in outputs):
        logits = outputs[head]
        metrics[f"{head}_loss"] = cross_entropy(logits, labels)
        is_correct = logits.argmax(-1) == labels
        metrics[f"{head}_accuracy"] = is_correct.astype(jnp.float32)
    return metrics | {"loss": sum(metrics[name] for name in metrics if name.endswith("_loss"))}


@jax.jit
def validation_step(
    context: TrainContext,
    state: TrainState,
    squares: UInt8[Array, "b h h 3"],
    labels: Int[Array, " b"],
    is_real: Bool[Array, " b"],
) -> Metrics:
    """Return the sums of `photo_metrics` over the photos of a batch.

    Args:
        context: Network structure, frozen parameters and settings.
        state: State to validate.
        squares: Square photos, 0 to 255.
        labels: Class number of each photo.
        is_real: False for photos that only fill up the batch; they do not count.
    """
    photos = center_crop(squares, context.config.augmentation.crop)
    metrics = photo_metrics(merge_model(context, state)(photos), labels)
    return {name: jnp.where(is_real, value, 0).sum() for name, value in metrics.items()}


def merge_model(context: TrainContext, state: TrainState) -> Classifier:
    """Return the network with the parameters of a state, ready for inference."""
    return nnx.merge(context.eval_graph, state.trainable, state.statistics, context.frozen)
