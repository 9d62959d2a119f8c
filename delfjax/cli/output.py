"""Check and write the outputs of commands, list unreadable photos, and define the exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
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
    "exit codes: 0 success; 1 failure; 2 wrong usage; 3 success, but some photos could not be\n"
    "read; 130 interrupted. Errors and unreadable photos are listed on standard error."
)
FIGURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg", ".eps", ".ps")
PAGES = (".html", ".htm")
OUTPUTS = {"json": None, "figure": FIGURES, "page": PAGES}  # options of output files, and suffixes


class UsageError(Exception):
    """Raised before any work if an option is wrong. The command exits with 2."""


def check_outputs(options: argparse.Namespace, *folders: Path) -> None:
    """Check that output files can be written. Call this function before the work.

    ``folders`` are further folders that the command uses. ``--json -`` is not checked.

    Raises:
        UsageError: If an output cannot be written, is an input of the command, lies in a folder
            that the command reads or writes, or is also the file of another output.
    """
    taken = {
        Path(os.path.realpath(path)): "is an input of this command"
        if path.is_file()
        else f"is in {path}, a folder that this command reads or writes"
        for path in (*_used_paths(options), *folders)
    }
    for name, suffixes in OUTPUTS.items():
        path = getattr(options, name, None)
        if path is None or (name == "json" and str(path) == "-"):
            continue
        file = Path(os.path.realpath(path))
        reasons = [taken[each] for each in (file, *file.parents) if each in taken]
        if reason := next(iter(reasons), None) or _why_not_writable(path, suffixes):
            raise UsageError(f"--{name} {path} {reason}. Fix: choose another file")
        taken[file] = f"is also the file of --{name}"


def _used_paths(options: argparse.Namespace) -> Iterator[Path]:
    """Return the files and folders that options name, without the output files."""
    for name, value in vars(options).items():
        for each in value if isinstance(value, list) else [value]:
            # A model and a whitening may also be names.
            is_path = name in ("model", "whitening") and each and os.path.exists(each)
            if name not in (*OUTPUTS, "root") and (is_path or isinstance(each, Path)):
                yield Path(each)


def check_folder(option: str, path: Path | None) -> None:
    """Raise a `UsageError` if an output folder cannot be created or written into."""
    if path is not None and (reason := _why_folder_not_writable(path.absolute())):
        raise UsageError(f"{option} {path} {reason}. Fix: choose another folder")


def _why_not_writable(path: Path, suffixes: tuple[str, ...] | None) -> str | None:
    """Return why a file cannot be written, as the predicate of a sentence about the file."""
    if path.is_dir():
        return "is a folder; expected a file"
    if path.exists() and not path.is_file():
        return "is a pipe or a device; expected a regular file (--json - writes to standard output)"
    if suffixes and path.suffix.lower() not in suffixes:
        return f"is a file of unknown format {path.suffix!r}; expected {', '.join(suffixes)}"
    if path.exists() and not os.access(path, os.W_OK):
        return "cannot be written: no permission"
    return _why_folder_not_writable(path.absolute().parent)


def _why_folder_not_writable(path: Path) -> str | None:
    folder = next(each for each in (path, *path.parents) if each.exists() or each.is_symlink())
    if not folder.is_dir():
        return f"cannot be written, because {folder} is not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"cannot be written: no permission to write into {folder}"
    return None


def show(text: str, *, error: bool = False) -> None:
    """Print text to standard output or standard error. Control characters become escapes."""
    stream = sys.stderr if error else sys.stdout
    try:
        print("\n".join(map(printable, text.split("\n"))), file=stream, flush=True)
    except OSError as failed:
        failed.filename = f"standard {'error' if error else 'output'}"  # for the error message
        raise


def print_result(
    options: argparse.Namespace,
    result: dict[str, Any],
    text: str,
    report: "ExtractionReport | None" = None,
    **writers: Callable[[], object],
) -> int:
    """Print a result as text, or with ``--json -`` as JSON, write all output files, and list failures.

    Each of the ``writers`` writes the file of the option with its name, such as ``figure``, if the option
    is given. If an output cannot be written, the other outputs are still written, and the exit code is
    `FAILED`. Otherwise, `list_failures` lists the unreadable photos and returns the exit code.
    """
    is_json = str(options.json) == "-"
    outputs: dict[str, Callable[[], object]] = {
        "standard output": partial(show, to_json(result) if is_json else text)
    }
    if options.json and not is_json:
        outputs["--json"] = partial(write_result, options.json, result)
    outputs |= {f"--{name}": write for name, write in writers.items() if getattr(options, name)}
    code, broken = OK, None
    for name, write in outputs.items():
        try:
            write()
            if name != "standard output":
                show(f"{getattr(options, name.removeprefix('--'))}: written", error=True)
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
    return list_failures(report) if code == OK and report is not None else code


def drop_output() -> None:
    """Discard further standard output, as the documentation of Python's signal module suggests."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_model_file(option: str, path: Path, *, source: Path) -> None:
    """Raise a `UsageError` if no model file can be written to a path, or if it is the source."""
    if path.suffix != ".safetensors" or path.is_dir() or (path.exists() and path.samefile(source)):
        raise UsageError(
            f"{option} {path}: expected the path of a .safetensors file other than {source}. "
            f"Fix: change {option}"
        )
    check_folder(option, path.parent)


def list_failures(report: "ExtractionReport") -> int:
    """Print a list of unreadable photos to standard error, and return the exit code."""
    if not report.failed:
        return OK
    lines = (f"  {printable(str(error))}" for error in report.failed.values())
    show("\n".join([f"photos that could not be read ({len(report.failed)}):", *lines]), error=True)
    return SOME_FAILED
