"""The notebooks are executed from their sources, clean and short, and use the public API."""

import ast
import asyncio
import re
import statistics
import time
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import jax
import nbformat
import pytest
import zmq
import zmq.asyncio
from nbformat import NotebookNode

from notebooks import execute

ROOT = execute.FOLDER.parent
NOTEBOOKS = sorted(execute.FOLDER.glob("*.ipynb"))
SOURCES = sorted(execute.FOLDER.glob("[0-9][0-9]_*.py"))
SIZE_LIMIT = 2_500_000  # bytes: a page that still opens in a browser
MEDIAN_LINES, MOST_LINES, DEFINITION_LINES = 6, 20, 10
MAX_IMPORTS = 5
# Joined from parts, because this file is checked too.
MACHINE_PATHS = [f"/{folder}/" for folder in ("home", "root", "work", "Users")]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


saved = cache(read)  # of notebooks that no test changes


def test_every_notebook_has_a_source() -> None:
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in SOURCES]


@each_notebook
def test_saved_notebook_is_up_to_date(path: Path) -> None:
    assert not execute.problems(path.with_suffix(".py")), "Fix: make notebooks"


@each_notebook
def test_notebook_ran_in_order_and_is_small_and_clean(path: Path) -> None:
    ran = [cell for cell in execute.code_cells(saved(path)) if cell.source.strip()]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    outputs = str([cell.outputs for cell in ran])
    images = re.compile(r"'image/(png|jpeg)': '[^']*'")  # base64 may hold any letters
    assert not [name for name in MACHINE_PATHS if name in images.sub("", outputs)]
    assert path.stat().st_size < SIZE_LIMIT
    assert len({ast.unparse(node) for node in imports(path)}) <= MAX_IMPORTS


@each_notebook
def test_cells_are_short(path: Path) -> None:
    lengths = []
    for number, cell in enumerate(execute.code_cells(saved(path)), start=1):
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


def imports(path: Path) -> list[ast.stmt]:
    """Return the import statements of a notebook."""
    source = "\n".join(cell.source for cell in execute.code_cells(saved(path)))
    python = "\n".join(
        line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))
    )
    nodes = ast.walk(ast.parse(python))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def unsolved(cell: NotebookNode) -> str | None:
    """Return the name of the function that a cell leaves to the reader, or None."""
    python = re.sub(r"^[ \t]*[%!].*$", "", cell.source, flags=re.MULTILINE)
    for node in ast.parse(python).body:
        if isinstance(node, ast.FunctionDef):
            last = node.body[-1]
            if isinstance(last, ast.Expr) and getattr(last.value, "value", None) is ...:
                return node.name
    return None


def called_checks(cell: NotebookNode) -> set[str]:
    """Return the calls of checks in a cell, such as ``exercises.check_pool(pool)``."""
    return set(re.findall(r"^[\w.]*\bcheck_\w+\(.*\)$", cell.source, flags=re.MULTILINE))


@each_notebook
def test_every_exercise_has_a_collapsed_solution(path: Path) -> None:
    cells = execute.code_cells(saved(path))
    for number, cell in enumerate(cells):
        name = unsolved(cell)
        if name is None:
            continue
        solution = cells[number + 1]
        assert solution.metadata.get("tags") == ["solution"], name
        assert solution.metadata.get("jupyter") == {"source_hidden": True}, name
        assert unsolved(solution) is None, name
        assert f"def {name}(" in solution.source
        assert called_checks(cell), name
        assert called_checks(cell) == called_checks(solution), name
        texts = ["".join(output.get("text", "")) for output in cell.outputs]
        assert texts == ["Not solved yet.\n"], name
        assert [output.text for output in solution.outputs] == ["Correct.\n"], name


@each_notebook
def test_solutions_follow_an_exercise(path: Path) -> None:
    cells = execute.code_cells(saved(path))
    for before, cell in pairwise(cells):
        if "solution" in cell.metadata.get("tags", []):
            assert unsolved(before)


