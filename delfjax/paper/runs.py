"""Define the runs behind the paper's table and figures (Sec. 5).

A run is a method with its settings. The result of a run on a benchmark is the file
``<benchmark>_<run>.json`` in `delfjax.provenance.RESULTS`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal, get_args

from delfjax import datasets
from delfjax.evaluation.config import RunConfig
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.geometry.ransac import RansacConfig
from delfjax.models.pooling import Pooling
from delfjax.provenance import RESULTS, read_result
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.fusion import WEIGHT
from delfjax.search.index import IndexConfig
from delfjax.search.searcher import SearchConfig

HEADLINE = "rendered+places"  # the small rendered benchmark
LARGE = "rendered_large"  # the large rendered benchmark, with photos in which DELF verifies well

Swept = Literal["features", "dimensions", "recall", "bits", "neighbors", "neighbors, votes only"]
SWEEPS: tuple[Swept, ...] = get_args(Swept)
Kind = Literal["method", "verification", "global", "handcrafted", "combined", "unselected", Swept]
POOLINGS: dict[Pooling, str] = {"mac": "MAC", "gem": "GeM", "rmac": "R-MAC"}
COUNTS = (20, 50, 100, 200, 500, 1000)  # features per photo
DIMENSIONS = (8, 16, 24, 32)  # of a descriptor; every other run has 40
DEGREES = (3, 4, 8)  # edges per node of a graph; fewer edges miss more neighbors
GRAPH_FEATURES = 200  # features per photo of the runs with a graph
GRAPH_BEAM = 60  # width of the graph search; at least the number of neighbors, 60
NEIGHBORS = (30, 120, 240)  # K, of each query feature; every other run has 60
CODES = ((4, 5), (10, 5), (10, 8), (20, 8))  # parts of a compressed descriptor, and bits per part
ALL_LISTS = 8192  # search all inverted lists, so that only the compression loses neighbors
HALF_PRECISION = 16  # bits of a number in a feature store
# Runs of another kind that are also one point of a sweep.
SHARED = {
    "dimensions": "ft_att",
    "bits": "ft_att",
    "recall": f"ft_att_{GRAPH_FEATURES}f",
    "neighbors": "ft_att",
    "neighbors, votes only": "ft_att_votes",
}

# Results with other training seeds, in the folder "runs". The README there has the commands.
SEEDS = {
    "ft_norm": "ft?_norm_100.json",
    "att": "att?_attention_100.json",
    "ft_att": "ftatt?_attention_100.json",
    "joint": "joint?_attention_100.json",
    "conv5_ft_norm": "conv5ft?_norm_100.json",
    "conv5_ft_att": "conv5ftatt?_attention_100.json",
}
TITLES = {  # titles of results that exist only in the folder "runs"
    "joint": "joint training",
    "conv5_ft_norm": "DELF+FT through conv5",
    "conv5_ft_att": "DELF+FT+ATT through conv5",
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Size of the photos and features of an evaluation.

    Attributes:
        longest: Maximum length of the longer side of a photo in pixels.
        features: Number of features per photo.
        folder: Sub-folder in the folder of the results. ``""``: no sub-folder.
        benchmark: Benchmark whose results decide whether the claims of the paper hold.
    """

    longest: int
    features: int
    folder: str
    benchmark: str = HEADLINE


