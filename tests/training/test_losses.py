"""Eq. 2: properties, and worked numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from delfjax.training.losses import cross_entropy, is_correct


def test_equation_2_by_hand():
    logits = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, np.log(2)]])
    found = cross_entropy(logits, jnp.array([0, 2]))
    expected = [np.log(1 + np.e + np.e**2), np.log(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_no_opinion_costs_the_logarithm_of_the_classes():
    np.testing.assert_allclose(cross_entropy(jnp.zeros((1, 49)), jnp.array([7])), np.log(49))


def test_shift_of_all_logits_changes_nothing():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    labels = jnp.array([0, 1, 2, 3, 0])
    shifted = cross_entropy(logits + 50, labels)
    np.testing.assert_allclose(shifted, cross_entropy(logits, labels), rtol=1e-4)


def test_large_logits_stay_finite():
    logits = jnp.array([[1e30, -1e30]])
    found = [cross_entropy(logits, jnp.array([label]))[0] for label in (0, 1)]
    assert found[0] == 0
    assert found[1] == pytest.approx(2e30)


def test_gradient_is_chance_minus_truth():
    logits = jnp.array([[0.5, -1.0, 2.0]])
    found = jax.grad(lambda y: cross_entropy(y, jnp.array([1]))[0])(logits)
    np.testing.assert_allclose(found, jax.nn.softmax(logits) - jnp.eye(3)[1], rtol=1e-5)


def test_right_is_the_highest_logit():
    logits = jnp.array([[1.0, 2.0], [3.0, 2.0], [0.0, 1.0]])
    assert is_correct(logits, jnp.array([1, 1, 1])).tolist() == [True, False, True]
