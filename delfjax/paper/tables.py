"""Compare the paper's Table 1 with our results, in tables as text, Markdown and HTML.

Rows are methods, and columns are benchmarks. The paper has values for Oxford5k and Paris6k. Our
values are for the benchmarks that could be run. A dash marks a missing value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

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
    """A table of strings, with notes below it.

    Attributes:
        header: Column titles.
        rows: Rows of cells, with one string per column.
        notes: Lines below the table.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Format the table as text for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.header, rule, *self.rows)
        ]
        return "\n".join([*lines, "", *self.notes]).rstrip("\n")

    def markdown(self) -> str:
        """Format the table as Markdown."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        rows = [[_escape(cell) for cell in row] for row in (self.header, rule, *self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        below = [f"- {_escape(line)}" for line in self.notes]
        return "\n".join([*lines, "", *below]).rstrip("\n")

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title in self.header)
        body = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in self.rows
        )
        below = "<br>".join(escape(line) for line in self.notes)
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p><small>{below}</small></p>"
        )


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
        raise ValueError(f"{folder}: the folder has no results. Fix: {REPRODUCE} in the repository")
    return Table(header=("result", "value", "95% interval", "what"), rows=tuple(rows))


def compare_table1(
    paper: PaperTable, ours: Mapping[str, Sequence[Path]], *, summary: bool = False
) -> Table:
    """Return a table of our mAP beside the mAP of the paper's Table 1.

    Each row has a method of ours and its counterpart in the paper: the same method, or an unavailable
    method that ours replaces (`REPLACEMENTS`).

    Args:
        paper: Values of the paper's Table 1.
        ours: Dict from method to result files, as `results_by_row` returns it.
        summary: Whether to leave out methods of the paper without a counterpart, and to show only the
            benchmarks ``rendered+places`` and ``rendered_large`` (ours), Oxford5k and Paris6k (paper).

    Raises:
        ValueError: If a result file has no mAP.
    """
    cells = {method: _cells(paths) for method, paths in ours.items()}
    found = {HEADLINE, LARGE}.union(*cells.values())
    columns = [HEADLINE, LARGE] if summary else sorted(found)
    sets = paper.sets[::2] if summary else paper.sets  # without those with 100,000 distractors
    named = {method: REPLACEMENTS.get(method, method) for method in ours}
    others = [] if summary else [name for name in paper.rows if name not in named.values()]

    def theirs(name: str) -> list[str]:
        values = map(paper.rows.get(name, {}).get, sets)
        shown = [DASH if value is None else f"{value:.1f}" for value in values]
        return [name if name in paper.rows else DASH, *shown]

    rows = [
        (method, *(cells[method].get(column, DASH) for column in columns), *theirs(name))
        for method, name in named.items()
    ]
    rows += [(DASH, *[DASH] * len(columns), *theirs(name)) for name in others]
    benchmarks = [f"mAP, {TITLES.get(column, column)}" for column in columns]
    published = ("method (paper)", *(f"mAP, {name}" for name in sets))
    return Table(
        header=("method (ours)", *benchmarks, *published),
        rows=tuple(rows),
        notes=()
        if summary
        else (
            f"Ours: {paper.unit}, with 95% intervals over landmarks. {DASH}: no such number.",
            f"Paper: {paper.source}; {paper.status}; {paper.unit}.",
            *paper.notes,
        ),
    )


def update_page(page: Path, folder: Path = RESULTS) -> None:
    """Write the summary of `compare_table1` into a Markdown page, between `START` and `END`.

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
    ours = results_by_row(folder, headline=True)
    table = compare_table1(table1(), ours, summary=True)
    block = f"{START}\n\n{table.markdown()}\n\n{END}".replace(
        "\n", "\r\n" if "\r\n" in text else "\n"
    )
    write_output(page, f"{before}{block}{after}")


def _cells(paths: Sequence[Path]) -> dict[str, str]:
    """Return a dict from benchmark to mAP with its interval, for the results of one method.

    With `BY_VIEW`, the name of the benchmark is the key of mAP for this protocol.
    """
    cells = {}
    for path in paths:
        result = read_result(path)
        if not {"benchmark", "value", "interval"} <= result.keys():
            raise ValueError(
                f"{path}: this file has no mAP of a benchmark. Fix: remove the file, and {REPRODUCE}"
            )
        value, low, high = mean_score([result])
        cells[result["benchmark"]] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        if (by_view := result.get("other_protocols", {}).get(VIEW)) is not None:
            cells[f"{result['benchmark']}{BY_VIEW}"] = f"{by_view:.1f}"
    return cells


def _escape(text: str) -> str:
    """Escape the characters that have a meaning in a cell of Markdown."""
    return "".join(f"\\{letter}" if letter in "|*_" else letter for letter in text)