# 100 features of a 320 x 240 photo are the same share of its cells as the paper's 1000.
PROFILES = {
    "embedded": Profile(longest=320, features=100, folder=""),
    "full": Profile(longest=640, features=400, folder="full", benchmark=LARGE),
    "paper": Profile(longest=1024, features=1000, folder="paper"),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A method with its settings.

    Attributes:
        name: Name of the run.
        row: Name of the method in tables. If the method is in the paper, the paper's name.
        kind: Group of the run. The runs of a sweep, which vary one setting, are one group.
        config: Configuration without the photo size and number of features, which `at` adds.
        features: Number of features per photo. None: the number of the profile.
        headline: Whether the README's table shows the run.
    """

    name: str
    row: str
    kind: Kind
    config: RunConfig
    features: int | None = None
    headline: bool = False

    def at(self, profile: Profile) -> RunConfig:
        """Return the configuration with the photo size and number of features of a profile."""
        config, longest = self.config, profile.longest
        pyramid = replace(config.extraction.pyramid, longest=longest)
        if config.uses_local_features:
            search = replace(config.search, features=self.features or profile.features)
            config = replace(config, search=search)
        if config.global_descriptor is not None:
            descriptor = replace(config.global_descriptor, longest=longest)
            config = replace(config, global_descriptor=descriptor)
        return replace(config, extraction=replace(config.extraction, pyramid=pyramid))


NORM, ATTENTION = ExtractionConfig(selection="norm"), ExtractionConfig(selection="attention")
# The paper does not say from which features its PCA is learned, so these runs use random ones.
RANDOM = PCAConfig(features=250, sample="random")
# Verification and score of the paper. The affine map and 20 pixels are those of the official code.
PAPER_RULE = SearchConfig(score="inliers", ransac=RansacConfig(scale_aware=False))
VOTES = replace(PAPER_RULE, verified=0)
PAPER = RunConfig(pca=RANDOM, search=PAPER_RULE)
DELF_NOFT = replace(PAPER, model="resnet50_v1", extraction=NORM)
DELF_FT = replace(PAPER, model="delf_ft", extraction=NORM)
DELF_ATT = replace(PAPER, model="delf_att", extraction=ATTENTION)
DELF_FT_ATT = replace(PAPER, model="delf_ft_att", extraction=ATTENTION)
AVERAGE, LOCAL = ExpansionConfig(kind="average"), ExpansionConfig(kind="local")


def _methods() -> Iterator[Run]:
    """Yield the four variants of DELF in Fig. 5. Only the last variant is in Table 1."""
    method = partial(Run, kind="method", headline=True)
    yield method(name="norm", row="DELF-noFT", config=DELF_NOFT)
    yield method(name="ft_norm", row="DELF+FT", config=DELF_FT)
    yield method(name="att", row="DELF-noFT+ATT", config=DELF_ATT)
    yield method(name="ft_att", row="DELF+FT+ATT", config=DELF_FT_ATT)


def _verified(methods: Iterable[Run]) -> Iterator[Run]:
    """Yield each method by the paper's rule, by votes only and, for DELF, by our verification."""
    rules = {"votes": (", votes only", VOTES), "aware": (", our verification", SearchConfig())}
    for base in methods:
        yield base
        for name, (suffix, search) in rules.items():
            if name == "votes" or base.kind == "method":
                yield replace(
                    base,
                    name=f"{base.name}_{name}",
                    row=f"{base.row}{suffix}",
                    kind="verification",
                    config=replace(base.config, search=search),
                    headline=base.headline and (name == "votes" or base.name == "ft_att"),
                )


def _handcrafted() -> Iterator[Run]:
    """Yield SIFT and RootSIFT with 128 dimensions. They replace the paper's CONGAS and LIFT."""
    for name, row in (("sift", "SIFT"), ("rootsift", "RootSIFT")):
        config = replace(PAPER, model=name, pca=replace(RANDOM, dimensions=128))
        headline = name == "rootsift"
        yield Run(name=name, row=row, kind="handcrafted", config=config, headline=headline)


def _globals() -> Iterator[Run]:
    """Yield global descriptors. They replace siaMAC and DIR, whose networks learned to retrieve.

    Here, only the whitening learns from landmarks.
    """
    for pooling, title in POOLINGS.items():
        descriptor = GlobalConfig(pooling=pooling)
        for base, prefix, suffix in ((DELF_NOFT, "", ""), (DELF_FT, "ft_", ", fine-tuned")):
            name = f"{prefix}{pooling}"
            config = replace(base, global_descriptor=descriptor, whitening="rendered_train")
            expanded = replace(config, expansion=AVERAGE)
            run = partial(Run, kind="global", headline=name == "ft_rmac")
            yield run(name=name, row=f"{title}{suffix}", config=config)
            yield run(name=f"{name}_qe", row=f"{title}+QE{suffix}", config=expanded)


def _combined() -> Iterator[Run]:
    """Yield DELF with query expansion (QE) and R-MAC. R-MAC replaces DIR, a trained R-MAC."""
    fused = replace(
        DELF_FT_ATT,
        global_descriptor=GlobalConfig(pooling="rmac"),
        whitening="rendered_train",
        fusion_weight=WEIGHT,
    )
    run = partial(Run, kind="combined", headline=True)
    local, average = replace(DELF_FT_ATT, expansion=LOCAL), replace(fused, expansion=AVERAGE)
    yield run(name="ft_att_qe", row="DELF+FT+ATT+QE", config=local)
    yield run(name="ft_att_rmac", row="DELF+FT+ATT+R-MAC", config=fused)
    yield run(name="ft_att_rmac_qe", row="DELF+FT+ATT+R-MAC+QE", config=average)


def _sweeps() -> Iterator[Run]:
    """Yield DELF+FT+ATT with one setting varied, and DELF-noFT with many features."""
    most, graph = COUNTS[-1], IndexConfig(kind="nndescent")
    for count in COUNTS:
        yield Run(
            name=f"ft_att_{count}f",
            row=f"DELF+FT+ATT, {count} features",
            kind="features",
            config=replace(DELF_FT_ATT, index=graph) if count >= GRAPH_FEATURES else DELF_FT_ATT,
            features=count,
            headline=count == most,
        )
    yield Run(
        name=f"norm_{most}f",
        row=f"DELF-noFT, {most} features",
        kind="unselected",
        config=replace(DELF_NOFT, index=graph),
        features=most,
        headline=True,
    )
    for size in DIMENSIONS:
        yield Run(
            name=f"ft_att_{size}d",
            row=f"DELF+FT+ATT, {size} dimensions",
            kind="dimensions",
            config=replace(DELF_FT_ATT, search=replace(PAPER_RULE, truncate=size)),
        )
    graphs = {f"{degree}e": {"beam": GRAPH_BEAM, "degree": degree} for degree in DEGREES}
    indexes = {
        name: IndexConfig(kind="nndescent", settings=settings) for name, settings in graphs.items()
    }
    for name, index in (indexes | {"exact": IndexConfig(kind="exact")}).items():
        yield Run(
            name=f"ft_att_{GRAPH_FEATURES}f_{name}",
            row=f"DELF+FT+ATT, {GRAPH_FEATURES} features, {name}",
            kind="recall",
            config=replace(DELF_FT_ATT, index=index),
            features=GRAPH_FEATURES,
        )
    for count, (rule, search) in product(NEIGHBORS, {"": PAPER_RULE, "votes": VOTES}.items()):
        yield Run(
            name=f"ft_att_{count}k{rule and '_'}{rule}",
            row=f"DELF+FT+ATT, {count} neighbors{rule and ', votes only'}",
            kind="neighbors, votes only" if rule else "neighbors",
            config=replace(DELF_FT_ATT, search=replace(search, neighbors=count)),
        )
    for parts, bits in CODES:
        settings = {"parts": parts, "bits": bits, "probes": ALL_LISTS}
        yield Run(
            name=f"ft_att_{parts * bits}b",
            row=f"DELF+FT+ATT, {parts * bits} bits",
            kind="bits",
            config=replace(DELF_FT_ATT, index=IndexConfig(kind="pq", settings=settings)),
        )


RUNS = {
    run.name: run
    for run in chain(
        _verified(_methods()), _verified(_handcrafted()), _globals(), _combined(), _sweeps()
    )
}


def title(name: str) -> str:
    """Return the title of a run for tables and figures."""
    return RUNS[name].row if name in RUNS else TITLES[name]


def result_files(
    name: str, folder: Path = RESULTS, benchmark: str = HEADLINE, *, seeds: bool = True
) -> list[Path]:
    """List the existing result files of a run on a benchmark.

    ``seeds`` is whether to include the results with other training seeds.
    """
    found = [folder / f"{benchmark}_{name}.json"]
    others = sorted((folder / "runs").glob(SEEDS[name])) if seeds and name in SEEDS else []
    found += [path for path in others if read_result(path).get("benchmark") == benchmark]
    return [path for path in found if path.is_file()]


def load_results(
    name: str, folder: Path = RESULTS, benchmark: str = HEADLINE, *, seeds: bool = True
) -> list[dict[str, Any]]:
    """Read the results that `result_files` finds."""
    return [read_result(path) for path in result_files(name, folder, benchmark, seeds=seeds)]


def results_by_row(folder: Path = RESULTS, *, headline: bool = False) -> dict[str, list[Path]]:
    """Return a dict from each method to its result files on all benchmarks.

    Sweeps (runs with one setting varied) and other training seeds are left out. Results on `LARGE` are
    in the sub-folder of its profile. ``headline`` is whether to keep only the methods of the README's
    table.
    """
    places = [(folder, name) for name in (*datasets.NAMES, datasets.LABELED)]
    places.append((folder / PROFILES["full"].folder, LARGE))
    found = {
        run.row: [path for place in places for path in result_files(run.name, *place, seeds=False)]
        for run in RUNS.values()
        if run.features is None and run.kind not in SWEEPS and (run.headline or not headline)
    }
    return {row: paths for row, paths in found.items() if paths}


def sweep(
    kind: Kind, folder: Path = RESULTS, benchmark: str = HEADLINE
) -> dict[float, Mapping[str, Any]]:
    """Return a dict from the value of one setting to the result with this value.

    ``kind`` is the setting: the number of ``"features"`` per photo, the number of ``"dimensions"``
    or ``"bits"`` of a descriptor, the ``"recall"`` of the index in percent, or the number of
    ``"neighbors"`` of a query feature (also ``"neighbors, votes only"``).
    """
    names = [run.name for run in RUNS.values() if run.kind == kind]
    found = [each for name in names for each in load_results(name, folder, benchmark, seeds=False)]
    if found and kind in SHARED:
        found += load_results(SHARED[kind], folder, benchmark, seeds=False)
    return {_setting(kind, result): result for result in found}


def _setting(kind: Kind, result: Mapping[str, Any]) -> float:
    config = result["config"]
    match kind:
        case "features":
            value: float = config["search"]["features"]
        case "neighbors" | "neighbors, votes only":
            value = config["search"]["neighbors"]
        case "recall":
            value = 100 * result["index"]["recall_at_60"]
        case "bits" if config["index"]["kind"] == "pq":
            settings = config["index"]["settings"]
            value = settings["parts"] * settings["bits"]
        case _:
            value = config["search"]["truncate"] or config["pca"]["dimensions"]
            value *= HALF_PRECISION if kind == "bits" else 1
    return value
