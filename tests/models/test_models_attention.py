"""Check the attention head and its pooling: a worked example, properties, and Eq. 3."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from delfjax.models.attention import MIN_SLOPE, Attention, softplus, weighted_pool
from delfjax.models.layers import l2_normalize

# O17: two descriptors, on a map of one row; their pre-softplus scores are 0 and 1.
TOY = jnp.array([[[[3.0, 4.0], [0.0, 2.0]]]])
TOY_SCORES = jnp.array([[[np.log(2), 1.313262]]])

pool = jax.jit(weighted_pool, static_argnames=("reduction", "normalize"))


def head(*, hidden: tuple, score: tuple) -> Attention:
    """Build a head from kernels of shape ``(in, out)`` and biases."""
    channels, width = np.shape(hidden[0])
    made = nnx.eval_shape(lambda: Attention(channels, hidden=width, rngs=nnx.Rngs(0)))
    for conv, (kernel, bias) in ((made.hidden, hidden), (made.score, score)):
        conv.kernel.set_value(jnp.asarray(kernel, jnp.float32)[None, None])
        conv.bias.set_value(jnp.asarray(bias, jnp.float32))
    return made


def toy_head() -> Attention:
    """Build a head that computes ``relu(1 - f[0])`` before the softplus: 0 and 1 for the toy."""
    return head(hidden=([[-1], [0]], [1]), score=([[1]], [0]))


def random_head(channels: int) -> Attention:
    """Build a head of three hidden channels with random weights."""
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=(channels, 3)), rng.normal(size=3)
    return head(hidden=hidden, score=(rng.normal(size=(3, 1)), rng.normal(size=1)))


def random_maps(seed, shape=(2, 3, 4, 5)):
    """Return random descriptors and scores of a batch."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=shape).astype(np.float32)
    return jnp.asarray(maps), jnp.asarray(rng.uniform(0, 3, shape[:3]).astype(np.float32))


# A worked example


def test_scores_of_the_toy():
    np.testing.assert_allclose(toy_head()(TOY)[0, 0], [0.693147, 1.313262], rtol=1e-6)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("mean", [0.207944, 0.933890]), ("sum", [0.415888, 1.867779])],
)
def test_pooling_of_the_toy(reduction, expected):
    pooled = pool(TOY, toy_head()(TOY), reduction=reduction)
    np.testing.assert_allclose(pooled[0], expected, atol=1e-6)


def test_pooling_of_the_toy_without_normalization():
    pooled = pool(TOY, TOY_SCORES, reduction="sum", normalize=False)
    np.testing.assert_allclose(pooled[0], [3 * 0.693147, 4 * 0.693147 + 2 * 1.313262], rtol=1e-6)


def test_l2_norm_of_the_official_code():
    # O13
    found = l2_normalize(jnp.array([-4.0, 0.0, 4.0]))
    np.testing.assert_allclose(found, [-0.70710677, 0, 0.70710677], rtol=1e-6)


# Properties


def test_scores_are_never_negative():
    maps, _ = random_maps(0, (50, 3, 4, 5))
    scores = random_head(5)(maps * jnp.logspace(-2, 4, 50)[:, None, None, None])
    assert scores.shape == (50, 3, 4)
    assert scores.min() >= 0
    assert scores.max() > 1000


def test_softplus_has_a_minimum_slope():
    scores = jnp.array([-200.0, -1.0, 3.0])
    np.testing.assert_array_equal(softplus(scores), jax.nn.softplus(scores))
    slopes = jax.vmap(jax.grad(softplus))(scores)
    np.testing.assert_allclose(slopes, [MIN_SLOPE, *jax.nn.sigmoid(scores[1:])], rtol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_mean_is_the_sum_divided_by_the_number_of_cells(normalize):
    maps, scores = random_maps(0)
    mean = pool(maps, scores, normalize=normalize)
    total = pool(maps, scores, reduction="sum", normalize=normalize)
    np.testing.assert_allclose(mean, total / 12, rtol=1e-6)


def test_zero_descriptors_stay_zero_and_have_a_finite_gradient():
    assert (l2_normalize(jnp.zeros((2, 3))) == 0).all()
    gradient = jax.jit(jax.grad(lambda maps: weighted_pool(maps, TOY_SCORES).sum()))(0 * TOY)
    assert np.isfinite(gradient).all()


# The gradient


@pytest.fixture
def photo():
    """Return descriptors of a photo, a loss of ``y``, and ``W`` for six classes and four channels."""
    maps, _ = random_maps(1, (1, 2, 3, 4))
    classes = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    return maps, lambda y: -jax.nn.log_softmax(y)[3], classes


def equation_3(photo, scores):
    """Compute ``dL/dalpha_n = dL/dy . W f_n`` at each cell."""
    maps, loss, classes = photo
    y = classes @ sum(scores[0, i, j] * maps[0, i, j] for i in range(2) for j in range(3))
    return jax.grad(loss)(y) @ classes @ maps[0].reshape(6, 4).T


def training_loss(photo, scores):
    maps, loss, classes = photo
    return loss(classes @ weighted_pool(maps, scores, reduction="sum", normalize=False)[0])


def test_gradient_of_the_scores_equals_equation_3(photo):
    _, scores = random_maps(1, (1, 2, 3, 4))
    found = jax.jit(jax.grad(lambda scores: training_loss(photo, scores)))(scores)
    expected = jax.jit(lambda scores: equation_3(photo, scores))(scores)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4, atol=1e-6)


def test_gradient_of_the_parameters_equals_equation_3(photo):
    graph, parameters = nnx.split(random_head(4))

    def scores(parameters):
        return nnx.merge(graph, parameters)(photo[0])

    @jax.jit
    def expected(parameters):  # dL/dtheta = sum_n dL/dalpha_n dalpha_n/dtheta
        found, pull = jax.vjp(scores, parameters)
        return pull(equation_3(photo, found).reshape(found.shape))[0]

    found = jax.jit(jax.grad(lambda parameters: training_loss(photo, scores(parameters))))
    for a, b in zip(*map(jax.tree.leaves, (found(parameters), expected(parameters))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert np.abs(b).max() > 1e-3
