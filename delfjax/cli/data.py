"""The command ``delfjax data``: which data sets are here, and getting those that are not.

Everything that was cut short goes on at the next call, archive by archive.
"""

import argparse
import sys
from pathlib import Path

from delfjax.datasets import archives, download
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import (
    PHOTOS,
    DATASETS,
    UNFINISHED,
    RemoteFile,
    missing_parts,
    data_folder,

    MissingDataError,
    missing_message,
    get_entry,
)

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".zip")
DOWNLOADS = "downloads"  # in a data set's folder: archives until they are unpacked, and checksums


def data_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax data`` may do."""
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        style = {"description": summary, "formatter_class": sub.formatter_class}
        added = actions.add_parser(name, help=summary, **style)
        added.add_argument(
            "--root",
            type=Path,
            default=data_folder(),
            metavar="FOLDER",
            help="of data sets; $DELFJAX_DATA sets another default",
        )
        return added

    action(
        "list", "say of each data set what it is, whether it is here, and on what terms it comes"
    )
    fetching = action("fetch", "download, check and unpack data sets; goes on where it stopped")
    fetching.add_argument(
        "names", nargs="+", choices=DATASETS, metavar="NAME", help=", ".join(DATASETS)
    )
    fetching.add_argument("--keep", action="store_true", help="keep archives once unpacked")


def data(options: argparse.Namespace) -> int:
    """Run ``delfjax data``; return its exit code: 1 if a data set could not be had."""
    if options.action == "fetch":
        return max([_get(name, options.root, keep=options.keep) for name in options.names])
    for name, publisher in DATASETS.items():
        print(f"{_state(name, options.root)}\n{publisher.description}")
    return 0


def _state(name: str, root: Path) -> str:
    lacking = ", ".join(missing_parts(name, root))
    return f"{root / name}: lacks {lacking}" if lacking else f"{root / name}: here"


def _get(name: str, root: Path, *, keep: bool) -> int:
    """Fetch one of several: that another could not be had is no reason not to."""
    publisher = get_entry(name)
    if publisher.files and missing_parts(name, root):
        print(f"{root / name}\n{publisher.description}", flush=True)  # the terms come first
    try:
        fetched = fetch(name, root, keep=keep)
    except DatasetError as error:
        print(f"delfjax data: {error}", file=sys.stderr)
        return 1
    print(f"{root / name}: {'fetched' if fetched else 'all is there'}")
    return 0


def fetch(name: str, root: Path, *, keep: bool = False) -> bool:
    """Download and unpack what is missing of a data set.

    Args:
        name: The data set.
        root: The folder of data sets.
        keep: Whether archives stay once they are unpacked.

    Returns:
        Whether there was anything to do.

    Raises:
        MissingDataError: It has to be got by hand.
        DatasetError: A download or an archive failed; the same call goes on.
    """
    publisher, folder = get_entry(name), root / name
    if not (lacking := missing_parts(name, root)):
        return False
    if not publisher.files:
        raise MissingDataError(missing_message(name, root, lacking))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).write_text("\n".join(lacking))
    for file in publisher.files:
        if file.part in lacking:
            _fetch_file(file, folder, keep=keep)
    if publisher.photos_from:
        fetch(publisher.photos_from, root, keep=keep)
        _share(root / publisher.photos_from / PHOTOS, folder / PHOTOS)
    (folder / UNFINISHED).unlink()
    return True


def _fetch_file(file: RemoteFile, folder: Path, *, keep: bool) -> None:
    target = folder / file.folder
    if not file.name.endswith(ARCHIVES):
        download.fetch(file.url, target / file.name, checksum=file.checksum)
        return
    archive = folder / DOWNLOADS / file.folder / file.name
    stamp = archive.with_name(f"{file.name}.sha256")
    if stamp.exists() and archives.is_unpacked(stamp.read_text().strip(), target):
        return
    checksum = _published_md5(file, archive.parent)
    download.fetch(file.url, archive, checksum=checksum)
    archives.unpack(archive, target, flat=file.flat)
    if not keep:
        archive.unlink()


def _published_md5(file: RemoteFile, folder: Path) -> str | None:
    if file.md5_url is None:
        return None
    path = download.fetch(file.md5_url, folder / file.md5_url.rpartition("/")[2])
    checksum = f"md5:{path.read_text(errors='replace').partition(' ')[0].strip()}"
    if not download.CHECKSUM.fullmatch(checksum):
        raise DatasetError(f"{path}: does not begin with an MD5; remove it, and fetch again")
    return checksum


def _share(photos: Path, link: Path) -> None:
    """Let a folder of photos stand for another data set's, as revisitop's authors do."""
    if link.exists() or link.is_symlink():
        return
    if next(photos.glob("*.jpg"), None) is None:
        raise DatasetError(
            f"{photos}: holds no photos; {link.parent.name} expects those of {photos.parent.name} "
            "there, without folders. Move them there"
        )
    target = Path("..", photos.parent.name, photos.name)  # so that the root may be moved
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:  # not every Windows lets its users make links
        raise DatasetError(
            f"{link}: cannot be made a link to {target} ({error.strerror}); copy that folder here"
        ) from error
