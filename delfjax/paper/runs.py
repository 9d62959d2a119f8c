"""The runs behind the paper's table and figures (Sec. 5), as one table; what has become of them is on disk.

Each row is the arguments of a `delfjax benchmark`, beside the method of the paper that it stands for. Its result
is ``<benchmark>_<run>.json`` in the folder of results.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from delfjax import datasets, provenance
from delfjax.datasets.labeled import LABELED
from delfjax.paper import tables, values
from delfjax.paper.tables import Table

Kind = Literal[
    *("method", "global", "handcrafted", "around", "unselected"),
    *("features", "dimensions", "recall", "bits"),
]

MODELS = "data/checkpoints"  # in a checkout, whence these commands are run
FOLDER = Path("data/results")
WHITENING = "data/landmarks/train"
COUNTS = (20, 50, 100, 200, 500, 1000)  # features of a photo
DIMENSIONS = (8, 16, 24, 32)  # of a descriptor; 40 is every other run
DEGREES = (3, 4, 8)  # edges a node of a graph that misses neighbors; `auto` takes 24
LEAST = 60  # the beam of these, no wider than what is asked for
GRAPH_FEATURES = 200  # of a photo: of 100, exact search is the faster, and `auto` takes it
CODES = ((4, 5), (10, 5), (10, 8), (20, 8))  # sub-vectors of a descriptor, and bits of each
# Runs of other kinds that have a place in a sweep.
SHARED = {"dimensions": "ft_att", "bits": "ft_att", "recall": f"ft_att_{GRAPH_FEATURES}f"}
HALF = 16  # bits of a number in a store: with 40 dimensions 640 a descriptor, of every other run
EVERY_LIST = 8192  # probed: what is missed is then lost by the codes alone
POOLINGS = {"mac": "MAC", "gem": "GeM", "rmac": "R-MAC"}
HEADLINE = "rendered+places"  # the benchmark that claims are decided on
# Results of the same with other seeds of training, by a pattern in ``runs``; `delfjax train` and `benchmark` made
# them. Of joint training, and of step 1 through conv5, there is nothing else.
SEEDS = {
    "ft_norm": "ft?_norm_100.json",
    "att": "att?_attention_100.json",
    "ft_att": "ftatt?_attention_100.json",
    "joint": "joint?_attention_100.json",
    "conv5_ft_norm": "conv5ft?_norm_100.json",
    "conv5_ft_att": "conv5ftatt?_attention_100.json",
}
ELSEWHERE = {
    "joint": "joint training",
    "conv5_ft_norm": "DELF+FT through conv5",
    "conv5_ft_att": "DELF+FT+ATT through conv5",
}
STAND_INS = {  # by a row of ours: the method of Table 1, not to be had here, whose place it takes
    "RootSIFT": "CONGAS",
    "R-MAC, fine-tuned": "DIR",
    "R-MAC+QE, fine-tuned": "DIR+QE",
    "DELF+FT+ATT+R-MAC+QE": "DELF+FT+ATT+DIR+QE",
}
FUSED = "rmac"  # which global descriptor joins DELF: the paper's, DIR, is a learned R-MAC


@dataclass(frozen=True, kw_only=True)
class Run:
    """A row of the paper, or a curve, or what it is compared with.

    Attributes:
        name: Of its result.
        row: The paper's method, or what we call it where the paper has none.
        arguments: Of ``delfjax benchmark``, after the benchmark's name; sizes are the profile's.
        kind: What it belongs to: a figure of sweeps has runs of one kind.
        features: Of a photo, where it is not the profile's number.
        headline: Whether the README's table shows it.
    """

    name: str
    row: str
    arguments: tuple[str, ...]
    kind: Kind = "method"
    features: int | None = None
    headline: bool = False


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How large photos are, and how much is kept of them.

    Attributes:
        longest: Longest side in pixels.
        features: Of a photo.
        folder: Where results belong, within the folder of results.
    """

    longest: int
    features: int
    folder: str


