"""Catalog of the data sets: publisher, terms of use, download addresses, and required files.

The entries are in ``catalog.toml``. One root folder holds one sub-folder per data set, with its name.
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
        part: Part of the data set that this file provides, one of `CatalogEntry.parts`.
        folder: Destination, relative to the folder of the data set. An archive is unpacked there.
        flat: Whether to unpack all files directly into ``folder``, without the folders of the archive.
        md5_url: Address of a text file that starts with the MD5 checksum of the file. None: the
            publisher gives no checksum.
    """

    url: str
    part: str
    folder: str = ""
    flat: bool = False
    md5_url: str | None = None

    @property
    def name(self) -> str:
        """File name, the last part of ``url``."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """Description of one data set, and how to get the files.

    Attributes:
        title: Title given by the publisher.
        summary: Contents of the data set, in one phrase.
        homepage: Web page of the publisher.
        terms: Terms of use, in one phrase.
        parts: Required parts, as glob patterns. In a complete folder, each pattern matches a file.
        files: Files to download. Empty: the data set has to be downloaded by hand.
        manual_steps: How to download the data set by hand.
        gigabytes: Approximate download size in GB. None: unknown.
        photos_from: Name of another data set whose photos are used. None: no other data set.
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
        """Title, summary, size, web page and terms of use, on three indented lines."""
        size = f"about {self.gigabytes:g} GB" if self.gigabytes else "size unknown"
        return (
            f"  {self.title}: {self.summary}; {size}\n"
            f"  page: {self.homepage}\n  terms: {self.terms}"
        )


def _read_catalog(path: Path) -> dict[str, CatalogEntry]:
    """Read the entries. A file with ``numbers`` stands for one file per number, which replaces ``{}``."""
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
    """Return the default root folder: ``$DELFJAX_DATA`` if set, otherwise ``datasets`` in the cache."""
    return Path(os.environ.get("DELFJAX_DATA") or cache_folder() / "datasets")


def missing_parts(name: str, root: Path) -> tuple[str, ...]:
    """List the required parts of a data set that are missing or incomplete on disk.

    ``root`` holds one sub-folder per data set. The parts are glob patterns, from `CatalogEntry.parts`.
    """
    folder = root / name
    unfinished = folder / UNFINISHED
    lines = read_lines(unfinished, fix="remove it") if unfinished.exists() else []
    incomplete = [line.text for line in lines]
    return tuple(
        part for part in DATASETS[name].parts if part in incomplete or not any(folder.glob(part))
    )


def missing_message(name: str, root: Path) -> str:
    """Return a message that says which parts of a data set are missing and how to get them."""
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
