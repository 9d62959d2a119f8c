"""Table 1: the paper's values beside ours, as text, Markdown and HTML.

The paper's values are for Oxford5k and Paris6k, ours for the benchmarks that could be run. Values of
the same method share a row. Values of the same photos share a column. A dash marks a missing value.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from delfjax.evaluation.significance import average_precisions, bootstrap_interval
from delfjax.files import list_files, write_output
from delfjax.paper.claims import FILE as CLAIMS
from delfjax.paper.runs import HEADLINE, results_by_row
from delfjax.paper.values import PaperTable, table1
from delfjax.provenance import REPRODUCE, RESULTS, read_result

DASH = "\N{EN DASH}"
OURS = "rendered", "rendered+places"  # columns that are shown even without a result
TITLES = {  # column titles of the benchmarks in Table 1
    "oxford5k": "Oxf5k",
    "oxford5k+flickr100k": "Oxf105k",
    "paris6k": "Par6k",
    "paris6k+flickr100k": "Par106k",
}
REPLACEMENTS = {  # our methods, each with the unavailable method of Table 1 that it replaces
    "RootSIFT": "CONGAS",
    "R-MAC, fine-tuned": "DIR",
    "R-MAC+QE, fine-tuned": "DIR+QE",
    "DELF+FT+ATT+R-MAC+QE": "DELF+FT+ATT+DIR+QE",
}
START, END = "<!-- results -->", "<!-- /results -->"  # lines before and after the table of a page


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text, with notes below.

    Attributes:
        header: Column titles.
        rows: Rows with one text per column.
        notes: Notes on single cells. A cell ends with the number of its note, from 1.
        remarks: Notes on the whole table.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def text(self) -> str:
        """Format the table as text for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.header, rule, *self.rows)
        ]
        return "\n".join([*lines, "", *self._below()]).rstrip("\n")

    def markdown(self) -> str:
        """Format the table as Markdown."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        rows = [[_escape(cell) for cell in row] for row in (self.header, rule, *self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        below = [f"- {_escape(line)}" for line in self._below()]
        return "\n".join([*lines, "", *below]).rstrip("\n")

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title in self.header)
        body = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in self.rows
        )
        below = "<br>".join(escape(line) for line in self._below())
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p><small>{below}</small></p>"
        )

    def _below(self) -> list[str]:
        numbered = [f"({number}) {note}" for number, note in enumerate(self.notes, start=1)]
        return [*self.remarks, *numbered]


def all_results(folder: Path = RESULTS, *, headline: bool = True) -> Table:
    """List the results in a folder as a table: name, value, interval, and description.

    If ``headline`` is True, results that contain ``"headline": false`` are left out.

    Raises:
        ValueError: If there are no results.
    """
    rows = []
    for path in sorted(set(list_files(folder, ".json")) - {folder / CLAIMS}):
        result = read_result(path)
        if "value" in result and (result.get("headline", True) or not headline):
            interval = f"{result['interval']}" if "interval" in result else ""
            rows.append((path.stem, f"{result['value']}", interval, result.get("what", "")))
    if not rows:
        raise ValueError(f"{folder}: the folder has no results. Fix: {REPRODUCE} in a checkout")
    return Table(header=("result", "value", "95% interval", "what"), rows=tuple(rows))


def compare_table1(paper: PaperTable, ours: Mapping[str, Sequence[Path]]) -> Table:
    """Make a table with the values of the paper's Table 1, and our results beside them.

    Args:
        paper: The paper's values.
        ours: Result files by method, as `results_by_row` returns them. A method that the paper lacks
            gets a row of its own. Several files of one method and benchmark, from several training
            seeds, are averaged.

    Raises:
        ValueError: If a result file has no mAP.
    """
    cells = {method: _cells(paths) for method, paths in ours.items()}
    found = {benchmark for row in cells.values() for benchmark in row}
    columns = [*OURS, *sorted(found - {*OURS})]
    notes: list[str] = []

    def show(cell: tuple[str, str] | None) -> str:
        if cell is None:
            return DASH
        text, note = cell
        notes.append(note)
        return f"{text} ({len(notes)})"

    rows = []
    for method in dict.fromkeys([*paper.rows, *cells]):
        published = _published(paper, method, paper.sets)
        own = [show(cells.get(method, {}).get(column)) for column in columns]
        rows.append((method, *published, *own))
    header = ("method", *(f"{name}, paper" for name in paper.sets))
    return Table(
        header=(*header, *(f"{TITLES.get(column, column)}, here" for column in columns)),
        rows=tuple(rows),
        notes=tuple(notes),
        remarks=(
            f"Paper: {paper.source}; {paper.status}; {paper.unit}.",
            *paper.notes,
            f"Here: the same unit, with 95% intervals over queries. {DASH}: no such number.",
        ),
    )


def summarize_table1(paper: PaperTable, ours: Mapping[str, Sequence[Path]]) -> Table:
    """Make a table of our results on `HEADLINE`, beside the paper's on Oxford5k and Paris6k.

    Arguments and errors are those of `compare_table1`.
    """
    columns = paper.sets[0], paper.sets[2]
    rows = []
    for method, paths in ours.items():
        shown, _ = _cells(paths).get(HEADLINE, (DASH, ""))
        theirs = REPLACEMENTS.get(method, method)
        named = theirs if theirs in paper.rows else DASH
        rows.append((method, shown, named, *_published(paper, theirs, columns)))
    header = ("method (ours)", f"mAP, {HEADLINE}", "method (paper)")
    return Table(header=(*header, *(f"mAP, {name}" for name in columns)), rows=tuple(rows))


def update_page(page: Path, folder: Path = RESULTS) -> None:
    """Write the summary of Table 1 into a Markdown page, between the two marks for results.

    Raises:
        ValueError: If the page lacks the marks.
    """
    text = page.read_bytes().decode()  # with the line ends of the page
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        expected = f"expected one {START} and, after it, one {END}"
        raise ValueError(f"{page}: has no marks for the table; {expected}. Fix: add both lines")
    table = summarize_table1(table1(), results_by_row(folder, headline=True)).markdown()
    block = f"{START}\n\n{table}\n\n{END}".replace("\n", "\r\n" if "\r\n" in text else "\n")
    write_output(page, f"{before}{block}{after}")


def _published(paper: PaperTable, method: str, columns: Sequence[str]) -> list[str]:
    """Return the paper's values of a method in some columns, with a dash for a missing value."""
    values = map(paper.rows.get(method, {}).get, columns)
    return [DASH if value is None else f"{value:.1f}" for value in values]


