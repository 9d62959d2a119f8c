"""Checks of the exercises in the notebooks.

An exercise is a function whose body is ``...``. Its check calls the function on small inputs. The check
prints "Not solved yet." if the function returns None, raises an `AssertionError` if a result is wrong, and
prints "Correct." otherwise.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import scale_study

Case = tuple[tuple, object]  # arguments of the function, and the expected result


def _check(function: Callable, cases: Sequence[Case], hint: str) -> None:
    for arguments, expected in cases:
        found = function(*arguments)
        if found is None:
            print("Not solved yet.")
            return
        if isinstance(expected, str):
            assert found == expected, f"found {found!r}; expected {expected!r}. Hint: {hint}"
            continue
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=f"Hint: {hint}")
    print("Correct.")


# --- quickstart


def check_normalize(function: Callable) -> None:
    """Check a function that divides each row of an array by its L2 norm."""
    rows = np.array([[3.0, 4.0], [0.0, -2.0], [1.0, 1.0]])
    expected = [[0.6, 0.8], [0, -1], [2**-0.5, 2**-0.5]]
    _check(function, [((rows,), expected)], "the norms need a last axis of length 1: keepdims=True")


def check_count_inliers(function: Callable) -> None:
    """Check a function that counts the matches that an affine map takes to within a tolerance."""
    affine = np.array([[1.0, 0, 10], [0, 2, 0]])
    query = np.array([[0.0, 0], [5, 5], [20, 1], [7, 7]])
    mapped = query * [1, 2] + [10, 0]
    database = mapped + [[0, 0], [3, 4], [0, 19], [30, 0]]
    cases = [((affine, query, database, limit), count) for limit, count in ((20, 3), (4, 1))]
    _check(function, cases, "the last column of the map is added, and the distance is an L2 norm")


def check_trials(function: Callable) -> None:
    """Check a function that computes how many trials RANSAC needs."""
    cases = [((share, 0.99), np.log(0.01) / np.log(1 - share**3)) for share in (0.5, 0.2, 0.9)]
    _check(function, cases, "all trials fail with the probability (1 - share**3) ** trials")


# --- data


def check_grade(function: Callable) -> None:
    """Check a function that grades a photo by the visible fraction and the area of its landmark."""
    thresholds = {"good": (0.7, 0.05), "ok": (0.25, 0.01)}
    photos = [(0.9, 0.3), (0.9, 0.02), (0.9, 0.001), (0.5, 0.4), (0.1, 0.4), (0.7, 0.05)]
    grades = ["good", "ok", "junk", "ok", "junk", "good"]
    cases = [((*p, thresholds), grade) for p, grade in zip(photos, grades, strict=True)]
    _check(function, cases, "a photo needs both numbers to reach a grade")


def check_precision(function: Callable) -> None:
    """Check a function that computes the precision of the first k results, without junk photos."""
    grades = ["good", "junk", "wrong", "ok", "junk", "wrong", "good"]
    cases = [((grades, k), value) for k, value in ((1, 1), (2, 1 / 2), (3, 2 / 3), (5, 3 / 5))]
    _check(function, cases, "remove the junk photos first; then take the first k of the rest")


# --- from scratch


def check_pool(function: Callable) -> None:
    """Check a function that computes the weighted sum of the descriptors of one photo (Eq. 1)."""
    random = np.random.default_rng(0)
    scores, descriptors = random.random(6), random.random((6, 4))
    expected = sum(score * each for score, each in zip(scores, descriptors, strict=True))
    _check(function, [((scores, descriptors), expected)], "multiply, then sum over the cells")


def check_logit_gradient(function: Callable) -> None:
    """Check a function that computes the derivative of the loss by the logits (Eq. 3)."""
    logits = jnp.array([0.5, -1.0, 2.0, 0.0])
    cases = [
        ((logits, label), jax.grad(lambda y, m=label: -jax.nn.log_softmax(y)[m])(logits))
        for label in (0, 2)
    ]
    _check(function, cases, "softmax(y) minus a vector that is 1 at the label and 0 elsewhere")


def check_photo_gradients(function: Callable) -> None:
    """Check a function that computes the gradient of a loss for each photo of a batch."""
    weights, photos, labels = jnp.arange(3.0), jnp.arange(12.0).reshape(4, 3), jnp.arange(4.0)

    def loss(weights: jax.Array, photo: jax.Array, label: jax.Array) -> jax.Array:
        return jnp.square(weights @ photo - label)

    expected = 2 * (photos @ weights - labels)[:, None] * photos
    arguments = (loss, weights, photos, labels)
    _check(function, [(arguments, expected)], "in_axes=(None, 0, 0): the weights are shared")


# --- training


def check_blind_loss(function: Callable) -> None:
    """Check a function that computes the cross-entropy of a blind guess among some classes."""
    cases = [((classes,), np.log(classes)) for classes in (2, 10, 1340)]
    _check(function, cases, "each class has the probability 1 / classes")


def check_cells(function: Callable) -> None:
    """Check a function that counts the cells of a crop that was rescaled by gamma."""
    cases = [((720, gamma), cells) for gamma, cells in ((1.0, 45**2), (0.5, 23**2), (0.25, 12**2))]
    _check(function, cases, "a side of s pixels has ceil(s / 16) cells")


def check_softplus_slope(function: Callable) -> None:
    """Check a function that computes the derivative of the softplus."""
    cases = [((x,), 1 / (1 + np.exp(-x))) for x in (-3.0, 0.0, 1.5)]
    _check(function, cases, "differentiate log(1 + e^x) by the chain rule")


# --- attention


def check_receptive_field(function: Callable) -> None:
    """Check a function that computes the size and the stride of a receptive field."""
    cases = [
        (([(7, 2)],), (7, 2)),
        (([(7, 2), (3, 2)],), (11, 4)),
        (([(7, 2), (3, 2), (1, 1), (3, 1), (1, 2)],), (19, 8)),
    ]
    _check(function, cases, "first size += (kernel - 1) * jump, then jump *= stride")


def check_hit_rate(function: Callable) -> None:
    """Check a function that computes which share of keypoints lies on a mask."""
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    positions = np.array([[1.2, 2.4], [2.0, 4.4], [0.0, 0.0], [2.6, 4.0]])
    cases = [((positions, mask), 0.5), ((positions[:2], mask), 1.0)]
    _check(function, cases, "round positions to whole pixels, then look them up in the mask")


# --- retrieval


def check_votes(function: Callable) -> None:
    """Check a function that counts the votes of each photo."""
    cases = [((np.array([[0, 0, 2], [2, 2, 2]]), 4), [1, 0, 2, 0])]
    _check(function, cases, "a query feature votes at most once for a photo")


def check_trial_count(function: Callable) -> None:
    """Check a function that computes how many trials RANSAC needs, rounded up."""
    cases = [((share, 0.99), number) for share, number in ((0.5, 35), (1 / 3, 123))]
    _check(function, cases, "round up: fewer trials do not reach the probability")


def check_precision_and_recall(function: Callable) -> None:
    """Check a function that computes precision and recall at a threshold (Eq. 4)."""
    example = np.array([9, 7, 7, 2]), np.array([True, False, True, True])
    _check(function, [((*example, 7), (2 / 3, 2))], "the recall is a number of correct results")


# --- scale


def check_graph_bytes(function: Callable) -> None:
    """Check a function that computes the bytes of a photo in the graph."""
    expected = sum(scale_study.index_bytes("nndescent").values())
    cases = [((1000, 40, 24), expected), ((500, 40, 24), expected / 2)]
    _check(function, cases, "a number takes 4 bytes, and an edge takes 4 bytes")


def check_machines(function: Callable) -> None:
    """Check a function that computes how many machines hold an index."""
    cases = [((1e9, 256, 64), 5), ((1e9, 15, 64), 1)]
    _check(function, cases, "80% of a machine can hold shards; round up")


# --- tables


def check_average_precision(function: Callable) -> None:
    """Check a function that computes the average precision by the trapezoidal rule."""
    cases = [(([0, 2, 4], 3), 32 / 45), (([0, 1], 2), 1), (([1], 4), 1 / 16), (([], 2), 0)]
    _check(function, cases, "just before a correct photo at rank 0, the precision is 1")


def check_interval(function: Callable) -> None:
    """Check a function that computes a t interval."""
    margin = 3.182 * np.sqrt(1400 / 3) / 2  # 1400 is the sum of the squared deviations
    cases = [(([40.0, 50.0, 60.0, 90.0], 3.182), (60 - margin, 60 + margin))]
    _check(function, cases, "ddof=1; divide by the root of the number of landmarks")
