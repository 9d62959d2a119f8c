"""What commands answer: a result for people or as JSON, what could not be read, and the exit code."""

import argparse
import sys
from typing import Any

from delfjax import provenance
from delfjax.features.store import ExtractionReport

OK, FAILED, SOME_FAILED = 0, 1, 3  # argparse itself exits with 2
INTERRUPTED = 130  # as shells report it
EXITS = (
    "exit codes: 0 all well; 1 failed, the reason on standard error; 2 wrong usage; "
    "3 finished, but some photos could not be read (listed on standard error); 130 interrupted"
)


def answer(options: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Print a result for people, or write it as JSON."""
    if str(options.json) == "-":
        print(provenance.to_json(result))
        return
    print(text)
    if options.json:
        provenance.write_result(options.json, result)


def complain(report: ExtractionReport) -> int:
    """List the photos that could not be read; return the exit code."""
    if not report.failed:
        return OK
    print(f"{len(report.failed)} photos could not be read:", file=sys.stderr)
    for error in report.failed.values():
        print(f"  {error}", file=sys.stderr)
    return SOME_FAILED
