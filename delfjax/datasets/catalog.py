"""Catalog of the data sets: publisher, terms, download addresses, and the files each one needs.

Every data set lies in a folder of its own name below one root folder. Comments name the source of
each address. A data set without a known download address has steps to follow by hand instead.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import cache_folder

# File in the folder of a data set while it is fetched: the parts that are still incomplete.
UNFINISHED = ".fetching"
PHOTOS = "jpg"  # folder that archives of photos are unpacked into
ALL_PHOTOS, ALL_QUERIES = "**/*.jpg", "**/*_query.txt"


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that ``delfjax data fetch`` downloads.

    Attributes:
        url: Address of the file.
        folder: Destination, relative to the folder of the data set. An archive is unpacked there.
        flat: Whether to drop the folders inside the archive.
        provides: Required part of the data set that this file helps to complete. None: the file is
            such a part itself.
        md5_url: Address of a text file that starts with the MD5 checksum. None: the publisher gives
            no checksum.
    """

    url: str
    folder: str = ""
    flat: bool = False
    provides: str | None = None
    md5_url: str | None = None

    @property
    def name(self) -> str:
        """File name: the last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def part(self) -> str:
        """Required part of the data set that is incomplete without this file."""
        return self.provides or self.name


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """What the catalog records about one data set.

    Attributes:
        name: Name of the data set and of its folder.
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

    name: str
    title: str
    summary: str
    homepage: str
    terms: str
    parts: tuple[str, ...]
    files: tuple[RemoteFile, ...] = ()
    manual_steps: tuple[str, ...] = ()
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


# Photos of Oxford and Paris: python/download.py of filipradenovic/revisitop (commit bc5c086), which
# also drops the folders inside the archives. Ground truth: RETRIEVAL_DATASETS.md of
# facebookresearch/vissl. VGG's page gives MD5 checksums of its descriptors, but not of these files.
VGG = "https://www.robots.ox.ac.uk/~vgg/data"


def _photos(url: str) -> RemoteFile:
    return RemoteFile(url=url, folder=PHOTOS, flat=True, provides=ALL_PHOTOS)


def _ground_truth(url: str) -> RemoteFile:
    return RemoteFile(url=url, folder="gt", flat=True, provides=ALL_QUERIES)


