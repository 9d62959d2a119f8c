"""The command ``delfjax data``, which lists the data sets and downloads missing data sets."""

import argparse
from pathlib import Path

from delfjax.cli.output import show
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import DATASETS, data_folder, missing_parts
from delfjax.datasets.fetch import fetch_dataset
from delfjax.files import StoreError


def data_options(sub: argparse.ArgumentParser) -> None:
    """Add the actions ``list`` and ``fetch`` of ``delfjax data``."""
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add_action(name: str, summary: str) -> argparse.ArgumentParser:
        action = actions.add_parser(
            name, help=summary, description=summary, formatter_class=sub.formatter_class
        )
        root = "folder of the data sets; set $DELFJAX_DATA to change the default"
        default = data_folder()
        action.add_argument("--root", type=Path, default=default, metavar="FOLDER", help=root)
        return action

    add_action("list", "list the data sets: content, terms of use, and whether they are on disk")
    fetch = add_action(
        "fetch", "download, verify and unpack data sets; complete files are not downloaded again"
    )
    names = f"data sets to fetch, one or more of {', '.join(DATASETS)}"
    fetch.add_argument("names", nargs="+", choices=DATASETS, metavar="NAME", help=names)


def data(options: argparse.Namespace) -> int:
    """Run ``delfjax data``. The exit code is 1 if a data set could not be fetched, else 0."""
    if options.action == "fetch":
        return max([_fetch(name, options.root) for name in options.names])
    for name, entry in DATASETS.items():
        missing = missing_parts(name, options.root)
        state = f"missing {', '.join(missing)}" if missing else "complete"
        show(f"{options.root / name}: {state}\n{entry.description}")
    return 0


def _fetch(name: str, root: Path) -> int:
    """Fetch one data set. Print an error instead of raising it, so that other sets are fetched."""
    entry = DATASETS[name]
    try:
        if entry.files and missing_parts(name, root):  # show the terms before downloading anything
            show(f"{root / name}\n{entry.description}")
        fetched = fetch_dataset(name, root)
    except (DatasetError, StoreError) as error:
        show(f"delfjax data: {error}", error=True)
        return 1
    show(f"{root / name}: {'fetched' if fetched else 'complete, nothing to fetch'}")
    return 0
