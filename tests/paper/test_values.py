"""The paper's numbers: the files hold what the paper has, whole, and say where it comes from."""

import json
import shutil

import numpy as np
import pytest

from delfjax.files import StoreError
from delfjax.paper import values


def test_the_rows_of_table_1():
    table = values.table1()
    assert table.sets == ("Oxf5k", "Oxf105k", "Par6k", "Par106k")
    assert len(table.rows) == 10
    assert [*table.rows["DELF+FT+ATT"].values()] == [83.8, 82.6, 85.0, 81.7]
    assert table.rows["DELF+FT+ATT+DIR+QE"]["Par6k"] == 95.7
    assert table.rows["LIFT"]["Oxf105k"] is None
    assert "read" in table.status


def test_the_curves_of_figure_5():
    figure = values.fig5()
    assert (len(figure.curves), figure.error) == (7, 0.03)
    assert "digitized" in figure.status
    for curve in figure.curves.values():
        recall, precision = curve
        assert (np.diff(recall) > 0).all()
        assert ((precision > 0) & (precision <= 1)).all()
    assert figure.curves["CONGAS"][:, -1].tolist() == [85, 0.43]  # between two of the recalls
    assert figure.curves["DIR+QE"][0, 0] == 30  # not drawn before


@pytest.mark.parametrize(("name", "rows"), [("table1", "rows"), ("fig5", "precision")])
def test_a_row_that_lacks_a_number_is_an_error(tmp_path, name, rows):
    shutil.copytree(values.ROOT, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"{name}.json"
    found = json.loads(path.read_text())
    found[rows]["DIR"].pop()
    path.write_text(json.dumps(found))
    with pytest.raises(StoreError, match=rf"{name}\.json: damaged; .* Fix: restore the file"):
        getattr(values, name)(tmp_path)