# A hundred features of a photo of 320 x 240 are the share of its cells that a thousand are of the paper's.
PROFILES = {
    "embedded": Profile(longest=320, features=100, folder=""),
    "paper": Profile(longest=1024, features=1000, folder="paper"),
}

NORM = ("--selection", "norm")
FT, ATT, FT_ATT = (
    ("--model", f"{MODELS}/{name}.safetensors") for name in ("delf_ft", "delf_att", "delf_ft_att")
)
FUSION = ("--global", FUSED, "--global-whiten", WHITENING, "--fuse", "0.25")


def _methods() -> Iterable[Run]:
    """Yield the four curves of Fig. 5; only the last of them is in Table 1."""
    yield Run(name="norm", row="DELF-noFT", arguments=NORM, headline=True)
    yield Run(name="ft_norm", row="DELF+FT", arguments=(*FT, *NORM), headline=True)
    yield Run(name="att", row="DELF-noFT+ATT", arguments=ATT, headline=True)
    yield Run(name="ft_att", row="DELF+FT+ATT", arguments=FT_ATT, headline=True)


def _handcrafted() -> Iterable[Run]:
    """Yield what takes the place of CONGAS and LIFT, in all its dimensions."""
    for name, row in (("sift", "SIFT"), ("rootsift", "RootSIFT")):
        arguments = ("--local", name, "--dimensions", "128")
        headline = name == "rootsift"
        yield Run(name=name, row=row, arguments=arguments, kind="handcrafted", headline=headline)


def _globals() -> Iterable[Run]:
    """Yield what takes the place of siaMAC and DIR, which were trained for retrieval; these were not."""
    for pooling, title in POOLINGS.items():
        for model, tuned, words in (((), "", ""), (FT, "ft_", ", fine-tuned")):
            whitened = (*model, "--global", pooling, "--global-whiten", WHITENING)
            name, headline = f"{tuned}{pooling}", bool(model) and pooling == FUSED
            yield Run(
                name=name, row=title + words, arguments=whitened, kind="global", headline=headline
            )
            yield Run(
                name=f"{name}_qe",
                row=f"{title}+QE{words}",
                arguments=(*whitened, "--expand", "average"),
                kind="global",
                headline=headline,
            )


def _around() -> Iterable[Run]:
    """Yield DELF with query expansion and with a global descriptor: the last row of Table 1 without DIR."""
    for name, row, arguments in (
        ("ft_att_qe", "DELF+FT+ATT+QE", ("--expand", "local")),
        (f"ft_att_{FUSED}", "DELF+FT+ATT+R-MAC", FUSION),
        (f"ft_att_{FUSED}_qe", "DELF+FT+ATT+R-MAC+QE", (*FUSION, "--expand", "average")),
    ):
        yield Run(name=name, row=row, arguments=(*FT_ATT, *arguments), kind="around", headline=True)


def _sweeps() -> Iterable[Run]:
    """Yield DELF+FT+ATT by features and dimensions, and ImageNet's norm where it hardly selects."""
    for count in COUNTS:
        name, headline = f"ft_att_{count}f", count == COUNTS[-1]
        yield Run(
            name=name,
            row=f"DELF+FT+ATT, {count} features",
            arguments=FT_ATT,
            kind="features",
            features=count,
            headline=headline,
        )
    yield Run(
        name=f"norm_{COUNTS[-1]}f",
        row=f"DELF-noFT, {COUNTS[-1]} features",
        arguments=NORM,
        kind="unselected",
        features=COUNTS[-1],
        headline=True,
    )
    for size in DIMENSIONS:
        yield Run(
            name=f"ft_att_{size}d",
            row=f"DELF+FT+ATT, {size} dimensions",
            arguments=(*FT_ATT, "--truncate", str(size)),
            kind="dimensions",
        )


