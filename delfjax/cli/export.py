"""The command ``delfjax export``, which writes features and matches for hloc."""

import argparse
from pathlib import Path

from delfjax.cli.extract import open_store
from delfjax.cli.options import (
    add_advanced_group,
    add_index_options,
    add_number,
    add_search_options,
    search_config,
)
from delfjax.cli.output import check_folder, show
from delfjax.ranges import COUNT
from delfjax.search.hloc import export_hloc
from delfjax.search.searcher import Searcher


def export_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax export``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    out = "write features.h5, matches.h5 and pairs.txt into this folder"
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=out)
    add_number(parser, "--top", 20, COUNT, "match each photo with its N best results")
    advanced = add_advanced_group(parser)
    add_index_options(advanced, settings=False)
    add_search_options(advanced)


def export(options: argparse.Namespace) -> int:
    """Run ``delfjax export``."""
    check_folder("FOLDER", options.folder)
    searcher = Searcher(open_store(options.store), options.index, search_config(options))
    export_hloc(searcher, options.folder, top=options.top)
    show(f"{options.folder}: features and matches of {len(searcher.database)} photos")
    return 0
