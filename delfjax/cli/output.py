"""Print results of commands and lists of unreadable photos, and define the exit codes."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from delfjax.provenance import to_json, write_result

if TYPE_CHECKING:
    from delfjax.features.store import ExtractionReport

OK, FAILED, SOME_FAILED = 0, 1, 3  # argparse itself exits with 2
INTERRUPTED = 130  # exit code of shells for an interrupted command
EXIT_CODES = (
    "exit codes: 0 success; 1 failure, with the reason on standard error; 2 wrong usage; "
    "3 success, but some photos could not be read (listed on standard error); 130 interrupted"
)


def print_result(options: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Print a result as text. With ``--json -``, print JSON; with ``--json FILE``, also write JSON."""
    if str(options.json) == "-":
        print(to_json(result))
        return
    print(text)
    if options.json:
        write_result(options.json, result)


def list_failures(report: "ExtractionReport") -> int:
    """Print the photos that could not be read to standard error. Return the exit code."""
    if not report.failed:
        return OK
    print(f"{len(report.failed)} photos could not be read:", file=sys.stderr)
    for error in report.failed.values():
        print(f"  {error}", file=sys.stderr)
    return SOME_FAILED
