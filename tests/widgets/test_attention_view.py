"""Tests of the attention explorer's scores, keypoints and heatmaps, and of the images made from them."""

import io
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx
from PIL import Image
from worlds import SMALL, draw, extractor, network

from benchmarks.networks import random_network
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import STRIDE, shrink_factor
from delfjax.models.attention import Attention
from delfjax.models.resnet import RESNET_TINY
from delfjax.plots import base
from delfjax.widgets.attention_explorer import describe_cell
from delfjax.widgets.attention_view import (
    MAX_SIDE,
    MIN_SIDE,
    ViewSettings,
    cell_at,
    describe_view,
    display_size,
    heatmap,
    render,
    score_photo,
    select_keypoints,
)

SIZES = [(48, 64), (64, 41), (100, 151)]  # the last photo is reduced for the network
SCORES = ["attention", "norm"]

each_size = pytest.mark.parametrize("size", SIZES)
each_score = pytest.mark.parametrize("score", SCORES)


def attention_model(config: ExtractionConfig = SMALL) -> Extractor:
    """Return a model whose attention is never rounded to 0, so that no two cells have equal scores."""
    head = random_network(lambda: Attention(RESNET_TINY.channels, hidden=8, rngs=nnx.Rngs(0)), 0)
    head.score.kernel.set_value(1e-3 * head.score.kernel[...])
    return Extractor(network(), head, config)


@pytest.fixture(scope="module")
def scored():
    return score_photo(draw(3), attention_model())


# --- cells


@each_size
@each_score
@pytest.mark.parametrize("count", [1, 60])
def test_keypoints_are_the_features_of_the_extractor(size, score, count):
    config = replace(SMALL, selection=score, max_features=count)
    photo = draw(4, size)
    features = attention_model(config)(photo)
    scored = score_photo(photo, attention_model())
    rows = select_keypoints(scored, ViewSettings(score=score, count=count))
    np.testing.assert_allclose(scored.centers[rows], features.positions, atol=1e-3)
    np.testing.assert_allclose(scored.scores[score][rows], features.scores, rtol=1e-5)
    scales = np.array(scored.scales)[scored.levels[rows]]
    shrink = shrink_factor(size, SMALL.pyramid.longest)
    np.testing.assert_allclose(scales * shrink, features.scales, rtol=1e-6)
    boxes = attention_model().receptive_field_boxes(features)
    np.testing.assert_allclose(scored.receptive_fields[rows], boxes, atol=1e-3)


@each_size
def test_receptive_fields_are_centered_and_have_the_size_of_the_network(size):
    scored = score_photo(draw(4, size), extractor())
    expected = extractor().receptive_field.size
    corners = scored.receptive_fields.reshape(-1, 2, 2)
    np.testing.assert_allclose(corners.mean(1), scored.centers, atol=1e-9)
    for row in range(0, len(scored.levels), 7):
        level = scored.level_sizes[scored.levels[row]]
        # From the edge of the first pixel to the edge of the last one, in pixels of the level.
        sides = (corners[row, 1] - corners[row, 0] + scored.level_pixel(row)) * level / size
        np.testing.assert_allclose(sides, expected)


@each_size
def test_cell_at_the_center_of_a_cell_is_that_cell(size):
    scored = score_photo(draw(4, size), attention_model())
    for row in range(len(scored.levels)):
        scale = scored.scales[scored.levels[row]]
        center = tuple(scored.centers[row].tolist())
        assert cell_at(scored, ViewSettings(scale=scale), center) == row


def test_cell_at_takes_the_highest_score_of_all_scales(scored):
    for point in ((0.0, 0.0), (20.0, 33.0), (47.0, 63.0), (-5.0, 900.0)):
        cells = [cell_at(scored, ViewSettings(scale=scale), point) for scale in scored.scales]
        best = cell_at(scored, ViewSettings(), point)
        assert best == max(cells, key=lambda row: scored.scores["attention"][row])


@pytest.mark.parametrize("scale", [None, 1.0])
def test_rank_of_a_keypoint_is_its_position_in_the_list(scored, scale):
    settings = ViewSettings(scale=scale, count=9)
    for rank, row in enumerate(select_keypoints(scored, settings), start=1):
        point = tuple(scored.centers[row].tolist())
        own_scale = replace(settings, scale=scored.scales[scored.levels[row]])
        assert cell_at(scored, own_scale, point) == row
        total = (scored.levels == scored.scales.index(scale)).sum() if scale else len(scored.levels)
        assert describe_cell("model", scored, settings, int(row))[2] == f"{rank} of {total}"


@each_score
@pytest.mark.parametrize("scale", [None, 2.0])
def test_threshold_removes_the_keypoints_with_the_lowest_scores(scored, score, scale):
    before = None
    for threshold in (0.0, 0.3, 0.6, 0.9, 1.0):
        settings = ViewSettings(score=score, scale=scale, count=999, threshold=threshold)
        rows = select_keypoints(scored, settings)
        total = len(select_keypoints(scored, replace(settings, threshold=0.0)))
        assert len(rows) == pytest.approx((1 - threshold) * total, abs=1)
        assert before is None or rows.tolist() == before[: len(rows)]
        before = rows.tolist()
    assert len(before) == 1


def test_count_keeps_the_first_keypoints(scored):
    few, many = (select_keypoints(scored, ViewSettings(count=count)) for count in (10, 50))
    assert few.tolist() == many[:10].tolist()
    assert len(select_keypoints(scored, ViewSettings(count=0))) == 0


