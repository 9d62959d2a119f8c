"""The core of the attention explorer: places, best cells, heat; and the pictures made of them."""

import io
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx
from PIL import Image
from worlds import SMALL, draw, extractor, fill, network

from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import STRIDE
from delfjax.models.attention import Attention
from delfjax.models.resnet import RESNET_TINY
from delfjax.plots import base
from delfjax.widgets import attention_drawing
from delfjax.widgets.attention_drawing import LARGEST, SMALLEST, Style, render, shown_size
from delfjax.widgets.attention_state import Choice, cell_at, heat, keypoints, look

SIZES = [(48, 64), (64, 41), (100, 151)]  # the last is shrunk for the network
SCORES = ["attention", "norm"]

each_size = pytest.mark.parametrize("size", SIZES)
each_score = pytest.mark.parametrize("score", SCORES)


def attentive(config: ExtractionConfig = SMALL) -> Extractor:
    """An extractor whose attention is nowhere so low that float32 says 0: no two cells score the same."""
    head = fill(lambda: Attention(RESNET_TINY.channels, hidden=8, rngs=nnx.Rngs(0)), 0)
    head.score.kernel.set_value(1e-3 * head.score.kernel[...])
    return Extractor(network(), head, config)


@pytest.fixture(scope="module")
def seen():
    return look(draw(3), attentive())


# --- cells


@each_size
@each_score
@pytest.mark.parametrize("count", [1, 60])
def test_the_best_cells_are_the_extractors_features(size, score, count):
    config = replace(SMALL, selection=score, max_features=count)
    photo = draw(4, size)
    features = attentive(config)(photo)
    seen = look(photo, attentive())
    rows = keypoints(seen, Choice(selection=score, count=count))
    np.testing.assert_allclose(seen.centers[rows], features.positions, atol=1e-3)
    np.testing.assert_allclose(seen.scores[score][rows], features.scores, rtol=1e-5)
    scales = np.array(seen.scales)[seen.levels[rows]]
    np.testing.assert_allclose(scales, features.scales, rtol=1e-6)
    boxes = attentive().receptive_field_boxes(features)
    np.testing.assert_allclose(seen.boxes[rows], boxes, atol=1e-3)


@each_size
def test_a_box_is_centered_on_its_cell_and_has_the_receptive_fields_size(size):
    seen = look(draw(4, size), extractor())
    field = extractor().receptive_field.size
    corners = seen.boxes.reshape(-1, 2, 2)
    np.testing.assert_allclose(corners.mean(1), seen.centers, atol=1e-9)
    for row in range(0, len(seen.levels), 7):
        level = seen.sizes[seen.levels[row]]
        # From the first pixel's edge to the last one's, in pixels of the level.
        sides = (corners[row, 1] - corners[row, 0] + seen.pixel(row)) * level / size
        np.testing.assert_allclose(sides, field)


@each_size
def test_the_cell_at_its_own_center_is_itself(size):
    seen = look(draw(4, size), attentive())
    for row in range(len(seen.levels)):
        scale = seen.scales[seen.levels[row]]
        found = cell_at(seen, Choice(scale=scale), tuple(seen.centers[row].tolist()))
        assert (found.row, found.scale) == (row, scale)
        assert found.score == seen.scores["attention"][row]


def test_of_all_scales_the_best_scoring_cell_under_the_pointer_is_found(seen):
    for point in ((0.0, 0.0), (20.0, 33.0), (47.0, 63.0), (-5.0, 900.0)):
        each = [cell_at(seen, Choice(scale=scale), point) for scale in seen.scales]
        merged = cell_at(seen, Choice(), point)
        assert merged.row == max(each, key=lambda cell: cell.score).row
        assert merged.cells == sum(cell.cells for cell in each) == len(seen.levels)


