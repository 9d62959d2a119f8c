"""Figures of data sets: what is drawn, in numbers; how it looks is for eyes."""

import numpy as np
from worlds import draw

from delfjax.datasets.rendered import PhotoAnnotation
from delfjax.images.reading import Box
from delfjax.plots import datasets


def seen(grade: str = "good", *, at=(3.0, -20.0), shown: float = 0.8, area: float = 0.2):
    """A photo taken from `at` on the map, looking north, level, 90 degrees wide."""
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return PhotoAnnotation(
        photo="a.jpg",
        landmark="tower",
        grade=grade,
        framed_fraction=shown,
        unoccluded_fraction=1.0,
        area_fraction=area,
        size=(48, 64),
        intrinsics=np.array([[32.0, 0, 32], [0, 32, 24], [0, 0, 1]]),
        pose=np.column_stack([turn, -turn @ np.array([*at, 2.0])]),
        view={},
        encoded_mask="",
    )


def test_a_grid_frames_the_box_between_pixels():
    figure = datasets.grid([(draw(0), "query", Box(10, 20, 30, 50))] * 3, columns=2)
    assert len(figure.axes) == 4
    (patch,) = figure.axes[0].patches
    assert patch.get_xy() == (19.5, 9.5)
    assert (patch.get_width(), patch.get_height()) == (30, 20)
    assert not figure.axes[3].images


def test_a_mask_darkens_the_rest():
    truth = seen()
    truth.__dict__["mask"] = np.tri(48, 64, dtype=bool)
    photo = np.full((48, 64, 3), 200, np.uint8)
    shown = datasets.masked(photo, truth)
    assert (shown[truth.mask] == 200).all()
    assert (shown[~truth.mask] == 50).all()


def test_the_camera_stands_where_it_was_and_looks_ahead():
    truth = seen(at=(3.0, -20.0))
    np.testing.assert_allclose(truth.camera_center, [3, -20, 2], atol=1e-12)
    left, right = datasets._rays(truth, np.array([1000.0, 0.0]))
    # Across the map, distances shrink by half as much again as along it.
    np.testing.assert_allclose([left, right], np.array([[-0.5, 1], [0.5, 1]]) / np.sqrt(1.25))


def test_maps_show_every_camera():
    feet = {"tower": (np.array([-5.0, -5, 0]), np.array([5.0, 5, 30]))}
    truths = [seen(), seen("ok", at=(30.0, 4.0)), seen("junk")]
    ax = datasets.from_above(truths, feet).axes[0]
    eyes = [line.get_xydata()[0].tolist() for line in ax.lines if line.get_marker() == "."]
    far = np.linalg.norm([(3, -20), (30, 4), (3, -20)], axis=1)
    np.testing.assert_allclose(np.linalg.norm(eyes, axis=1), np.sqrt(far))
    np.testing.assert_allclose(np.array(eyes[1]) / eyes[1][1], [30 / 4, 1])


def test_counts_and_grades_are_drawn():
    counts = datasets.class_counts({"a_b": {"good": 3, "ok": 0, "junk": 2}})
    assert [text.get_text() for text in counts.axes[0].texts] == ["3", "2"]
    figure = datasets.grades([seen(), seen("junk", area=0.0)], (0.7, 0.05), (0.25, 0.01))
    assert figure.axes[0].get_yscale() == "log"
    points = np.concatenate([c.get_offsets() for c in figure.axes[0].collections])
    assert (points[:, 1] > 0).all(), "nothing falls off a logarithmic axis"
