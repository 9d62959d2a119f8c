"""Read ground truth from a pickle file without running code from the file.

A pickle file can call any Python function that it names. `load_plain` refuses all names, as the
documentation of `pickle` recommends. Published ground truth does not need them.
"""

import io
import pickle
from pathlib import Path
from typing import NoReturn

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import check_size, reading

MAX_BYTES = 16_000_000  # of a file; the names of 100,000 photos take 3 MB
EXPECTED = "dicts, lists, tuples, strings and numbers"


def load_plain(path: Path) -> object:
    """Read a pickle file of dicts, lists, tuples, strings and numbers, written by Python 2 or 3.

    Raises:
        DatasetError: The file cannot be read, exceeds `MAX_BYTES`, or does not hold plain data.
        FileNotFoundError: The file does not exist.
    """
    fix = "download the file again"
    with reading(path, f"a pickle of {EXPECTED}", fix=fix, error=DatasetError):
        check_size(path.stat().st_size, MAX_BYTES)
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()


# The unpickler in C would allocate as much memory as a number in the file demands.
class _PlainUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse a name that the file asks for."""
        raise ValueError(f"it asks for {module}.{name}; no code from the file was run")