@pytest.mark.parametrize("scale", [None, 1.0])
def test_ranks_count_from_the_best_keypoint(seen, scale):
    choice = Choice(scale=scale, count=9)
    for rank, row in enumerate(keypoints(seen, choice), start=1):
        point = tuple(seen.centers[row].tolist())
        assert cell_at(seen, replace(choice, scale=seen.scales[seen.levels[row]]), point).row == row
        if scale is not None:
            assert cell_at(seen, choice, point).rank == rank


@each_score
@pytest.mark.parametrize("scale", [None, 2.0])
def test_a_higher_threshold_keeps_the_best_of_those_before(seen, score, scale):
    before = None
    for threshold in (0.0, 0.3, 0.6, 0.9, 1.0):
        choice = Choice(selection=score, scale=scale, count=999, threshold=threshold)
        rows = keypoints(seen, choice)
        shown = len(keypoints(seen, replace(choice, threshold=0.0)))
        assert len(rows) == pytest.approx((1 - threshold) * shown, abs=1)
        assert before is None or rows.tolist() == before[: len(rows)]
        before = rows.tolist()
    assert len(before) == 1


def test_fewer_keypoints_are_the_first_of_more(seen):
    few, many = (keypoints(seen, Choice(count=count)) for count in (10, 50))
    assert few.tolist() == many[:10].tolist()
    assert len(keypoints(seen, Choice(count=0))) == 0


def test_a_model_without_attention_shows_the_norm():
    seen = look(draw(3), extractor())
    assert seen.offered("attention") == "norm"
    by_attention, by_norm = (keypoints(seen, Choice(selection=name)) for name in SCORES)
    assert by_attention.tolist() == by_norm.tolist()


def test_a_choice_that_cannot_be_is_refused(seen):
    with pytest.raises(ValueError, match=r"threshold is 1\.5; expected a quantile"):
        Choice(threshold=1.5)
    with pytest.raises(ValueError, match="count is -1; expected at least 0"):
        Choice(count=-1)
    with pytest.raises(ValueError, match=r"no scale 3\.0; expected one of"):
        keypoints(seen, Choice(scale=3.0))


# --- heat


@each_score
def test_merged_heat_is_the_highest_of_all_levels(seen, score):
    each = [heat(seen, Choice(selection=score, scale=s), (96, 128)) for s in seen.scales]
    merged = heat(seen, Choice(selection=score), (96, 128))
    np.testing.assert_array_equal(merged, np.max(each, axis=0))


@each_size
def test_the_heat_of_a_cell_is_highest_at_its_keypoint(size):
    seen = look(draw(4, size), extractor())
    for row, level in enumerate(seen.levels):
        alone = (np.arange(len(seen.levels)) == row)[seen.levels == level].astype(np.float32)
        maps = [np.zeros_like(each) for each in seen.maps["norm"]]
        maps[level] = alone.reshape(maps[level].shape)
        for scale in (None, seen.scales[level]):
            over = heat(replace(seen, maps={"norm": maps}), Choice(scale=scale), size)
            tops = np.argwhere(over == over.max())  # several in the corner after the last cell
            assert np.abs(tops - seen.centers[row]).max(1).min() <= 1
            assert 0 < over.max() <= 1.000001


def test_heat_over_the_photo_has_each_cells_score_at_its_center(seen):
    """At scale 1/2 centers lie between pixels of the photo, at 1 on them."""
    scores = seen.scores["attention"][seen.levels == seen.scales.index(1.0)]
    centers = seen.centers[seen.levels == seen.scales.index(1.0)]
    y, x = centers.astype(int).T
    np.testing.assert_array_equal(centers, np.c_[y, x])
    over = heat(seen, Choice(scale=1.0), seen.image_size)
    np.testing.assert_allclose(over[y, x], scores, rtol=1e-4)


# --- pictures


@pytest.mark.parametrize(
    ("size", "shown"),
    [((240, 320), (480, 640)), ((768, 1024), (720, 960)), ((800, 600), (800, 600))],
)
def test_small_photos_are_enlarged_and_large_ones_shrunk(size, shown):
    assert shown_size(size) == shown
    assert SMALLEST <= max(shown) <= LARGEST


