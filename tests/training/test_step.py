"""One step: what it moves and what not, that it learns, and that it repeats itself exactly."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import draw, fill, network, settings

from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY
from delfjax.training.config import through_conv5
from delfjax.training.losses import cross_entropy
from delfjax.training.step import judge, prepare, train_step, trained_model, validation_step

CLASSES = 4
WHOLE = {"augmentation__square": 96, "augmentation__crop": 96, "optimizer__rate": 1e-2}
LABELS = jnp.arange(8) % CLASSES


def squares(side=48, seed=0):
    return np.stack([draw(seed + number, (side, side)) for number in range(8)])


def ready(variant="finetune", *, backbone=None, **changes):
    return prepare(settings(variant, **changes), backbone or network(), CLASSES)


def arrays(tree):
    return {str(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def changed(before, after):
    """Return the paths of what is not, bit by bit, what it was."""
    assert before.keys() == after.keys()
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


# --- what moves


@pytest.mark.parametrize("variant", ["finetune", "attention", "joint", "joint-stop"])
def test_everything_that_is_trained_moves_and_nothing_else(variant):
    task, state = ready(variant)
    before = arrays(nnx.state(trained_model(task, state)))
    trained = {path for path in before if path in arrays(state.trained)}
    for _ in range(
        2
    ):  # the attention's hidden layer moves once its score's kernel is not 0 any more
        state, _ = train_step(task, state, squares(), LABELS, size=40)
    assert changed(before, arrays(nnx.state(trained_model(task, state)))) == trained
    assert {"conv4" in path for path in trained if "backbone" in path} <= {True}


@pytest.mark.parametrize(
    ("part", "rate"), [("conv4", 1), ("conv5", 1), ("descriptor_classifier", 30)]
)
def test_conv5_moves_at_the_rate_of_the_backbone(part, rate):
    """Adam's first move is the rate, whatever the gradient."""
    config = through_conv5(settings(optimizer__new_rate=30.0))
    task, state = prepare(config, network(conv5=True), CLASSES)
    before = arrays(state.trained)
    state, _ = train_step(task, state, squares(), LABELS, size=40)
    after = arrays(state.trained)
    moved = max(np.abs(after[path] - before[path]).max() for path in before if part in path)
    assert moved == pytest.approx(rate * config.optimizer.rate, rel=0.01)


def test_attention_leaves_the_backbone_bit_by_bit_as_it_is():
    task, state = ready("attention")
    for _ in range(3):
        state, _ = train_step(task, state, squares(), LABELS, size=40)
    found = arrays(nnx.state(trained_model(task, state).backbone))
    assert not changed(found, arrays(nnx.state(network())))


def test_batch_statistics_move_only_where_they_are_not_frozen():
    unfolded = fill(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)), 0)
    variances = nnx.state(unfolded, nnx.All(nnx.BatchStat, nnx.PathContains("var")))
    nnx.update(unfolded, jax.tree.map(lambda var: jnp.abs(var) + 1, variances))
    for norm, moving in (("frozen", 0), ("batch", 8)):
        task, state = ready(backbone=unfolded, network__norm=norm)
        before = arrays(state.statistics)
        state, _ = train_step(task, state, squares(), LABELS, size=40)
        after = arrays(state.statistics)
        assert len(before) == moving  # means and variances of conv4's four convolutions
        assert all((before[path] != after[path]).any() for path in before)


# --- what a step is


def test_logged_loss_is_equation_2_of_what_the_network_says():
    task, state = ready(augmentation__square=40)
    model = trained_model(task, state)
    logits = model(jnp.asarray(squares(40), jnp.float32))["descriptor"]
    expected = cross_entropy(logits, LABELS).mean()
    _, logged = train_step(task, state, squares(40), LABELS, size=40)
    np.testing.assert_allclose(logged["loss"], expected, rtol=1e-5)
    assert set(logged) == {
        *("loss", "descriptor_loss", "descriptor_accuracy", "gradient_norm", "rate")
    }


