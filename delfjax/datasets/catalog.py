"""Catalog of the data sets: publisher, terms, download addresses, and the files each one needs.

The entries are in ``catalog.toml``. Every data set lies in a folder of its own name below one root
folder. A data set without a known download address has steps to follow by hand instead.
"""

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delfjax.files import cache_folder

# File in the folder of a data set while it is fetched: the parts that are still incomplete.
UNFINISHED = ".fetching"


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that ``delfjax data fetch`` downloads.

    Attributes:
        url: Address of the file.
        part: Required part of the data set that is incomplete without this file.
        folder: Destination, relative to the folder of the data set. An archive is unpacked there.
        flat: Whether to drop the folders inside the archive.
        md5_url: Address of a text file that starts with the MD5 checksum. None: the publisher gives
            no checksum.
    """

    url: str
    part: str
    folder: str = ""
    flat: bool = False
    md5_url: str | None = None

    @property
    def name(self) -> str:
        """File name: the last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """What the catalog records about one data set.

    Attributes:
        title: Title that the publisher gives it.
        summary: What it contains.
        homepage: Web page of the publisher.
        terms: Terms of use, in one sentence.
        parts: Glob patterns; a complete folder has at least one match of each.
        files: Files to download. Empty: the data set has to be fetched by hand.
        manual_steps: Instructions for fetching it by hand.
        gigabytes: Approximate download size; None: unknown.
        photos_from: Name of the data set whose photos this one shares.
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
        """Title, summary, size, page and terms, on three indented lines."""
        size = f"about {self.gigabytes:g} GB" if self.gigabytes else "size unknown"
        return (
            f"  {self.title}: {self.summary}; {size}\n"
            f"  page: {self.homepage}\n  terms: {self.terms}"
        )


def _expand_numbers(record: Mapping[str, Any]) -> list[RemoteFile]:
    """Return one file for each number in ``numbers``, which replaces ``{}``."""
    fields = dict(record)
    first, last = fields.pop("numbers", (0, 0))
    return [
        RemoteFile(**{k: v.format(n) if isinstance(v, str) else v for k, v in fields.items()})
        for n in range(first, last + 1)
    ]


def _read_catalog(path: Path) -> dict[str, CatalogEntry]:
    entries = {}
    for name, record in tomllib.loads(path.read_text(encoding="utf-8")).items():
        files = [file for each in record.pop("files", []) for file in _expand_numbers(each)]
        entries[name] = CatalogEntry(**record, files=files)
    return entries


DATASETS = _read_catalog(Path(__file__).with_suffix(".toml"))


def data_folder() -> Path:
    """Return the default root folder: ``$DELFJAX_DATA``, or ``datasets`` in the cache folder."""
    return Path(os.environ.get("DELFJAX_DATA") or cache_folder() / "datasets")


def missing_parts(name: str, root: Path) -> tuple[str, ...]:
    """List the required parts of a data set that are missing or incomplete on disk.

    Args:
        name: Name of the data set, one of `DATASETS`.
        root: Folder that holds the folders of all data sets.

    Returns:
        Glob patterns relative to the folder of the data set; empty if nothing is missing.
    """
    folder = root / name
    unfinished = folder / UNFINISHED
    incomplete = unfinished.read_text().splitlines() if unfinished.exists() else []
    return tuple(
        part for part in DATASETS[name].parts if part in incomplete or not any(folder.glob(part))
    )


def missing_message(name: str, root: Path) -> str:
    """Describe which parts of a data set are missing and how to get them.

    Arguments are the same as in `missing_parts`.
    """
    entry = DATASETS[name]
    lines = [f"{root / name}: missing {', '.join(missing_parts(name, root))}", entry.description]
    if entry.files:
        command = f"delfjax data fetch {name} --root {shlex.quote(str(root))}"
        lines += [f"  Fix: run {command}"]
    else:
        lines += [f"  Fix: fetch it by hand, into {root / name}:"]
        lines += [f"    {n}. {step}" for n, step in enumerate(entry.manual_steps, start=1)]
    return "\n".join(lines)
