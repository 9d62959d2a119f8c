"""One step of training, and one of validation: pure functions of what they are given.

What moves is a `State`; what does not is a `Task`. Randomness is a key folded with the number of the step,
so that a run that is taken up again draws what it would have drawn.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt8

from delfjax.models.backbone import ResNet
from delfjax.training.augmentation import augment, center
from delfjax.training.classifier import HEADS, Classifier, is_trained
from delfjax.training.config import TrainingConfig
from delfjax.training.losses import cross_entropy, is_correct
from delfjax.training.optimizer import optimizer, rate_of

Logged = dict[str, Float[Array, ""]]


class State(NamedTuple):
    """All that a step changes, and all that has to be saved.

    Attributes:
        step: Batches seen.
        trained: Parameters.
        statistics: Running statistics of batch norms; empty where they are frozen.
        moments: What the optimizer remembers.
    """

    step: Int[Array, ""]
    trained: nnx.State
    statistics: nnx.State
    moments: Any


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["frozen"],
    meta_fields=["config", "training", "validating"],
)
@dataclass(frozen=True, kw_only=True)
class Task:
    """What a run never changes.

    Attributes:
        config: All of its settings.
        training: The network's structure, as it is trained.
        validating: The same, all batch norms using their running statistics.
        frozen: Parameters that stay what they are.
    """

    config: TrainingConfig
    training: nnx.GraphDef
    validating: nnx.GraphDef
    frozen: nnx.State


def prepare(config: TrainingConfig, backbone: ResNet, classes: int) -> tuple[Task, State]:
    """Make the network, and sort what is trained from what stays as it is."""
    model = Classifier(backbone, classes, config.network, rngs=nnx.Rngs(config.seed))
    training, trained, statistics, frozen = nnx.split(
        model, nnx.All(nnx.Param, _trained(config)), _moving(config), ...
    )
    # A step consumes the state it is given; the backbone that training starts from must outlive it.
    trained, statistics = jax.tree.map(jnp.copy, (trained, statistics))
    model.eval()
    task = Task(config=config, training=training, validating=nnx.graphdef(model), frozen=frozen)
    moments = optimizer(config.optimizer).init(trained)
    return task, State(jnp.zeros((), jnp.int32), trained, statistics, moments)


def _trained(config: TrainingConfig) -> nnx.filterlib.Filter:
    return lambda path, _: is_trained(path, config.network)


def _moving(config: TrainingConfig) -> nnx.filterlib.Filter:
    return nnx.All(nnx.BatchStat, _trained(config))


@partial(jax.jit, static_argnames="size", donate_argnames="state")
def train_step(
    task: Task,
    state: State,
    photos: UInt8[Array, "b h h 3"],
    labels: Int[Array, " b"],
    *,
    size: int,
) -> tuple[State, Logged]:
    """Take one step down the gradient of the loss.

    Args:
        task: What is trained, and how.
        state: Where training stands; its memory is used again.
        photos: Centerd squares.
        labels: Their classes.
        size: Side that the batch is rescaled to: one compiled program each.

    Returns:
        The next state; losses and accuracies before the step, the gradient's norm, the learning rate.
    """
    config = task.config
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    cut = config.augmentation
    images = augment(key, photos, crop=cut.crop, size=size, flip=cut.flip)

    def loss(trained: nnx.State) -> tuple[Array, tuple[nnx.State, Logged]]:
        model = nnx.merge(task.training, trained, state.statistics, task.frozen, copy=True)
        judged = {name: each.mean() for name, each in judge(model(images), labels).items()}
        return judged["loss"], (nnx.state(model, _moving(config)), judged)

    gradient, (statistics, logged) = jax.grad(loss, has_aux=True)(state.trained)
    moves, moments = optimizer(config.optimizer).update(gradient, state.moments, state.trained)
    trained = optax.apply_updates(state.trained, moves)
    logged["gradient_norm"] = optax.tree.norm(gradient)
    logged["rate"] = rate_of(config.optimizer)(state.step // config.optimizer.accumulate)
    return State(state.step + 1, trained, statistics, moments), logged


def judge(outputs: dict[str, Array], labels: Int[Array, " b"]) -> dict[str, Float[Array, " b"]]:
    """Return each photo's loss over all classifiers, and the loss and accuracy of each of them."""
    judged = {}
    for head in (name for name in HEADS if name in outputs):
        judged[f"{head}_loss"] = cross_entropy(outputs[head], labels)
        judged[f"{head}_accuracy"] = is_correct(outputs[head], labels).astype(jnp.float32)
    return judged | {"loss": sum(judged[name] for name in judged if name.endswith("_loss"))}


@jax.jit
def validation_step(
    task: Task,
    state: State,
    photos: UInt8[Array, "b h h 3"],
    labels: Int[Array, " b"],
    real: Bool[Array, " b"],
) -> Logged:
    """Sum losses and right answers over the photos of a batch that are real and no filling."""
    model = nnx.merge(task.validating, state.trained, state.statistics, task.frozen)
    judged = judge(model(center(photos, crop=task.config.augmentation.crop)), labels)
    return {name: jnp.where(real, each, 0).sum() for name, each in judged.items()}


def trained_model(task: Task, state: State) -> Classifier:
    """Put the network together again, as it is used."""
    return nnx.merge(task.validating, state.trained, state.statistics, task.frozen)
