"""Pickles: plain data of every protocol is read, and no file can run anything or take the memory."""

import os
import pickle
import pickletools
import struct
import sys

import numpy as np
import pytest

from delfjax.datasets import pickles
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.pickles import load_plain

ARRAYS = {
    "int64": np.arange(6).reshape(2, 3),
    "big endian": np.arange(3000, dtype=">i4"),
    "float": np.array([0.5, -np.inf]),
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "bool": np.array([True, False]),
    "text": np.array(["all_souls", "né"]),
    "bytes": np.array([b"a", b"bcd"]),
    "empty": np.zeros((0, 4)),
    "of no dimension": np.array(7),
}
PLAIN = {
    "imlist": ["all_souls_000013", "né"],
    "gnd": [{"easy": [1, 2], "bbx": (1.5, -2.0), "junk": []}] * 2,
    "sets": [{1, 2}, frozenset("ab"), set()],
    "scalars": [None, True, 10**40, -(2**31), b"\0\xff", b"", ""],
    1: {(): 2}[()],
}


@pytest.fixture
def read(tmp_path):
    """Return a function that reads bytes as a pickle."""

    def read(content: bytes) -> object:
        (tmp_path / "gnd_oxford5k.pkl").write_bytes(content)
        return load_plain(tmp_path / "gnd_oxford5k.pkl")

    return read


# What is read


@pytest.mark.parametrize("protocol", range(5))
def test_plain_data_of_every_protocol(read, protocol):
    assert read(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_and_scalars_of_every_protocol(read, protocol, array):
    # Twice the same: it comes from the memo the second time.
    found, again, scalars = read(pickle.dumps([array, array, [*array.flat]], protocol))
    assert found is again
    assert found.dtype == pickle.loads(pickle.dumps(array, protocol)).dtype
    np.testing.assert_array_equal(found, array)
    assert [type(scalar) for scalar in scalars] == [type(scalar) for scalar in array.flat]
    assert scalars == [*array.flat]


def test_written_with_the_names_of_old_numpy(read):
    new = pickle.dumps(np.arange(3), 2)
    old = new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != new
    np.testing.assert_array_equal(read(old), [0, 1, 2])


def test_written_by_python_2(read):
    # What Python 2.7 writes of {"easy": array([1, 258], ">i2"), "name": "n\xe9"} and of a scalar.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n"
        b"(I1\n(I2\ntp6\ncnumpy\ndtype\np7\n(S'i2'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'>'\np11\nNNNI-1\nI-1\n"
        b"I0\ntp12\nbI00\nS'\\x00\\x01\\x01\\x02'\np13\ntp14\nb"
    )
    scalar = b"cnumpy.core.multiarray\nscalar\n(g10\nS'\\xff\\xfe'\ntR"
    found = read(b"(dS'easy'\n" + array + b"sS'name'\nS'n\\xe9'\nsS'scalar'\n" + scalar + b"s.")
    np.testing.assert_array_equal(found["easy"], [1, 258])
    assert found["name"] == "né"
    assert found["scalar"] == -2
    assert read(b"\x80\x02U\x03n\xe9!.") == "né!"  # of protocol 2


def test_what_is_nested_deeply_is_no_matter(read):
    depth = 50 * sys.getrecursionlimit()
    found = read(b"]" * depth + b"a" * (depth - 1) + b".")
    for _ in range(depth - 1):
        (found,) = found
    assert found == []


def test_list_that_holds_itself(read):
    found = read(b"]q\x00h\x00a.")
    assert found[0] is found


# What runs code. Each is a program for Python's own reader.


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.fixture
def command(tmp_path):
    """Return a shell command that leaves a file, and check that it was never run."""
    yield f"touch {tmp_path / 'ran'}"
    assert not (tmp_path / "ran").exists()


def looked_up(module: str, name: str) -> bytes:
    return b"\x80\x04" + text(module) + text(name) + b"\x93"


