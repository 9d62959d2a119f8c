"""Execute the notebooks in order.

The source of a notebook is ``NN_noun.py`` in the percent format. ``NN_noun.ipynb`` is made from it and
keeps the outputs, the SHA-256 of the code cells, and the `PROTOCOL` number of the library. A notebook
is up to date while both are unchanged; a change of the text alone keeps the outputs.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import jupytext
import nbformat
import zmq
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

from delfjax.files import atomic_write, cache_folder
from delfjax.provenance import PROTOCOL

FOLDER = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_TIMEOUT = 3600  # seconds
WAKE_SECONDS = 1.0  # between two wake-ups of the wait for a reply
WIDGET_STATE_LIMIT = 100_000  # bytes of JSON; a larger state is not saved
WIDGET = "application/vnd.jupyter.widget-view+json"
ELAPSED = re.compile(r"\b\d\d:\d\d\b")  # every progress bar shows the elapsed time
OUT_OF_SYNC = "text differs from its .py file"


def read_source(source: Path) -> nbformat.NotebookNode:
    """Read a percent script as a notebook without outputs, with the same cell ids every time."""
    notebook = nbformat.v4.new_notebook(cells=jupytext.read(source, fmt="py:percent").cells)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:03d}"
    return notebook


def save(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook, completely or not at all."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def has_stills(notebook: nbformat.NotebookNode) -> bool:
    """Return whether a widget has a picture beside it; pages show the picture without its state."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return any({WIDGET, "image/jpeg"} <= output.get("data", {}).keys() for output in outputs)


