"""How parameters move: stochastic gradient descent, its rate over time, and its safeguards.

The paper names none of this. The defaults are the official code's (train.py: SGD with momentum .9, a rate
that falls linearly to 0, gradients clipped to norm 10); each can be changed.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import optax
from jaxtyping import PyTree


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer and its schedule; nothing in it is from the paper.

    Attributes:
        steps: Batches in all.
        rate: Highest learning rate.
        kind: ``"sgd"`` or ``"adamw"``.
        momentum: Of SGD.
        decay: Weight decay, of kernels only.
        clip: Gradients are scaled down to at most this global norm.
        schedule: How the rate falls to 0 after its warm-up; ``"constant"`` does not.
        warmup: Part of the steps in which the rate rises from 0, linearly.
        new_rate: Factor on the rate of what starts at random: attention and classifiers.
        accumulate: Batches whose mean gradient makes one update: a large batch in little memory.
    """

    steps: int
    rate: float
    kind: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    decay: float = 1e-4
    clip: float = 10.0
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = 0.0
    new_rate: float = 1.0
    accumulate: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.accumulate <= self.steps:
            raise ValueError(
                f"accumulate is {self.accumulate}; expected 1 to {self.steps}, the number of steps"
            )
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; expected a part of the steps, 0 to 1")

    @property
    def updates(self) -> int:
        """Updates of the parameters in all."""
        return self.steps // self.accumulate


def rate_of(config: OptimizerConfig) -> optax.Schedule:
    """Return the learning rate as a function of the updates made so far."""
    rising = round(config.warmup * config.updates)
    falling = max(1, config.updates - rising)
    after = {
        "linear": optax.linear_schedule(config.rate, 0.0, falling),
        "cosine": optax.cosine_decay_schedule(config.rate, falling),
        "constant": optax.constant_schedule(config.rate),
    }[config.schedule]
    if not rising:
        return after
    # From the first update on: a rate of exactly 0 would waste it.
    before = optax.linear_schedule(config.rate / rising, config.rate, max(1, rising - 1))
    return optax.join_schedules([before, after], [rising])


def optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Make the optimizer."""
    schedule = rate_of(config)
    if config.kind == "sgd":
        decay = optax.add_decayed_weights(config.decay, mask=_is_kernel)
        moves = [decay, optax.sgd(schedule, momentum=config.momentum)]
    else:
        moves = [optax.adamw(schedule, weight_decay=config.decay, mask=_is_kernel)]
    chain = optax.chain(
        optax.clip_by_global_norm(config.clip),
        *moves,
        optax.masked(optax.scale(config.new_rate), _is_new),
    )
    if config.accumulate == 1:
        return chain
    return optax.MultiSteps(chain, config.accumulate).gradient_transformation()


def _is_kernel(parameters: PyTree) -> PyTree:
    return jax.tree.map(lambda value: value.ndim > 1, parameters)


def _is_new(parameters: PyTree) -> PyTree:
    """Tell the backbone from what starts at random, by the first part of each parameter's path."""
    return jax.tree.map_with_path(lambda path, _: path[0].key != "backbone", parameters)
