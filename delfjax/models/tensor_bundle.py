"""Read checkpoints and PCA files of TensorFlow without TensorFlow.

A checkpoint consists of an index and data files. The index is a table of LevelDB, in blocks that
may be compressed by Snappy. It holds type, shape, place and CRC-32C checksum of each tensor. The
data files hold the values. Formats: ``tensorflow/core/util/tensor_bundle`` and
``tensorflow/core/lib/io/table_format.txt`` of TensorFlow, and ``format_description.txt`` of Snappy.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float

from delfjax.files import MAX_TENSOR_BYTES, check_size, reading
from delfjax.models.conversion import WeightsError

FOOTER_BYTES, TRAILER_BYTES = 48, 5
MAGIC = bytes.fromhex("57fb808b247547db")  # of a LevelDB table, at the end of the file
SNAPPY = 1  # type of a compressed block
FLOAT, STRING = 1, 7  # DT_FLOAT and DT_STRING
FIX = "copy the files again, or unpack the archive again"
Message = dict[int, list[int | bytes]]


@dataclass(frozen=True)
class Entry:
    """Type, shape, place (in bytes) and checksum of a tensor of a checkpoint."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


class TensorBundle:
    """A checkpoint of TensorFlow, versions 1 and 2. Values are read on demand.

    Args:
        index: Path of the ``.index`` file. The data files are in the same folder.

    Attributes:
        entries: Dict from name to type, shape, place and checksum of each tensor.

    Raises:
        FileNotFoundError: If the index does not exist.
        WeightsError: If the index is damaged or is not the index of a checkpoint.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        with reading(index, "the index of a TensorFlow checkpoint", fix=FIX, error=WeightsError):
            check_size(index.stat().st_size, MAX_TENSOR_BYTES)
            table = dict(_read_table(index.read_bytes()))
            self._shards = _number(parse_message(table.pop(b"")), 1, 1)
            self.entries = {name.decode(): _parse_entry(value) for name, value in table.items()}

    @property
    def digest(self) -> str:
        """SHA-256 of the names, shapes and checksums of all tensors, in hexadecimal."""
        rows = [[name, e.shape, e.crc] for name, e in sorted(self.entries.items())]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def read(self, name: str) -> Float[np.ndarray, "..."]:
        """Return the values of a float32 tensor.

        Raises:
            WeightsError: If the data file is missing or too short, or the tensor does not match its
                checksum, or is not of type float32.
        """
        entry, data = self.entries[name], self._read_bytes(name)
        if entry.dtype != FLOAT or len(data) != 4 * int(np.prod(entry.shape)):
            raise WeightsError(
                f"{self.index}: the tensor {name} has type {entry.dtype}, shape {entry.shape} and "
                f"{len(data)} bytes; expected type {FLOAT} (float32) and 4 bytes for each value. "
                f"Fix: {FIX}"
            )
        self._check(name, data, data)
        return np.frombuffer(data, "<f4").reshape(entry.shape).astype(np.float32)

    def read_string(self, name: str) -> bytes:
        """Return the value of a tensor that is one string. Errors: see `read`."""
        data = self._read_bytes(name)
        length, start = _varint(data, 0)
        self._check(name, data, struct.pack("<I", length) + data[start:])
        return data[start + 4 :]  # after the checksum of the length

    def _read_bytes(self, name: str) -> bytes:
        entry = self.entries[name]
        suffix = f".data-{entry.shard:05d}-of-{self._shards:05d}"
        path = self.index.with_suffix(suffix)
        try:
            with reading(path, "the data of a TensorFlow checkpoint", fix=FIX, error=WeightsError):
                check_size(entry.size, MAX_TENSOR_BYTES)
                with path.open("rb") as file:
                    file.seek(entry.offset)
                    data = file.read(entry.size)
        except FileNotFoundError:
            raise WeightsError(
                f"{path}: no such file; expected the values of the tensors of {self.index.name}. "
                "Fix: put the data file next to the index"
            ) from None
        if len(data) != entry.size:
            raise WeightsError(
                f"{path} ends at {path.stat().st_size:,} bytes, before the end of the tensor {name} at "
                f"{entry.offset + entry.size:,}; expected the data file of {self.index.name}. Fix: {FIX}"
            )
        return data

    def _check(self, name: str, data: bytes, summed: bytes) -> None:
        if (found := masked_crc32c(summed)) != self.entries[name].crc:
            raise WeightsError(
                f"{self.index}: the tensor {name} ({len(data):,} bytes) has the checksum {found:08x}; "
                f"expected {self.entries[name].crc:08x}, as in the index. The data file is damaged, or "
                f"belongs to another checkpoint. Fix: {FIX}"
            )


def read_datum(path: Path) -> Float[np.ndarray, "..."]:
    """Read an array of single precision from a ``.datum`` file of the official DELF code.

    Raises:
        FileNotFoundError: If the file does not exist.
        WeightsError: If the file is damaged or is not such a file.
    """
    with reading(path, "a .datum file of the DELF code", fix=FIX, error=WeightsError):
        check_size(path.stat().st_size, MAX_TENSOR_BYTES)
        datum = parse_message(path.read_bytes())
        dims, values = (_bytes(parse_message(_bytes(datum, field)), 1) for field in (1, 2))
        shape, place = [], 0
        while place < len(dims):
            side, place = _varint(dims, place)
            shape.append(side)
        return np.frombuffer(values, "<f4").reshape(shape).astype(np.float32)


def parse_message(data: bytes) -> Message:
    """Parse a protocol buffer. Return a dict from number to values of each field."""
    fields: Message = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        value: int | bytes
        if (wire := key & 7) == 0:
            value, place = _varint(data, place)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if wire == 2:
                size, place = _varint(data, place)
            if size is None or place + size > len(data):
                raise ValueError(f"a field of wire type {wire} at byte {place} is not valid")
            value, place = data[place : place + size], place + size
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _number(message: Message, field: int, default: int = 0) -> int:
    value = message.get(field, [default])[-1]
    return int.from_bytes(value, "little") if isinstance(value, bytes) else value


def _bytes(message: Message, field: int) -> bytes:
    if isinstance(value := message.get(field, [b""])[-1], bytes):
        return value
    raise ValueError(f"the field {field} is the number {value}")


def _parse_entry(value: bytes) -> Entry:
    """Parse the message ``BundleEntryProto``."""
    entry = parse_message(value)
    if 7 in entry:
        raise ValueError("it has a tensor in slices, which is not supported")
    sides = parse_message(_bytes(entry, 2)).get(2, [])
    shape = tuple(_number(parse_message(side), 1) for side in sides if isinstance(side, bytes))
    return Entry(_number(entry, 1), shape, *(_number(entry, field) for field in (3, 4, 5, 6)))


def _read_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table."""
    footer = table[-FOOTER_BYTES:]
    if footer[-len(MAGIC) :] != MAGIC:
        raise ValueError("its last eight bytes are not those of a LevelDB table")
    place = 0
    for _ in range(2):  # the first handle is that of the meta index
        offset, place = _varint(footer, place)
        size, place = _varint(footer, place)
    for _, handle in _read_block(table, offset, size):
        offset, place = _varint(handle, 0)
        yield from _read_block(table, offset, _varint(handle, place)[0])


