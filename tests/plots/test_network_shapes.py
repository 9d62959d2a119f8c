"""The shapes of the networks: those of the modules, at any size."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from worlds import draw, extractor, network, settings

from delfjax.features.extraction import ExtractionConfig
from delfjax.features.pyramid import PyramidConfig
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET50_V1, RESNET50_V15, RESNET_TINY, receptive_field
from delfjax.plots import network_shapes
from delfjax.training import config

TINY = {"spec": RESNET_TINY, "hidden": 8}


def test_levels_are_those_of_extraction():
    config = extractor().config
    found = network_shapes.extraction((48, 64), config=config, **TINY)
    dense = extractor().score_maps(draw(0))
    assert [level.scale for level in found.levels] == sorted(dense.scales)
    shapes = [(*each.shape, RESNET_TINY.channels) for each in dense.norms]
    assert [level.conv4 for level in found.levels] == shapes
    assert found.cells == sum(each.size for each in dense.norms) == 108


def test_features_are_no_more_than_cells():
    small = network_shapes.extraction((48, 64), config=ExtractionConfig(), **TINY)
    assert small.features == small.cells == 108
    assert network_shapes.extraction((48, 64), config=extractor().config, **TINY).features == 60


def test_photos_are_shrunk_first():
    config = ExtractionConfig(pyramid=PyramidConfig(longest=64))
    found = network_shapes.extraction((96, 128), config=config, **TINY)
    assert found.photo == (96, 128)
    assert found.levels[-1].size == (96, 128)  # twice 48 x 64


@pytest.mark.parametrize("spec", [RESNET50_V1, RESNET50_V15])
def test_the_receptive_field_is_computed(spec):
    one = ExtractionConfig(pyramid=PyramidConfig(scales=(1.0,)))
    found = network_shapes.extraction((32, 48), spec=spec, config=one)
    assert found.receptive_field == receptive_field(spec)
    assert found.levels[0].conv4 == (2, 3, 1024)


def test_maps_of_training_are_the_backbones():
    found = network_shapes.training(settings("finetune"), 5, spec=RESNET_TINY)
    stages = network()(jnp.zeros((1, 40, 40, 3)))
    assert found.maps == {name: stages[name].shape[1:] for name in found.maps}
    assert list(found.maps) == ["stem", "conv2", "conv3", "conv4"]
    assert found.classifier == ("descriptor", (RESNET_TINY.channels, 5))
    assert found.sides == (40,)


def test_conv5_is_traced_where_the_classifier_sees_it():
    found = network_shapes.training(config.through_conv5(settings()), 5, spec=RESNET_TINY)
    assert found.maps["conv5"] == (2, 2, 2 * RESNET_TINY.channels)
    assert found.classifier == ("descriptor", (2 * RESNET_TINY.channels, 5))
    assert [name for name, part in found.parts.items() if part.trained] == [
        *("conv4", "conv5", "descriptor_classifier")
    ]


def test_only_what_is_trained_moves():
    fine = network_shapes.training(settings("finetune"), 5, spec=RESNET_TINY).parts
    assert [name for name, part in fine.items() if part.trained] == [
        "conv4",
        "descriptor_classifier",
    ]
    head = network_shapes.training(settings("attention"), 5, spec=RESNET_TINY)
    moved = {name for name, part in head.parts.items() if part.trained}
    assert moved == {"attention", "attention_classifier"}
    assert head.maps["scores"] == head.maps["conv4"][:2]


def test_all_parameters_are_counted():
    parts = network_shapes.training(settings("attention"), 5, spec=RESNET_TINY).parts
    backbone = nnx.eval_shape(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)))
    count = sum(value.size for _, value in nnx.to_flat_state(nnx.state(backbone, nnx.Param)))
    own = [part for name, part in parts.items() if not name.startswith("attention")]
    assert sum(part.parameters for part in own) == count
    assert sum(part.trained for part in own) == 0


def test_gammas_are_sides():
    changed = settings("attention", augmentation__gammas=(0.5, 1.0))
    assert network_shapes.training(changed, 5, spec=RESNET_TINY).sides == (40, 20)
    paper = config.paper("attention")
    assert network_shapes.training(paper, 5, spec=RESNET_TINY).sides == (720, 509, 360, 255, 180)


def test_two_classifiers_are_no_step_of_the_paper():
    both = settings("finetune")
    both = replace(both, network=replace(both.network, variant="joint-stop"))
    with pytest.raises(ValueError, match=r"joint-stop has classifiers .*expected one"):
        network_shapes.training(both, 5, spec=RESNET_TINY)


def test_nothing_is_computed():
    """A photo that no memory holds can be traced."""
    huge = ExtractionConfig(pyramid=PyramidConfig(scales=(1.0,), longest=10**6))
    (level,) = network_shapes.extraction((10**6, 10**6), config=huge, **TINY).levels
    assert np.prod(level.conv4[:2]) == 62_500**2
