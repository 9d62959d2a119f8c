"""The optimizer: SGD or AdamW with a learning rate schedule, clipping and gradient accumulation.

The paper gives no details; `delfjax.training.config.OptimizerConfig` explains the defaults.
"""

import jax
import optax
from jaxtyping import PyTree

from delfjax.training.config import OptimizerConfig


def learning_rate_schedule(config: OptimizerConfig) -> optax.Schedule:
    """Return the learning rate as a function of the number of updates so far."""
    warmup = round(config.warmup_fraction * config.updates)
    decay = max(1, config.updates - warmup)
    main = {
        "linear": optax.linear_schedule(config.learning_rate, 0.0, decay),
        "cosine": optax.cosine_decay_schedule(config.learning_rate, decay),
        "constant": optax.constant_schedule(config.learning_rate),
    }[config.schedule]
    if not warmup:
        return main
    # The first update already has a learning rate above 0; otherwise it would be wasted.
    first = config.learning_rate / warmup
    rise = optax.linear_schedule(first, config.learning_rate, max(1, warmup - 1))
    return optax.join_schedules([rise, main], [warmup])


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Return the optimizer for the parameters of a `delfjax.training.classifier.Classifier`."""
    schedule = learning_rate_schedule(config)
    if config.kind == "sgd":
        decay = optax.add_decayed_weights(config.weight_decay, mask=_are_kernels)
        updates = [decay, optax.sgd(schedule, momentum=config.momentum)]
    else:
        updates = [optax.adamw(schedule, weight_decay=config.weight_decay, mask=_are_kernels)]
    chain = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        *updates,
        optax.masked(optax.scale(config.head_learning_rate_factor), _are_heads),
    )
    if config.accumulate_steps == 1:
        return chain
    return optax.MultiSteps(chain, config.accumulate_steps).gradient_transformation()


def _are_kernels(parameters: PyTree) -> PyTree:
    return jax.tree.map(lambda value: value.ndim > 1, parameters)


def _are_heads(parameters: PyTree) -> PyTree:
    """Mark the parameters of attention and classifiers: all that are not in the backbone."""
    return jax.tree.map_with_path(lambda path, _: path[0].key != "backbone", parameters)
