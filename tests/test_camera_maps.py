"""Tests of the maps of landmarks and cameras."""

import numpy as np

from delfjax.datasets.rendered import PhotoAnnotation
from notebooks.camera_maps import _view_directions, camera_maps


def annotation(grade: str = "good", *, camera=(3.0, -20.0)):
    """A photo taken from a point on the map, facing north, with a horizontal field of view of 90°."""
    rotation = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return PhotoAnnotation(
        photo="a.jpg",
        landmark="tower",
        grade=grade,
        framed_fraction=0.8,
        unoccluded_fraction=1.0,
        area_fraction=0.2,
        size=(48, 64),
        intrinsics=np.array([[32.0, 0, 32], [0, 32, 24], [0, 0, 1]]),
        pose=np.column_stack([rotation, -rotation @ np.array([*camera, 2.0])]),
        view={},
        encoded_mask="",
    )


def test_view_directions_are_bent_like_the_map():
    left, right = _view_directions(annotation(), np.array([1000.0, 0.0]))
    # Along the radius, the square root shrinks distances twice as much as across it.
    np.testing.assert_allclose([left, right], np.array([[-0.5, 1], [0.5, 1]]) / np.sqrt(1.25))


def test_maps_show_every_camera_at_the_root_of_its_distance():
    bounds = {"tower": (np.array([-5.0, -5, 0]), np.array([5.0, 5, 30]))}
    photos = [annotation(), annotation("ok", camera=(30.0, 4.0)), annotation("junk")]
    ax = camera_maps(photos, bounds).axes[0]
    cameras = [line.get_xydata()[0].tolist() for line in ax.lines if line.get_marker() == "."]
    distances = np.linalg.norm([(3, -20), (30, 4), (3, -20)], axis=1)
    np.testing.assert_allclose(np.linalg.norm(cameras, axis=1), np.sqrt(distances))
    np.testing.assert_allclose(np.array(cameras[1]) / cameras[1][1], [30 / 4, 1])
