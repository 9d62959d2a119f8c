"""Who publishes the field's data sets, on what terms, and how they come to this disk.

A data set lies in a folder of its name under one root. Addresses and checksums are those of the
sources named beside them; what no source was found for is left out, and is then fetched by hand.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import cache_folder

UNFINISHED = ".fetching"  # in a data set's folder: the parts that are being fetched, a line each
PHOTOS = "jpg"  # the folder that photos are unpacked into
JPEGS, QUERIES = "**/*.jpg", "**/*_query.txt"


class MissingData(DatasetError):  # noqa: N818 - it is a state, not a fault
    """Files of a data set that are not on disk: which, where they belong, and how to get them."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that may be fetched.

    Attributes:
        url: Where it is.
        folder: Where it belongs, or what is in it if it is an archive; in the data set's folder.
        flat: Whether an archive's own folders are left out.
        makes: The part of the data set that it helps to make; None: it is one itself.
        checksum: ``md5:...`` or ``sha256:...``; None where the publisher gives none.
        md5_url: Where the publisher keeps its MD5, in a text that begins with it.
    """

    url: str
    folder: str = ""
    flat: bool = False
    makes: str | None = None
    checksum: str | None = None
    md5_url: str | None = None

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.url.rpartition("/")[2]

    @property
    def part(self) -> str:
        """The part of the data set that is not whole without it."""
        return self.makes or self.name


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """A data set, by who publishes it.

    Attributes:
        name: Of its folder.
        title: Its own.
        about: What it is.
        home: Its page.
        terms: What its publisher asks for, in a sentence.
        parts: What its folder holds when all of it is there, as patterns of names.
        other_parts: What does as well, all of them together.
        files: What is fetched; none: it has to be got by hand.
        steps: What is done by hand.
        gigabytes: To download, roughly; None: unknown.
        photos_of: Another data set that has its photos.
    """

    name: str
    title: str
    about: str
    home: str
    terms: str
    parts: tuple[str, ...]
    other_parts: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    steps: tuple[str, ...] = ()
    gigabytes: float | None = None
    photos_of: str | None = None

    @property
    def fetchable(self) -> bool:
        """Whether ``delfjax data fetch`` gets it."""
        return bool(self.files)


# Photos of Oxford and Paris: python/download.py of filipradenovic/revisitop (commit bc5c086), whose
# authors drop the archives' folders too. Their ground truth: RETRIEVAL_DATASETS.md of
# facebookresearch/vissl. VGG's page gives MD5 sums of its descriptors, but none of these.
VGG = "https://www.robots.ox.ac.uk/~vgg/data"


def _photos(url: str) -> File:
    return File(url=url, folder=PHOTOS, flat=True, makes=JPEGS)


def _truth(url: str) -> File:
    return File(url=url, folder="gt", flat=True, makes=QUERIES)


OXFORD5K = Publisher(
    name="oxford5k",
    title="The Oxford Buildings Dataset",
    about="5,062 photos of 17 searches on Flickr, 55 queries of 11 landmarks",  # VGG's page
    home=f"{VGG}/oxbuildings/",
    # VGG's page, "Terms and Conditions".
    terms="the photos' use must respect Flickr's terms, and follow VGG's Terms of Access (its page)",
    parts=(JPEGS, QUERIES),
    files=(
        _photos(f"{VGG}/oxbuildings/oxbuild_images-v1.tgz"),
        _truth(f"{VGG}/oxbuildings/gt_files_170407.tgz"),
    ),
    gigabytes=1.9,  # what scripts on GitHub measured
)
PARIS6K = Publisher(
    name="paris6k",
    title="The Paris Dataset",
    about="6,412 photos, 20 of them damaged, and 55 queries",  # vissl lists the damaged ones
    home=f"{VGG}/parisbuildings/",
    terms="see its page",
    parts=(JPEGS, QUERIES),
    files=(
        _photos(f"{VGG}/parisbuildings/paris_1-v1.tgz"),
        _photos(f"{VGG}/parisbuildings/paris_2-v1.tgz"),
        _truth(f"{VGG}/parisbuildings/paris_120310.tgz"),
    ),
    gigabytes=2.2,  # what scripts on GitHub say
)
# Address of the first of 40 parts: shell scripts on GitHub that download all of them.
FLICKR100K = Publisher(
    name="flickr100k",
    title="Flickr 100k",
    about="100,000 photos that make Oxford105k and Paris106k of Oxford5k and Paris6k",
    home=f"{VGG}/oxbuildings/flickr100k.html",
    terms="see its page",
    parts=(JPEGS,),
    steps=(
        f"download oxc1_100k.part01.rar to part40.rar from {VGG}/oxbuildings/ox100k/",
        "unpack part01 with unrar, which goes on to the others: Python has no reader of .rar",
        "leave the photos there, in folders or not",
    ),
)
# Ground truth: python/download.py of filipradenovic/revisitop, over plain HTTP. That repository has
# no license file.
REVISITOP = "http://cmp.felk.cvut.cz/revisitop"
ROXFORD5K, RPARIS6K = (
    Publisher(
        name=f"r{base.name}",
        title=f"Revisited {place}",
        about=f"new queries and ground truth for the photos of {base.name}",
        home=f"{REVISITOP}/",
        terms=f"photos as {base.name}'s; of the ground truth none are stated",
        parts=(f"{PHOTOS}/*.jpg", f"gnd_r{base.name}.pkl"),
        files=(File(url=f"{REVISITOP}/data/datasets/r{base.name}/gnd_r{base.name}.pkl"),),
        photos_of=base.name,
        gigabytes=base.gigabytes,
    )
    for base, place in ((OXFORD5K, "Oxford"), (PARIS6K, "Paris"))
)
# python/download.py of filipradenovic/revisitop: 100 archives, and a list of photos.
MILLION = "http://ptak.felk.cvut.cz/revisitop/revisitop1m"
REVISITOP1M = Publisher(
    name="revisitop1m",
    title="The million distractors of Revisited Oxford and Paris",
    about="1,000,000 hard photos of neither",
    home=f"{REVISITOP}/",
    terms="none are stated; see its page",
    parts=(f"{PHOTOS}/*",),
    files=(
        File(url=f"{MILLION}/revisitop1m.txt", makes=f"{PHOTOS}/*"),
        *(
            File(url=f"{MILLION}/jpg/revisitop1m.{n}.tar.gz", folder=PHOTOS, makes=f"{PHOTOS}/*")
            for n in range(1, 101)
        ),
    ),
)
# Its page; the sizes are those of VideoSearch's README. By FTP only, and unencrypted.
HOLIDAYS = Publisher(
    name="holidays",
    title="INRIA Holidays",
    about="1,491 photos in 500 groups; the first photo of a group is its query",
    home="https://lear.inrialpes.fr/people/jegou/data.php.html",
    terms="INRIA has the copyright; as is, without warranty; cite Jegou et al., ECCV 2008",
    parts=(f"{PHOTOS}/*.jpg",),
    steps=(
        "download ftp://ftp.inrialpes.fr/pub/lear/douze/data/jpg1.tar.gz and jpg2.tar.gz, as with: "
        "curl -C - -O URL",
        f"unpack both here: the photos are in {PHOTOS}/",
    ),
    gigabytes=2.7,
)
# README.md of cvdfoundation/google-landmark, on the previous version: "It is no longer available."
GOOGLE_LANDMARKS_V1 = Publisher(
    name="google_landmarks_v1",
    title="Google-Landmarks, the paper's own benchmark",
    about="1,060,709 photos and 111,036 queries",
    home="https://www.kaggle.com/google/google-landmarks-dataset",
    terms="it is no longer available from its publisher",
    parts=("train.csv", "test.csv", "train/*", "test/*"),
    other_parts=("index/*/*", "test/*"),
    steps=("if you have a copy, put its photos and tables here; else use google_landmarks_v2",),
)
# README.md of cvdfoundation/google-landmark, version 2.1: files, sizes, MD5 sums and licenses. The
# train set, 500 GB more, is not part of the benchmark.
GOOGLE = "https://s3.amazonaws.com/google-landmark"
GOOGLE_LANDMARKS_V2 = Publisher(
    name="google_landmarks_v2",
    title="Google Landmarks Dataset v2: index and test",
    about="761,757 photos and 117,577 queries",
    home="https://github.com/cvdfoundation/google-landmark",
    terms=(
        "annotations CC BY 4.0 (Google); photos CC0 or public domain, which is to be verified for each"
    ),
    parts=("index.csv", "retrieval_solution_v2.1.csv", "index/*", "test/*"),
    files=(
        File(url=f"{GOOGLE}/metadata/index.csv"),
        File(url=f"{GOOGLE}/ground_truth/retrieval_solution_v2.1.csv"),
        *(
            File(
                url=f"{GOOGLE}/{split}/images_{n:03}.tar",
                folder=split,
                makes=f"{split}/*",
                md5_url=f"{GOOGLE}/md5sum/{split}/md5.images_{n:03}.txt",
            )
            for split, count in (("test", 20), ("index", 100))
            for n in range(count)
        ),
    ),
    gigabytes=95,
)
PUBLISHERS = {
    publisher.name: publisher
    for publisher in (
        *(OXFORD5K, PARIS6K, FLICKR100K, ROXFORD5K, RPARIS6K, REVISITOP1M),
        *(HOLIDAYS, GOOGLE_LANDMARKS_V1, GOOGLE_LANDMARKS_V2),
    )
}


def publisher_of(name: str) -> Publisher:
    """Return the entry of a data set.

    Raises:
        DatasetError: It is not in the catalog.
    """
    if name not in PUBLISHERS:
        raise DatasetError(f"{name!r}: no such data set; expected one of {', '.join(PUBLISHERS)}")
    return PUBLISHERS[name]


def data_folder() -> Path:
    """Return where data sets are kept: ``$DELFJAX_DATA``, or in the cache."""
    return Path(os.environ.get("DELFJAX_DATA") or cache_folder() / "datasets")


def absent(name: str, root: Path) -> tuple[str, ...]:
    """Return which parts of a data set its folder under the root lacks, or has not all of."""
    publisher, folder = publisher_of(name), root / name
    unfinished = folder / UNFINISHED
    begun = unfinished.read_text().splitlines() if unfinished.exists() else []
    lacking, other = (
        tuple(part for part in parts if part in begun or next(folder.glob(part), None) is None)
        for parts in (publisher.parts, publisher.other_parts)
    )
    return () if publisher.other_parts and not other else lacking


def missing(name: str, root: Path, parts: Sequence[str]) -> MissingData:
    """Word what is missing of a data set, and how to get it.

    Args:
        name: The data set.
        root: The folder of data sets; the data set belongs in a folder of its name in it.
        parts: What is missing, relative to that folder.
    """
    return MissingData(f"{root / name}: lacks {', '.join(parts)}\n{how_to_get(name, root)}")


def how_to_get(name: str, root: Path) -> str:
    """Say how a data set is got: the command, or its page and the steps."""
    publisher = publisher_of(name)
    lines = [describe(publisher)]
    if publisher.fetchable:
        lines += [f"  get it with: delfjax data fetch {name} --root {shlex.quote(str(root))}"]
    else:
        lines += [f"  get it by hand, into {root / name}:"]
        lines += [f"    {number}. {step}" for number, step in enumerate(publisher.steps, start=1)]
    return "\n".join(lines)


def describe(publisher: Publisher) -> str:
    """Say what a data set is, how large, where, and on what terms."""
    size = f"about {publisher.gigabytes:g} GB" if publisher.gigabytes else "size unknown"
    return (
        f"  {publisher.title}: {publisher.about}; {size}\n"
        f"  page: {publisher.home}\n  terms: {publisher.terms}"
    )