def test_model_without_attention_uses_the_norm():
    scored = score_photo(draw(3), extractor())
    assert scored.available_score("attention") == "norm"
    first, second = (select_keypoints(scored, ViewSettings(score=name)) for name in SCORES)
    assert first.tolist() == second.tolist()


# --- heatmaps


@each_score
def test_merged_heatmap_is_the_maximum_of_all_levels(scored, score):
    settings = [ViewSettings(score=score, scale=scale) for scale in scored.scales]
    levels = [heatmap(scored, each, (96, 128)) for each in settings]
    merged = heatmap(scored, ViewSettings(score=score), (96, 128))
    np.testing.assert_array_equal(merged, np.max(levels, axis=0))


@each_size
def test_heatmap_of_one_cell_peaks_at_its_center(size):
    scored = score_photo(draw(4, size), extractor())
    for row, level in enumerate(scored.levels):
        one_cell = np.arange(len(scored.levels)) == row
        maps = [np.zeros_like(each) for each in scored.maps["norm"]]
        values = one_cell[scored.levels == level].astype(np.float32)
        maps[level] = values.reshape(maps[level].shape)
        for scale in (None, scored.scales[level]):
            heat = heatmap(replace(scored, maps={"norm": maps}), ViewSettings(scale=scale), size)
            peaks = np.argwhere(heat == heat.max())  # several in the corner after the last cell
            assert np.abs(peaks - scored.centers[row]).max(1).min() <= 1
            assert 0 < heat.max() <= 1.000001


def test_heatmap_has_each_cells_score_at_its_center(scored):
    """At scale 1 the centers are at whole pixels of the photo."""
    at_scale_1 = scored.levels == scored.scales.index(1.0)
    scores, centers = scored.scores["attention"][at_scale_1], scored.centers[at_scale_1]
    y, x = centers.astype(int).T
    np.testing.assert_array_equal(centers, np.c_[y, x])
    heat = heatmap(scored, ViewSettings(scale=1.0), scored.image_size)
    np.testing.assert_allclose(heat[y, x], scores, rtol=1e-4)


# --- images


@pytest.mark.parametrize(
    ("size", "expected"),
    [((240, 320), (480, 640)), ((768, 1024), (720, 960)), ((800, 600), (800, 600))],
)
def test_small_photos_are_enlarged_and_large_ones_reduced(size, expected):
    assert display_size(size) == expected
    assert MIN_SIDE <= max(expected) <= MAX_SIDE


def test_opacity_blends_gray_photo_and_heatmap(scored):
    transparent = render(scored, ViewSettings(count=0, opacity=0))
    gray = Image.fromarray(scored.photo).convert("L")
    gray = gray.resize(transparent.shape[1::-1], Image.BICUBIC).convert("RGB")
    np.testing.assert_array_equal(transparent, np.asarray(gray))
    opaque = render(scored, ViewSettings(count=0, opacity=1, color_map="cividis"))
    assert len(np.unique(opaque.reshape(-1, 3), axis=0)) <= 256
    assert not np.array_equal(opaque, render(scored, ViewSettings(count=0, opacity=1)))


def test_ring_is_drawn_around_the_keypoint_only(scored):
    without, ring = (render(scored, ViewSettings(count=count)) for count in (0, 1))
    y, x = np.nonzero((without != ring).any(-1))
    (row,) = select_keypoints(scored, ViewSettings(count=1))
    factor = np.array(without.shape[:2]) / scored.image_size
    center = (scored.centers[row] + 0.5) * factor - 0.5
    np.testing.assert_allclose([(y.min() + y.max()) / 2, (x.min() + x.max()) / 2], center, atol=1)


def test_highlighted_cell_dims_only_the_outside_of_its_receptive_field(scored):
    settings = ViewSettings(count=0, scale=2.0)
    row = cell_at(scored, settings, (24.0, 32.0))
    plain, highlighted = (render(scored, settings, each) for each in (None, row))
    factor = plain.shape[0] / scored.image_size[0]
    half = STRIDE / 2 / 2 * factor + 12  # half the side of the cell's frame, and its line
    y, x = (scored.centers[row] * factor).astype(int)
    field = (scored.receptive_fields[row] * factor).astype(int)
    top, left, bottom, right = field + [12, 12, -12, -12]
    inside = np.zeros(plain.shape[:2], bool)
    inside[max(top, 0) : bottom, max(left, 0) : right] = True
    frame = np.zeros_like(inside)
    frame[int(y - half) : int(y + half), int(x - half) : int(x + half)] = True
    np.testing.assert_array_equal(plain[inside & ~frame], highlighted[inside & ~frame])
    outside = np.ones_like(inside)
    outside[max(top - 24, 0) : bottom + 24, max(left - 24, 0) : right + 24] = False
    assert outside.any()
    assert highlighted[outside].mean() < 0.7 * plain[outside].mean()


def test_encoded_image_is_close_to_the_original(scored):
    image = render(scored, ViewSettings())
    decoded = np.asarray(Image.open(io.BytesIO(base.encode_jpeg(image))))
    assert np.abs(decoded.astype(int) - image).mean() < 3


def test_constant_scores_have_one_color(scored):
    maps = {"norm": [np.ones_like(level) for level in scored.maps["norm"]]}
    scores = {"norm": np.ones(len(scored.levels), np.float32)}
    image = render(replace(scored, maps=maps, scores=scores), ViewSettings(count=0, opacity=1))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 1


def test_description_of_one_keypoint_is_singular(scored):
    assert describe_view(scored, ViewSettings(count=1)) == "attention, all scales, 1 keypoint"
