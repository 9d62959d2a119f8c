"""The presets of training settings agree with the paper where they say so."""

from dataclasses import replace

import pytest

from delfjax.training.config import STAGES, paper_config, small_config, with_conv5

VARIANTS = "finetune", "attention", "joint"


def test_step_1_of_the_paper():
    config = paper_config("finetune")
    assert (config.augmentation.resize, config.augmentation.crop) == (250, 224)
    assert config.augmentation.input_sizes == (224,)
    assert config.network.trainable_stages == STAGES


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_step_2_of_the_paper(variant):
    config = paper_config(variant)
    assert (config.augmentation.resize, config.augmentation.crop) == (900, 720)
    assert config.augmentation.input_sizes == (180, 255, 360, 509, 720)


def test_only_the_attention_variant_freezes_the_backbone():
    for settings in (paper_config, small_config):
        trained = [bool(settings(variant).network.trainable_stages) for variant in VARIANTS]
        assert trained == [True, False, True]


@pytest.mark.parametrize("settings", [paper_config, small_config])
def test_with_conv5_changes_only_pooled_layer_and_trainable_stages(settings):
    plain, config = settings(), with_conv5(settings())
    assert config.network.trainable_stages == (*plain.network.trainable_stages, "conv5")
    assert config.network.pooled_layer == "conv5"
    network = replace(
        config.network, pooled_layer="conv4", trainable_stages=plain.network.trainable_stages
    )
    assert replace(config, network=network) == plain


@pytest.mark.parametrize("variant", VARIANTS)
def test_small_crops_have_the_proportions_of_the_paper(variant):
    ours, theirs = small_config(variant).augmentation, paper_config(variant).augmentation
    assert ours.gammas == theirs.gammas
    assert ours.crop / ours.resize == pytest.approx(theirs.crop / theirs.resize, abs=0.01)


@pytest.mark.parametrize("settings", [paper_config, small_config])
@pytest.mark.parametrize("variant", VARIANTS)
def test_presets_are_consistent_and_hashable(settings, variant):
    config = settings(variant)
    assert config.network.variant == variant
    assert config.optimizer.steps % config.save_every == 0
    assert hash(config) == hash(settings(variant))
