"""The networks that labels train: what each variant has, trains, and lets gradients into."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import draw, network

from delfjax.models.attention import weighted_pool
from delfjax.models.layers import l2_normalize
from delfjax.models.backbone import ResNet, cut_at_conv4
from delfjax.models.resnet import RESNET_TINY
from delfjax.training.classifier import HEADS, STAGES, Classifier, ClassifierConfig, is_trained
from delfjax.training.losses import cross_entropy

PHOTOS = jnp.asarray(np.stack([draw(seed, (48, 64)) for seed in range(3)]), jnp.float32)


THROUGH_CONV5 = {"through": "conv5", "stages": (*STAGES, "conv5")}


def classifier(variant, *, backbone=None, **changes):
    stages = () if variant == "attention" else STAGES
    config = ClassifierConfig(**{"variant": variant, "stages": stages, "hidden": 8} | changes)
    backbone = backbone or network(conv5=config.through == "conv5")
    return Classifier(backbone, 5, config, rngs=nnx.Rngs(0))


def run(model, photos=PHOTOS):
    graph, state = nnx.split(model)
    return jax.jit(lambda state: nnx.merge(graph, state)(photos))(state)


@pytest.mark.parametrize(
    ("variant", "heads"),
    [
        ("finetune", {"descriptor"}),
        ("attention", {"attention"}),
        ("joint", {"attention"}),
        ("joint-stop", {"descriptor", "attention"}),
    ],
)
def test_heads_of_each_variant(variant, heads):
    outputs = run(classifier(variant))
    assert set(outputs) & set(HEADS) == heads
    assert ("scores" in outputs) == ("attention" in heads)
    assert all(outputs[head].shape == (3, 5) for head in heads)


def test_finetuning_classifies_the_mean_descriptor():
    model = classifier("finetune")
    outputs = run(model)
    expected = model.descriptor_classifier(outputs["conv4"].mean((1, 2)))
    np.testing.assert_allclose(outputs["descriptor"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
def test_finetuning_through_conv5_classifies_the_mean_of_conv5(normalize):
    model = classifier("finetune", normalize_descriptors=normalize, **THROUGH_CONV5)
    outputs, stages = run(model), run(model.backbone)
    np.testing.assert_array_equal(outputs["conv4"], stages["conv4"])
    maps = stages["conv5"]
    assert maps.shape == (3, 2, 2, 2 * RESNET_TINY.channels)
    maps = l2_normalize(maps) if normalize else maps
    expected = model.descriptor_classifier(maps.mean((1, 2)))
    np.testing.assert_allclose(outputs["descriptor"], expected, rtol=1e-4, atol=1e-4)


def test_attention_scores_conv4_whatever_descriptors_are_classified_through():
    model = classifier("joint-stop", **THROUGH_CONV5)
    outputs = run(model)
    assert outputs["scores"].shape == outputs["conv4"].shape[:3]
    pooled = weighted_pool(outputs["conv4"], outputs["scores"])
    expected = model.attention_classifier(pooled)
    np.testing.assert_allclose(outputs["attention"], expected, rtol=1e-4, atol=1e-4)


def test_a_conv5_that_is_not_asked_for_changes_nothing():
    conv5 = network(conv5=True)
    found, expected = (
        run(classifier("finetune", backbone=each)) for each in (conv5, cut_at_conv4(conv5))
    )
    assert found.keys() == expected.keys() == {"conv4", "descriptor"}
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("normalize", [True, False])
def test_attention_classifies_the_weighted_pool(reduction, normalize):
    model = classifier("attention", reduction=reduction, normalize=normalize)
    outputs = run(model)
    pooled = weighted_pool(
        outputs["conv4"], outputs["scores"], reduction=reduction, normalize=normalize
    )
    expected = model.attention_classifier(pooled)
    np.testing.assert_allclose(outputs["attention"], expected, rtol=1e-4, atol=1e-4)


def test_attention_starts_alike_everywhere():
    """Descriptors of this network are long: a random start would leave photos without any score."""
    np.testing.assert_allclose(run(classifier("attention"))["scores"], np.log(2), rtol=1e-6)


def slopes(variant, head, **changes):
    """Return the norm of one head's gradient in each part of the network and stage of the backbone."""
    graph, state = nnx.split(classifier(variant, **changes))

    @jax.jit
    def gradient(state):
        def loss(state):
            logits = nnx.merge(graph, state)(PHOTOS)[head]
            return cross_entropy(logits, jnp.arange(3)).mean()

        return jax.grad(loss)(state)

    parts = gradient(state)
    parts |= parts["backbone"]
    return {
        name: float(sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(part)))
        for name, part in parts.items()
    }


