"""Execute the notebooks in order, and save them with their outputs.

A notebook's source is its twin ``NN_noun.py`` in the percent format; ``NN_noun.ipynb`` is made from
it, and keeps the SHA-256 of its code cells and of the library they ran with. While both still hold
it is not run again: an edit of the prose alone takes the outputs over.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

FOLDER = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_STATE_LIMIT = 100_000  # bytes of JSON; above it the saved page goes without
WIDGET = "application/vnd.jupyter.widget-view+json"
UNSYNCED = "not in sync with its twin"


def read_twin(twin: Path) -> nbformat.NotebookNode:
    """Read a percent script as a notebook that has not run, with the same cell ids every time."""
    notebook = nbformat.v4.new_notebook(cells=jupytext.read(twin, fmt="py:percent").cells)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:03d}"
    return notebook


def save(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook aside and move it into place: a run cut short leaves the old one whole."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / path.name
        whole.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        whole.replace(path)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return a notebook's code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def has_stills(notebook: nbformat.NotebookNode) -> bool:
    """Tell whether a widget has a picture that stands in for it: pages with its state would not show it."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return any({WIDGET, "image/jpeg"} <= output.get("data", {}).keys() for output in outputs)


def code_sha256(notebook: nbformat.NotebookNode) -> str:
    """Return the SHA-256 of the code cells end to end, with a NUL between two."""
    return hashlib.sha256("\0".join(c.source for c in code_cells(notebook)).encode()).hexdigest()


def library_sha256(folder: Path = FOLDER.parent / "delfjax") -> str:
    """Return the SHA-256 of the library's sources, in the order of their paths."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".js"))
    sources = [path.read_bytes() for path in paths]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def problems(twin: Path, *, library: bool = False) -> list[str]:
    """List what a reader of the saved notebook should not see; with `library`, its age as well."""
    if not twin.with_suffix(".ipynb").exists():
        return ["not executed yet"]
    saved, source = nbformat.read(twin.with_suffix(".ipynb"), as_version=4), read_twin(twin)
    record = saved.metadata.get("delfjax", {})
    cells, wanted = ([(c.cell_type, c.source) for c in book.cells] for book in (saved, source))
    hashes = {record.get("code_sha256"), code_sha256(saved), code_sha256(source)}
    outputs = [output for cell in code_cells(saved) for output in cell.outputs]
    checks = {
        UNSYNCED: cells != wanted,
        "older than its code": len(hashes) > 1,
        "an error in its outputs": any(output.output_type == "error" for output in outputs),
        "stderr in its outputs": any(output.get("name") == "stderr" for output in outputs),
        "older than the library": library and record.get("library_sha256") != library_sha256(),
    }
    return [words for words, found in checks.items() if found]


def run(twin: Path, *, advance: Callable[[], object] = lambda: None) -> nbformat.NotebookNode:
    """Run a twin in a kernel of its own, in its own folder; exit at the first cell that fails."""
    notebook, started, start = read_twin(twin), [], time.perf_counter()
    record = {"code_sha256": code_sha256(notebook), "library_sha256": library_sha256()}
    client = NotebookClient(
        notebook,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(twin.parent)}},
        on_cell_execute=lambda cell_index, **_: started.append(cell_index + 1),
        on_cell_executed=lambda **_: advance(),
    )
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        raise SystemExit(f"{twin.stem}.ipynb, cell {started[-1]}: {error}") from error
    record["seconds"] = round(time.perf_counter() - start, 1)
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "delfjax": record}
    widgets = notebook.metadata.get("widgets")
    if widgets and len(json.dumps(widgets)) <= WIDGET_STATE_LIMIT and not has_stills(notebook):
        metadata["widgets"] = widgets
    notebook.metadata = nbformat.from_dict(metadata)
    return notebook


def refresh(twin: Path) -> nbformat.NotebookNode:
    """Return a twin's new prose around the outputs of the same code, as they were saved."""
    notebook, saved = read_twin(twin), nbformat.read(twin.with_suffix(".ipynb"), as_version=4)
    notebook.metadata = saved.metadata
    for cell, before in zip(code_cells(notebook), code_cells(saved), strict=True):
        cell.execution_count, cell.outputs = before.execution_count, before.outputs
    return notebook


def execute(twins: list[Path], *, force: bool = False, out: Path | None = None) -> None:
    """Execute and save the notebooks that are out of date, with one bar over all their cells.

    With `out`, all of them into that folder: those beside the twins stay as they are.
    """
    found = {twin: ["forced"] if force or out else problems(twin, library=True) for twin in twins}
    stale = [twin for twin in twins if set(found[twin]) - {UNSYNCED}]
    total = sum(len(code_cells(read_twin(twin))) for twin in stale)
    with tqdm(total=total, unit="cell", disable=None if stale else True) as bar:
        for twin in twins:
            bar.set_description(twin.stem)
            if found[twin]:
                notebook = run(twin, advance=bar.update) if twin in stale else refresh(twin)
                save(notebook, (out or twin.parent) / f"{twin.stem}.ipynb")
            bar.write(f"{twin.stem}.ipynb: {'executed' if twin in stale else 'up to date'}")


def main() -> None:
    """Run the command line; exit with 1 if a notebook fails, or the check finds something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[""], help="such as 03; all, if there is none")
    parser.add_argument("--check", action="store_true", help="execute nothing: list what is wrong")
    parser.add_argument("--force", action="store_true", help="execute what is up to date, too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="save into it, not beside twins")
    options = parser.parse_args()
    names = tuple(Path(name).stem for name in options.names)
    twins = [twin for twin in sorted(FOLDER.glob("[0-9][0-9]_*.py")) if twin.stem.startswith(names)]
    if any(names) and not twins:
        parser.error(f"no notebook {', '.join(names)} in {FOLDER.name}/")
    if options.check:
        found = {twin.stem: ", ".join(problems(twin)) for twin in twins}
        bad = [f"{name}.ipynb: {words}" for name, words in found.items() if words]
        sys.exit("\n".join([*bad, "Mend: make notebooks"]) if bad else 0)
    execute(twins, force=options.force, out=options.out)


if __name__ == "__main__":
    main()
