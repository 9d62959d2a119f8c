"""Feature files of the official code, written here by the definition of their messages."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import delfjax as dx
from delfjax.files import StoreError


def varint(number):
    data = b""
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def delf_feature(y, x, scale, strength, descriptor):
    """DelfFeature: descriptor as DatumProto; x, y, scale, orientation and strength as floats."""
    numbers = {2: x, 3: y, 4: scale, 5: 0, 6: strength}
    fields = (varint(n << 3 | 5) + struct.pack("<f", value) for n, value in numbers.items())
    shape, values = varint(len(descriptor)), np.asarray(descriptor, "<f4").tobytes()
    datum = block(1, block(1, shape)) + block(2, block(1, values))
    return block(1, datum) + b"".join(fields)


def write(path, *features):
    path.write_bytes(b"".join(block(1, delf_feature(*each)) for each in features))
    return path


def test_features_are_read_with_the_best_first(tmp_path):
    descriptors = np.random.default_rng(0).normal(size=(2, 40)).astype(np.float32)
    path = write(
        tmp_path / "a.delf", (32, 64, 2, 101.5, descriptors[0]), (7, 9, 0.5, 300, descriptors[1])
    )
    features = dx.read_delf(path, (480, 640))
    assert features.positions.tolist() == [[7, 9], [32, 64]]
    assert features.scales.tolist() == [2, 0.5]
    assert features.scores.tolist() == [300, 101.5]
    np.testing.assert_array_equal(features.descriptors, descriptors[::-1])
    assert features.image_size == (480, 640)


def test_a_file_without_features_is_damaged(tmp_path):
    (tmp_path / "a.delf").write_bytes(b"")
    with pytest.raises(StoreError, match=r"a\.delf: damaged; .*an empty file"):
        dx.read_delf(tmp_path / "a.delf", (480, 640))


@pytest.mark.parametrize("cut", [1, 100, 170])
def test_a_truncated_file_is_refused(tmp_path, cut):
    path = write(tmp_path / "a.delf", (1, 2, 1, 3, np.ones(40)))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(StoreError, match=r"a\.delf: damaged; expected a \.delf file"):
        dx.read_delf(path, (480, 640))


@pytest.mark.parametrize("content", [b"not a feature file", b"\x89PNG\r\n\x1a\n" * 9])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "a.delf").write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.delf: damaged; expected a \.delf file"):
        dx.read_delf(tmp_path / "a.delf", (480, 640))


def test_official_file_has_the_published_scales_and_strengths():
    if (folder := os.environ.get("DELFJAX_OFFICIAL")) is None:
        pytest.skip("needs $DELFJAX_OFFICIAL, a folder with love.jpg and love.delf")
    with Image.open(Path(folder) / "love.jpg") as photo:
        width, height = photo.size
    features = dx.read_delf(Path(folder) / "love.delf", (height, width))
    assert features.descriptors.shape == (546, 40)
    scales, counts = np.unique(features.scales, return_counts=True)
    np.testing.assert_allclose(scales, 2.0 ** (np.arange(-4, 3) / 2), rtol=2e-4)
    assert counts.tolist() == [5, 13, 31, 55, 91, 122, 229]
    assert 100 < features.scores.min() < 100.1
    # Every position is a multiple of 32 pixels of its level.
    cells = features.positions * features.scales[:, None] / 32
    np.testing.assert_allclose(cells, cells.round(), atol=1e-3)
    assert (features.positions < (height, width)).all()
    matched = dx.match(features, features)
    assert matched.num_inliers > 500