@pytest.mark.parametrize(
    ("variant", "head", "reaches"),
    [
        ("finetune", "descriptor", True),
        ("joint", "attention", True),
        ("joint-stop", "attention", False),
        ("joint-stop", "descriptor", True),
    ],
)
def test_which_gradients_reach_the_backbone(variant, head, reaches):
    found = slopes(variant, head)
    assert (found["backbone"] > 0) == reaches
    assert found[f"{head}_classifier"] > 0


@pytest.mark.parametrize("variant", ["finetune", "joint-stop"])
def test_gradients_of_descriptors_reach_conv4_through_conv5(variant):
    found = slopes(variant, "descriptor", **THROUGH_CONV5)
    assert found["conv5"] > 0
    assert found["conv4"] > 0


def test_the_backbone_that_was_given_stays_as_it_is():
    backbone = network()
    classifier("joint", precision="bfloat16")
    assert backbone.stem.conv.dtype is None


def test_bfloat16_is_nearly_float32():
    outputs, exact = (run(classifier("joint-stop", precision=p)) for p in ("bfloat16", "float32"))
    assert all(each.dtype == jnp.float32 for each in outputs.values())
    difference = np.abs(outputs["conv4"] - exact["conv4"]).max() / np.abs(exact["conv4"]).max()
    assert 1e-5 < difference < 0.05


# --- what is trained


def trained(config):
    """Return the paths of trained parameters and statistics, of a network that has batch norms."""
    conv5 = config.through == "conv5"
    backbone = nnx.eval_shape(lambda: ResNet(RESNET_TINY, conv5=conv5, rngs=nnx.Rngs(0)))
    model = nnx.eval_shape(lambda: Classifier(backbone, 5, config, rngs=nnx.Rngs(0)))
    return {path for path, _ in nnx.to_flat_state(nnx.state(model)) if is_trained(path, config)}


def test_attention_trains_nothing_of_the_backbone():
    paths = trained(ClassifierConfig(variant="attention", stages=()))
    assert {path[0] for path in paths} == {"attention", "attention_classifier"}


def test_frozen_norms_leave_kernels_alone_to_train():
    paths = trained(ClassifierConfig(variant="finetune"))
    backbone = {path for path in paths if path[0] == "backbone"}
    assert {path[1] for path in backbone} == set(STAGES)
    assert {path[-1] for path in backbone} == {"kernel"}


def test_batch_norms_train_all_of_the_stages():
    config = ClassifierConfig(variant="finetune", stages=("conv4",), norm="batch")
    backbone = {path for path in trained(config) if path[0] == "backbone"}
    assert {path[1] for path in backbone} == {"conv4"}
    assert {path[-1] for path in backbone} == {"kernel", "bias", "scale", "mean", "var"}


@pytest.mark.parametrize("stages", [("conv4",), ("conv4", "conv5"), ("conv5",)])
def test_conv5_trains_where_it_is_named(stages):
    config = ClassifierConfig(variant="finetune", through="conv5", stages=stages)
    backbone = {path for path in trained(config) if path[0] == "backbone"}
    assert {path[1] for path in backbone} == set(stages)


# --- refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "attention"}, r"variant attention with stages \('stem'.*expected \(\)"),
        ({"variant": "finetune", "stages": ()}, "expected some of"),
        ({"variant": "joint", "stages": ("conv5",)}, r"no such stages: \['conv5'\]"),
        (
            {"variant": "joint", **THROUGH_CONV5},
            "variant joint through conv5; expected one of .*finetune",
        ),
        ({"variant": "attention", "stages": (), "through": "conv5"}, "attention through conv5"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ClassifierConfig(**settings)


def test_a_backbone_without_conv5_is_refused():
    with pytest.raises(ValueError, match=r"does not have.*weights\.load\(conv5=True\)"):
        classifier("finetune", backbone=network(), **THROUGH_CONV5)


def test_folded_norms_cannot_use_batches():
    config = replace(classifier("finetune").config, norm="batch")
    with pytest.raises(ValueError, match="batch norms of this backbone are folded away"):
        Classifier(network(), 5, config, rngs=nnx.Rngs(0))
