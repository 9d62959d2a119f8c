"""Update the parameters, and validate one batch, with pure functions.

`TrainState` holds everything that an update changes. `TrainContext` holds everything else. Random
choices depend only on the seed and the index of the update, so a resumed run repeats them.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, UInt8

from delfjax.models.backbone import ResNet, State
from delfjax.training.classifier import Classifier, is_trainable
from delfjax.training.config import OptimizerConfig, TrainingConfig

Metrics = dict[str, Float[Array, ""]]


class TrainState(NamedTuple):
    """Everything that an update changes. A training run saves its states to disk.

    Attributes:
        step: Number of updates so far.
        trainable: Trained parameters.
        opt_state: State of the optimizer.
    """

    step: Int[Array, ""]
    trainable: State
    opt_state: PyTree


@partial(jax.tree_util.register_dataclass, data_fields=["frozen"], meta_fields=["config", "graph"])
@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """Everything that updates read and do not change.

    Attributes:
        config: Settings of the run.
        graph: Structure of the `Classifier`, without parameters.
        frozen: Frozen parameters.
    """

    config: TrainingConfig
    graph: nnx.GraphDef[Classifier]
    frozen: State


def init_training(
    config: TrainingConfig, backbone: ResNet, classes: int
) -> tuple[TrainContext, TrainState]:
    """Create a network for ``classes`` landmarks. Return its context and first `TrainState`."""
    model = Classifier(backbone, classes, config.network, rngs=nnx.Rngs(config.seed))
    trained = nnx.All(nnx.Param, lambda path, _: is_trainable(path, config.network))
    graph, state = nnx.split(model)
    trainable, frozen = nnx.split_state(state, trained, ...)
    # An update reuses the memory of its state. Copies keep the caller's backbone intact.
    trainable = jax.tree.map(jnp.copy, trainable)
    context = TrainContext(config=config, graph=graph, frozen=frozen)
    opt_state = make_optimizer(config.optimizer).init(trainable)
    return context, TrainState(jnp.zeros((), jnp.int32), trainable, opt_state)


# --- optimizer


def learning_rate_schedule(config: OptimizerConfig) -> optax.Schedule:
    """Return a function that maps the number of updates so far to the learning rate."""
    warmup = round(config.warmup_fraction * config.steps)
    decay = max(1, config.steps - warmup)
    main = {
        "linear": optax.linear_schedule(config.learning_rate, 0.0, decay),
        "cosine": optax.cosine_decay_schedule(config.learning_rate, decay),
        "constant": optax.constant_schedule(config.learning_rate),
    }[config.schedule]
    if not warmup:
        return main
    # The first learning rate is above 0. Otherwise, the first update would change nothing.
    first = config.learning_rate / warmup
    rise = optax.linear_schedule(first, config.learning_rate, max(1, warmup - 1))
    return optax.join_schedules([rise, main], [warmup])


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Return the optimizer for the parameters of a `Classifier`."""

    def are_kernels(parameters: PyTree) -> PyTree:
        return jax.tree.map(lambda value: value.ndim > 1, parameters)

    def are_heads(parameters: PyTree) -> PyTree:
        return jax.tree.map_with_path(lambda path, _: path[0].key != "backbone", parameters)

    schedule = learning_rate_schedule(config)
    if config.kind == "sgd":
        decay = optax.add_decayed_weights(config.weight_decay, mask=are_kernels)
        updates = [decay, optax.sgd(schedule, momentum=config.momentum)]
    else:
        updates = [optax.adamw(schedule, weight_decay=config.weight_decay, mask=are_kernels)]
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        *updates,
        optax.masked(optax.scale(config.head_learning_rate_factor), are_heads),
    )


# --- training


