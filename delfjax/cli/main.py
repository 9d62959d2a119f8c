"""Parse the command line of ``delfjax``, run one command, and turn errors into exit codes.

Commands print results to standard output, and progress and errors to standard error.
"""

import argparse
import io
import os
import sys
from _thread import interrupt_main
from functools import partial
from importlib import import_module
from threading import Timer

import delfjax
from delfjax.cli.output import (
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    WRONG_USAGE,
    UsageError,
    drop_output,
    show,
)
from delfjax.files import explain, printable
from delfjax.ranges import ConfigError

FAILURES = (UsageError, ValueError, RuntimeError, OSError, ImportError, MemoryError)
# Errors of packages that this module does not import: a panic of Rust code, and workers of Dask that died.
FAILURE_NAMES = ("PanicException", "KilledWorker")

# The module and the summary of each command. Module MODULE defines COMMAND(options), which returns the
# exit code, and COMMAND_options(parser), with underscores for hyphens. A module is imported only when its
# command is used.
COMMANDS = {
    "search": ("search", "find the photos of a folder that show the same place as a query photo"),
    "match": ("search", "match the local features of two photos and fit an affine map by RANSAC"),
    "models": ("models", "list the models: training, size, mAP and license"),
    "extract": ("extract", "extract the features of a folder of photos into a feature store"),
    "index": ("extract", "build an index of a feature store, and print build time and recall"),
    "export": ("extract", "write features and matches of a feature store for the toolbox hloc"),
    "evaluate": ("evaluate", "compute mAP on a folder of photos with one sub-folder per class"),
    "benchmark": ("evaluate", "compute mAP on a benchmark, such as oxford5k"),
    "data": ("data", "list the data sets of the benchmarks, or download them"),
    "train": ("train", "train descriptors or attention, or resume an interrupted training run"),
    "fit-projection": ("train", "add a descriptor projection, learned from landmarks, to a model"),
    "import-weights": (
        "models",
        "convert the published weights of DELF or DELG to a model file",
    ),
    "reproduce": ("reproduce", "compute missing and outdated results of the paper's experiments"),
    "table": ("reproduce", "print a table of results, and which claims of the paper they confirm"),
}
EXAMPLES = {  # arguments
    "search": "PHOTOS QUERY.jpg --page found.html",
    "match": "ONE.jpg OTHER.jpg --figure matches.jpg",
    "models": "",
    "extract": "PHOTOS store",
    "index": "store",
    "export": "store hloc --top 20",
    "evaluate": "PHOTOS --queries 'test_*' --database 'train_*' --page ranked.html",
    "benchmark": "rendered+places --model delf_ft_att",
    "data": "list",
    "train": "--variant attention --photos PHOTOS --out run/att",
    "fit-projection": "PHOTOS --model delf_att --out model.safetensors",
    "import-weights": "delf_v1_20171026 --out delf_v1.safetensors",
    "reproduce": "--list",
    "table": "",
}
INTERRUPT_SECONDS = 0.1  # until an ignored interrupt is repeated, outside of the callback


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Formatter of help texts that shows the default values of options, and examples as written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = bool(action.default) or type(action.default) is int  # an int may be 0
        return super()._get_help_string(action) if has_default else action.help


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code. ``arguments=None`` means ``sys.argv[1:]``."""
    for stream in (sys.stdout, sys.stderr):  # a name may have characters that they cannot encode
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if arguments is None else arguments
    command = next((word for word in arguments if word in COMMANDS), "")
    hook, sys.unraisablehook = sys.unraisablehook, _repeat_interrupt
    try:
        return _run(parse(arguments))
    except KeyboardInterrupt:
        show(f"delfjax {command}: interrupted. Run the same command again to resume", error=True)
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()  # the reader has closed the pipe, as `head` does
        return FAILED
    except BaseException as error:
        if not (isinstance(error, FAILURES) or type(error).__name__ in FAILURE_NAMES):
            raise
        show(f"delfjax {command}: {_describe(error)}", error=True)
        try:
            print(end="", flush=True)
        except OSError:  # Python would try again when it exits
            drop_output()
        return WRONG_USAGE if isinstance(error, (UsageError, ConfigError)) else FAILED
    finally:
        sys.unraisablehook = hook


def _repeat_interrupt(unraisable: "sys.UnraisableHookArgs") -> None:
    """Interrupt the command again after Python has ignored Ctrl-C.

    Python ignores exceptions in callbacks of the garbage collection. JAX has such a callback, which
    is called often while JAX starts.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        Timer(INTERRUPT_SECONDS, interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def _describe(error: BaseException) -> str:
    """Return the message of an error: one line, unless it lists files or downloads."""
    text = str(error) or type(error).__name__
    if type(error).__name__ in ("WeightsError", "DatasetError"):
        return text
    first = printable(text.splitlines()[0])
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return f"not enough memory ({first}). Fix: free memory, or shrink the photos (--longest)"
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return f"the current folder does not exist ({first}). Fix: change to another folder"
    return printable(explain(error) if isinstance(error, OSError) else text)


def _run(options: argparse.Namespace) -> int:
    """Run a parsed command."""
    # These imports are slow, so they come after --version and --help have been answered.
    import jax

    from delfjax.files import cache_folder

    # Keep compiled programs on disk. Otherwise each command, a new process, compiles them again.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms:
        try:  # before any work
            jax.devices()
        except (RuntimeError, AssertionError) as error:
            raise RuntimeError(
                f"JAX finds no device of $JAX_PLATFORMS={platforms}. Fix: change or unset this variable"
            ) from error
    code: int = options.run(options)
    print(end="", flush=True)  # raises BrokenPipeError here, where it is caught, and not at exit
    return code


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line. Import only the module of the given command."""
    about = (delfjax.__doc__ or "").splitlines()[0]
    top = argparse.ArgumentParser("delfjax", description=about, epilog=EXIT_CODES)
    top.formatter_class = HelpFormatter
    top.add_argument("--version", action="version", version=f"delfjax {delfjax.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = partial(commands.add_parser, formatter_class=HelpFormatter)
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, (module_name, summary) in COMMANDS.items():
        example = f"delfjax {name} {EXAMPLES[name]}".rstrip()
        epilog = f"example:\n  {example}\n\n{EXIT_CODES}"
        parser = add(name, help=summary, description=summary, epilog=epilog)
        if name == chosen:
            module = import_module(f"delfjax.cli.{module_name}")
            function = name.replace("-", "_")
            getattr(module, f"{function}_options")(parser)
            parser.set_defaults(run=getattr(module, function))
    options = top.parse_args(arguments)
    before = ""
    for word in arguments:  # an empty path would be the current folder
        option, equals, value = word.partition("=")
        if not word or (word.startswith("-") and equals and not value):
            where = option if word else f"the argument after {before}"
            raise UsageError(
                f"{where} is empty; expected a value. Fix: add a value, or leave out the option"
            )
        before = word
    return options
