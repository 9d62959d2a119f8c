"""Numbers of the paper's Table 1 and Fig. 5, with their sources.

The curves of Fig. 5 were read off the pixels of the figure. Their precision has an error of at most
0.03. In Fig. 5, recall is a number of correct results.
"""

import json
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

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
class PaperFigure:
    """A figure of the paper with its curves.

    Attributes:
        status: How the curves were obtained.
        error: Largest possible reading error of the precision values, which were read off the plot.
        curves: Curves by method, in the paper's order: recalls (numbers of correct results, rising)
            and the precision at each, 0 to 1.
    """

    status: str
    error: float
    curves: dict[str, Float[np.ndarray, "2 k"]]


def table1(root: Path = ROOT) -> PaperTable:
    """Read Table 1: mAP on Oxford5k and Paris6k, with and without 100,000 distractors.

    Raises:
        ValueError: If a row does not have one number, or null, for each column.
    """
    found = _read(root / "table1.json")
    rows = {name: np.array(values, float) for name, values in found.pop("rows").items()}
    _check_lengths(root / "table1.json", rows, len(found["sets"]), "data set")
    sets, notes = tuple(found.pop("sets")), tuple(found.pop("notes"))
    return PaperTable(**found, sets=sets, rows=rows, notes=notes)


def fig5(root: Path = ROOT) -> PaperFigure:
    """Read Fig. 5: precision-recall curves on Google-Landmarks, with distractor queries.

    Raises:
        ValueError: If a curve does not have one precision, or null, for each recall.
    """
    found = _read(root / "fig5.json")
    recalls, curves = found["recall"], {}
    _check_lengths(root / "fig5.json", found["precision"], len(recalls), "recall")
    for name, precisions in found["precision"].items():
        points = [*zip(recalls, precisions, strict=True)]
        if (end := found["ends"].get(name)) is not None:
            points.append((end["recall"], end["precision"]))
        curves[name] = np.array(sorted(point for point in points if point[1] is not None), float).T
    return PaperFigure(status=found["status"], error=found["error"], curves=curves)


def _check_lengths(path: Path, rows: Mapping[str, Sized], count: int, unit: str) -> None:
    for name, values in rows.items():
        if len(values) != count:
            raise ValueError(
                f"{path}: the row {name!r} has {len(values)} numbers; expected {count}, one per "
                f"{unit}. Fix: restore the file from the repository"
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return values
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: cannot be read ({error}). Fix: run in a checkout of the repository"
        ) from error
