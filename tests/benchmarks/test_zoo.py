"""The pairs that the comparison of models counts."""

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks import zoo
from benchmarks.verification_study import Camera, Data


def camera(degrees):
    """A camera at the origin, turned around the vertical axis."""
    turned = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return Camera(np.eye(3), turned, np.zeros(3), np.array([640.0, 480.0]))


def test_true_pairs_have_near_cameras_and_false_pairs_are_of_two_places():
    cameras = {"castle/a.jpg": camera(0), "castle/b.jpg": camera(20), "castle/c.jpg": camera(60)}
    data = Data(None, [], cameras)
    pairs = {
        ("castle/a.jpg", "castle/b.jpg"): True,
        ("castle/a.jpg", "entry/c.jpg"): None,  # the same castle, without a camera
        ("castle/a.jpg", "castle/c.jpg"): None,  # 60 degrees
        ("castle/a.jpg", "castle/a.jpg"): None,
        ("castle/a.jpg", "fountains/a.jpg"): False,
    }
    assert {pair: zoo.is_same_view(*pair, data) for pair in pairs} == pairs