def programs(command: str) -> dict[str, bytes]:
    """Write a call of os.system for every instruction that looks up or calls a name."""
    line, here = command.encode(), text(command)
    return {
        "GLOBAL, REDUCE": b"cposix\nsystem\n(S'" + line + b"'\ntR.",
        "STACK_GLOBAL, REDUCE": looked_up("posix", "system") + here + b"\x85R.",
        "INST": b"(S'" + line + b"'\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS'" + line + b"'\no.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + b"(S'" + line + b"'\nt\x81.",
        "NEWOBJ_EX": looked_up("subprocess", "Popen") + here + b"\x85}\x92.",
        "a name alone": b"cos\nsystem\n.",
        "an alias of a module": b"cnumpy\nos.system\n(S'" + line + b"'\ntR.",
        "a dotted name": looked_up("numpy", "os.system") + here + b"\x85R.",
        "an attribute": looked_up("numpy", "dtype.__new__") + here + b"\x85R.",
        "getattr": b"c__builtin__\ngetattr\n(cnumpy\ndtype\nS'__new__'\ntR.",
        "eval": b"c__builtin__\neval\n(S'1'\ntR.",
        "a module of tests": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
        "a loader of pickles": b"c_pickle\nloads\n(S'.'\ntR.",
        "a loader of arrays": b"cnumpy\nload\n(S'x'\ntR.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "PERSID": b"Pos.system\n.",
        "BINPERSID": b"U\x01xQ.",
        "BUILD of a list": b"]}S'x'\nI1\nsb.",
        "BUILD of a name": b"cnumpy\ndtype\n}S'__call__'\nI1\nsb.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "in an array": pickle.dumps(np.array([Call(os.system, command)], object)),
        "in a dict": pickle.dumps({"imlist": [Call(os.system, command)]}),
    }


@pytest.mark.parametrize("route", programs(""))
def test_nothing_is_run(read, command, route):
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl: .*expected"):
        read(programs(command)[route])


def test_programs_do_run_elsewhere(tmp_path):
    # Else the test above would show nothing.
    command = f"touch {tmp_path / 'ran'}"
    for route in ("GLOBAL, REDUCE", "STACK_GLOBAL, REDUCE", "INST", "OBJ", "in a dict"):
        pickle.loads(programs(command)[route])
        assert (tmp_path / "ran").exists(), route
        (tmp_path / "ran").unlink()


def test_the_name_that_was_asked_for_is_named(read):
    with pytest.raises(DatasetError, match=r"asks for posix\.system; .*Nothing of it was run"):
        read(b"cposix\nsystem\n.")


def test_every_instruction_is_admitted_or_refused(read):
    admitted = set(pickles.ADMITTED.split())
    known = {op.name for op in pickletools.opcodes}
    assert admitted <= known
    refused = {
        *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
        *("BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"),
    }
    assert known - admitted == refused
    for op in pickletools.opcodes:
        if op.name in refused:
            with pytest.raises(DatasetError, match=f"uses the instruction {op.name}; expected"):
                read(b"(NN" + op.code.encode("latin1") + bytes(9) + b".")


# Odd arguments for what is admitted


class Names(pickle._Pickler):
    """Writes names as given, with calls of them: ``("numpy", "dtype", arguments, state)``."""

    def save_call(self, value):
        module, name, arguments, *state = value.parts
        self.write(b"c" + f"{module}\n{name}\n".encode())
        if arguments is not None:
            self.save(arguments)
            self.write(pickle.REDUCE)
        for each in state:
            self.save(each)
            self.write(pickle.BUILD)


class Made:
    def __init__(self, *parts):
        self.parts = parts


Names.dispatch = {**pickle._Pickler.dispatch, Made: Names.save_call}


def written(value, tmp_path) -> bytes:
    with (tmp_path / "made.pkl").open("wb") as file:
        Names(file, 2).dump(value)
    return (tmp_path / "made.pkl").read_bytes()


def dtype(code="i8", *state):
    return Made("numpy", "dtype", (code, False, True), *state)


def array(*state, kind=None, shape=(0,)):
    kind = kind or Made("numpy", "ndarray", None)
    return Made("numpy.core.multiarray", "_reconstruct", (kind, shape, b"b"), *state)


def scalar(*arguments):
    return Made("numpy.core.multiarray", "scalar", arguments)


RECORD = (3, "|", None, ("a",), {"a": (dtype(), 0)}, 8, 1, 16)
ODD = {
    "dtype of objects": scalar(dtype("O"), b"12345678"),
    "dtype by a name": scalar(dtype("object"), b"12345678"),
    "dtype of a list": scalar(dtype([("a", "O")]), b"12345678"),
    "dtype of records by commas": scalar(dtype("i4,O"), b"12345678"),
    "dtype of a number": scalar(dtype(8), b"12345678"),
    "dtype of void": scalar(dtype("V8"), b"12345678"),
    "dtype of dates": scalar(dtype("M8"), b"12345678"),
    "dtype made a record": array((1, (1,), dtype("i8", RECORD), False, bytes(8))),
    "dtype of subarrays": array((1, (1,), dtype("i8", (3, "|", (dtype(), (2,)), None, None))), b""),
    "dtype of odd order": scalar(dtype("i8", (3, "O", None, None, None)), bytes(8)),
    "dtype built of a dict": dtype("i8", {"order": "O"}),
    "dtype alone": dtype(),
    "class alone": [Made("numpy", "ndarray", None)],
    "function alone": {"x": Made("_codecs", "encode", None)},
    "class called": Made("numpy", "ndarray", ((2**40,),)),
    "another class": array(kind=dtype()),
    "a class by text": array(kind="numpy.memmap"),
    "array of a list": array((1, (1,), dtype(), False, [None])),
    "array of a plain dtype": array((1, (1,), "O", False, bytes(8))),
    "array of too few bytes": array((1, (2,), dtype(), False, bytes(8))),
    "array of too many bytes": array((1, (1,), dtype(), False, bytes(16))),
    "array of a huge shape": array((1, (2**62, 4), dtype(), False, b"")),
    "array whose size overflows": array((1, (2**32, 2**32), dtype(), False, b"")),
    "array of a negative shape": array((1, (-1, -1), dtype(), False, bytes(8))),
    "array of a shape of floats": array((1, (1.0,), dtype(), False, bytes(8))),
    "array of empty text": array((1, (2**40,), dtype("U0"), False, b"")),
    "array of no tuple": array({"__class__": 1}),
    "array of text beyond Latin-1": array((1, (1,), dtype("S1"), False, "€")),
    "array of 70 dimensions": array((1, (1,) * 70, dtype("i1"), False, b"x")),
    "scalar of two numbers": scalar(dtype(), bytes(16)),
    "scalar of half a number": scalar(dtype(), bytes(4)),
    "scalar of objects": scalar("O", bytes(8)),
    "encode to a file": Made("_codecs", "encode", ("x", "zip")),
    "encode a number": Made("_codecs", "encode", (3, "latin1")),
    "encode with a handler": Made("_codecs", "encode", ("x", "latin1", "strict")),
    "bytes of a number": Made("__builtin__", "bytes", (2**40,)),
    "set of text": Made("builtins", "set", ("abc",)),
    "set of a list of lists": Made("builtins", "set", ([[]],)),
    "call with a number": Made("numpy", "dtype", 3),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_arguments(read, tmp_path, odd):
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl: "):
        read(written(odd, tmp_path))


def test_the_odd_ones_are_written_well(read, tmp_path):
    # Else the test above would show nothing.
    plain = array((1, (1,), dtype("i8", (3, "<", None, None, None, -1, -1, 0)), False, bytes(8)))
    np.testing.assert_array_equal(read(written(plain, tmp_path)), [0])
    assert read(written(scalar(dtype(), bytes(8)), tmp_path)) == 0
    assert read(written(array(), tmp_path)).size == 0


# What would take the memory, the time or the stack


def test_memo_of_a_huge_number(read):
    # Python's reader in C makes room for as many.
    assert read(b"Nr" + struct.pack("<I", 2**32 - 1) + b".") is None


@pytest.mark.parametrize("code", ["BINUNICODE8", "BINBYTES8", "LONG4", "BYTEARRAY8", "FRAME"])
def test_lengths_that_are_not_there(read, code):
    (op,) = (op for op in pickletools.opcodes if op.name == code)
    size = struct.pack("<i", 2**31 - 1) if code == "LONG4" else struct.pack("<Q", 2**40)
    with pytest.raises(DatasetError):
        read(b"\x80\x05" + op.code.encode("latin1") + size + b"x.")


KEYS = {
    "SETITEM": (b"}", b"Ns."),
    "SETITEMS": (b"}(", b"Nu."),
    "DICT": (b"(", b"Nd."),
    "ADDITEMS": (b"\x8f(", b"\x90."),
    "FROZENSET": (b"(", b"\x91."),
    "set": (b"cbuiltins\nset\n](", b"e\x85R."),
}


@pytest.mark.parametrize("ends", KEYS.values(), ids=KEYS)
def test_keys_that_take_for_ever_to_hash(read, ends):
    # A tuple of twice a tuple of twice ...: its hash takes 2 ** 200 steps; a deep one the C stack.
    before, after = ends
    twice = b")" + b"2\x86" * 200
    with pytest.raises(DatasetError, match="holds a tuple as a key or in a set"):
        read(b"\x80\x04" + before + twice + after)


def test_file_over_the_limit(read, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    assert read(b"].") == []
    with pytest.raises(DatasetError, match="holds more than 10 bytes"):
        read(b"]" + b"0]" * 4 + b"..")


# What is damaged


NO_PICKLES = b"", b"\x80", b"\x80\x09.", b"hello", b"<html></html>", b"R.", b"(.", b"0.", b"Nb."


@pytest.mark.parametrize("content", NO_PICKLES)
def test_files_that_are_no_pickles(read, content):
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl: "):
        read(content)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_truncated(read, protocol):
    whole = pickle.dumps(PLAIN | ARRAYS, protocol)
    for kept in range(0, len(whole), 499):
        with pytest.raises(DatasetError):
            read(whole[:kept])


def test_noise_never_gives_another_error(read):
    whole = pickle.dumps(PLAIN | {"text": ARRAYS["text"], "int": ARRAYS["int64"]}, 2)
    rng = np.random.default_rng(0)
    for _ in range(300):
        noisy = bytearray(whole)
        for at in rng.integers(len(whole), size=3):
            noisy[at] = rng.integers(256)
        try:
            read(bytes(noisy))
        except DatasetError:
            continue


def test_missing_file(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.pkl: cannot be read \(No such file"):
        load_plain(tmp_path / "none.pkl")
