"""The network in training: heads and trained parameters of each variant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import draw, network

from delfjax.models.attention import weighted_pool
from delfjax.models.backbone import ResNet, cut_at_conv4
from delfjax.models.layers import l2_normalize
from delfjax.models.resnet import RESNET_TINY
from delfjax.training.classifier import Classifier, is_trainable
from delfjax.training.config import STAGES, ClassifierConfig

PHOTOS = jnp.asarray(np.stack([draw(seed, (48, 64)) for seed in range(3)]), jnp.float32)
POOL_CONV5 = {"pooled_layer": "conv5", "trainable_stages": (*STAGES, "conv5")}


def classifier(variant, *, backbone=None, **changes):
    stages = () if variant == "attention" else STAGES
    settings = {"variant": variant, "trainable_stages": stages, "hidden_channels": 8}
    config = ClassifierConfig(**settings | changes)
    backbone = backbone or network(conv5=config.pooled_layer == "conv5")
    return Classifier(backbone, 5, config, rngs=nnx.Rngs(0))


def run(model, photos=PHOTOS):
    graph, state = nnx.split(model)
    return jax.jit(lambda state: nnx.merge(graph, state)(photos))(state)


@pytest.mark.parametrize("variant", ["attention", "joint"])
def test_outputs_of_attention(variant):
    outputs = run(classifier(variant))
    assert outputs.keys() == {"conv4", "attention", "scores"}
    assert outputs["attention"].shape == (3, 5)


def test_finetuning_classifies_the_average_descriptor():
    model = classifier("finetune")
    outputs = run(model)
    assert outputs.keys() == {"conv4", "descriptor"}
    assert outputs["descriptor"].shape == (3, 5)
    expected = model.descriptor_classifier(outputs["conv4"].mean((1, 2)))
    np.testing.assert_allclose(outputs["descriptor"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
def test_finetuning_with_conv5_classifies_the_average_of_conv5(normalize):
    model = classifier("finetune", normalize_average=normalize, **POOL_CONV5)
    outputs, stages = run(model), run(model.backbone)
    np.testing.assert_array_equal(outputs["conv4"], stages["conv4"])
    maps = stages["conv5"]
    assert maps.shape == (3, 2, 2, 2 * RESNET_TINY.channels)
    maps = l2_normalize(maps) if normalize else maps
    expected = model.descriptor_classifier(maps.mean((1, 2)))
    np.testing.assert_allclose(outputs["descriptor"], expected, rtol=1e-4, atol=1e-4)


def test_unused_conv5_has_no_effect():
    conv5 = network(conv5=True)
    found, expected = (
        run(classifier("finetune", backbone=each)) for each in (conv5, cut_at_conv4(conv5))
    )
    assert found.keys() == expected.keys() == {"conv4", "descriptor"}
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(("pooling", "normalize"), [("sum", True), ("mean", False)])
def test_attention_classifies_pooled_weighted_descriptors(pooling, normalize):
    model = classifier("attention", pooling=pooling, normalize_weighted=normalize)
    outputs = run(model)
    pooled = weighted_pool(
        outputs["conv4"], outputs["scores"], reduction=pooling, normalize=normalize
    )
    expected = model.attention_classifier(pooled)
    np.testing.assert_allclose(outputs["attention"], expected, rtol=1e-4, atol=1e-4)


def test_initial_attention_is_uniform():
    """Descriptors of this network are long. Random initial weights would give many scores of 0."""
    np.testing.assert_allclose(run(classifier("attention"))["scores"], np.log(2), rtol=1e-6)


# --- trained parameters


def trainable_paths(config):
    """Return the paths of trained parameters in a network with batch norms."""
    conv5 = config.pooled_layer == "conv5"
    backbone = nnx.eval_shape(lambda: ResNet(RESNET_TINY, conv5=conv5, rngs=nnx.Rngs(0)))
    model = nnx.eval_shape(lambda: Classifier(backbone, 5, config, rngs=nnx.Rngs(0)))
    return {path for path, _ in nnx.to_flat_state(nnx.state(model)) if is_trainable(path, config)}


def test_attention_freezes_the_backbone():
    paths = trainable_paths(ClassifierConfig(variant="attention", trainable_stages=()))
    assert {path[0] for path in paths} == {"attention", "attention_classifier"}


def test_frozen_batch_norms_train_only_kernels():
    paths = trainable_paths(ClassifierConfig(variant="finetune"))
    backbone = {path for path in paths if path[0] == "backbone"}
    assert {path[1] for path in backbone} == set(STAGES)
    assert {path[-1] for path in backbone} == {"kernel"}


# --- invalid settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"variant": "attention"},
            r"trainable_stages is \('stem'.* with variant \"attention\"; expected \(\)",
        ),
        ({"variant": "finetune", "trainable_stages": ()}, "expected at least one of"),
        (
            {"variant": "joint", "trainable_stages": ("conv5",)},
            r"trainable_stages contains \['conv5'\]",
        ),
        (
            {"variant": "joint", **POOL_CONV5},
            'pooled_layer is "conv5" with variant "joint"; expected the variant .*finetune',
        ),
        (
            {"variant": "attention", "trainable_stages": (), "pooled_layer": "conv5"},
            'pooled_layer is "conv5" with variant "attention"',
        ),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ClassifierConfig(**settings)


def test_backbone_without_conv5_is_refused():
    with pytest.raises(ValueError, match=r"ends at conv4.*Fix: start from ImageNet"):
        classifier("finetune", backbone=network(), **POOL_CONV5)
