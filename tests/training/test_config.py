"""The two sets of settings: what the paper says is what ours do, as far as they say they do."""

from dataclasses import replace

import pytest

from delfjax.training.classifier import STAGES
from delfjax.training.config import embedded, paper, through_conv5

VARIANTS = "finetune", "attention", "joint", "joint-stop"


def test_step_1_of_the_paper():
    config = paper("finetune")
    assert (config.augmentation.square, config.augmentation.crop) == (250, 224)
    assert config.augmentation.sizes == (224,)
    assert config.network.stages == STAGES


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_step_2_of_the_paper(variant):
    config = paper(variant)
    assert (config.augmentation.square, config.augmentation.crop) == (900, 720)
    assert config.augmentation.sizes == (180, 255, 360, 509, 720)


def test_only_the_attention_step_leaves_the_backbone_alone():
    for settings in (paper, embedded):
        assert [bool(settings(variant).network.stages) for variant in VARIANTS] == [1, 0, 1, 1]


@pytest.mark.parametrize("settings", [paper, embedded])
def test_through_conv5_trains_it_and_changes_nothing_else(settings):
    plain, config = settings(), through_conv5(settings())
    assert config.network.stages == (*plain.network.stages, "conv5")
    assert config.network.through == "conv5"
    network = replace(config.network, through="conv4", stages=plain.network.stages)
    assert replace(config, network=network) == plain


@pytest.mark.parametrize("variant", VARIANTS)
def test_embedded_cuts_photos_as_the_paper_does(variant):
    ours, theirs = embedded(variant).augmentation, paper(variant).augmentation
    assert ours.gammas == theirs.gammas
    assert ours.crop / ours.square == pytest.approx(theirs.crop / theirs.square, abs=0.01)


@pytest.mark.parametrize("settings", [paper, embedded])
@pytest.mark.parametrize("variant", VARIANTS)
def test_settings_are_whole(settings, variant):
    config = settings(variant)
    assert config.network.variant == variant
    assert config.optimizer.steps % config.save_every == 0
    assert hash(config) == hash(settings(variant))
