"""Read ground truth from a pickle file without running code from the file.

A pickle file is a list of instructions. Some instructions call any Python function that the file
names. `load_plain` executes only instructions that build dicts, lists, tuples, strings and numbers.
All other instructions raise an error. Published ground truth does not need them.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from delfjax.datasets.benchmark import invalid, unreadable
from delfjax.files import check_regular

MAX_BYTES = 16_000_000  # of a file; the names of 100,000 photos take 3 MB
EXPECTED = "dicts, lists, tuples, strings and numbers"
ALLOWED = {
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "FLOAT", "BINFLOAT"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
}
# Stack positions of the dict keys that an instruction takes. Keys have to be strings: hashing
# nested tuples can take exponential time, or overflow the C stack.
KEYS = {"SETITEM": slice(-2, -1), "SETITEMS": slice(0, None, 2), "DICT": slice(0, None, 2)}


class _UnsafePickleError(Exception):
    """Raised if a file is too large or has an instruction or a key that plain data do not need."""


def load_plain(path: Path) -> object:
    """Read a pickle file of plain data, written by Python 2 or 3.

    Plain data are dicts with string keys, lists, tuples, strings, numbers, booleans and None.

    Raises:
        DatasetError: The file cannot be read, exceeds `MAX_BYTES`, or does not hold plain data.
    """
    try:
        check_regular(path)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _UnsafePickleError(f"the file has more than {MAX_BYTES:,} bytes, the limit")
        return _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except _UnsafePickleError as error:
        fix = f"download the file again, or, if you trust the file, convert it to {EXPECTED}"
        raise invalid(path, f"{error}. No code from the file was run", fix=fix) from None
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # a damaged program can make the interpreter raise anything
        reason = f"{type(error).__name__}: {error}"
        raise invalid(path, f"is damaged ({reason}); expected a pickle of {EXPECTED}") from error


class _PlainUnpickler(pickle._Unpickler):
    """The unpickler that the standard library implements in Python, with replaced instructions.

    The C unpickler has fixed instructions, and allocates as much memory as a file demands.
    """

    stack: list[Any]


def _instruction(op: pickletools.OpcodeInfo) -> Callable[[Any], None]:
    """Return a method of `_PlainUnpickler` that executes an instruction, or raises an error."""

    def refuse(self: _PlainUnpickler) -> NoReturn:
        found = f"the file uses the pickle instruction {op.name}"
        raise _UnsafePickleError(f"{found}; expected only {EXPECTED}")

    if op.name not in ALLOWED:
        return refuse
    execute: Callable[[Any], None] = pickle._Unpickler.dispatch[ord(op.code)]

    def check_keys_and_execute(self: _PlainUnpickler) -> None:
        for key in self.stack[KEYS[op.name]]:
            if type(key) is not str:
                found = f"found a dict key of type {type(key).__name__}"
                raise _UnsafePickleError(f"{found}; expected str")
        execute(self)

    return check_keys_and_execute if op.name in KEYS else execute


_PlainUnpickler.dispatch = {ord(op.code): _instruction(op) for op in pickletools.opcodes}
