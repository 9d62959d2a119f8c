"""Check and write the outputs of commands, list unreadable photos, and define the exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delfjax.files import printable
from delfjax.provenance import to_json, write_result

if TYPE_CHECKING:
    from delfjax.features.store import ExtractionReport

OK, FAILED, WRONG_USAGE, SOME_FAILED = 0, 1, 2, 3  # argparse itself also exits with 2
INTERRUPTED = 130  # exit code of shells for an interrupted command
EXIT_CODES = (
    "exit codes: 0 success; 1 failure, with the reason on standard error; 2 wrong usage; "
    "3 success, but some photos could not be read (listed on standard error); 130 interrupted"
)
FIGURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg", ".eps", ".ps")
PAGES = (".html", ".htm")
# Possible suffixes of the file of an option, in lower case.
SUFFIXES = {"match --figure": FIGURES, "evaluate --page": PAGES, "benchmark --page": PAGES}
OUTPUTS = ("json", "figure", "page")  # options that name an output file
MAX_NAME = 230  # bytes of a file name; the name of a temporary file is longer


class UsageError(Exception):
    """Raised before any work if an option is wrong. The command exits with 2."""


def check_outputs(options: argparse.Namespace, *folders: Path) -> None:
    """Check that output files can be written, before the work. ``--json -`` is not checked.

    The ``folders`` are those that the command reads or writes and no option names.

    Raises:
        UsageError: If a file cannot be written, if it is a file that the command reads, if it lies in a
            folder that the command reads or writes, or if two outputs are one file.
    """
    taken = {
        Path(os.path.realpath(path)): "an input of this command"
        if path.is_file()
        else f"in {path}, a folder that this command reads or writes"
        for path in (*_used_paths(options), *folders)
    }
    for name in OUTPUTS:
        option, path = f"--{name}", getattr(options, name, None)
        if path is None or (name == "json" and str(path) == "-"):
            continue
        try:
            reason = _why_not_writable(path, SUFFIXES.get(f"{options.command} {option}"))
        except OSError as error:
            reason = f"not a possible file ({error.strerror})"
        file = Path(os.path.realpath(path))
        reason = reason or next(
            (taken[each] for each in (file, *file.parents) if each in taken), ""
        )
        if reason:
            raise UsageError(f"{option} {path} is {reason}. Fix: choose another file")
        taken[file] = f"also the file of {option}"


def _used_paths(options: argparse.Namespace) -> Iterator[Path]:
    """Return the files and folders that options name, without the output files."""
    for name, value in vars(options).items():
        for each in value if isinstance(value, list) else [value]:
            # A model and a whitening may also be names.
            is_path = name in ("model", "whitening") and each and os.path.exists(each)
            if name not in (*OUTPUTS, "root") and (is_path or isinstance(each, Path)):
                yield Path(each)


def check_folder(option: str, path: Path | None) -> None:
    """Raise a `UsageError` if an output folder cannot be made or written into, before the work."""
    if path is not None and (reason := _why_not_writable(path / "file")):
        raise UsageError(f"{option} {path} is {reason}. Fix: choose another folder")


def _why_not_writable(path: Path, suffixes: tuple[str, ...] | None = None) -> str | None:
    """Return why a file cannot be written, as the end of a sentence "FILE is"."""
    if path.is_dir():
        return "a folder; expected a file"
    if path.exists() and not path.is_file():
        return "a pipe or a device; expected a regular file (--json - writes to standard output)"
    if suffixes and path.suffix.lower() not in suffixes:
        return f"a file of unknown format {path.suffix!r}; expected {', '.join(suffixes)}"
    if len(os.fsencode(path.name)) > MAX_NAME:
        return f"a name of more than {MAX_NAME} bytes"
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not folder.is_dir():
        return f"not possible, because {folder} is not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"not writable: no permission to write into {folder}"
    if path.exists() and not os.access(path, os.W_OK):
        return "not writable: no permission"
    return None


def show(text: str, *, error: bool = False) -> None:
    """Print text to standard output or standard error. Control characters are written as codes."""
    stream = sys.stderr if error else sys.stdout
    try:
        print("\n".join(map(printable, text.split("\n"))), file=stream, flush=True)
    except OSError as failed:
        failed.filename = "standard output"  # for the error message
        raise


def print_result(
    options: argparse.Namespace,
    result: dict[str, Any],
    text: str,
    writers: Mapping[str, Callable[[], object]] | None = None,
) -> int:
    """Print a result as text, or with ``--json -`` as JSON, and write all output files.

    The ``writers`` write the files of further options, by option. An output that fails does not stop
    the others, but the exit code that this function returns is then a failure.
    """
    is_json = str(options.json) == "-"
    outputs: dict[str, Callable[[], object]] = {
        "standard output": partial(show, to_json(result) if is_json else text)
    }
    if options.json and not is_json:
        outputs["--json"] = partial(write_result, options.json, result)
    code, broken = OK, None
    for name, write in (outputs | dict(writers or {})).items():
        try:
            write()
        except BrokenPipeError as error:
            broken = error
        except (OSError, ValueError, RuntimeError, ImportError, MemoryError) as error:
            reason = printable(str(error) or type(error).__name__)
            show(f"delfjax {options.command}: {name} could not be written: {reason}", error=True)
            code = FAILED
            if name == "standard output":  # else Python tries again when it exits
                drop_output()
    if broken:
        raise broken
    return code


def drop_output() -> None:
    """Drop what is still to be printed, as the documentation of Python's signal module suggests."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def list_failures(report: "ExtractionReport") -> int:
    """List, on standard error, the photos that could not be read. Return the exit code."""
    if not report.failed:
        return OK
    lines = (f"  {printable(str(error))}" for error in report.failed.values())
    show("\n".join([f"{len(report.failed)} photos could not be read:", *lines]), error=True)
    return SOME_FAILED
