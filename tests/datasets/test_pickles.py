"""Pickles: plain data is read; no file can run code or exhaust memory."""

import pickle
import pickletools
import struct
import sys

import numpy as np
import pytest

from delfjax.datasets import revisited
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.revisited import load_plain

PLAIN = {
    "imlist": ["all_souls_000013", "né"],
    "gnd": [{"easy": [1, 2], "bbx": (1.5, -2.0), "junk": []}] * 2,
    "scalars": [None, True, False, 10**40, -(2**31), 0.5, ""],
}


@pytest.fixture
def read(tmp_path):
    """Return a function that reads bytes as a pickle."""

    def read(content: bytes) -> object:
        (tmp_path / "gnd_oxford5k.pkl").write_bytes(content)
        return load_plain(tmp_path / "gnd_oxford5k.pkl")

    return read


# --- plain data


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(read, protocol):
    assert read(pickle.dumps(PLAIN, protocol)) == PLAIN


def test_strings_of_python_2(read):
    assert read(b"(dS'name'\nS'n\\xe9'\ns.") == {"name": "né"}  # protocol 0
    assert read(b"\x80\x02U\x03n\xe9!.") == "né!"  # protocol 2


def test_deep_nesting(read):
    depth = 50 * sys.getrecursionlimit()
    found = read(b"]" * depth + b"a" * (depth - 1) + b".")
    for _ in range(depth - 1):
        (found,) = found
    assert found == []


def test_a_list_that_contains_itself(read):
    found = read(b"]q\x00h\x00a.")
    assert found[0] is found


# --- programs that run code in Python's own reader


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def look_up(module: str, name: str) -> bytes:
    return b"\x80\x04" + text(module) + text(name) + b"\x93"


def programs(command: str) -> dict[str, bytes]:
    """Return a program for every instruction that looks up, calls or restores something."""
    line, argument = command.encode(), text(command)
    return {
        "GLOBAL, REDUCE": b"cposix\nsystem\n(S'" + line + b"'\ntR.",
        "STACK_GLOBAL, REDUCE": look_up("posix", "system") + argument + b"\x85R.",
        "INST": b"(S'" + line + b"'\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS'" + line + b"'\no.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + b"(S'" + line + b"'\nt\x81.",
        "NEWOBJ_EX": look_up("subprocess", "Popen") + argument + b"\x85}\x92.",
        "a name alone": b"cos\nsystem\n.",
        "a harmless name": b"cbuiltins\nset\n.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "PERSID": b"Pos.system\n.",
        "BINPERSID": b"U\x01xQ.",
        "BUILD": b"]}S'x'\nI1\nsb.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "a NumPy array": pickle.dumps(np.arange(3)),
    }


@pytest.fixture
def command(tmp_path):
    """Return a shell command that creates a file; check afterwards that it was not run."""
    yield f"touch {tmp_path / 'ran'}"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("program", programs(""))
def test_nothing_is_run(read, command, program):
    message = r"gnd_oxford5k\.pkl: damaged; expected a pickle of dicts, .*Fix: download"
    with pytest.raises(DatasetError, match=message):
        read(programs(command)[program])


def test_these_programs_do_run_in_pythons_reader(tmp_path):
    command = f"touch {tmp_path / 'ran'}"
    for program in ("GLOBAL, REDUCE", "STACK_GLOBAL, REDUCE", "INST", "OBJ"):
        pickle.loads(programs(command)[program])
        assert (tmp_path / "ran").exists(), program
        (tmp_path / "ran").unlink()


# --- files that exhaust memory


def test_a_huge_memo_number(read):
    # Python's reader in C allocates that many entries.
    assert read(b"Nr" + struct.pack("<I", 2**32 - 1) + b".") is None


@pytest.mark.parametrize("name", ["BINUNICODE8", "LONG4", "FRAME"])
def test_lengths_beyond_the_end_of_the_file(read, name):
    (op,) = (op for op in pickletools.opcodes if op.name == name)
    size = struct.pack("<i", 2**31 - 1) if name == "LONG4" else struct.pack("<Q", 2**40)
    with pytest.raises(DatasetError):
        read(b"\x80\x05" + op.code.encode("latin1") + size + b"x.")


def test_a_file_above_the_size_limit(read, monkeypatch):
    monkeypatch.setattr(revisited, "MAX_PICKLE_BYTES", 10)
    assert read(b"].") == []
    with pytest.raises(DatasetError, match="11 bytes are more than the limit of 10"):
        read(b"]" + b"0]" * 4 + b"..")


# --- damaged files


NO_PICKLES = b"", b"\x80", b"\x80\x09.", b"hello", b"<html></html>", b"(.", b"0.", b"Ns."


@pytest.mark.parametrize("content", NO_PICKLES)
def test_files_that_are_not_pickles(read, content):
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl: "):
        read(content)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_truncated_files(read, protocol):
    content = pickle.dumps(PLAIN, protocol)
    for length in range(0, len(content), 3):
        with pytest.raises(DatasetError):
            read(content[:length])


def test_noise_raises_no_other_error(read):
    content = pickle.dumps(PLAIN, 2)
    random = np.random.default_rng(0)
    for _ in range(100):
        noisy = bytearray(content)
        for position in random.integers(len(content), size=3):
            noisy[position] = random.integers(256)
        try:
            read(bytes(noisy))
        except DatasetError:
            continue


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_plain(tmp_path / "none.pkl")
