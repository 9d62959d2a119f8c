"""JupyterLab in a headless Chromium: a notebook driven as a visitor drives it.

Both start and stop with a test; neither sees the settings, the kernels or the network of who runs it.
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
PATIENCE = 120_000  # milliseconds: a cell of a slow machine imports jax
PIXELS = """image => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""
ROOT = Path(__file__).resolve().parents[1]
# Lab would ask in a dialog whether to fetch news.
SETTINGS = {"notification": {"fetchNews": "false", "checkForUpdates": False}}


class Notebook:
    """A notebook that is open in JupyterLab; `page` is Playwright's, for all that is not here."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.path = page, path
        self.complaints: list[str] = []
        page.on("console", lambda said: said.type == "error" and self._note(said.text))
        page.on("pageerror", lambda error: self._note(str(error)))

    def _note(self, text: str) -> None:
        self.complaints.append(text)

    def run(self) -> None:
        """Run every cell; the kernel may go on after this returns."""
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        self.page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook, and read the file."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        until(lambda: self.path.stat().st_mtime_ns != before and _is_whole(self.path))
        return nbformat.read(self.path, as_version=4)

    def pixels(self, selector: str) -> str:
        """Return a digest of what an image really shows: its source is a new address at each change."""
        shown = self.page.locator(selector).evaluate(PIXELS)
        return hashlib.sha256(base64.b64decode(shown.split(",")[1])).hexdigest()

    def changes(self, act: Callable[[], object], *selectors: str) -> None:
        """Do something, and wait until images have changed."""
        before = {selector: self.pixels(selector) for selector in selectors}
        act()
        until(lambda: all(self.pixels(selector) != old for selector, old in before.items()))

    def slider(self, name: str) -> Any:
        """Find the handle of the slider of that name."""
        return self.page.locator(".widget-slider", has_text=name).locator(".noUi-handle")

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page, if the environment says where."""
        if folder := os.environ.get("DELFJAX_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")


def until(holds: Any, seconds: float = 30) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _is_whole(path: Path) -> bool:
    """Tell whether JSON is written to its end: on a slow machine a file is there before what it says."""
    try:
        json.loads(path.read_text())
    except json.JSONDecodeError:
        return False
    return True


@contextmanager
def opened(folder: Path, *cells: str, size: tuple[int, int] = (1280, 1000)) -> Iterator[Notebook]:
    """Open a notebook of these code cells in JupyterLab.

    Skips the test where there is no browser; fails it where DELFJAX_REQUIRE_BROWSER is set.

    Args:
        folder: A temporary one, for all that the server keeps.
        cells: Sources.
        size: Width and height of the window.
    """
    executable, start = _chromium()
    path = folder / "lab" / "visit.ipynb"
    path.parent.mkdir()
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    # Without a kernel's name Lab would ask for one.
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel}), path)
    with _server(folder) as address, start() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
            page.set_default_timeout(PATIENCE)
            notebook = Notebook(page, path)
            page.goto(address.format("lab/tree/visit.ipynb"))
            yield notebook
        finally:
            browser.close()


def _chromium() -> tuple[str, Any]:
    """Find the browser, and what drives it."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed: pip install playwright"
    else:
        if executable:
            return executable, sync_playwright
        missing = f"there is no {', '.join(BROWSERS)} on the PATH: apt install chromium"
    if os.environ.get("DELFJAX_REQUIRE_BROWSER"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Run JupyterLab on a free port; give its address, with room for a path."""
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
            start_new_session=True,  # a Ctrl-C is the tests' own
        )
    try:
        yield _address(process, home / "runtime", log) + "{}?token=" + token
    finally:
        process.send_signal(signal.SIGTERM)  # it stops its kernels, too
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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


def _address(process: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Wait for the file in which a server says where it listens."""

    def started() -> bool:
        assert process.poll() is None, log.read_text()
        return any(map(_is_whole, runtime.glob("jpserver-*.json")))

    until(started, 60)
    return json.loads(next(runtime.glob("jpserver-*.json")).read_text())["url"]
