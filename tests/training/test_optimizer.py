"""The optimizer: learning rate schedules, and the effect of each option on an update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from delfjax.training.config import OptimizerConfig
from delfjax.training.step import learning_rate_schedule, make_optimizer

BACKBONE, HEAD = "backbone", "attention"  # parts of a network


def parameters(value=1.0):
    return {
        name: {"kernel": jnp.full((2, 2), value), "bias": jnp.zeros(2)} for name in (BACKBONE, HEAD)
    }


def gradient(value):
    return jax.tree.map(lambda each: jnp.full(each.shape, value), parameters())


def total_update(config, *gradients):
    """Return the change of the parameters after updates with some gradients."""
    optimizer = make_optimizer(config)
    values, opt_state = parameters(), optimizer.init(parameters())
    for each in gradients:
        updates, opt_state = optimizer.update(each, opt_state, values)
        values = optax.apply_updates(values, updates)
    return jax.tree.map(lambda after, before: np.asarray(after - before), values, parameters())


def plain_sgd(**changes):
    """Return the configuration of SGD without any options, except for some changes."""
    settings = {"steps": 10, "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    return OptimizerConfig(**settings | {"clip_norm": 1e9, "schedule": "constant"} | changes)


# --- schedules


def test_linear_schedule_falls_to_zero():
    schedule = learning_rate_schedule(OptimizerConfig(steps=100, learning_rate=0.4))
    np.testing.assert_allclose(
        [schedule(0), schedule(50), schedule(75), schedule(100)], [0.4, 0.2, 0.1, 0.0]
    )


def test_cosine_schedule_falls_to_zero():
    schedule = learning_rate_schedule(
        OptimizerConfig(steps=100, learning_rate=0.4, schedule="cosine")
    )
    expected = [0.4, 0.2, 0.2 * (1 - np.cos(np.pi / 4)), 0.0]
    np.testing.assert_allclose(
        [schedule(0), schedule(50), schedule(75), schedule(100)], expected, atol=1e-8
    )


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_warmup_rises_from_the_first_update_to_the_highest_learning_rate(schedule):
    config = OptimizerConfig(steps=100, learning_rate=0.4, schedule=schedule, warmup_fraction=0.1)
    rates = np.array([learning_rate_schedule(config)(step) for step in range(100)])
    np.testing.assert_allclose(rates[:10], 0.4 * np.arange(1, 11) / 10, rtol=1e-5)
    assert rates.argmax() in (9, 10)
    assert (np.diff(rates[10:]) <= 0).all()


# --- updates


def test_update_is_gradient_times_learning_rate():
    updates = total_update(plain_sgd(), gradient(2.0))
    assert all(np.allclose(each, -0.2) for each in jax.tree.leaves(updates))


def test_momentum_keeps_earlier_gradients():
    updates = total_update(plain_sgd(momentum=0.5), gradient(2.0), gradient(0.0))
    np.testing.assert_allclose(updates[BACKBONE]["kernel"], -0.2 - 0.1)


def test_clipping_limits_the_norm_over_all_parameters():
    updates = total_update(plain_sgd(clip_norm=3.0), gradient(100.0))
    np.testing.assert_allclose(optax.tree.norm(updates), 0.1 * 3, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weight_decay_shrinks_only_kernels(kind):
    updates = total_update(plain_sgd(kind=kind, weight_decay=0.5), gradient(0.0))
    np.testing.assert_allclose(updates[BACKBONE]["kernel"], -0.1 * 0.5, rtol=1e-6)
    assert not updates[BACKBONE]["bias"].any()


def test_heads_have_a_learning_rate_of_their_own():
    updates = total_update(plain_sgd(head_learning_rate_factor=10.0), gradient(1.0))
    np.testing.assert_allclose(updates[BACKBONE]["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_allclose(updates[HEAD]["kernel"], -1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0; expected a whole number of at least 1"),
        (
            {"warmup_fraction": 1.0},
            "warmup_fraction is 1.0; expected a number of at least 0 and below 1",
        ),
    ],
)
def test_invalid_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        plain_sgd(**changes)