@each_notebook
def test_solutions_are_correct(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A solution needs only the imports of its notebook."""
    cells = execute.code_cells(saved(path))
    solutions = [cell for cell in cells if "solution" in cell.metadata.get("tags", [])]
    names: dict[str, object] = {"jnp": jax.numpy}
    for source in (*map(ast.unparse, imports(path)), *(cell.source for cell in solutions)):
        exec(source, names)
    assert capsys.readouterr().out == len(solutions) * "Correct.\n"


# --- the runner ------------------------------------------------------------------------------------

SOURCE = """\
# %% [markdown]
# # A small notebook

# %%
print(__import__("pathlib").Path.cwd().name)

# %%
answer = 6 * 7
answer
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "01_answer.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_runner_executes_saves_and_skips(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert execute.problems(source) == ["not executed yet"]
    execute.execute([source])
    assert execute.problems(source) == []
    file = source.with_suffix(".ipynb")
    first, second = execute.code_cells(read(file))
    assert (first.execution_count, second.execution_count) == (1, 2)
    assert first.outputs[0].text == f"{source.parent.name}\n"  # the working folder
    assert second.outputs[0].data["text/plain"] == "42"
    assert set(read(file).metadata.delfjax) == {"code_sha256", "protocol", "seconds"}
    assert not [cell for cell in read(file).cells if cell.metadata]

    def never(source: Path, folder: Path, **_: object) -> None:
        raise AssertionError(f"{source.name} was run again")

    monkeypatch.setattr(execute, "run", never)
    before = file.read_bytes()
    execute.execute([source])
    assert file.read_bytes() == before
    assert "01_answer.ipynb: up to date" in capsys.readouterr().out

    # New text keeps the outputs; new code does not.
    source.write_text(SOURCE.replace("A small", "Another"), encoding="utf-8")
    assert execute.problems(source) == [execute.OUT_OF_SYNC]
    execute.execute([source])
    assert execute.problems(source) == []
    assert "Another" in read(file).cells[0].source
    source.write_text(SOURCE.replace("6 * 7", "7 * 7"), encoding="utf-8")
    assert "older than its code" in execute.problems(source)
    with pytest.raises(AssertionError, match="run again"):
        execute.execute([source])

    # Nor does a new protocol.
    source.write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(execute, "PROTOCOL", -1)
    assert "made with another protocol" in execute.problems(source)


def test_runner_executes_elsewhere_and_leaves_the_saved_notebook(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "build" / "notebooks"
    execute.execute([source], out=out)
    assert execute.code_cells(read(out / "01_answer.ipynb"))[0].outputs[0].text == "notebooks\n"
    assert (out / "figures").is_dir()
    assert not source.with_suffix(".ipynb").exists()


def test_runner_names_the_notebook_and_the_cell_that_fail(source: Path) -> None:
    source.write_text(SOURCE + "\n# %%\nanswer / 0\n", encoding="utf-8")
    with pytest.raises(
        SystemExit, match=r"(?s)01_answer\.ipynb, cell 4: .*answer / 0.*ZeroDivision"
    ):
        execute.execute([source])
    assert not source.with_suffix(".ipynb").exists()


def test_check_finds_errors_and_stderr_in_outputs(source: Path) -> None:
    file = source.with_suffix(".ipynb")
    execute.execute([source])
    notebook = read(file)
    first, second = execute.code_cells(notebook)
    first.outputs = [nbformat.v4.new_output("stream", name="stderr", text="a warning")]
    second.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    execute.save(notebook, file)
    assert execute.problems(source) == ["an error in its outputs", "stderr in its outputs"]


def test_runner_receives_a_reply_whose_event_was_consumed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> bytes:
        with zmq.asyncio.Context() as context:
            socket, kernel = context.socket(zmq.PAIR), zmq.Context.instance().socket(zmq.PAIR)
            with socket, kernel:
                kernel.connect(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
                waiting = asyncio.ensure_future(socket.poll())
                await asyncio.sleep(0.2)
                kernel.send(b"reply")
                time.sleep(0.2)  # the event loop must not see the reply first
                zmq.Socket.shadow(socket).get(zmq.EVENTS)  # as jupyter_client's send does
                assert not (await asyncio.wait({waiting}, timeout=0.5))[0], "no wake-up is needed"
                channel = SimpleNamespace(shell_channel=SimpleNamespace(socket=socket))
                waking = asyncio.ensure_future(execute.keep_awake(SimpleNamespace(kc=channel)))
                await asyncio.wait_for(waiting, 30)
                waking.cancel()
                return await socket.recv()

    monkeypatch.setattr(execute, "WAKE_SECONDS", 0.1)
    assert asyncio.run(receive()) == b"reply"