OXFORD5K = CatalogEntry(
    name="oxford5k",
    title="The Oxford Buildings Dataset",
    summary="5,062 photos of 17 searches on Flickr, 55 queries of 11 landmarks",  # VGG's page
    homepage=f"{VGG}/oxbuildings/",
    # VGG's page, "Terms and Conditions".
    terms="the photos' use must respect Flickr's terms, and follow VGG's Terms of Access (its page)",
    parts=(ALL_PHOTOS, ALL_QUERIES),
    files=(
        _photos(f"{VGG}/oxbuildings/oxbuild_images-v1.tgz"),
        _ground_truth(f"{VGG}/oxbuildings/gt_files_170407.tgz"),
    ),
    gigabytes=1.9,  # measured by download scripts on GitHub
)
PARIS6K = CatalogEntry(
    name="paris6k",
    title="The Paris Dataset",
    summary="6,412 photos, 20 of them damaged, and 55 queries",  # vissl lists the damaged ones
    homepage=f"{VGG}/parisbuildings/",
    terms="see its page",
    parts=(ALL_PHOTOS, ALL_QUERIES),
    files=(
        _photos(f"{VGG}/parisbuildings/paris_1-v1.tgz"),
        _photos(f"{VGG}/parisbuildings/paris_2-v1.tgz"),
        _ground_truth(f"{VGG}/parisbuildings/paris_120310.tgz"),
    ),
    gigabytes=2.2,  # stated by download scripts on GitHub
)
# Address of the first of 40 parts: shell scripts on GitHub that download all of them.
FLICKR100K = CatalogEntry(
    name="flickr100k",
    title="Flickr 100k",
    summary="100,000 distractor photos; with Oxford5k and Paris6k they make Oxford105k and Paris106k",
    homepage=f"{VGG}/oxbuildings/flickr100k.html",
    terms="see its page",
    parts=(ALL_PHOTOS,),
    manual_steps=(
        f"download oxc1_100k.part01.rar to part40.rar from {VGG}/oxbuildings/ox100k/",
        "unpack part01 with unrar, which continues with the others (Python cannot read .rar files)",
        "leave the photos in this folder or in folders below it",
    ),
)
# Ground truth: python/download.py of filipradenovic/revisitop, over plain HTTP. That repository has
# no license file.
REVISITOP = "http://cmp.felk.cvut.cz/revisitop"
ROXFORD5K, RPARIS6K = (
    CatalogEntry(
        name=f"r{base.name}",
        title=f"Revisited {place}",
        summary=f"new queries and ground truth for the photos of {base.name}",
        homepage=f"{REVISITOP}/",
        terms=f"photos: as {base.name}; ground truth: none stated",
        parts=(f"{PHOTOS}/*.jpg", f"gnd_r{base.name}.pkl"),
        files=(RemoteFile(url=f"{REVISITOP}/data/datasets/r{base.name}/gnd_r{base.name}.pkl"),),
        photos_from=base.name,
        gigabytes=base.gigabytes,
    )
    for base, place in ((OXFORD5K, "Oxford"), (PARIS6K, "Paris"))
)
# python/download.py of filipradenovic/revisitop: 100 archives, and a list of photos.
MILLION = "http://ptak.felk.cvut.cz/revisitop/revisitop1m"
REVISITOP1M = CatalogEntry(
    name="revisitop1m",
    title="The million distractors of Revisited Oxford and Paris",
    summary="1,000,000 difficult photos that show neither city",
    homepage=f"{REVISITOP}/",
    terms="none are stated; see its page",
    parts=(f"{PHOTOS}/*",),
    files=(
        RemoteFile(url=f"{MILLION}/revisitop1m.txt", provides=f"{PHOTOS}/*"),
        *(
            RemoteFile(
                url=f"{MILLION}/jpg/revisitop1m.{n}.tar.gz", folder=PHOTOS, provides=f"{PHOTOS}/*"
            )
            for n in range(1, 101)
        ),
    ),
)
# The publisher's page; the sizes are those of VideoSearch's README. Only unencrypted FTP.
HOLIDAYS = CatalogEntry(
    name="holidays",
    title="INRIA Holidays",
    summary="1,491 photos in 500 groups; the first photo of a group is its query",
    homepage="https://lear.inrialpes.fr/people/jegou/data.php.html",
    terms="INRIA has the copyright; as is, without warranty; cite Jegou et al., ECCV 2008",
    parts=(f"{PHOTOS}/*.jpg",),
    manual_steps=(
        "download ftp://ftp.inrialpes.fr/pub/lear/douze/data/jpg1.tar.gz and jpg2.tar.gz, for "
        "example with: curl -C - -O URL",
        f"unpack both here: the photos are in {PHOTOS}/",
    ),
    gigabytes=2.7,
)
# README.md of cvdfoundation/google-landmark says of version 1: "It is no longer available."
GOOGLE_LANDMARKS_V1 = CatalogEntry(
    name="google_landmarks_v1",
    title="Google-Landmarks, the paper's own benchmark",
    summary="1,060,709 photos and 111,036 queries",
    homepage="https://www.kaggle.com/google/google-landmarks-dataset",
    terms="it is no longer available from its publisher",
    parts=("train.csv", "test.csv", "train/*", "test/*"),
    manual_steps=(
        "if you have a copy, put its photos and csv files here; otherwise use google_landmarks_v2",
    ),
)
# README.md of cvdfoundation/google-landmark, version 2.1: files, sizes, MD5 checksums and licenses.
# The benchmark does not use the train set, which has another 500 GB.
GOOGLE = "https://s3.amazonaws.com/google-landmark"
GOOGLE_LANDMARKS_V2 = CatalogEntry(
    name="google_landmarks_v2",
    title="Google Landmarks Dataset v2: index and test",
    summary="761,757 photos and 117,577 queries",
    homepage="https://github.com/cvdfoundation/google-landmark",
    terms=(
        "annotations CC BY 4.0 (Google); photos CC0 or public domain, to be verified for each photo"
    ),
    parts=("index.csv", "retrieval_solution_v2.1.csv", "index/*", "test/*"),
    files=(
        RemoteFile(url=f"{GOOGLE}/metadata/index.csv"),
        RemoteFile(url=f"{GOOGLE}/ground_truth/retrieval_solution_v2.1.csv"),
        *(
            RemoteFile(
                url=f"{GOOGLE}/{split}/images_{n:03}.tar",
                folder=split,
                provides=f"{split}/*",
                md5_url=f"{GOOGLE}/md5sum/{split}/md5.images_{n:03}.txt",
            )
            for split, count in (("test", 20), ("index", 100))
            for n in range(count)
        ),
    ),
    gigabytes=95,
)
DATASETS = {
    entry.name: entry
    for entry in (
        *(OXFORD5K, PARIS6K, FLICKR100K, ROXFORD5K, RPARIS6K, REVISITOP1M),
        *(HOLIDAYS, GOOGLE_LANDMARKS_V1, GOOGLE_LANDMARKS_V2),
    )
}


def get_entry(name: str) -> CatalogEntry:
    """Return the catalog entry of a data set.

    Raises:
        DatasetError: The catalog has no data set of this name.
    """
    if name not in DATASETS:
        raise DatasetError(f"{name!r}: unknown data set; expected one of {', '.join(DATASETS)}")
    return DATASETS[name]


def data_folder() -> Path:
    """Return the default root folder: ``$DELFJAX_DATA``, or ``datasets`` in the cache folder."""
    return Path(os.environ.get("DELFJAX_DATA") or cache_folder() / "datasets")


def missing_parts(name: str, root: Path) -> tuple[str, ...]:
    """List the required parts of a data set that are missing or incomplete on disk.

    Args:
        name: Name of the data set.
        root: Folder that holds the folders of all data sets.

    Returns:
        Glob patterns relative to the folder of the data set; empty if nothing is missing.
    """
    entry, folder = get_entry(name), root / name
    unfinished = folder / UNFINISHED
    incomplete = unfinished.read_text().splitlines() if unfinished.exists() else []
    return tuple(part for part in entry.parts if part in incomplete or not any(folder.glob(part)))


def missing_message(name: str, root: Path, parts: Sequence[str]) -> str:
    """Describe which parts of a data set are missing and how to get them.

    Args:
        name: Name of the data set.
        root: Folder that holds the folders of all data sets.
        parts: Missing parts, relative to the folder of the data set.
    """
    entry = get_entry(name)
    lines = [f"{root / name}: missing {', '.join(parts)}", entry.description]
    if entry.files:
        command = f"delfjax data fetch {name} --root {shlex.quote(str(root))}"
        lines += [f"  Fix: run {command}"]
    else:
        lines += [f"  Fix: fetch it by hand, into {root / name}:"]
        lines += [f"    {n}. {step}" for n, step in enumerate(entry.manual_steps, start=1)]
    return "\n".join(lines)
