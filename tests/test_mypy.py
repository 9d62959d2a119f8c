"""The types of the package. mypy checks them while other tests run."""

import subprocess
import sys
from pathlib import Path


def test_types() -> None:
    command = [sys.executable, "-m", "mypy"]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
