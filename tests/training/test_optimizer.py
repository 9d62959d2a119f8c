"""The optimizer: values of the schedules, and what each safeguard does to one step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from delfjax.training.optimizer import OptimizerConfig, optimizer, rate_of

OLD, NEW = "backbone", "attention"  # parameters that were there, and that start at random


def parameters(value=1.0):
    return {name: {"kernel": jnp.full((2, 2), value), "bias": jnp.zeros(2)} for name in (OLD, NEW)}


def gradient(value):
    return jax.tree.map(lambda each: jnp.full(each.shape, value), parameters())


def moved(config, *gradients):
    """Return by how much parameters move in all, after some gradients."""
    move = optimizer(config)
    now, moments = parameters(), move.init(parameters())
    for each in gradients:
        updates, moments = move.update(each, moments, now)
        now = optax.apply_updates(now, updates)
    return jax.tree.map(lambda a, b: np.asarray(a - b), now, parameters())


def plain(**changes):
    settings = {"steps": 10, "rate": 0.1, "momentum": 0.0, "decay": 0.0, "clip": 1e9}
    return OptimizerConfig(**settings | {"schedule": "constant"} | changes)


# --- schedules


def test_linear_falls_to_nothing():
    rate = rate_of(OptimizerConfig(steps=100, rate=0.4))
    np.testing.assert_allclose([rate(0), rate(50), rate(75), rate(100)], [0.4, 0.2, 0.1, 0.0])


def test_cosine_falls_to_nothing():
    rate = rate_of(OptimizerConfig(steps=100, rate=0.4, schedule="cosine"))
    expected = [0.4, 0.2, 0.2 * (1 - np.cos(np.pi / 4)), 0.0]
    np.testing.assert_allclose([rate(0), rate(50), rate(75), rate(100)], expected, atol=1e-8)


def test_constant_stays():
    rate = rate_of(OptimizerConfig(steps=100, rate=0.4, schedule="constant"))
    assert [float(rate(step)) for step in (0, 50, 99)] == [pytest.approx(0.4)] * 3


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_warmup_rises_from_the_first_update_to_the_highest_rate(schedule):
    config = OptimizerConfig(steps=100, rate=0.4, schedule=schedule, warmup=0.1)
    rates = np.array([rate_of(config)(step) for step in range(100)])
    np.testing.assert_allclose(rates[:10], 0.4 * np.arange(1, 11) / 10, rtol=1e-5)
    assert rates.argmax() in (9, 10)
    assert (np.diff(rates[10:]) <= 0).all()


def test_schedule_counts_updates_not_batches():
    config = OptimizerConfig(steps=100, rate=0.4, accumulate=4)
    assert config.updates == 25
    assert rate_of(config)(25) == 0


# --- one step


def test_step_is_the_gradient_by_the_rate():
    steps = moved(plain(), gradient(2.0))
    assert all(np.allclose(each, -0.2) for each in jax.tree.leaves(steps))


def test_momentum_remembers():
    steps = moved(plain(momentum=0.5), gradient(2.0), gradient(0.0))
    np.testing.assert_allclose(steps[OLD]["kernel"], -0.2 - 0.1)


def test_clip_bounds_the_norm_over_all_parameters():
    steps = moved(plain(clip=3.0), gradient(100.0))
    np.testing.assert_allclose(optax.tree.norm(steps), 0.1 * 3, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_decay_shrinks_kernels_alone(kind):
    steps = moved(plain(kind=kind, decay=0.5), gradient(0.0))
    np.testing.assert_allclose(steps[OLD]["kernel"], -0.1 * 0.5, rtol=1e-6)
    assert not steps[OLD]["bias"].any()


def test_new_parameters_have_a_rate_of_their_own():
    steps = moved(plain(new_rate=10.0), gradient(1.0))
    np.testing.assert_allclose(steps[OLD]["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_allclose(steps[NEW]["kernel"], -1.0, rtol=1e-6)


def test_accumulation_takes_the_mean_of_some_gradients():
    config = plain(accumulate=3)
    assert not any(each.any() for each in jax.tree.leaves(moved(config, *[gradient(1.0)] * 2)))
    steps = moved(config, gradient(1.0), gradient(2.0), gradient(6.0))
    np.testing.assert_allclose(steps[OLD]["kernel"], -0.1 * 3, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 0}, "accumulate is 0; expected 1 to 10"),
        ({"accumulate": 11}, "accumulate is 11"),
        ({"warmup": 1.0}, "warmup is 1.0; expected a part of the steps"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        plain(**changes)
