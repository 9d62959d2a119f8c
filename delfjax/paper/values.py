"""Read the values of the paper's Table 1 and Fig. 5.

The paper gives no numbers for the curves of Fig. 5. They were read off the figure, with an error of
the precision of at most 0.03. In Fig. 5, recall is the number of correct results of all queries.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from delfjax.files import DATA, reading

ROOT = DATA / "paper"
RESTORE = "restore the file from the repository"


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """The values of a table in the paper.

    Attributes:
        source: Citation of the table.
        status: How the values were obtained.
        unit: Unit of the values.
        sets: Names of the data sets, which are the columns of the table.
        rows: Values by method, then by data set. None: the paper gives no value.
        notes: Notes on the table.
    """

    source: str
    status: str
    unit: str
    sets: tuple[str, ...]
    rows: dict[str, dict[str, float | None]]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperFigure:
    """The curves of a figure in the paper.

    Attributes:
        status: How the curves were obtained.
        error: Largest error of a precision, from reading it off the figure.
        curves: Dict from method to curve. Row 0 of a curve holds increasing numbers of correct
            results (the recall). Row 1 holds the precision, 0 to 1, at each of these numbers.
    """

    status: str
    error: float
    curves: dict[str, Float[np.ndarray, "2 k"]]


def table1(root: Path = ROOT) -> PaperTable:
    """Read Table 1: mAP on Oxford5k and Paris6k, with and without 100,000 distractors.

    Raises:
        StoreError: If the file is damaged, or a row does not have one value for each column.
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
        StoreError: If the file is damaged, or a curve does not have one precision for each recall.
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
