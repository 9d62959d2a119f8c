"""Figs. 1 and 4: their words follow the shapes, nothing is typed in, and nothing lies over another."""

from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from worlds import extractor, settings

from delfjax.models.resnet import RESNET_TINY
from delfjax.plots import diagrams, network_shapes
from delfjax.plots.architecture import fig1, fig4
from delfjax.search.searcher import SearchConfig


@pytest.fixture(scope="module")
def extraction():
    return network_shapes.extraction(
        (48, 64), spec=RESNET_TINY, config=extractor().config, dimensions=7, hidden=8
    )


@pytest.fixture(scope="module")
def steps():
    attention = settings("attention", augmentation__gammas=(0.5, 1.0))
    return [network_shapes.training(each, 5, spec=RESNET_TINY) for each in (settings(), attention)]


def words(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.axes[0].texts)


def test_figure_1_says_what_the_shapes_say(extraction):
    said = words(fig1(extraction, SearchConfig(neighbors=9, verified=13)))
    for part in (
        "48 \N{MULTIPLICATION SIGN} 64",
        "3 \N{MULTIPLICATION SIGN} 4 \N{MULTIPLICATION SIGN} 64",
        "108 cells",
        "best 60",
        "64 to 8 to 1",
        "PCA 7",
    ):
        assert part in said
    for part in ("60 \N{MULTIPLICATION SIGN} 7", "9 a feature", "best 13 photos", "ResNet-tiny"):
        assert part in said
    field = extraction.receptive_field
    assert f"receptive field {field.size}" in said
    other = replace(extraction, receptive_field=replace(field, size=99))
    assert "receptive field 99" in words(fig1(other))


def test_figure_4_says_what_the_shapes_say(steps):
    said = words(fig4(*steps))
    for part in (
        "40 \N{MULTIPLICATION SIGN} 40",
        "or 20",
        "20 \N{MULTIPLICATION SIGN} 20 \N{MULTIPLICATION SIGN} 4",
        "3 \N{MULTIPLICATION SIGN} 3 \N{MULTIPLICATION SIGN} 64",
        "64 to 5",
        "3 \N{MULTIPLICATION SIGN} 3\nscores",
    ):
        assert part in said
    assert said.count("frozen") == 3 + 4  # stages: three in step 1 as configured, all in step 2
    assert "weighted mean" in said


@pytest.mark.parametrize("name", ["fig1", "fig4"])
def test_no_words_lie_over_others(name, extraction, steps):
    figure = fig1(extraction) if name == "fig1" else fig4(*steps)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    whole = figure.axes[0].get_window_extent()
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for each in boxes:
        assert whole.x0 - 1 <= each.x0
        assert each.x1 <= whole.x1 + 1


@pytest.mark.parametrize("name", ["fig1", "fig4"])
def test_it_is_drawn_as_a_picture(name, extraction, steps, tmp_path):
    figure = fig1(extraction) if name == "fig1" else fig4(*steps)
    figure.save(tmp_path / "drawn.png")
    assert 20_000 < (tmp_path / "drawn.png").stat().st_size < 300_000


def test_parts_take_up_what_they_return():
    _, ax = diagrams.canvas(4, 3)
    place = diagrams.box(ax, (2, 1), (1, 0.5), "title", "note")
    assert place == (1.5, 0.75, 2.5, 1.25)
    assert (place.east, place.north) == ((2.5, 1), (2, 1.25))
    slab = diagrams.slab(ax, (1, 1), (0.4, 0.4), 0.2, color="#3b6fb6")
    assert slab == pytest.approx((0.8, 0.8, 1.4, 1.3))


def test_tints_are_between_white_and_the_color():
    assert diagrams.tint("#000000", 1).tolist() == [0, 0, 0]
    assert diagrams.tint("#000000", 0).tolist() == [1, 1, 1]