def test_rendering_draws_the_photo_where_heat_is_off_and_heat_where_it_is_full(seen):
    plain = render(seen, Choice(count=0), Style(opacity=0))
    gray = Image.fromarray(seen.photo).convert("L").resize(plain.shape[1::-1], Image.BICUBIC)
    np.testing.assert_array_equal(plain, np.asarray(gray.convert("RGB")))
    full = render(seen, Choice(count=0), Style(opacity=1, colors="cividis"))
    assert len(np.unique(full.reshape(-1, 3), axis=0)) <= 256
    assert not np.array_equal(full, render(seen, Choice(count=0), Style(opacity=1)))


def test_rings_are_drawn_at_the_keypoints_and_nowhere_else(seen):
    bare, ringed = (render(seen, Choice(count=count), Style()) for count in (0, 1))
    y, x = np.nonzero((bare != ringed).any(-1))
    (row,) = keypoints(seen, Choice(count=1))
    factor = np.array(bare.shape[:2]) / seen.image_size
    expected = (seen.centers[row] + 0.5) * factor - 0.5
    np.testing.assert_allclose([(y.min() + y.max()) / 2, (x.min() + x.max()) / 2], expected, atol=1)


def test_what_a_cell_does_not_see_is_dimmed_and_the_rest_untouched(seen):
    choice = Choice(count=0, scale=2.0)
    row = cell_at(seen, choice, (24.0, 32.0)).row
    bare, lit = (render(seen, choice, Style(), each) for each in (None, row))
    factor = bare.shape[0] / seen.image_size[0]
    own = STRIDE / 2 / 2 * factor + 12  # half the cell's own frame, and its line
    y, x = (seen.centers[row] * factor).astype(int)
    top, left, bottom, right = (seen.boxes[row] * factor).astype(int) + [12, 12, -12, -12]
    inside = np.zeros(bare.shape[:2], bool)
    inside[max(top, 0) : bottom, max(left, 0) : right] = True
    frame = np.zeros_like(inside)
    frame[int(y - own) : int(y + own), int(x - own) : int(x + own)] = True
    np.testing.assert_array_equal(bare[inside & ~frame], lit[inside & ~frame])
    outside = np.ones_like(inside)
    outside[max(top - 24, 0) : bottom + 24, max(left - 24, 0) : right + 24] = False
    assert outside.any()
    assert lit[outside].mean() < 0.7 * bare[outside].mean()


def test_the_picture_is_encoded_as_it_is(seen):
    image = render(seen, Choice(), Style())
    decoded = np.asarray(Image.open(io.BytesIO(base.encode_jpeg(image))))
    assert np.abs(decoded.astype(int) - image).mean() < 3


def test_flat_scores_have_one_color(seen):
    flat = replace(seen, maps={"norm": [np.ones_like(level) for level in seen.maps["norm"]]})
    flat = replace(flat, scores={"norm": np.ones(len(seen.levels), np.float32)})
    image = render(flat, Choice(count=0), Style(opacity=1))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 1


def test_one_keypoint_is_one(seen):
    assert attention_drawing.words(seen, Choice(count=1)) == "attention, all scales, 1 keypoint"


def test_the_figure_names_what_it_shows_and_is_png_and_pdf(seen):
    choice = Choice(scale=2.0, count=5, threshold=0.75)
    drawing = attention_drawing.figure({"one": seen, "two": seen}, choice, Style(), photo="temple")
    titles = [ax.get_title(loc="left") for ax in drawing.axes if ax.images]
    assert titles[0] == "temple, one\nattention, scale 2.00, 5 keypoints, of the top 25% of cells"
    assert titles[1].startswith("temple, two")
    assert [ax.get_ylabel() for ax in drawing.axes if not ax.images] == ["attention"] * 2
    assert drawing.to_bytes("png").startswith(b"\x89PNG")
    assert drawing.to_bytes("pdf").startswith(b"%PDF")