def _cells(paths: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Read the result files of a method. Return the text and the note of one cell per benchmark."""
    by_benchmark: dict[str, dict[Path, dict[str, Any]]] = defaultdict(dict)
    for path in paths:
        result = read_result(path)
        if not {"benchmark", "value", "interval"} <= result.keys():
            raise ValueError(f"{path}: has no mAP of a benchmark. Fix: remove it, and {REPRODUCE}")
        by_benchmark[result["benchmark"]][path] = result
    return {benchmark: _cell(runs) for benchmark, runs in by_benchmark.items()}


def _cell(runs: Mapping[Path, dict[str, Any]]) -> tuple[str, str]:
    """Return mAP and interval, averaged over runs (by file), and a note on their sources."""
    first, *others = runs.values()
    value, (low, high) = first["value"], first["interval"]
    if others:
        mean = average_precisions([first, *others])
        value, (low, high) = np.nanmean(mean), bootstrap_interval(mean, seed=0)
    files = ", ".join(path.name for path in runs)
    note = f"{files}: {first['what']}; protocol {first.get('protocol', 'standard')}"
    return f"{value:.1f} [{low:.1f}, {high:.1f}]", note


def _escape(text: str) -> str:
    """Escape the characters of a cell that have a meaning in Markdown."""
    return "".join(f"\\{letter}" if letter in "|*_" else letter for letter in text)
