"""Numbers of the paper's Table 1 and Fig. 5, with their sources.

The curves of Fig. 5 were read off the pixels of the figure. Their precision has an error of at most
0.03. In Fig. 5, recall is a number of correct results.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

ROOT = Path(__file__).resolve().parents[2] / "data" / "paper"  # only in a repository checkout


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperTable:
    """A table of the paper.

    Attributes:
        source: Name of the table.
        status: How the numbers of the table were obtained.
        unit: Unit of the numbers.
        sets: Names of the data sets, which are the columns.
        rows: For each method, one number per column. NaN if the paper gives none.
        notes: Remarks that a reader of the table needs.
    """

    source: str
    status: str
    unit: str
    sets: tuple[str, ...]
    rows: dict[str, Float[np.ndarray, " sets"]]
    notes: tuple[str, ...]

    def value(self, method: str, column: str) -> float:
        """Return the number of a method in a column. NaN if the paper gives none."""
        return float(self.rows[method][self.sets.index(column)])


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperCurve:
    """Points of a precision-recall curve, read off a figure of the paper.

    Attributes:
        recall: Recall of each point, a number of correct results, in rising order.
        precision: Precision of each point, 0 to 1.
        approximate: For each point, whether it is uncertain because the curve is hard to read there.
    """

    recall: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    approximate: Bool[np.ndarray, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperFigure:
    """A figure of the paper with its curves.

    Attributes:
        source: Name of the figure.
        status: How the curves were obtained.
        error: Largest possible reading error of the precision values, which were read off the plot.
        what: Description of what the figure shows.
        caption: Shortened caption of the figure.
        curves: Curves by method, in the paper's order.
    """

    source: str
    status: str
    error: float
    what: str
    caption: str
    curves: dict[str, PaperCurve]


def table1(root: Path = ROOT) -> PaperTable:
    """Read Table 1: mAP on Oxford5k and Paris6k, with and without 100,000 distractors.

    Raises:
        ValueError: If a row does not have one number, or null, for each column.
    """
    found = _read(root / "table1.json")
    rows = {name: np.array(values, float) for name, values in found.pop("rows").items()}
    if bad := [name for name, values in rows.items() if len(values) != len(found["sets"])]:
        raise ValueError(
            f"{root / 'table1.json'}: the row {bad[0]!r} has {len(rows[bad[0]])} numbers; expected "
            f"{len(found['sets'])}, one per data set. Fix: restore the file from the repository"
        )
    sets, notes = tuple(found.pop("sets")), tuple(found.pop("notes"))
    return PaperTable(**found, sets=sets, rows=rows, notes=notes)


def fig5(root: Path = ROOT) -> PaperFigure:
    """Read Fig. 5: precision-recall curves on Google-Landmarks, with distractor queries.

    Raises:
        ValueError: If a curve does not have one precision, or null, for each recall.
    """
    found = _read(root / "fig5.json")
    recall, curves = found.pop("recall"), found.pop("precision")
    if bad := [name for name, values in curves.items() if len(values) != len(recall)]:
        raise ValueError(
            f"{root / 'fig5.json'}: the curve {bad[0]!r} has {len(curves[bad[0]])} precisions; "
            f"expected {len(recall)}, one per recall. Fix: restore the file from the repository"
        )
    uncertain, ends = found.pop("approximate"), found.pop("ends")
    points = {
        name: [(r, p, r in uncertain.get(name, ())) for r, p in zip(recall, values, strict=True)]
        for name, values in curves.items()
    }
    for name, end in ends.items():
        points[name].append((end["recall"], end["precision"], end["approximate"]))
    return PaperFigure(**found, curves={name: _curve(each) for name, each in points.items()})


def _curve(points: list[tuple[float, float | None, bool]]) -> PaperCurve:
    recall, precision, approximate = zip(
        *sorted(p for p in points if p[1] is not None), strict=True
    )
    return PaperCurve(
        recall=np.array(recall, float),
        precision=np.array(precision, float),
        approximate=np.array(approximate),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: cannot be read ({error}). Fix: run in a checkout of the repository"
        ) from error
