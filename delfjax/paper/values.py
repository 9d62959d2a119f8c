"""Numbers of the paper's Table 1 and Fig. 5, with their sources.

The curves of Fig. 5 were read off the pixels of the figure. Their precision has an error of at most
0.03. In Fig. 5, recall is a number of correct results.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from delfjax.files import reading

ROOT = Path(__file__).resolve().parents[2] / "data" / "paper"  # only in a repository checkout
RESTORE = "restore the file from the repository"


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        source: Name of the table.
        status: How the numbers of the table were obtained.
        unit: Unit of the numbers.
        sets: Names of the data sets, which are the columns.
        rows: Numbers by method and data set. None if the paper gives none.
        notes: Remarks that a reader of the table needs.
    """

    source: str
    status: str
    unit: str
    sets: tuple[str, ...]
    rows: dict[str, dict[str, float | None]]
    notes: tuple[str, ...]


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
        StoreError: If a row does not have one number, or null, for each column.
    """
    path = root / "table1.json"
    with reading(path, "Table 1 of the paper", fix=RESTORE):
        found = json.loads(path.read_text(encoding="utf-8"))
        sets, notes, rows = (tuple(found.pop("sets")), tuple(found.pop("notes")), found.pop("rows"))
        rows = {name: dict(zip(sets, values, strict=True)) for name, values in rows.items()}
        return PaperTable(**found, sets=sets, rows=rows, notes=notes)


def fig5(root: Path = ROOT) -> PaperFigure:
    """Read Fig. 5: precision-recall curves on Google-Landmarks, with distractor queries.

    Raises:
        StoreError: If a curve does not have one precision, or null, for each recall.
    """
    path, curves = root / "fig5.json", {}
    with reading(path, "Fig. 5 of the paper", fix=RESTORE):
        found = json.loads(path.read_text(encoding="utf-8"))
        for name, precisions in found["precision"].items():
            points = [*zip(found["recall"], precisions, strict=True)]
            if (end := found["ends"].get(name)) is not None:
                points.append((end["recall"], end["precision"]))
            drawn = sorted(point for point in points if point[1] is not None)
            curves[name] = np.array(drawn, float).T
        return PaperFigure(status=found["status"], error=found["error"], curves=curves)
