"""Run a notebook in JupyterLab and a headless Chromium, and control it like a user.

Server and browser start and stop with the test. They do not use the settings or kernels of the user who
runs the test. Every wait has a time limit.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 120  # seconds: on a busy machine, importing JAX and compiling a search take long
PIXELS = """image => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""
ROOT = Path(__file__).resolve().parents[1]
# Without these, JupyterLab opens a dialog that offers news.
SETTINGS = {"notification": {"fetchNews": "false", "checkForUpdates": False}}


class Notebook:
    """A notebook that is open in JupyterLab. Use `page`, the Playwright page, for everything else."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.path = page, path
        self.errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def run(self) -> None:
        """Start all cells; the kernel can still be busy when this returns."""
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        self.page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook and read the file."""
        before = self.path.stat().st_mtime_ns
        # The keys for saving do nothing while the focus is on a control of a widget.
        self.page.get_by_role("menuitem", name="File", exact=True).click()
        self.page.get_by_role("menuitem", name="Save Notebook").first.click()
        wait_until(lambda: self.path.stat().st_mtime_ns != before and _is_complete(self.path))
        return nbformat.read(self.path, as_version=4)

    def pixels(self, selector: str) -> str:
        """Return a digest of the pixels of an image, whose address changes with every update."""
        data_url = self.page.locator(selector).evaluate(PIXELS)
        return hashlib.sha256(base64.b64decode(data_url.split(",")[1])).hexdigest()

    def wait_for_change(self, action: Callable[[], object], *selectors: str) -> None:
        """Do something, and wait until all these images have changed."""
        before = {selector: self.pixels(selector) for selector in selectors}
        action()
        wait_until(lambda: all(self.pixels(selector) != old for selector, old in before.items()))

    def slider(self, name: str) -> Any:
        """Return the handle of the slider with this label."""
        return self.page.locator(".widget-slider", has_text=name).locator(".noUi-handle")

    def screenshot(self, name: str) -> None:
        """Save a screenshot in the folder DELFJAX_SCREENSHOTS, if that variable is set."""
        if folder := os.environ.get("DELFJAX_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")


def wait_until(condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Wait until a condition holds; fail after this many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition does not hold after {seconds} seconds"
        time.sleep(0.05)


def _is_complete(path: Path) -> bool:
    """Return whether a JSON file is complete. On a slow machine it can be seen half written."""
    try:
        json.loads(path.read_text())
    except json.JSONDecodeError:
        return False
    return True


@contextmanager
def open_notebook(
    folder: Path, *cells: str, size: tuple[int, int] = (1280, 1000)
) -> Iterator[Notebook]:
    """Open a notebook with these code cells in JupyterLab.

    Without a browser the test is skipped, or fails if DELFJAX_REQUIRE_BROWSER is set.

    Args:
        folder: A temporary folder for all files of the server.
        cells: Source of each cell.
        size: Width and height of the window in pixels.
    """
    executable, start = _find_chromium()
    path = folder / "lab" / "test.ipynb"
    path.parent.mkdir()
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    # Without a kernel name, JupyterLab opens a dialog that asks for one.
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel}), path)
    with _start_server(folder) as address, start() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
            page.set_default_timeout(1000 * TIMEOUT)
            notebook = Notebook(page, path)
            page.goto(address.format("lab/tree/test.ipynb"))
            yield notebook
        finally:
            browser.close()


@contextmanager
def open_page(path: Path, size: tuple[int, int]) -> Iterator[Any]:
    """Open an HTML file in the browser, and yield the page of Playwright.

    ``size`` is the width and height of the window in pixels. The page has no network.
    """
    executable, start = _find_chromium()
    with start() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
            page.context.set_offline(True)
            page.goto(path.as_uri())
            yield page
        finally:
            browser.close()


def _find_chromium() -> tuple[str, Any]:
    """Return the path of the browser, and the function that starts Playwright."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed. Fix: pip install playwright"
    else:
        if executable:
            return executable, sync_playwright
        missing = f"no browser ({', '.join(BROWSERS)}) on the PATH. Fix: apt install chromium"
    if os.environ.get("DELFJAX_REQUIRE_BROWSER"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def _start_server(folder: Path) -> Iterator[str]:
    """Run JupyterLab on a free port, and yield its address as a format string for a path."""
    token = secrets.token_hex()
    home = folder / "home"
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    for name, values in SETTINGS.items():
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"]
            + [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'lab'}"],
            env=_environment(home),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C goes to the tests only
        )
    try:
        yield _server_address(process, home / "runtime", log) + "{}?token=" + token
    finally:
        process.send_signal(signal.SIGTERM)  # the server stops its kernels
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _environment(home: Path) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JUPYTER", "IPYTHON", "XDG_", "PYTEST"))
    }
    folders = {name: str(home / name) for name in ("config", "data", "runtime", "ipython")}
    return kept | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": folders["config"],
        "JUPYTER_DATA_DIR": folders["data"],
        "JUPYTER_RUNTIME_DIR": folders["runtime"],
        "IPYTHONDIR": folders["ipython"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), kept.get("PYTHONPATH", "")]),
    }


def _server_address(process: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Wait for the file in which the server writes its address, and return the address."""

    def is_started() -> bool:
        assert process.poll() is None, log.read_text()
        return any(map(_is_complete, runtime.glob("jpserver-*.json")))

    wait_until(is_started, 60)
    return json.loads(next(runtime.glob("jpserver-*.json")).read_text())["url"]
