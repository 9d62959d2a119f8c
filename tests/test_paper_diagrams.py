"""Tests of the diagrams of Figs. 1 and 4: their texts show the traced shapes and do not overlap."""

from itertools import combinations

import jax
import numpy as np
import pytest
from flax import nnx
from worlds import draw, extractor, network, settings

from delfjax.models.resnet import RESNET_TINY, receptive_field
from delfjax.training.config import paper_config, with_conv5
from notebooks.paper_diagrams import system_diagram, trace_levels, trace_training, training_diagram

TIMES = "\N{MULTIPLICATION SIGN}"


def draw_diagram(name):
    if name == "system":
        return system_diagram((48, 64), spec=RESNET_TINY, config=extractor().config)
    finetune = with_conv5(settings()) if name == "training with conv5" else settings()
    attention = settings("attention", augmentation__gammas=(0.5, 1.0))
    return training_diagram(5, finetune=finetune, attention=attention, spec=RESNET_TINY)


@pytest.fixture(params=["system", "training", "training with conv5"])
def figure(request):
    return draw_diagram(request.param)


def all_text(figure):
    return " | ".join(text.get_text() for text in figure.axes[0].texts)


def trained_parts(config):
    counts = trace_training(config, 5, RESNET_TINY).parameters
    return [name for name, count in counts.items() if count.trained]


def test_system_diagram_shows_shapes_and_settings():
    text = all_text(draw_diagram("system"))
    for part in (f"48 {TIMES} 64", f"3 {TIMES} 4 {TIMES} 64", "108 cells", "best 60"):
        assert part in text
    for part in ("64 to 512 to 1", "PCA to 40", f"60 {TIMES} 40", "ResNet-tiny", "60 per feature"):
        assert part in text
    assert f"receptive field {receptive_field(RESNET_TINY).size}" in text


def test_training_diagram_shows_shapes_and_trained_parts():
    text = all_text(draw_diagram("training"))
    for part in (f"40 {TIMES} 40", "or 20", f"20 {TIMES} 20 {TIMES} 4", f"3 {TIMES} 3 {TIMES} 64"):
        assert part in text
    for part in ("64 to 5", f"3 {TIMES} 3\nscores", "weighted mean"):
        assert part in text
    assert text.count("frozen") == 3 + 4  # all stages but conv4 in step 1, all stages in step 2


def test_texts_do_not_overlap(figure):
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    axes = figure.axes[0].get_window_extent()
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert axes.x0 - 1 <= box.x0
        assert box.x1 <= axes.x1 + 1


def test_levels_match_extraction():
    levels = trace_levels((48, 64), RESNET_TINY, extractor().config)
    maps = extractor().score_maps(draw(0))
    assert [level.scale for level in levels] == sorted(maps.scales)
    assert [level.conv4 for level in levels] == [
        (*m.shape, RESNET_TINY.channels) for m in maps.norms
    ]


def test_maps_match_the_backbone():
    maps = trace_training(settings(), 5, RESNET_TINY).maps
    photo = jax.ShapeDtypeStruct((1, 40, 40, 3), np.float32)
    stages = nnx.eval_shape(lambda model, photo: model(photo), network(), photo)
    assert maps == {name: stages[name].shape[1:] for name in ("stem", "conv2", "conv3", "conv4")}


def test_trained_parts():
    assert trained_parts(settings()) == ["conv4", "descriptor_classifier"]
    assert trained_parts(with_conv5(settings())) == ["conv4", "conv5", "descriptor_classifier"]
    assert trained_parts(paper_config("attention")) == ["attention", "attention_classifier"]
