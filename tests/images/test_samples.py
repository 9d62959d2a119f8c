"""Check the sample photos."""

from delfjax.images.samples import flower, temple


def test_sample_photos_have_their_size():
    assert temple().shape == flower().shape == (427, 640, 3)
