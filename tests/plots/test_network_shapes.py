"""Tests that traced shapes are those of the modules."""

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
from delfjax.plots.network_shapes import trace_extraction, trace_training
from delfjax.training import config


def trained_parts(shapes):
    return [name for name, count in shapes.parameters.items() if count.trained]


def test_levels_match_extraction():
    shapes = trace_extraction((48, 64), spec=RESNET_TINY, config=extractor().config)
    maps = extractor().score_maps(draw(0))
    assert [level.scale for level in shapes.levels] == sorted(maps.scales)
    conv4 = [(*each.shape, RESNET_TINY.channels) for each in maps.norms]
    assert [level.conv4 for level in shapes.levels] == conv4
    assert shapes.cells == sum(each.size for each in maps.norms) == 108


def test_there_are_no_more_features_than_cells():
    default = trace_extraction((48, 64), spec=RESNET_TINY)
    assert default.features == default.cells == 108
    few = trace_extraction((48, 64), spec=RESNET_TINY, config=extractor().config)
    assert few.features == 60


def test_large_photos_are_shrunk_first():
    config = ExtractionConfig(pyramid=PyramidConfig(longest=64))
    shapes = trace_extraction((96, 128), spec=RESNET_TINY, config=config)
    assert shapes.photo == (96, 128)
    assert shapes.levels[-1].size == (96, 128)  # scale 2 of 48 x 64


@pytest.mark.parametrize("spec", [RESNET50_V1, RESNET50_V15])
def test_receptive_field_is_that_of_the_backbone(spec):
    config = ExtractionConfig(pyramid=PyramidConfig(scales=(1.0,)))
    shapes = trace_extraction((32, 48), spec=spec, config=config)
    assert shapes.receptive_field == receptive_field(spec)
    assert shapes.levels[0].conv4 == (2, 3, 1024)


def test_maps_match_the_backbone():
    shapes = trace_training(settings("finetune"), 5, spec=RESNET_TINY)
    stages = network()(jnp.zeros((1, 40, 40, 3)))
    assert shapes.maps == {name: stages[name].shape[1:] for name in shapes.maps}
    assert list(shapes.maps) == ["stem", "conv2", "conv3", "conv4"]
    assert (shapes.channels, shapes.classes, shapes.sides) == (RESNET_TINY.channels, 5, (40,))


def test_conv5_is_traced_if_its_average_is_classified():
    shapes = trace_training(config.with_conv5(settings()), 5, spec=RESNET_TINY)
    assert shapes.maps["conv5"] == (2, 2, 2 * RESNET_TINY.channels)
    assert shapes.channels == 2 * RESNET_TINY.channels
    assert trained_parts(shapes) == ["conv4", "conv5", "descriptor_classifier"]


def test_trained_parts_are_counted():
    finetune = trace_training(settings("finetune"), 5, spec=RESNET_TINY)
    assert trained_parts(finetune) == ["conv4", "descriptor_classifier"]
    attention = trace_training(settings("attention"), 5, spec=RESNET_TINY)
    assert trained_parts(attention) == ["attention", "attention_classifier"]
    assert attention.maps["scores"] == attention.maps["conv4"][:2]


def test_all_parameters_are_counted():
    counts = trace_training(settings("attention"), 5, spec=RESNET_TINY).parameters
    backbone = nnx.eval_shape(lambda: ResNet(RESNET_TINY, rngs=nnx.Rngs(0)))
    total = sum(value.size for _, value in nnx.to_flat_state(nnx.state(backbone, nnx.Param)))
    stages = [count for name, count in counts.items() if not name.startswith("attention")]
    assert sum(count.total for count in stages) == total
    assert sum(count.trained for count in stages) == 0


def test_sides_follow_the_gammas():
    changed = settings("attention", augmentation__gammas=(0.5, 1.0))
    assert trace_training(changed, 5, spec=RESNET_TINY).sides == (40, 20)
    paper = config.paper_config("attention")
    assert trace_training(paper, 5, spec=RESNET_TINY).sides == (720, 509, 360, 255, 180)


def test_two_classifiers_are_refused():
    both = settings("finetune")
    both = replace(both, network=replace(both.network, variant="joint-stop"))
    with pytest.raises(ValueError, match=r"joint-stop has classifiers .*expected one"):
        trace_training(both, 5, spec=RESNET_TINY)


def test_nothing_is_computed():
    """A photo that no memory could hold can be traced."""
    huge = ExtractionConfig(pyramid=PyramidConfig(scales=(1.0,), longest=10**6))
    (level,) = trace_extraction((10**6, 10**6), spec=RESNET_TINY, config=huge).levels
    assert np.prod(level.conv4[:2]) == 62_500**2