def _read_block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block. Each key repeats a part of the key before it."""
    stored = table[offset : offset + size + TRAILER_BYTES]
    if masked_crc32c(stored[:-4]) != int.from_bytes(stored[-4:], "little"):
        raise ValueError(f"the block at byte {offset:,} does not match its checksum")
    block = _unsnappy(stored[:size]) if stored[size] == SNAPPY else stored[:size]
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))  # before the restarts
    place, key = 0, b""
    while place < end:
        shared, place = _varint(block, place)
        added, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + added]
        place += added + length
        yield key, block[place - length : place]


def _unsnappy(data: bytes) -> bytes:
    """Decompress a block: literal bytes, and copies of earlier output."""
    total, place = _varint(data, 0)
    check_size(total, MAX_TENSOR_BYTES)
    output = bytearray()
    while place < len(data):
        tag, place = data[place], place + 1
        length, extra = (tag >> 2) + 1, (0, 1, 2, 4)[tag & 3]
        if tag & 3 == 0 and length > 60:  # the length follows in one to four bytes
            extra = length - 60
        number, place = int.from_bytes(data[place : place + extra], "little"), place + extra
        if tag & 3 == 0:
            length = number + 1 if extra else length
            output += data[place : place + length]
            place += length
            continue
        if tag & 3 == 1:
            length, number = (tag >> 2 & 7) + 4, (tag >> 5 << 8) + number
        if not 0 < number <= len(output):
            raise ValueError("a compressed block is not valid")
        for _ in range(length):  # a copy may include bytes that it writes
            output.append(output[-number])
    if len(output) != total:
        raise ValueError(f"a block has {len(output)} bytes; expected {total}")
    return bytes(output)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, lowest bits first, and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        byte, place = data[place], place + 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ValueError("a number has more than ten bytes")


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes, rotated and shifted as in files of LevelDB and TensorFlow."""
    crc = int(_crc32c(np.frombuffer(data, np.uint8), _CRC_TABLE))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


_CRC_TABLE = np.arange(256, dtype=np.uint32)
for _ in range(8):
    _CRC_TABLE = np.where(_CRC_TABLE & 1, _CRC_TABLE >> 1 ^ 0x82F63B78, _CRC_TABLE >> 1)


@no_type_check  # the tests wrap annotated functions in shape checks, and numba cannot compile those
@numba.njit(cache=True)
def _crc32c(data, table):  # noqa: ANN001, ANN202
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF
