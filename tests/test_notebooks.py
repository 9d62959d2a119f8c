"""The notebooks are in sync with their twins, freshly executed, clean, and only orchestrate."""

import ast
import re
import statistics
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from notebooks import execute

NOTEBOOKS = sorted(execute.FOLDER.glob("*.ipynb"))
TWINS = sorted(execute.FOLDER.glob("[0-9][0-9]_*.py"))
SIZE_LIMIT = 1_500_000  # bytes: a page that still opens in a browser
MEDIAN_LINES, MOST_LINES, DEFINITION_LINES = 6, 20, 3
# Joined from parts, so that this file does not hold what the project forbids.
MACHINE_PATHS = [f"/{folder}/" for folder in ("home", "root", "work", "Users")]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def test_every_notebook_has_a_twin_and_every_twin_a_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in TWINS]


@each_notebook
def test_saved_notebook_is_in_order(path: Path) -> None:
    assert not execute.problems(path.with_suffix(".py")), "mend: make notebooks"


@each_notebook
def test_cells_ran_in_order(path: Path) -> None:
    ran = [cell for cell in execute.code_cells(read(path)) if cell.source.strip()]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))


@each_notebook
def test_outputs_hold_no_path_of_a_machine(path: Path) -> None:
    outputs = str([cell.outputs for cell in execute.code_cells(read(path))])
    images = re.compile(r"'image/(png|jpeg)': '[^']*'")  # base64 may hold any letters
    assert not [name for name in MACHINE_PATHS if name in images.sub("", outputs)]


@each_notebook
def test_notebook_is_small(path: Path) -> None:
    assert path.stat().st_size < SIZE_LIMIT


@each_notebook
def test_notebook_only_orchestrates(path: Path) -> None:
    lengths = []
    for number, cell in enumerate(execute.code_cells(read(path)), start=1):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        lengths.append(len(lines))
        python = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
        for node in ast.walk(ast.parse(python)):
            assert not isinstance(node, ast.ClassDef), f"code cell {number}: class {node.name}"
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= DEFINITION_LINES, f"code cell {number}: def {node.name}"
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert max(lengths) <= MOST_LINES


# --- the runner ------------------------------------------------------------------------------------

TWIN = """\
# %% [markdown]
# # A throw-away notebook

# %%
print(__import__("pathlib").Path.cwd().name)

# %%
answer = 6 * 7
answer
"""


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    path = tmp_path / "01_answer.py"
    path.write_text(TWIN, encoding="utf-8")
    return path


def test_runner_executes_saves_and_skips(
    twin: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert execute.problems(twin) == ["not executed yet"]
    execute.execute([twin])
    assert execute.problems(twin, library=True) == []
    saved = twin.with_suffix(".ipynb")
    first, second = execute.code_cells(read(saved))
    assert (first.execution_count, second.execution_count) == (1, 2)
    assert first.outputs[0].text == f"{twin.parent.name}\n"  # it ran in its own folder
    assert second.outputs[0].data["text/plain"] == "42"
    assert set(read(saved).metadata.delfjax) == {"code_sha256", "library_sha256", "seconds"}
    assert not [cell for cell in read(saved).cells if cell.metadata]
    assert {path.name for path in twin.parent.iterdir()} >= {twin.name, saved.name}

    def never(twin: Path, **_: object) -> None:
        raise AssertionError(f"{twin.name} was run again")

    monkeypatch.setattr(execute, "run", never)
    before = saved.read_bytes()
    execute.execute([twin])
    assert saved.read_bytes() == before
    assert "01_answer.ipynb: up to date" in capsys.readouterr().out

    # New prose goes around the old outputs; new code does not.
    twin.write_text(TWIN.replace("throw-away", "small"), encoding="utf-8")
    assert execute.problems(twin) == ["not in sync with its twin"]
    execute.execute([twin])
    assert execute.problems(twin) == []
    assert "small" in read(saved).cells[0].source
    twin.write_text(TWIN.replace("6 * 7", "7 * 7"), encoding="utf-8")
    assert "older than its code" in execute.problems(twin)
    with pytest.raises(AssertionError, match="run again"):
        execute.execute([twin])

    # Nor do they outlive the library that they were made with.
    twin.write_text(TWIN, encoding="utf-8")
    monkeypatch.setattr(execute, "library_sha256", lambda: "another library")
    assert execute.problems(twin, library=True) == [
        "not in sync with its twin",
        "older than the library",
    ]


def test_runner_saves_elsewhere_and_leaves_what_is_beside_the_twin(
    twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "run", lambda twin, **_: execute.read_twin(twin))
    execute.execute([twin], out=tmp_path / "else" / "where")
    assert (tmp_path / "else" / "where" / "01_answer.ipynb").is_file()
    assert not twin.with_suffix(".ipynb").exists()


def test_runner_names_the_notebook_and_the_cell_that_fail(twin: Path) -> None:
    twin.write_text(TWIN + "\n# %%\nanswer / 0\n", encoding="utf-8")
    with pytest.raises(
        SystemExit, match=r"(?s)01_answer\.ipynb, cell 4: .*answer / 0.*ZeroDivision"
    ):
        execute.execute([twin])
    assert not twin.with_suffix(".ipynb").exists()


def test_check_finds_errors_and_stderr_in_outputs(twin: Path) -> None:
    saved = twin.with_suffix(".ipynb")
    execute.execute([twin])
    notebook = read(saved)
    first, second = execute.code_cells(notebook)
    first.outputs = [nbformat.v4.new_output("stream", name="stderr", text="a warning")]
    second.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    execute.save(notebook, saved)
    assert execute.problems(twin) == ["an error in its outputs", "stderr in its outputs"]
