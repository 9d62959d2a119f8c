"""Write checkpoints in the format of TensorFlow, without TensorFlow.

The checksums are computed from the polynomial of RFC 3720.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
TYPES = {"float32": 1, "float64": 2, "int64": 9}


def _divide(number: int) -> int:
    """Divide a byte by the polynomial, as long division."""
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


REMAINDERS = [*map(_divide, range(256))]


@cache
def crc32c(data: bytes) -> int:
    """Compute CRC-32C, byte by byte."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = REMAINDERS[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def varint(number: int) -> bytes:
    found = b""
    while number >= 128:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    """Encode a field of a protocol buffer."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def snappy(data: bytes) -> bytes:
    """Compress by one literal, in pieces of two kinds, and a copy of the start if it repeats."""
    out = varint(len(data))
    for start in range(0, len(data), 100):
        piece = data[start : start + 100]
        if start and len(piece) <= 64 and data[start - len(piece) : start] == piece:
            out += bytes([len(piece) - 1 << 2 | 2]) + struct.pack("<H", len(piece))
        elif len(piece) <= 60:
            out += bytes([len(piece) - 1 << 2]) + piece
        else:
            out += bytes([60 << 2, len(piece) - 1]) + piece
    return out


def block(rows: Iterable[tuple[bytes, bytes]], *, compressed: bool = False) -> bytes:
    """Encode a block of a LevelDB table, with its type and checksum."""
    data, last = b"", b""
    for key, value in rows:
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        data += varint(shared) + varint(len(key) - shared) + varint(len(value))
        data += key[shared:] + value
        last = key
    data += struct.pack("<2I", 0, 1)  # one restart, at byte 0
    stored = (snappy(data) + b"\1") if compressed else data + b"\0"
    return stored + struct.pack("<I", masked(stored))


def table(rows: list[tuple[bytes, bytes]], *, compressed: bool, per_block: int = 7) -> bytes:
    """Encode a LevelDB table of several blocks."""
    out, handles = b"", []
    for start in range(0, len(rows), per_block):
        part = rows[start : start + per_block]
        encoded = block(part, compressed=compressed)
        handles.append((part[-1][0], varint(len(out)) + varint(len(encoded) - 5)))
        out += encoded
    places = []
    for content in ([], handles):
        encoded = block(content)
        places.append(varint(len(out)) + varint(len(encoded) - 5))
        out += encoded
    return out + b"".join(places).ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write(
    prefix: Path, tensors: Mapping[str, np.ndarray | bytes], *, compressed: bool = False
) -> Path:
    """Write ``prefix.index`` and its data file. Values of type bytes become strings."""
    data, rows = b"", [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name, tensor in sorted(tensors.items()):
        if isinstance(tensor, bytes):
            length = struct.pack("<I", len(tensor))
            check = struct.pack("<I", masked(length))
            values, kind, crc = (
                varint(len(tensor)) + check + tensor,
                7,
                masked(length + check + tensor),
            )
            shape: tuple[int, ...] = ()
        else:
            values, kind, shape = tensor.tobytes(), TYPES[tensor.dtype.name], tensor.shape
            crc = masked(values)
        sides = b"".join(field(2, field(1, side)) for side in shape)
        entry = field(1, kind) + field(2, sides) + field(4, len(data)) + field(5, len(values))
        rows.append((name.encode(), entry + varint(6 << 3 | 5) + struct.pack("<I", crc)))
        data += values
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(rows, compressed=compressed))
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    return prefix


def datum(array: np.ndarray) -> bytes:
    """Encode an array as a ``.datum`` file of the official code."""
    dims = b"".join(map(varint, array.shape))
    return field(1, field(1, dims)) + field(2, field(1, array.astype("<f4").tobytes()))


def object_graph(tree: Mapping[str, object]) -> bytes:
    """Encode the objects of a checkpoint of TensorFlow 2. Leaves of the tree are keys of tensors."""
    nodes: list[bytes] = []

    def add(value: object) -> int:
        number = len(nodes)
        nodes.append(b"")
        if isinstance(value, Mapping):
            children = [(name, add(child)) for name, child in value.items()]
            nodes[number] = b"".join(
                field(1, field(1, child) + field(2, name.encode())) for name, child in children
            )
        else:
            text = (b"VARIABLE_VALUE", b"conv/kernel", str(value).encode())
            nodes[number] = field(2, b"".join(field(n, t) for n, t in enumerate(text, start=1)))
        return number

    add(tree)
    return b"".join(field(1, node) for node in nodes)
