"""Describe the data sets: publisher, terms of use, download addresses, and required files.

The file ``catalog.toml`` holds the descriptions. All data sets lie in one root folder. The files of
the data set ``NAME`` lie in the sub-folder ``NAME``.
"""

import os
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delfjax.datasets.text_files import read_lines
from delfjax.files import cache_folder

# While a data set is downloaded, this file in its folder lists the parts that are still incomplete.
UNFINISHED = ".fetching"


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that ``delfjax data fetch`` downloads.

    Attributes:
        url: Address of the file.
        part: Element of `CatalogEntry.parts` that this file provides.
        folder: Sub-folder of the data set for the file or, if it is an archive, for its content.
        flat: Whether to drop the folders of the archive and unpack all files into ``folder``.
        md5_url: Address of a text file that starts with the MD5 checksum. None: no checksum.
    """

    url: str
    part: str
    folder: str = ""
    flat: bool = False
    md5_url: str | None = None

    @property
    def name(self) -> str:
        """Name of the file: the last part of ``url``."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """Description of one data set.

    Attributes:
        title: Title given by the publisher.
        summary: Contents of the data set, in one phrase.
        homepage: Address of the publisher's web page.
        terms: Terms of use, in one phrase.
        parts: Glob patterns. The data set is complete if each pattern matches at least one file.
        files: Files that ``delfjax data fetch`` downloads. Empty: only a download by hand works.
        manual_steps: Instructions to download the data set by hand.
        gigabytes: Approximate download size in GB. None: unknown.
        photos_from: Name of another data set whose photos this data set uses, if any.
    """

    title: str
    summary: str
    homepage: str
    terms: str
    parts: Sequence[str]
    files: Sequence[RemoteFile] = ()
    manual_steps: Sequence[str] = ()
    gigabytes: float | None = None
    photos_from: str | None = None

    @property
    def description(self) -> str:
        """Title, summary, size, web page and terms of use, as three lines of text."""
        size = f"about {self.gigabytes:g} GB" if self.gigabytes else "size unknown"
        return (
            f"  {self.title}: {self.summary}; {size}\n"
            f"  page: {self.homepage}\n  terms: {self.terms}"
        )


def _read_catalog(path: Path) -> dict[str, CatalogEntry]:
    """Read the catalog. A file ``a_{}`` with ``numbers = [1, 2]`` stands for ``a_1``, ``a_2``."""
    entries = {}
    for name, record in tomllib.loads(path.read_text(encoding="utf-8")).items():
        files = []
        for fields in record.pop("files", []):
            first, last = fields.pop("numbers", (0, 0))
            for n in range(first, last + 1):
                numbered: dict[str, Any] = {
                    key: value.format(n) if isinstance(value, str) else value
                    for key, value in fields.items()
                }
                files.append(RemoteFile(**numbered))
        entries[name] = CatalogEntry(**record, files=files)
    return entries


DATASETS = _read_catalog(Path(__file__).with_suffix(".toml"))


def data_folder() -> Path:
    """Return the default folder of the data sets: ``$DELFJAX_DATA``, or a folder in the cache."""
    return Path(os.environ.get("DELFJAX_DATA") or cache_folder() / "datasets")


def missing_parts(name: str, root: Path) -> tuple[str, ...]:
    """List the patterns in `CatalogEntry.parts` whose files are missing or not fully downloaded.

    ``root`` holds one sub-folder per data set.
    """
    folder = root / name
    unfinished = folder / UNFINISHED
    lines = read_lines(unfinished, fix="remove this file") if unfinished.exists() else []
    incomplete = [line.text for line in lines]
    return tuple(
        part for part in DATASETS[name].parts if part in incomplete or not any(folder.glob(part))
    )


def missing_message(name: str, root: Path) -> str:
    """Return a message that lists the missing files of a data set and says how to get them."""
    entry = DATASETS[name]
    lines = [
        f"{root / name}: missing files: {', '.join(missing_parts(name, root))}",
        entry.description,
    ]
    if entry.files:
        command = f"delfjax data fetch {name} --root {shlex.quote(str(root))}"
        lines += [f"  Fix: run {command}"]
    else:
        lines += [f"  Fix: download the data set by hand into {root / name}:"]
        lines += [f"    {n}. {step}" for n, step in enumerate(entry.manual_steps, start=1)]
    return "\n".join(lines)
