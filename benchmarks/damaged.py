"""Damage files of every kind in many ways, and count what the readers of delfjax do.

Each trial copies the files of one kind, damages one file and reads them. There are four outcomes:

- *refused*: the reader raises its own error, one line that names the file and a fix.
- *harmless*: the reader returns the same as before.
- *undetectable*: the reader returns something else, and the format has no checksum, as of photos and
  published texts.
- *wrong*: anything else, such as another error, other content, or too much time or memory.
"""

import logging
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import jax
import numpy as np
from tqdm.auto import tqdm

from benchmarks.artifacts import CONTENTS, KINDS, Kind

TRIALS, SEED = 300, 0  # trials of each kind
MAX_SECONDS, MAX_BYTES = 10, 2**29  # of one trial: CPU time, and growth of memory
OUTCOMES = ("refused", "harmless", "undetectable", "wrong")
HEADER_BYTES = 1200  # half of the flipped bits are in the first bytes of a file
SHOWN = 500  # characters of an unexpected outcome

Damage = Callable[[Path, Path, random.Random], object]


def flip(file: Path, other: Path, seeded: random.Random) -> None:
    """Flip a bit."""
    data = bytearray(file.read_bytes())
    end = seeded.choice([len(data), min(HEADER_BYTES, len(data))])
    data[seeded.randrange(end)] ^= 1 << seeded.randrange(8)
    file.write_bytes(data)


def cut(file: Path, other: Path, seeded: random.Random) -> None:
    """Cut a file off at any length."""
    os.truncate(file, seeded.randrange(file.stat().st_size))


def append(file: Path, other: Path, seeded: random.Random) -> None:
    """Append random bytes."""
    file.write_bytes(file.read_bytes() + seeded.randbytes(seeded.randint(1, 100)))


def replace(file: Path, other: Path, seeded: random.Random) -> None:
    """Put another content into a file."""
    file.write_bytes(CONTENTS[seeded.choice([*CONTENTS])])


def swap(file: Path, other: Path, seeded: random.Random) -> None:
    """Replace a file by one of other files of the same kind."""
    shutil.copy(other, file)


def remove(file: Path, other: Path, seeded: random.Random) -> None:
    """Remove a file."""
    file.unlink()


def unreadable(file: Path, other: Path, seeded: random.Random) -> None:
    """Put something that is no regular file in the place of a file."""
    file.unlink()
    make = (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path))
    seeded.choice((*make, lambda path: os.symlink(path, path)))(file)


DAMAGES: Mapping[Damage, int] = {  # with weights
    flip: 8,
    cut: 4,
    append: 2,
    replace: 6,
    swap: 2,
    remove: 1,
    unreadable: 1,
}


def content(value: object) -> object:
    """Return a value that equals another one if all its arrays and fields are equal."""
    if isinstance(value, np.ndarray | jax.Array):
        array = np.asarray(value)
        return str(array.dtype), array.shape, array.tobytes()
    if is_dataclass(value):
        return [content(getattr(value, field.name)) for field in fields(value) if field.compare]
    if isinstance(value, Mapping):
        return {key: content(each) for key, each in value.items()}
    return [*map(content, value)] if isinstance(value, list | tuple) else value


def judge(kind: Kind, folder: Path, file: Path, expected: object) -> tuple[str, object]:
    """Read files. Return the outcome, and what was read or the error."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        found = content(kind.read(folder))
        outcome = "undetectable" if kind.unchecked and file.match(kind.unchecked) else "wrong"
        outcome = "harmless" if found == expected else outcome
    except Exception as error:
        # Some readers document that they leave this error of Python to the caller.
        known = type(error) in (kind.error, FileNotFoundError)
        text = found = str(error)
        fixed = "Fix: " in text or type(error) is FileNotFoundError
        is_good = known and "\n" not in text and str(folder) in text and fixed
        outcome, found = ("refused", found) if is_good else ("wrong", repr(error))
    seconds = time.process_time() - start
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if seconds > MAX_SECONDS or grown > MAX_BYTES:
        return "wrong", f"{seconds:.1f} seconds, {grown:,} more bytes"
    return outcome, found


def damage(kind: Kind, folder: Path, other: Path, seeded: random.Random) -> tuple[str, Path]:
    """Damage one of the files in a folder, but no empty one, such as a lock. Return how, and the file."""
    files, others = (
        sorted(path for path in root.glob(kind.files) if path.is_file() and path.stat().st_size)
        for root in (folder, other)
    )
    file = seeded.choice(files)
    (do,) = seeded.choices([*DAMAGES], [*DAMAGES.values()])
    if (do is remove and file.match(kind.kept or "/")) or (do is swap and len(files) == 1):
        do = replace
    same = [path for path in others if path.name == file.name]
    same = same or [path for path in others if path.suffix == file.suffix]
    do(file, seeded.choice(same), seeded)
    return do.__name__, file


def try_kind(name: str, trials: int, seed: int = SEED) -> tuple[Counter[str], list[str]]:
    """Damage files of a kind many times. Return how often each outcome occurred, and what was wrong."""
    kind, seeded, counts, wrong = KINDS[name], random.Random(f"{name} {seed}"), Counter(), []
    with tempfile.TemporaryDirectory() as root:
        good, other, folder = (Path(root, each) for each in ("good", "other", "folder"))
        for path, number in ((good, 1), (other, 2)):
            path.mkdir()
            kind.write(path, number)
        shutil.copytree(good, folder)
        expected = content(kind.read(folder))
        for _ in tqdm(range(trials), desc=name, leave=False):
            shutil.rmtree(folder)
            shutil.copytree(good, folder)
            done, file = damage(kind, folder, other, seeded)
            outcome, found = judge(kind, folder, file, expected)
            counts[outcome] += 1
            if outcome == "wrong":
                wrong.append(f"{name}: {done} {file.relative_to(folder)}: {str(found)[:SHOWN]}")
    return counts, wrong


def run() -> dict:
    """Try every kind of files."""
    # Orbax logs what it cannot read, and leaves coroutines behind.
    logging.disable()
    sys.unraisablehook = lambda error: None
    rows, wrong = [], []
    for name in tqdm(KINDS, desc="damaged"):
        start = time.perf_counter()
        counts, found = try_kind(name, TRIALS)
        wrong += found
        outcomes = {outcome: counts[outcome] for outcome in OUTCOMES}
        seconds = round(time.perf_counter() - start, 1)
        rows.append({"kind": name, "tried": TRIALS, **outcomes, "seconds": seconds})
    return {
        "value": len(wrong),
        "what": f"wrong outcomes of {TRIALS * len(KINDS):,} readings of damaged files",
        "rows": rows,
        "wrong": wrong,
        "config": {"trials": TRIALS, "seed": SEED, "seconds": MAX_SECONDS, "bytes": MAX_BYTES},
    }
