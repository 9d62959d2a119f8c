"""Checkpoints of TensorFlow: values, checksums, and errors that name the tensor."""

import os
from contextlib import suppress

import bundles
import numpy as np
import pytest

from delfjax.models.conversion import WeightsError
from delfjax.models.tensor_bundle import (
    TensorBundle,
    _unsnappy,
    masked_crc32c,
    parse_message,
    read_datum,
)

RANDOM = np.random.default_rng(0)
TENSORS = {
    f"block{number}/unit/{part}": RANDOM.normal(0, 1, shape).astype(np.float32)
    for number in range(12)
    for part, shape in (("weights", (1, 2, number + 1, 3)), ("beta", (3,)))
} | {"a scalar": np.array(1.5, np.float32), "empty": np.zeros((0, 3), np.float32)}
NAME = "block3/unit/weights"


@pytest.fixture
def checkpoint(tmp_path):
    return bundles.write(tmp_path / "model.ckpt-7", TENSORS | {"graph": b"abc" * 99})


def index_of(prefix):
    return prefix.with_name(f"{prefix.name}.index")


def data_of(prefix):
    return prefix.with_name(f"{prefix.name}.data-00000-of-00001")


def change(path, place, value=None):
    """Change the byte at a place, or cut the file there."""
    content = bytearray(path.read_bytes())
    if value is None:
        del content[place:]
    else:
        content[place] ^= value
    path.write_bytes(content)


def test_the_checksum_is_that_of_the_standard():
    assert bundles.crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    for text in (b"", b"123456789", RANDOM.bytes(1000)):
        assert masked_crc32c(text) == bundles.masked(text)


@pytest.mark.parametrize("compressed", [False, True])
def test_values_are_those_that_were_written(tmp_path, compressed):
    prefix = bundles.write(tmp_path / "m", TENSORS | {"graph": b"abc" * 99}, compressed=compressed)
    bundle = TensorBundle(index_of(prefix))
    assert set(bundle.entries) == {*TENSORS, "graph"}
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(bundle.read(name), tensor)
        assert bundle.entries[name].shape == tensor.shape
    assert bundle.read_bytes("graph") == b"abc" * 99


def test_the_digest_depends_on_each_value_and_not_on_the_place(tmp_path):
    digests = []
    for number, added in enumerate(({}, {}, {NAME: TENSORS[NAME] + 1}, {"more": TENSORS[NAME]})):
        prefix = bundles.write(tmp_path / f"{number}", TENSORS | added, compressed=number == 1)
        digests.append(TensorBundle(index_of(prefix)).digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("compressed", "expected"),
    [
        (b"\x08\x04ab\x09\x02", b"abababab"),  # a copy with one byte of offset, which overlaps
        (b"\x08\x04ab\x16\x02\x00", b"abababab"),  # two bytes
        (b"\x08\x04ab\x17\x02\x00\x00\x00", b"abababab"),  # four bytes
        (b"\x3e\xf0\x3d" + b"x" * 62, b"x" * 62),  # a literal whose length is in one byte
        (b"\x3e\xf4\x3d\x00" + b"y" * 62, b"y" * 62),  # in two bytes
        (b"\x08\x04ab\x09\x03", None),  # a copy of bytes before the start
        (b"\x08\x04ab\x09\x00", None),  # an offset of zero
        (b"\x09\x04ab\x09\x02", None),  # fewer bytes than announced
    ],
)
def test_snappy(compressed, expected):
    if expected is None:
        with pytest.raises(ValueError, match="block"):
            _unsnappy(compressed)
    else:
        assert _unsnappy(compressed) == expected


@pytest.mark.parametrize("message", [b"\x0a\x05abc", b"\x08" + b"\xff" * 11, b"\x0d\x01"])
def test_damaged_messages(message):
    with pytest.raises(ValueError, match=r"longer than the message|ten bytes"):
        parse_message(message)


# --- refusals


def test_a_changed_value_is_refused_by_the_name_of_its_tensor(checkpoint):
    bundle = TensorBundle(index_of(checkpoint))
    change(data_of(checkpoint), bundle.entries[NAME].offset + 5, 1)
    with pytest.raises(WeightsError, match=rf"tensor {NAME} has the checksum .* Fix: "):
        bundle.read(NAME)
    bundle.read("block4/unit/weights")
    change(data_of(checkpoint), bundle.entries["graph"].offset + 50, 1)
    with pytest.raises(WeightsError, match="the tensor graph"):
        bundle.read_bytes("graph")


def test_a_data_file_that_is_too_short_or_missing(checkpoint):
    bundle = TensorBundle(index_of(checkpoint))
    change(data_of(checkpoint), bundle.entries[NAME].offset + 7)
    with pytest.raises(WeightsError, match=f"the tensor {NAME} has the checksum"):
        bundle.read(NAME)
    os.remove(data_of(checkpoint))
    with pytest.raises(FileNotFoundError, match=r"data-00000-of-00001"):
        bundle.read(NAME)


def test_a_tensor_of_another_type(tmp_path):
    prefix = bundles.write(tmp_path / "m", {"step": np.array([7]), "half": np.zeros(2)})
    for name in ("step", "half"):
        with pytest.raises(WeightsError, match=f"the tensor {name} has the type"):
            TensorBundle(index_of(prefix)).read(name)


def test_every_damage_to_the_index_is_found(checkpoint):
    path = index_of(checkpoint)
    content = path.read_bytes()
    intact, harmless = TensorBundle(path).entries, 0
    footer = len(content) - 48
    for place in range(0, footer, 5):
        change(path, place, 4)
        with suppress(WeightsError):
            assert TensorBundle(path).entries == intact
            harmless += 1
        path.write_bytes(content)
    assert harmless <= 3  # in the meta index, 13 bytes that are not read
    for length in (0, 5, 48, footer, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match="damaged"):
            TensorBundle(path)


def test_a_datum_file(tmp_path):
    path, array = tmp_path / "mean.datum", RANDOM.normal(0, 1, (3, 200)).astype(np.float32)
    path.write_bytes(bundles.datum(array))
    np.testing.assert_array_equal(read_datum(path), array)
    path.write_bytes(bundles.datum(array)[:-4])
    with pytest.raises(WeightsError, match=r"damaged; expected a \.datum file"):
        read_datum(path)
    with pytest.raises(FileNotFoundError):
        read_datum(tmp_path / "none.datum")