def test_losses_of_two_classifiers_add_up():
    outputs = {"descriptor": jnp.eye(4), "attention": jnp.zeros((4, 4)), "conv4": jnp.zeros(4)}
    judged = judge(outputs, jnp.arange(4))
    np.testing.assert_allclose(
        judged["loss"], judged["descriptor_loss"] + judged["attention_loss"], rtol=1e-6
    )
    assert judged["descriptor_accuracy"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("gamma", [0.25, 0.3536, 0.5, 0.7072, 1.0])
def test_every_gamma_trains(gamma):
    task, state = ready("attention", augmentation__crop=48, augmentation__gammas=(gamma,))
    (size,) = task.config.augmentation.sizes
    state, logged = train_step(task, state, squares(), LABELS, size=size)
    assert np.isfinite(logged["loss"])
    assert logged["gradient_norm"] > 0


def test_step_repeats_itself_bit_by_bit():
    ends = []
    for _ in range(2):
        task, state = ready(augmentation__flip=True)
        for _ in range(3):
            state, _ = train_step(task, state, squares(), LABELS, size=40)
        ends.append(arrays(state))
    assert not changed(*ends)


def test_each_step_cuts_photos_elsewhere():
    """With a rate of nothing, only the cuts can change the loss."""
    task, state = ready(optimizer__rate=0.0)
    losses = set()
    for _ in range(3):
        state, logged = train_step(task, state, squares(), LABELS, size=40)
        losses.add(float(logged["loss"]))
    assert len(losses) == 3


# --- that it learns


def calm_network():
    """A network whose descriptors are as long as ImageNet's, not thousands of units."""
    model = nnx.clone(network())
    model.stem.conv.kernel.set_value(network().stem.conv.kernel[...] / 50)
    return model


def learn(task, state, photos, labels, steps, size):
    losses = []
    for _ in range(steps):
        state, logged = train_step(task, state, photos, labels, size=size)
        losses.append(float(logged["loss"]))
    return state, losses


@pytest.mark.parametrize("variant", ["finetune", "joint", "joint-stop"])
def test_classes_that_can_be_told_apart_are_learned(variant):
    """Each class has its color."""
    colors = np.random.default_rng(0).integers(0, 256, (CLASSES, 3))
    photos = squares() // 4 + (colors[LABELS] * 3 // 4).astype(np.uint8)[:, None, None]
    task, state = ready(variant, backbone=calm_network())
    _, losses = learn(task, state, photos, LABELS, 60, 40)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


class Cells(ResNet):
    """In a backbone's place: descriptors that are the colors of their cells, and of nothing beside."""

    def __init__(self):
        self.spec, self.folded = RESNET_TINY, True
        self.mixing = np.random.default_rng(0).normal(size=(3, RESNET_TINY.channels))

    def __call__(self, photos, valid=None):
        count, side = len(photos), photos.shape[1] // 16
        colors = photos.reshape(count, side, 16, side, 16, 3).mean((2, 4))
        return {"conv4": jax.nn.relu(colors / 255 @ jnp.asarray(self.mixing, jnp.float32))}


def test_attention_learns_where_classes_differ():
    """Photos of cells of any color, but for one, pure red or pure blue: that is the class."""
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (256, 36, 3), np.uint8)
    labels, places = np.arange(256) % 2, random.integers(0, 36, 256)
    colors[np.arange(256), places] = np.array([(255, 0, 0), (0, 0, 255)])[labels]
    photos = colors.reshape(256, 6, 6, 3).repeat(16, 1).repeat(16, 2)
    task, state = ready("attention", backbone=Cells(), **WHOLE)
    state, losses = learn(task, state, photos, jnp.asarray(labels), 200, 96)
    assert losses[-1] < 0.3 * losses[0]

    outputs = trained_model(task, state)(jnp.asarray(photos, jnp.float32))
    scores = np.asarray(outputs["scores"]).reshape(256, 36)
    assert scores[np.arange(256), places].mean() > 3 * scores.mean()
    assert (scores.argmax(1) == places).mean() > 0.8  # by chance 1/36


# --- validation


def test_validation_leaves_out_filling():
    task, state = ready()
    photos = squares()
    real = jnp.arange(8) < 5
    sums = validation_step(task, state, photos, LABELS, real)
    for filling in (photos[:5], squares(seed=50)[:5]):
        mixed = np.concatenate([photos[:5], filling[:3]])
        again = validation_step(task, state, mixed, LABELS, real)
        np.testing.assert_allclose(again["loss"], sums["loss"], rtol=1e-5)


def test_validation_uses_running_statistics():
    unfolded = fill(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)), 0)
    task, state = ready(backbone=unfolded, network__norm="batch")
    one = validation_step(task, state, squares(), LABELS, jnp.arange(8) < 1)
    other = np.concatenate([squares()[:1], squares(seed=50)[:7]])
    again = validation_step(task, state, other, LABELS, jnp.arange(8) < 1)
    np.testing.assert_allclose(one["loss"], again["loss"], rtol=1e-4)


def test_settings_are_part_of_what_is_compiled():
    task, _ = ready()
    other = replace(task, config=replace(task.config, seed=1))
    assert jax.tree.structure(task) != jax.tree.structure(other)
