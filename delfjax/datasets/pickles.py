"""Ground truth that is published as a pickle, read as plain data: nothing that a file names is run.

A pickle is a program. Python's own reader imports whatever a file names and calls it; a reader that
only looks up names in a list still hands NumPy's constructors arguments that the file chose. Here
the program may use few instructions and name few things, and each name stands for a function of
this module that checks its arguments. Not in the paper.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from delfjax.datasets.benchmark import DatasetError

MAX_BYTES = 16_000_000  # the names of 100,000 photos are 3 MB
EXPECTED = "lists, dicts, sets, numbers, strings and arrays of these"
SCALARS = (type(None), bool, int, float, str, bytes)
CONTAINERS = (list, tuple, set, frozenset, dict)
# Numbers and strings of NumPy: no objects, no records, no dates.
DTYPE_CODE = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,4}")

# Instructions that are left out: objects (INST, OBJ, NEWOBJ, NEWOBJ_EX), names by number (EXT1, 2, 4),
# names by reader (PERSID, BINPERSID), and buffers (BYTEARRAY8, NEXT_BUFFER, READONLY_BUFFER), the
# first of which makes room before it reads.
ADMITTED = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG "
    "LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE BINUNICODE8 "
    "SHORT_BINUNICODE BINBYTES BINBYTES8 SHORT_BINBYTES EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE "
    "TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET PUT "
    "BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD"
)
# Where on the stack lie the values that an instruction hashes. A tuple of tuples of tuples is hashed
# by recursion in C, or in exponential time: only scalars may be hashed.
HASHED = {
    "SETITEM": slice(-2, -1),
    "SETITEMS": slice(0, None, 2),
    "DICT": slice(0, None, 2),
    "ADDITEMS": slice(None),
    "FROZENSET": slice(None),
}


def load_plain(path: Path) -> object:
    """Read a pickle that holds plain data, of Python 2 (its strings as Latin-1) or 3.

    Plain are dict, list, tuple, set, frozenset, None, bool, int, float, str, bytes, and NumPy's
    arrays and scalars of numbers and strings. Keys of dicts and members of sets are scalars. An
    array of objects is not plain, and neither are pickles of protocol 5 that hold arrays.

    Raises:
        DatasetError: The file is missing, over `MAX_BYTES`, damaged, or asks for anything else.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _Refused(f"holds more than {MAX_BYTES:,} bytes")
        value = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
        _check_plain(value)
        return value
    except _Refused as refused:
        raise DatasetError(
            f"{path}: {refused}; expected {EXPECTED}. Nothing of it was run. Get it again from its "
            "publisher, or convert it where you trust it"
        ) from None
    except Exception as error:  # what a damaged program does to its interpreter may raise anything
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise DatasetError(
            f"{path}: cannot be read ({why}); expected a pickle of {EXPECTED}. Get it again from its "
            "publisher"
        ) from error


class _Refused(Exception):  # noqa: N818 - a verdict, which load_plain words
    """What a file asks for that it may not have."""


# --- what names stand for --------------------------------------------------------------------------


class _DType:
    """Stands for a ``numpy.dtype``: a code such as ``i8``, and a byte order that comes later."""

    def __init__(self, code: object, align: object = False, copy: object = True) -> None:
        if not (isinstance(code, str) and DTYPE_CODE.fullmatch(code)):
            raise _Refused(f"holds an array of dtype {str(code)[:40]!r}")
        self.code, self.order = code, "="

    def build(self, state: object) -> None:
        """Take ``(version, order, subarray, names, fields, size, alignment, flags)``."""
        if not (isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None, None, None)):
            raise _Refused("holds an array of records")
        if state[1] not in ("<", ">", "|", "="):
            raise _Refused("holds an array of unknown byte order")
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


_NDARRAY = object()  # stands for the class numpy.ndarray: the only one that _reconstruct makes


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray:
    """Stand for ``numpy.core.multiarray._reconstruct``: an empty array, which BUILD fills."""
    if kind is not _NDARRAY:
        raise _Refused("holds an array of another class than numpy.ndarray")
    return np.empty(0, np.int8)


