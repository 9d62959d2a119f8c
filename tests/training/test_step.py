"""Training and validation steps: updated parameters, metrics and learning."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import draw, network, settings, unfolded

from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY
from delfjax.training import with_conv5
from delfjax.training.step import (
    cross_entropy,
    init_training,
    merge_model,
    train_step,
    validation_step,
)

CLASSES = 4
LABELS = jnp.arange(8) % CLASSES


def squares(side=48, seed=0):
    return np.stack([draw(seed + number, (side, side)) for number in range(8)])


def start(variant="finetune", *, backbone=None, **changes):
    return init_training(settings(variant, **changes), backbone or network(), CLASSES)


def arrays(tree):
    return {str(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def changed(before, after):
    """Return the paths of arrays that differ in any bit."""
    assert before.keys() == after.keys()
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


# --- updated parameters


@pytest.mark.parametrize("variant", ["finetune", "attention", "joint"])
def test_only_trainable_parameters_change(variant):
    context, state = start(variant)
    before = arrays(nnx.state(merge_model(context, state)))
    trainable = {path for path in before if path in arrays(state.trainable)}
    # The attention's hidden layer changes in the second step: the layer after it starts at 0.
    for _ in range(2):
        state, _ = train_step(context, state, squares(), LABELS, size=40)
    assert changed(before, arrays(nnx.state(merge_model(context, state)))) == trainable
    assert {"conv4" in path for path in trainable if "backbone" in path} <= {True}


def test_conv5_has_the_learning_rate_of_the_backbone():
    """The size of Adam's first update is the learning rate, whatever the gradient."""
    config = with_conv5(settings(optimizer__head_learning_rate_factor=30.0))
    context, state = init_training(config, network(conv5=True), CLASSES)
    before = arrays(state.trainable)
    state, _ = train_step(context, state, squares(), LABELS, size=40)
    after = arrays(state.trainable)
    for part, factor in (("conv4", 1), ("conv5", 1), ("descriptor_classifier", 30)):
        update = max(np.abs(after[path] - before[path]).max() for path in before if part in path)
        assert update == pytest.approx(factor * config.optimizer.learning_rate, rel=0.01), part


def test_batch_norms_are_frozen():
    context, state = start(backbone=unfolded())
    model = merge_model(context, state)
    norms = [each for _, each in nnx.iter_modules(model) if isinstance(each, nnx.BatchNorm)]
    assert norms
    assert all(norm.use_running_average for norm in norms)
    assert not any("norm" in path for path in arrays(state.trainable))


# --- loss and metrics


def test_cross_entropy_by_hand():
    logits = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, np.log(2)]])
    expected = [np.log(1 + np.e + np.e**2), np.log(2)]
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, 2])), expected, rtol=1e-6)


def test_cross_entropy_of_large_logits_is_finite():
    losses = [cross_entropy(jnp.array([[1e30, -1e30]]), jnp.array([label]))[0] for label in (0, 1)]
    assert losses == [0, pytest.approx(2e30)]


def test_logged_loss_is_equation_2_of_the_logits():
    context, state = start(augmentation__resize=40)
    outputs = nnx.jit(lambda model, photos: model(photos))
    photos = jnp.asarray(squares(40), jnp.float32)
    logits = outputs(merge_model(context, state), photos)["descriptor"]
    expected = cross_entropy(logits, LABELS).mean()
    _, metrics = train_step(context, state, squares(40), LABELS, size=40)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    assert set(metrics) == {
        *("loss", "descriptor_loss", "descriptor_accuracy", "gradient_norm", "learning_rate")
    }


def test_the_smallest_gamma_trains():
    context, state = start("attention", augmentation__crop=48, augmentation__gammas=(0.25,))
    (size,) = context.config.augmentation.input_sizes
    state, metrics = train_step(context, state, squares(), LABELS, size=size)
    assert np.isfinite(metrics["loss"])
    assert metrics["gradient_norm"] > 0


def test_each_step_uses_other_crops():
    """Of equal parameters, only the crops can change the loss."""
    losses = set()
    for step in range(3):
        context, state = start()
        state = state._replace(step=jnp.int32(step))
        _, metrics = train_step(context, state, squares(), LABELS, size=40)
        losses.add(float(metrics["loss"]))
    assert len(losses) == 3


# --- learning


def scaled_network():
    """Return a network whose descriptors are as long as ImageNet's, and not thousands of units."""
    model = nnx.clone(network())
    model.stem.conv.kernel.set_value(network().stem.conv.kernel[...] / 50)
    return model


def learn(context, state, photos, labels, steps, size):
    losses = []
    for _ in range(steps):
        state, metrics = train_step(context, state, photos, labels, size=size)
        losses.append(float(metrics["loss"]))
    return state, losses


@pytest.mark.parametrize("variant", ["finetune", "joint"])
def test_separable_classes_are_learned(variant):
    """Each class has a color of its own."""
    colors = np.random.default_rng(0).integers(0, 256, (CLASSES, 3))
    photos = squares() // 4 + (colors[LABELS] * 3 // 4).astype(np.uint8)[:, None, None]
    context, state = start(variant, backbone=scaled_network())
    _, losses = learn(context, state, photos, LABELS, 60, 40)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


class ColorNetwork(ResNet):
    """A backbone whose descriptors depend only on the mean color of their cells."""

    def __init__(self):
        self.spec, self.folded = RESNET_TINY, True
        self.mixing = np.random.default_rng(0).normal(size=(3, RESNET_TINY.channels))

    def __call__(self, photos, valid=None):
        count, side = len(photos), photos.shape[1] // 16
        colors = photos.reshape(count, side, 16, side, 16, 3).mean((2, 4))
        return {"conv4": jax.nn.relu(colors / 255 @ jnp.asarray(self.mixing, jnp.float32))}


def test_attention_finds_the_cells_in_which_classes_differ():
    """All cells have random colors, except for one. It is red or blue: that is the class."""
    random = np.random.default_rng(0)
    changes = {"augmentation__resize": 96, "augmentation__crop": 96}
    changes |= {"optimizer__learning_rate": 1e-2}
    colors = random.integers(0, 256, (256, 36, 3), np.uint8)
    labels, cells = np.arange(256) % 2, random.integers(0, 36, 256)
    colors[np.arange(256), cells] = np.array([(255, 0, 0), (0, 0, 255)])[labels]
    photos = colors.reshape(256, 6, 6, 3).repeat(16, 1).repeat(16, 2)
    context, state = start("attention", backbone=ColorNetwork(), **changes)
    state, losses = learn(context, state, photos, jnp.asarray(labels), 200, 96)
    assert losses[-1] < 0.3 * losses[0]

    outputs = merge_model(context, state)(jnp.asarray(photos, jnp.float32))
    scores = np.asarray(outputs["scores"]).reshape(256, 36)
    assert scores[np.arange(256), cells].mean() > 3 * scores.mean()
    assert (scores.argmax(1) == cells).mean() > 0.8  # by chance 1/36


# --- validation


def test_validation_ignores_repeated_photos():
    context, state = start()
    photos = squares()
    is_real = jnp.arange(8) < 5
    sums = validation_step(context, state, photos, LABELS, is_real)
    for filling in (photos[:5], squares(seed=50)[:5]):
        mixed = np.concatenate([photos[:5], filling[:3]])
        again = validation_step(context, state, mixed, LABELS, is_real)
        np.testing.assert_allclose(again["loss"], sums["loss"], rtol=1e-5)


def test_other_settings_compile_another_program():
    context, _ = start()
    other = replace(context, config=replace(context.config, seed=1))
    assert jax.tree.structure(context) != jax.tree.structure(other)
