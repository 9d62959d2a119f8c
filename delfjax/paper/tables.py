"""Table 1, the paper's values beside ours, as text, Markdown and HTML.

The paper's numbers are of Oxford5k and Paris6k, ours of what could be run: they stand in one row where the
method is the same, never in one column unless the photos are. What is missing is a dash.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from delfjax import provenance
from delfjax.evaluation import significance
from delfjax.evaluation.metrics import bootstrap
from delfjax.paper import tables
from delfjax.paper.values import PaperTable
from delfjax.provenance import CLAIMS, read

DASH = "\N{EN DASH}"
OURS = "rendered", "rendered+places"  # columns that are there even without a result
TITLES = {  # of benchmarks that Table 1 has a column of
    "oxford5k": "Oxf5k",
    "oxford5k+flickr100k": "Oxf105k",
    "paris6k": "Par6k",
    "paris6k+flickr100k": "Par106k",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One of our values, and what it rests on.

    Attributes:
        value: mAP in percent.
        interval: 95%, over queries.
        what: What was measured.
        protocol: By which rules.
        files: The results it was read from; several are seeds, averaged.
    """

    value: float
    interval: tuple[float, float]
    what: str
    protocol: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1f} [{low:.1f}, {high:.1f}]"

    @property
    def note(self) -> str:
        """What a reader must know of it."""
        return f"{', '.join(self.files)}: {self.what}; protocol {self.protocol}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table ready to be shown: words only.

    Attributes:
        header: Column titles, the method's first.
        rows: As many cells each.
        notes: Numbered below it: a cell ends in the number of its note in parentheses.
        remarks: Of the whole table.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def text(self) -> str:
        """Lay it out for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.header, rule, *self.rows)
        ]
        return "\n".join([*lines, "", *self._below()]).rstrip("\n")

    def markdown(self) -> str:
        """Lay it out for a page."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        lines = [_piped(row) for row in (self.header, rule, *self.rows)]
        below = [f"- {_plain(line)}" for line in self._below()]
        return "\n".join([*lines, "", *below]).rstrip("\n")

    def html(self) -> str:
        """Lay it out for a notebook."""
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

    def _repr_html_(self) -> str:
        return self.html()

    def _below(self) -> list[str]:
        numbered = [f"({number}) {note}" for number, note in enumerate(self.notes, start=1)]
        return [*self.remarks, *numbered]


def all_results(folder: Path, *, every: bool = False) -> Table:
    """List the results of a folder, as `results.rows` finds them.

    Raises:
        ValueError: If there are none.
    """
    header = ("result", "value", "95% interval", "what")
    return Table(header=header, rows=tuple(tables.rows(folder, every=every)))


def table1(paper: PaperTable, ours: Mapping[str, Sequence[Path]]) -> Table:
    """Put our results beside Table 1.

    Args:
        paper: Its values.
        ours: Result files by method: of one of the paper's, in its row; of another, in a row of its own.
            Files of one method and benchmark are seeds.

    Raises:
        ValueError: If a file holds no mAP of a benchmark.
    """
    cells = {method: _cells(paths) for method, paths in ours.items()}
    found = {benchmark for row in cells.values() for benchmark in row}
    columns = [*OURS, *sorted(found - {*OURS})]
    notes: list[str] = []

    def shown(cell: Cell | None) -> str:
        if cell is None:
            return DASH
        notes.append(cell.note)
        return f"{cell} ({len(notes)})"

    rows = []
    for method in dict.fromkeys([*paper.rows, *cells]):
        printed = _printed(paper, method, paper.sets)
        own = [shown(cells.get(method, {}).get(column)) for column in columns]
        rows.append((method, *printed, *own))
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


def summary(
    paper: PaperTable,
    ours: Mapping[str, Sequence[Path]],
    stand_ins: Mapping[str, str],
    benchmark: str = OURS[-1],
) -> Table:
    """Put the paper's numbers on the small sets beside ours of one benchmark, mAP in percent, for a first look.

    Args:
        paper: Its values.
        ours: Result files by method, as `table1` takes them.
        stand_ins: By a method of ours that the paper has not: the one of the paper whose place it takes.
        benchmark: Whose results are shown.

    Raises:
        ValueError: If a file holds no mAP of a benchmark.
    """
    small = paper.sets[0], paper.sets[2]
    rows = []
    for method, paths in ours.items():
        cell = _cells(paths).get(benchmark)
        its = stand_ins.get(method, method)
        its = its if its in paper.rows else DASH
        rows.append((method, str(cell or DASH), its, *_printed(paper, its, small)))
    return Table(header=("here", benchmark, "in the paper", *small), rows=tuple(rows))