def _fill(array: np.ndarray, state: object) -> None:
    """Stand for ``ndarray.__setstate__``: the numbers are in the file, as many as the shape says."""
    match state:
        case (
            int(),
            tuple(shape),
            _DType() as kind,
            bool() | int() as fortran,
            str() | bytes() as data,
        ):
            data, dtype = _bytes(data), kind.dtype
        case _:
            raise _Refused("holds an array whose content is not bytes")
    if not all(type(side) is int and 0 <= side <= MAX_BYTES for side in shape):
        raise _Refused("holds an array of impossible shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _Refused(f"holds an array of {len(data):,} bytes that does not fill its shape")
    array.__setstate__((1, shape, dtype, bool(fortran), data))


def _scalar(kind: object, data: object) -> np.generic:
    """Stand for ``numpy.core.multiarray.scalar``."""
    if not (isinstance(kind, _DType) and isinstance(data, str | bytes)):
        raise _Refused("holds a NumPy scalar that is not made of a dtype and bytes")
    (value,) = np.frombuffer(_bytes(data), kind.dtype)
    return value


def _bytes(data: str | bytes) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else data


def _encode(text: object, encoding: object) -> bytes:
    """Stand for ``_codecs.encode``, in which Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("calls _codecs.encode for something else than Latin-1")
    return _bytes(text)


def _empty() -> bytes:
    """Stand for ``bytes``, which Python 3 calls without arguments to make none of Python 2."""
    return b""


def _collected(kind: Callable) -> Callable:
    """Stand for ``set`` or ``frozenset``."""

    def collect(members: object) -> set | frozenset:
        if type(members) is not list:
            raise _Refused("holds a set that is not made of a list")
        _check_hashed(members)
        return kind(members)

    return collect


ALLOWED = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty,
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    **{
        (module, kind.__name__): _collected(kind)
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset)
    },
}


# --- the reader ------------------------------------------------------------------------------------


def _check_hashed(values: list) -> None:
    for value in values:
        if type(value) not in SCALARS:
            raise _Refused(f"holds a {type(value).__name__} as a key or in a set")


# Python's reader written in Python, as joblib uses it too: its instructions are a table, from which
# they can be taken, and its memo a dict, where the one in C makes room for any number a file names.
class _PlainUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise _Refused(f"asks for {module}.{name}")
        return ALLOWED[module, name]

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is np.ndarray:
            _fill(target, state)
        elif type(target) is _DType:
            target.build(state)
        else:
            raise _Refused(f"sets the state of a {type(target).__name__}")


def _instruction(op: pickletools.OpcodeInfo) -> Callable[[_PlainUnpickler], None]:
    """Return what an instruction does here: as in Python's reader, or with checks, or not at all."""
    if op.name == "BUILD":
        return _PlainUnpickler.load_build

    def refuse(self: _PlainUnpickler) -> NoReturn:
        raise _Refused(f"uses the instruction {op.name}")

    if op.name not in ADMITTED.split():
        return refuse
    run = pickle._Unpickler.dispatch[ord(op.code)]

    def check_and_run(self: _PlainUnpickler) -> None:
        _check_hashed(self.stack[HASHED[op.name]])
        run(self)

    return check_and_run if op.name in HASHED else run


_PlainUnpickler.dispatch = {ord(op.code): _instruction(op) for op in pickletools.opcodes}


def _check_plain(value: object) -> None:
    """Refuse names that were looked up and kept; without recursion, as deep as the file may be."""
    seen, waiting = set(), [value]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or type(value) in SCALARS:
            continue
        seen.add(id(value))
        if type(value) in CONTAINERS:
            waiting.extend(_held(value))
        elif not isinstance(value, np.ndarray | np.generic):
            raise _Refused(f"holds a {type(value).__name__}")


def _held(container: list | tuple | set | frozenset | dict) -> Iterator[object]:
    yield from container
    if isinstance(container, dict):
        yield from container.values()