@partial(jax.jit, static_argnames="size", donate_argnames="state")
def train_step(
    context: TrainContext,
    state: TrainState,
    squares: UInt8[Array, "b h h 3"],
    labels: Int[Array, " b"],
    *,
    size: int,
) -> tuple[TrainState, Metrics]:
    """Update the parameters with the gradient of the loss on one batch.

    Args:
        context: Constants of training.
        state: State before the update. It cannot be used afterwards, because its memory is reused.
        squares: Square photos, from which random crops are taken.
        labels: Class index of each photo.
        size: Side of the rescaled crops, in pixels. The function is compiled once for each size.

    Returns:
        The next state, and metrics of the batch: the norm of the gradient, the learning rate, and
        the means over photos of `photo_metrics` before the update.
    """
    config = context.config
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    photos = augment(key, squares, crop=config.augmentation.crop, size=size)

    def loss(trainable: State) -> tuple[Array, Metrics]:
        model = nnx.merge(context.graph, trainable, context.frozen, copy=True)
        metrics = {n: value.mean() for n, value in photo_metrics(model(photos), labels).items()}
        return metrics["loss"], metrics

    gradient, metrics = jax.grad(loss, has_aux=True)(state.trainable)
    optimizer = make_optimizer(config.optimizer)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.trainable)
    trainable = optax.apply_updates(state.trainable, updates)
    metrics["gradient_norm"] = optax.tree.norm(gradient)
    metrics["learning_rate"] = learning_rate_schedule(config.optimizer)(state.step)
    return TrainState(state.step + 1, trainable, opt_state), metrics


def augment(
    key: PRNGKeyArray, squares: UInt8[Array, "b h h 3"], *, crop: int, size: int
) -> Float[Array, "b {size} {size} 3"]:
    """Crop each square photo at a random position, and rescale the crops (Secs. 4.1 and 4.2).

    ``crop`` and ``size`` are the sides of a crop before and after rescaling, in pixels.
    """
    key, _ = jax.random.split(key)
    corners = jax.random.randint(key, (len(squares), 2), 0, squares.shape[1] - crop + 1)

    def cut(square: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(square, (corner[0], corner[1], 0), (crop, crop, 3))

    crops = jax.vmap(cut)(squares, corners).astype(jnp.float32)
    if size != crop:
        crops = jax.image.resize(crops, (len(crops), size, size, 3), "linear", antialias=True)
    return crops


def cross_entropy(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    """Return the cross-entropy loss of each photo, ``-log(softmax(logits)[label])`` (Eq. 2)."""
    # optax rounds differently, which would change the last digits of trained models.
    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]


def photo_metrics(
    outputs: dict[str, Array], labels: Int[Array, " b"]
) -> dict[str, Float[Array, " b"]]:
    """Compute the loss and the accuracy (1 or 0) of each photo from the outputs of a `Classifier`.

    The keys are ``"descriptor_loss"`` and ``"descriptor_accuracy"`` in step 1, otherwise
    ``"attention_loss"`` and ``"attention_accuracy"``. ``"loss"`` is another key of the same loss.
    """
    head = "descriptor" if "descriptor" in outputs else "attention"
    loss = cross_entropy(outputs[head], labels)
    accuracy = (outputs[head].argmax(-1) == labels).astype(jnp.float32)
    return {f"{head}_loss": loss, f"{head}_accuracy": accuracy, "loss": loss}


# --- validation


@jax.jit
def validation_step(
    context: TrainContext,
    state: TrainState,
    squares: UInt8[Array, "b h h 3"],
    labels: Int[Array, " b"],
    is_real: Bool[Array, " b"],
) -> Metrics:
    """Compute the sums of `photo_metrics` over a batch of square photos, cropped at the center.

    ``is_real`` is False for photos that only fill up the last batch. Such photos do not count.
    """
    photos = center_crop(squares, context.config.augmentation.crop)
    metrics = photo_metrics(merge_model(context, state)(photos), labels)
    return {name: jnp.where(is_real, value, 0).sum() for name, value in metrics.items()}


def center_crop(squares: UInt8[Array, "b h h 3"], crop: int) -> Float[Array, "b {crop} {crop} 3"]:
    """Crop each photo to its central square with a side of ``crop`` pixels."""
    start = (squares.shape[1] - crop) // 2
    return squares[:, start : start + crop, start : start + crop].astype(jnp.float32)


def merge_model(context: TrainContext, state: TrainState) -> Classifier:
    """Return the network with the trained parameters of ``state`` and the frozen parameters."""
    return nnx.merge(context.graph, state.trainable, context.frozen)
