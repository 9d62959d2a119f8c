"""Compare the paper's Table 1 with our results, in tables as text, Markdown and HTML.

Rows are methods, and columns are benchmarks. The paper has values for Oxford5k and Paris6k. Our
values are for the benchmarks that could be run. A dash marks a missing value.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from delfjax.datasets.rendered import VIEW
from delfjax.evaluation.significance import mean_score
from delfjax.files import reading, write_output
from delfjax.paper.claims import FILE as CLAIMS
from delfjax.paper.runs import HEADLINE, LARGE, results_by_row
from delfjax.paper.values import PaperTable, table1
from delfjax.provenance import REPRODUCE, RESULTS, read_result

DASH = "\N{EN DASH}"
TITLES = {  # column titles of the benchmarks in Table 1
    "oxford5k": "Oxf5k",
    "oxford5k+flickr100k": "Oxf105k",
    "paris6k": "Par6k",
    "paris6k+flickr100k": "Par106k",
}
REPLACEMENTS = {  # our method to the unavailable method of Table 1 that it replaces
    "RootSIFT": "CONGAS",
    "R-MAC, fine-tuned": "DIR",
    "R-MAC+QE, fine-tuned": "DIR+QE",
    "DELF+FT+ATT+R-MAC+QE": "DELF+FT+ATT+DIR+QE",
}
BY_VIEW = ", by view"  # after the name of a benchmark: mAP by the protocol `VIEW`
START, END = "<!-- results -->", "<!-- /results -->"  # lines before and after the table of a page


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of strings, with notes below the table.

    Attributes:
        header: Column titles.
        rows: Rows of cells, with one string per column.
        notes: Notes on single cells. A cell that ends with ``(1)`` refers to the first note.
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
    """Return a table of the results in a folder: names, values, intervals and descriptions.

    ``headline`` is whether to leave out results that contain ``"headline": false``.

    Raises:
        ValueError: If the folder has no results.
    """
    rows = []
    paths = folder.iterdir() if folder.exists() else ()  # glob would hide errors
    for path in sorted(path for path in paths if path.suffix == ".json" and path.name != CLAIMS):
        result = read_result(path)
        if "value" in result and (result.get("headline", True) or not headline):
            interval = f"{result['interval']}" if "interval" in result else ""
            rows.append((path.stem, f"{result['value']}", interval, result.get("what", "")))
    if not rows:
        raise ValueError(f"{folder}: the folder has no results. Fix: {REPRODUCE} in a checkout")
    return Table(header=("result", "value", "95% interval", "what"), rows=tuple(rows))


def compare_table1(paper: PaperTable, ours: Mapping[str, Sequence[Path]]) -> Table:
    """Return a table that compares the values of the paper's Table 1 with our results.

    Args:
        paper: Values of the paper's Table 1.
        ours: Dict from method to result files, as `results_by_row` returns it. Methods that are not
            in the paper get additional rows. Results of several training runs are averaged.

    Raises:
        ValueError: If a result file has no mAP.
    """
    cells = {method: _cells(paths) for method, paths in ours.items()}
    found = {benchmark for row in cells.values() for benchmark in row}
    columns = sorted({HEADLINE} | found, key=lambda name: (name != HEADLINE, name))
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
            f"Here: the same unit, with 95% intervals over landmarks and training runs. {DASH}: no such number.",
        ),
    )


def summarize_table1(paper: PaperTable, ours: Mapping[str, Sequence[Path]]) -> Table:
    """Return a table of our mAP on `HEADLINE` and `LARGE`, and the paper's on Oxford5k and Paris6k.

    Arguments and errors are those of `compare_table1`.
    """
    columns = paper.sets[0], paper.sets[2]
    rows = []
    for method, paths in ours.items():
        cells = _cells(paths)
        shown = [cells.get(benchmark, (DASH, ""))[0] for benchmark in (HEADLINE, LARGE)]
        theirs = REPLACEMENTS.get(method, method)
        named = theirs if theirs in paper.rows else DASH
        rows.append((method, *shown, named, *_published(paper, theirs, columns)))
    header = ("method (ours)", f"mAP, {HEADLINE}", f"mAP, {LARGE}", "method (paper)")
    return Table(header=(*header, *(f"mAP, {name}" for name in columns)), rows=tuple(rows))


def update_page(page: Path, folder: Path = RESULTS) -> None:
    """Write the table of `summarize_table1` into a Markdown page, between `START` and `END`.

    Raises:
        ValueError: If the page lacks the lines `START` and `END`.
    """
    with reading(page, "a page in UTF-8", fix="save the page in UTF-8"):
        text = page.read_bytes().decode()  # with the line ends of the page
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        expected = f"expected one {START} and, after it, one {END}"
        raise ValueError(f"{page}: has no place for the table; {expected}. Fix: add both lines")
    table = summarize_table1(table1(), results_by_row(folder, headline=True)).markdown()
    block = f"{START}\n\n{table}\n\n{END}".replace("\n", "\r\n" if "\r\n" in text else "\n")
    write_output(page, f"{before}{block}{after}")


def _published(paper: PaperTable, method: str, columns: Sequence[str]) -> list[str]:
    values = map(paper.rows.get(method, {}).get, columns)
    return [DASH if value is None else f"{value:.1f}" for value in values]


def _cells(paths: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Return a dict from benchmark to the text and the note of a cell, for one method.

    With `BY_VIEW`, the name of the benchmark is the key of a cell for this protocol.
    """
    by_benchmark: dict[str, dict[Path, dict[str, Any]]] = defaultdict(dict)
    for path in paths:
        result = read_result(path)
        if not {"benchmark", "value", "interval"} <= result.keys():
            raise ValueError(f"{path}: has no mAP of a benchmark. Fix: remove it, and {REPRODUCE}")
        by_benchmark[result["benchmark"]][path] = result
    cells = {benchmark: _cell(runs) for benchmark, runs in by_benchmark.items()}
    for benchmark, runs in by_benchmark.items():
        others = {path: run.get("other_protocols", {}).get(VIEW) for path, run in runs.items()}
        known = {path: value for path, value in others.items() if value is not None}
        if known:
            note = f"{', '.join(path.name for path in known)}: mAP; protocol {VIEW}"
            cells[f"{benchmark}{BY_VIEW}"] = f"{np.mean([*known.values()]):.1f}", note
    return cells


def _cell(runs: Mapping[Path, dict[str, Any]]) -> tuple[str, str]:
    """Return the mean mAP of results with its interval, and a note that names the result files."""
    first, (value, low, high) = next(iter(runs.values())), mean_score([*runs.values()])
    files = ", ".join(path.name for path in runs)
    note = f"{files}: {first.get('what', '')}; protocol {first.get('protocol', 'standard')}"
    return f"{value:.1f} [{low:.1f}, {high:.1f}]", note


def _escape(text: str) -> str:
    """Escape the characters that have a meaning in a cell of Markdown."""
    return "".join(f"\\{letter}" if letter in "|*_" else letter for letter in text)