def is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Return whether an output is a progress bar; saved, it would stand at 0% forever."""
    data = output.get("data", {})
    return WIDGET in data and ELAPSED.search(data.get("text/plain", "")) is not None


def code_sha256(notebook: nbformat.NotebookNode) -> str:
    """Return the SHA-256 of the code cells, joined by NUL."""
    return hashlib.sha256("\0".join(c.source for c in code_cells(notebook)).encode()).hexdigest()


def problems(source: Path) -> list[str]:
    """List what is wrong with the saved notebook of a source."""
    saved_path = source.with_suffix(".ipynb")
    if not saved_path.exists():
        return ["not executed yet"]
    saved, wanted = nbformat.read(saved_path, as_version=4), read_source(source)
    record = saved.metadata.get("delfjax", {})
    cells = [[(cell.cell_type, cell.source) for cell in book.cells] for book in (saved, wanted)]
    hashes = {record.get("code_sha256"), code_sha256(saved), code_sha256(wanted)}
    outputs = [output for cell in code_cells(saved) for output in cell.outputs]
    checks = {
        OUT_OF_SYNC: cells[0] != cells[1],
        "older than its code": len(hashes) > 1,
        "made with another protocol": record.get("protocol") != PROTOCOL,
        "an error in its outputs": any(output.output_type == "error" for output in outputs),
        "stderr in its outputs": any(output.get("name") == "stderr" for output in outputs),
    }
    return [words for words, found in checks.items() if found]


async def keep_awake(client: NotebookClient) -> None:
    """Wake the wait for the reply of a cell at intervals, until this task is canceled.

    nbclient sends the outputs of widgets to the kernel while it waits for this reply. A send by
    jupyter_client can consume the event that announces the reply, and the wait then never ends. A look
    at the events of the socket announces the reply again.
    """
    while True:
        await asyncio.sleep(WAKE_SECONDS)
        with suppress(AttributeError, zmq.ZMQError):  # not connected yet, or not any more
            client.kc.shell_channel.socket.get(zmq.EVENTS)


async def run(
    source: Path, folder: Path, *, advance: Callable[[], object] = lambda: None
) -> nbformat.NotebookNode:
    """Run a notebook in a kernel of its own.

    Args:
        source: The ``.py`` file.
        folder: Working folder of the kernel.
        advance: Called after every cell.

    Raises:
        SystemExit: If a cell fails; the message names notebook and cell.
    """
    notebook, started, start = read_source(source), [], time.perf_counter()
    record = {"code_sha256": code_sha256(notebook), "protocol": PROTOCOL}
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=lambda cell_index, **_: started.append(cell_index + 1),
        on_cell_executed=lambda **_: advance(),
    )
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    waking = asyncio.create_task(keep_awake(client))
    try:
        await client.async_execute()
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        raise SystemExit(f"{source.stem}.ipynb, cell {started[-1]}: {error}") from error
    finally:
        waking.cancel()
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if not is_progress_bar(output)]
    record["seconds"] = round(time.perf_counter() - start, 1)
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "delfjax": record}
    widgets = notebook.metadata.get("widgets")
    if widgets and len(json.dumps(widgets)) <= WIDGET_STATE_LIMIT and not has_stills(notebook):
        metadata["widgets"] = widgets
    notebook.metadata = nbformat.from_dict(metadata)
    return notebook


def refresh(source: Path) -> nbformat.NotebookNode:
    """Return a notebook with the new text of its source and the saved outputs of the same code."""
    notebook = read_source(source)
    saved = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    notebook.metadata = saved.metadata
    for cell, before in zip(code_cells(notebook), code_cells(saved), strict=True):
        cell.execution_count, cell.outputs = before.execution_count, before.outputs
    return notebook


def execute(
    sources: list[Path], *, force: bool = False, out: Path | None = None, jobs: int = 1
) -> None:
    """Execute and save the notebooks that are out of date, with one progress bar over all cells.

    Args:
        sources: The ``.py`` files.
        force: Whether to execute the others too.
        out: Execute all of them in this folder and save them there, and leave the saved ones unchanged.
        jobs: Number of notebooks to execute at the same time.
    """
    found = {source: ["forced"] if force or out else problems(source) for source in sources}
    stale = [source for source in sources if set(found[source]) - {OUT_OF_SYNC}]
    total = sum(len(code_cells(read_source(source))) for source in stale)

    async def execute_all() -> None:
        running = asyncio.Semaphore(jobs)

        async def execute_one(source: Path) -> None:
            async with running:
                bar.set_description(source.stem)
                folder = out or source.parent
                if source in stale:
                    folder.mkdir(parents=True, exist_ok=True)
                    notebook = await run(source, folder, advance=bar.update)
                    save(notebook, folder / f"{source.stem}.ipynb")
                elif found[source]:
                    save(refresh(source), folder / f"{source.stem}.ipynb")
                bar.write(f"{source.stem}.ipynb: {'executed' if source in stale else 'up to date'}")

        await asyncio.gather(*map(execute_one, sources))

    with tqdm(total=total, unit="cell", disable=None if stale else True) as bar:
        asyncio.run(execute_all())


def main() -> None:
    """Run the command line; exit with 1 if a notebook fails, or the check finds a problem."""
    # Notebooks share compiled programs with each other and with the commands.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder() / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    os.environ["DELFJAX_SAVE_FIGURES"] = "1"  # otherwise, a notebook changes no file
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[""], help="such as 03 (default: all)")
    parser.add_argument("--check", action="store_true", help="only list what is out of date")
    parser.add_argument("--force", action="store_true", help="execute the others too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="execute and save them there")
    parser.add_argument("--jobs", type=int, default=1, help="execute this many at the same time")
    options = parser.parse_args()
    names = tuple(Path(name).stem for name in options.names)
    sources = [path for path in sorted(FOLDER.glob("[0-9]*_*.py")) if path.stem.startswith(names)]
    if any(names) and not sources:
        parser.error(f"no notebook {', '.join(names)} in {FOLDER.name}/")
    if options.check:
        found = {source.stem: ", ".join(problems(source)) for source in sources}
        bad = [f"{name}.ipynb: {words}" for name, words in found.items() if words]
        sys.exit("\n".join([*bad, "Fix: run make notebooks"]) if bad else 0)
    execute(
        sources, force=options.force, out=options.out and options.out.resolve(), jobs=options.jobs
    )


if __name__ == "__main__":
    main()