def _printed(paper: PaperTable, method: str, columns: Sequence[str]) -> list[str]:
    """Return the paper's numbers of a method in some columns, dashes where it has none."""
    values = [paper.value(method, c) if method in paper.rows else np.nan for c in columns]
    return [DASH if np.isnan(value) else f"{value:.1f}" for value in values]


def _cells(paths: Sequence[Path]) -> dict[str, Cell]:
    """Read a method's results: a cell a benchmark."""
    by_benchmark: dict[str, dict[Path, dict[str, Any]]] = {}
    for path in paths:
        result = provenance.read(path)
        if not {"benchmark", "value", "interval"} <= result.keys():
            raise ValueError(f"{path}: no mAP; expected what `delfjax benchmark --json` writes")
        by_benchmark.setdefault(result["benchmark"], {})[path] = result
    return {benchmark: _cell(runs) for benchmark, runs in by_benchmark.items()}


def _cell(runs: Mapping[Path, dict[str, Any]]) -> Cell:
    first, *others = runs.values()
    value, interval = first["value"], first["interval"]
    if others:
        each = significance.per_query([first, *others])
        value, interval = float(np.nanmean(each)), bootstrap(each, seed=0)
    return Cell(
        value=value,
        interval=tuple(interval),
        what=first["what"],
        protocol=first.get("protocol", "standard"),
        files=tuple(path.name for path in runs),
    )


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: str) -> str:
    """Keep Markdown from reading marks into a cell: ``|`` would end it, ``*`` and ``_`` slant it."""
    return "".join(f"\\{letter}" if letter in "|*_" else letter for letter in text)


MARK, END = "<!-- results -->", "<!-- /results -->"


# <!-- value .1f: NAME/key - OTHER/key -->25.3<!-- /value -->: a key of NAME.json, "value" if none is named; less another.
VALUE = re.compile(r"(<!-- value (\S+): (.+?) -->).*?(<!-- /value -->)", re.DOTALL)


def rows(folder: Path, *, every: bool = False) -> list[tuple[str, str, str, str]]:
    """Return the results of a folder that carry a value: name, value, interval, what was measured.

    Args:
        folder: Of the results.
        every: Whether those are shown, too, that say of themselves that they are no ``headline``.

    Raises:
        ValueError: If there are none.
    """
    found = []
    for path in sorted(set(folder.glob("*.json")) - {folder / CLAIMS}):
        result = read(path)
        if "value" in result and (every or result.get("headline", True)):
            low, high = result.get("interval", (None, None))
            interval = "" if low is None else f"[{low}, {high}]"
            found.append((path.stem, f"{result['value']}", interval, result.get("what", "")))
    if not found:
        raise ValueError(f"{folder}: no results yet; run `make reproduce`")
    return found


def show_in(page: Path, shown: str, folder: Path) -> None:
    """Put a table into a page between its ``<!-- results -->`` marks, and values where its text marks them.

    Args:
        page: In Markdown or HTML.
        shown: The table, in Markdown.
        folder: Of the results that values are read from.

    Raises:
        ValueError: If the page has no such marks, or a mark names no number of the results.
    """
    text = page.read_text(encoding="utf-8")
    if len(parts := text.split(MARK)) != 2 or END not in parts[1]:
        raise ValueError(f"{page}: expected one {MARK} with {END} after it")
    after = parts[1].split(END, 1)[1]
    text = f"{parts[0]}{MARK}\n\n{shown}\n\n{END}{after}"
    page.write_text(with_values(text, folder), encoding="utf-8")


def with_values(text: str, folder: Path) -> str:
    """Return a text with every value that it marks written anew: of one result, or of one less another.

    Raises:
        ValueError: If a mark names no number of the results.
    """

    def filled(mark: re.Match[str]) -> str:
        first, *others = (_number(folder, name) for name in mark[3].split(" - "))
        return f"{mark[1]}{first - sum(others):{mark[2]}}{mark[4]}"

    return VALUE.sub(filled, text)


def _number(folder: Path, name: str) -> float:
    """Read what a mark names: ``NAME``, or ``NAME/key/...``."""
    stem, *keys = name.split("/")
    found: object = read(folder / f"{stem}.json")
    for key in keys or ["value"]:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, int | float):
        raise ValueError(f"{folder / stem}.json: no number for the mark {name!r} of a page")
    return found