def _indexes() -> Iterable[Run]:
    """Yield DELF+FT+ATT by what an index misses, and by the bits that it keeps of a descriptor."""
    graph = ("--index", "nndescent", "--index-settings", f"beam={LEAST}")
    indexes = {f"{degree}e": (*graph, f"degree={degree}") for degree in DEGREES}
    indexes["exact"] = ("--index", "exact")
    for name, arguments in indexes.items():
        yield Run(
            name=f"ft_att_{GRAPH_FEATURES}f_{name}",
            row=f"DELF+FT+ATT, {GRAPH_FEATURES} features, {name}",
            arguments=(*FT_ATT, *arguments),
            kind="recall",
            features=GRAPH_FEATURES,
        )
    for parts, bits in CODES:
        settings = (f"parts={parts}", f"bits={bits}", f"probes={EVERY_LIST}")
        yield Run(
            name=f"ft_att_{parts * bits}b",
            row=f"DELF+FT+ATT, {parts * bits} bits",
            arguments=(*FT_ATT, "--index", "codes", "--index-settings", *settings),
            kind="bits",
        )


RUNS = {
    run.name: run
    for runs in (_methods(), _handcrafted(), _globals(), _around(), _sweeps(), _indexes())
    for run in runs
}


def title(name: str) -> str:
    """Return what a run is called where it is shown."""
    return RUNS[name].row if name in RUNS else ELSEWHERE[name]


def files(name: str, folder: Path, benchmark: str = HEADLINE, *, seeds: bool = True) -> list[Path]:
    """Return the results of a run that are there, with those of other seeds of training if so asked."""
    own = [folder / f"{benchmark}_{name}.json"]
    others = sorted((folder / "runs").glob(SEEDS[name])) if seeds and name in SEEDS else []
    same = [path for path in others if provenance.read(path).get("benchmark") == benchmark]
    return [path for path in (*own, *same) if path.is_file()]


def by_row(folder: Path, *, headline: bool = False) -> dict[str, list[Path]]:
    """Return the results of all runs but the sweeps on all benchmarks, for `delfjax.paper.tables.table1`.

    Args:
        folder: Of the results.
        headline: Whether only those are wanted that the README shows.
    """
    rows = [run for run in RUNS.values() if run.features is None and run.kind not in SWEEPS]
    rows = [run for run in rows if run.headline or not headline]
    names = (*datasets.NAMES, LABELED)
    found = {
        run.row: [path for each in names for path in files(run.name, folder, each)] for run in rows
    }
    return {row: paths for row, paths in found.items() if paths}


def readme_table(folder: Path) -> Table:
    """Return Table 1 in short, for the README."""
    return tables.summary(values.table1(), by_row(folder, headline=True), STAND_INS)


def sweep(kind: Kind, folder: Path, benchmark: str = HEADLINE) -> dict[float, Mapping[str, Any]]:
    """Return the results of a sweep, by the number that it is of; none, if none of its runs was made.

    Features of a photo; dimensions of a descriptor; bits of one; or recall of the index, in percent. Runs of other
    kinds that have a place in it join it: with the largest number the others are compared.
    """
    names = [run.name for run in RUNS.values() if run.kind == kind]
    found = [path for name in names for path in files(name, folder, benchmark, seeds=False)]
    if found and kind in SHARED:
        found += files(SHARED[kind], folder, benchmark, seeds=False)
    return {SWEEPS[kind](result): result for result in map(provenance.read, found)}


def command(kind: Kind) -> str:
    """Return the command that makes the runs of a kind."""
    names = [run.name for run in RUNS.values() if run.kind == kind]
    return shlex.join(["delfjax", "reproduce", "--only", *names])


def _features(result: Mapping[str, Any]) -> int:
    return result["config"]["search"]["features"]


def _dimensions(result: Mapping[str, Any]) -> int:
    config = result["config"]
    return config["search"]["truncate"] or config["reduction"]["dimensions"]


def _recall(result: Mapping[str, Any]) -> float:
    return 100 * result["index"]["recall_at_60"]


def _bits(result: Mapping[str, Any]) -> int:
    index = result["config"].get("index", {})
    if index.get("kind") == "codes":
        return index["settings"]["parts"] * index["settings"]["bits"]
    return HALF * _dimensions(result)


SWEEPS = {"features": _features, "dimensions": _dimensions, "recall": _recall, "bits": _bits}
