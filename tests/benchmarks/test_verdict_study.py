"""The pairs that the studies of real photos count."""

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.verdict import is_true
from benchmarks.verification_study import Camera


def camera(degrees):
    """A camera at the origin, turned around the vertical axis."""
    turned = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return Camera(np.eye(3), turned, np.zeros(3), np.array([640.0, 480.0]))


def test_true_pairs_have_near_cameras_and_false_pairs_are_of_two_places():
    cameras = {"castle/a.jpg": camera(0), "castle/b.jpg": camera(20), "castle/c.jpg": camera(60)}
    pairs = {
        ("castle/a.jpg", "castle/b.jpg"): True,
        ("castle/a.jpg", "entry/c.jpg"): None,  # the same castle, without a camera
        ("castle/a.jpg", "castle/c.jpg"): None,  # 60 degrees
        ("castle/a.jpg", "fountains/a.jpg"): False,
    }
    assert {pair: is_true(*pair, cameras) for pair in pairs} == pairs
