"""Tests of the diagrams of Figs. 1 and 4: their texts show the traced shapes and do not overlap."""

from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from worlds import extractor, settings

from delfjax.models.resnet import RESNET_TINY
from delfjax.plots import diagrams
from delfjax.plots.architecture import system_diagram, training_diagram
from delfjax.plots.network_shapes import trace_extraction, trace_training
from delfjax.search.searcher import SearchConfig
from delfjax.training.config import with_conv5

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def extraction():
    return trace_extraction((48, 64), spec=RESNET_TINY, config=extractor().config)


@pytest.fixture(scope="module")
def steps():
    attention = settings("attention", augmentation__gammas=(0.5, 1.0))
    return [trace_training(each, 5, spec=RESNET_TINY) for each in (settings(), attention)]


@pytest.fixture(params=["system", "training", "training with conv5"])
def figure(request, extraction, steps):
    if request.param == "system":
        return system_diagram(extraction)
    if request.param == "training":
        return training_diagram(*steps)
    conv5 = trace_training(with_conv5(settings()), 5, spec=RESNET_TINY)
    return training_diagram(conv5, steps[1])


def all_text(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.axes[0].texts)


def test_system_diagram_shows_the_traced_shapes(extraction):
    text = all_text(system_diagram(extraction, SearchConfig(neighbors=9, verified=13)))
    for part in (f"48 {TIMES} 64", f"3 {TIMES} 4 {TIMES} 64", "108 cells", "best 60"):
        assert part in text
    for part in ("64 to 512 to 1", "PCA to 40", f"60 {TIMES} 40", "ResNet-tiny"):
        assert part in text
    for part in ("9 per feature", "best 13 photos"):
        assert part in text
    field = extraction.receptive_field
    assert f"receptive field {field.size}" in text
    other = replace(extraction, receptive_field=replace(field, size=99))
    assert "receptive field 99" in all_text(system_diagram(other))


def test_training_diagram_shows_the_traced_shapes(steps):
    text = all_text(training_diagram(*steps))
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


def test_diagram_is_saved_as_an_image(figure, tmp_path):
    figure.save(tmp_path / "diagram.png")
    assert 20_000 < (tmp_path / "diagram.png").stat().st_size < 300_000


def test_primitives_return_their_extent():
    _, ax = diagrams.create_canvas(4, 3)
    step = diagrams.draw_step(ax, (2, 1), (1, 0.5), "label", "note")
    assert step == (1.5, 0.75, 2.5, 1.25)
    assert (step.east, step.north) == ((2.5, 1), (2, 1.25))
    feature_map = diagrams.draw_feature_map(ax, (1, 1), 0.4, 0.2, color="#3b6fb6")
    assert feature_map == pytest.approx((0.8, 0.8, 1.4, 1.3))


def test_tint_mixes_with_white():
    assert diagrams.tint("#000000", 1).tolist() == [0, 0, 0]
    assert diagrams.tint("#000000", 0).tolist() == [1, 1, 1]
