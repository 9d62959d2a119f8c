"""Read checkpoints and PCA files of TensorFlow without TensorFlow.

A checkpoint is an index and data files. The index holds type, shape, place and CRC-32C of each
tensor. It is a LevelDB table, whose blocks may be compressed by Snappy. Formats:
``tensor_bundle.proto`` and ``table_format.txt`` of TensorFlow, ``format_description.txt`` of Snappy.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, no_type_check

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


@dataclass(frozen=True)
class Entry:
    """Type, shape, data file (``shard``), place in it (in bytes) and checksum of a tensor."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


class TensorBundle:
    """A checkpoint of TensorFlow 1 or 2, whose values are read on demand.

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
            self._shards = parse_message(table.pop(b"")).get(1, [1])[0]
            self.entries = {name.decode(): _parse_entry(value) for name, value in table.items()}

    @property
    def digest(self) -> str:
        """SHA-256 of the names, shapes and checksums of all tensors, in hexadecimal."""
        rows = [[name, e.shape, e.crc] for name, e in sorted(self.entries.items())]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def read(self, name: str) -> Float[np.ndarray, "..."]:
        """Return the values of a float32 tensor.

        Raises:
            FileNotFoundError: If the data file does not exist.
            WeightsError: If the tensor does not match its checksum, or is not of type float32.
        """
        data, entry = self.read_bytes(name), self.entries[name]
        if entry.dtype != FLOAT:
            raise WeightsError(
                f"{self.index}: the tensor {name} has the type number {entry.dtype} of TensorFlow; expected "
                f"{FLOAT} (float32). Fix: use a checkpoint in single precision"
            )
        return np.frombuffer(data, "<f4").reshape(entry.shape).astype(np.float32)

    def read_bytes(self, name: str) -> bytes:
        """Return the bytes of a tensor, or the text if it is one string. Errors: see `read`."""
        entry = self.entries[name]
        path = self.index.with_suffix(f".data-{entry.shard:05d}-of-{self._shards:05d}")
        with reading(path, f"the data file of {self.index.name}", fix=FIX, error=WeightsError):
            check_size(entry.size, MAX_TENSOR_BYTES)
            with path.open("rb") as file:
                file.seek(entry.offset)
                stored = data = file.read(entry.size)
            if entry.dtype == STRING and data:  # length, checksum of the length, text
                stream = BytesIO(data)
                stored = struct.pack("<I", _read_varint(stream)) + stream.read()
                data = stored[8:]
            if (found := masked_crc32c(stored)) != entry.crc:
                raise ValueError(
                    f"the tensor {name} has the checksum {found:08x}; in the index: {entry.crc:08x}"
                )
        return data


def read_datum(path: Path) -> Float[np.ndarray, "..."]:
    """Read an array of single precision from a ``.datum`` file of the official DELF code.

    Raises:
        FileNotFoundError: If the file does not exist.
        WeightsError: If the file is damaged or is not such a file.
    """
    with reading(path, "a .datum file of the DELF code", fix=FIX, error=WeightsError):
        check_size(path.stat().st_size, MAX_TENSOR_BYTES)
        return parse_datum(path.read_bytes())


def parse_datum(data: bytes) -> Float[np.ndarray, "..."]:
    """Parse the message ``DatumProto`` of the official DELF code: an array of single precision."""
    datum = parse_message(data)
    sides, values = (parse_message(datum[field][0])[1][0] for field in (1, 2))
    stream, shape = BytesIO(sides), []
    while stream.tell() < len(sides):
        shape.append(_read_varint(stream))
    return np.frombuffer(values, "<f4").reshape(shape).astype(np.float32)


def parse_message(data: bytes) -> dict[int, list[Any]]:
    """Parse a protocol buffer. Return a dict from field number to all values (numbers or bytes)."""
    fields: dict[int, list[Any]] = {}
    stream = BytesIO(data)
    while stream.tell() < len(data):
        field, kind = divmod(_read_varint(stream), 8)
        value: int | bytes = 0
        if kind == 0:
            value = _read_varint(stream)
        else:
            size = _read_varint(stream) if kind == 2 else {1: 8, 5: 4}[kind]
            value = stream.read(size)
            if len(value) < size:
                raise ValueError(f"the field {field} is longer than the message")
            value = value if kind == 2 else int.from_bytes(value, "little")
        fields.setdefault(field, []).append(value)
    return fields


def _parse_entry(value: bytes) -> Entry:
    """Parse the message ``BundleEntryProto``."""
    entry = parse_message(value)
    if 7 in entry:
        raise ValueError("a tensor is stored in several slices; only whole tensors are supported")
    sides = parse_message(entry.get(2, [b""])[0]).get(2, [])
    shape = tuple(parse_message(side).get(1, [0])[0] for side in sides)
    dtype, *rest = (entry.get(field, [0])[0] for field in (1, 3, 4, 5, 6))
    return Entry(dtype, shape, *rest)


def _read_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table."""
    footer = table[-FOOTER_BYTES:]
    if footer[-len(MAGIC) :] != MAGIC:
        raise ValueError("its last eight bytes are not those of a LevelDB table")
    stream = BytesIO(footer)  # offset and size of the meta index, and of the index
    _, _, offset, size = (_read_varint(stream) for _ in range(4))
    for _, handle in _read_block(table, offset, size):
        stream = BytesIO(handle)
        yield from _read_block(table, _read_varint(stream), _read_varint(stream))


def _read_block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block. Each key repeats a part of the key before it."""
    stored = table[offset : offset + size + TRAILER_BYTES]
    if masked_crc32c(stored[:-4]) != int.from_bytes(stored[-4:], "little"):
        raise ValueError(f"the block at byte {offset:,} does not match its checksum")
    block = _unsnappy(stored[:size]) if stored[size] == SNAPPY else stored[:size]
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))  # before the restarts
    stream, key = BytesIO(block), b""
    while stream.tell() < end:
        shared, added, length = (_read_varint(stream) for _ in range(3))
        key = key[:shared] + stream.read(added)
        yield key, stream.read(length)


def _unsnappy(data: bytes) -> bytes:
    """Decompress a block: literal bytes, and copies of earlier output."""
    stream, output = BytesIO(data), bytearray()
    total = _read_varint(stream)
    check_size(total, MAX_TENSOR_BYTES)
    while start := stream.read(1):
        tag = start[0]
        kind, length = tag & 3, (tag >> 2) + 1
        extra = (0, 1, 2, 4)[kind]
        if kind == 0 and length > 60:  # the length follows in one to four bytes
            extra = length - 60
        number = int.from_bytes(stream.read(extra), "little")
        if kind == 0:
            output += stream.read(number + 1 if extra else length)
            continue
        if kind == 1:
            length, number = (tag >> 2 & 7) + 4, (tag >> 5 << 8) + number
        if not 0 < number <= len(output):
            raise ValueError("a compressed block is not valid")
        for _ in range(length):  # a copy may include bytes that it writes
            output.append(output[-number])
    if len(output) != total:
        raise ValueError(f"a block has {len(output)} bytes; expected {total}")
    return bytes(output)


def _read_varint(stream: BytesIO) -> int:
    """Read a number of seven bits a byte, lowest bits first."""
    number = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)[0]
        number |= (byte & 127) << shift
        if byte < 128:
            return number
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
