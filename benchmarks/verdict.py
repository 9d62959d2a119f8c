"""Calibrate the verdict on pairs of photos (`delfjax.search.verdict`), and measure its errors.

The constants are fitted to the rendered training landmarks only. Their errors are then counted on
real photos, which have the layout that ``benchmarks/verification_study.py`` describes. Pairs of one
setting are verified once and kept in the cache folder, so an interrupted run continues.

Truth: photos of two folders show different places (``castle``, ``entry`` and ``fountain`` are one
place). Photos of one folder show the same place; those of ``scenes`` are true pairs only if their
cameras look in nearly the same direction. A true pair is *found* if at least half of its inliers are
near their epipolar line, by the true cameras (``scenes``) or a fundamental matrix by SIFT (``pairs``).
In the other sets, photos of one folder may show different sides, so only false alarms count.
"""

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
from scipy import optimize, special, stats
from tqdm.auto import tqdm

import delfjax as dx
from benchmarks.verification_study import (
    NEAR,
    RIGHT,
    SAME_PLACE,
    Camera,
    angle,
    epipolar_distances,
    line_distances,
)
from delfjax.datasets import rendered
from delfjax.features.extract_folder import LocalExtractor
from delfjax.files import cache_folder
from delfjax.geometry.ransac import Verification
from delfjax.images.folder import PhotoFolder, scan
from delfjax.images.reading import original_size
from delfjax.search.verdict import DIFFERENT, SAME, Label, evidence, judge
from delfjax.types import Matches

SEED = 0
SIFT_INLIERS = 20  # of a fundamental matrix by SIFT that counts as true
GEOMETRY = ("scenes", "pairs")  # sets whose true epipolar geometry is known, from cameras or SIFT
NUMBERS = ("pairs", "true", "found")
SHARES = ("same among found", "different among found", "false same", "unsure")
PAIRS = 250  # random pairs of the same landmark, and of different ones, to calibrate `match`


@dataclass(frozen=True)
class Setting:
    """Photos, features and use (``"search"`` or ``"match"``) of some verified pairs.

    Only every n-th photo is a query (``every``). ``contrast`` is the minimum contrast of a feature:
    1 by default, and 0 in evaluations. ``pattern`` selects photos by file name.
    """

    photos: str
    model: str
    longest: int
    features: int
    use: str = "search"
    every: int = 1
    contrast: float = 1.0
    pattern: str = "*"


@dataclass(frozen=True)
class Pair:
    """A verified pair of photos."""

    query: str
    photo: str
    matches: Matches
    found: Verification


CALIBRATION = (
    Setting("train", "delf_att", 320, 1000, every=15),
    Setting("train", "delf_att", 320, 300, every=15),
    Setting("train", "delf_att", 320, 100, every=15),
    Setting("train", "delf_att", 320, 1000, use="match"),
)
MEASURED = (
    Setting("pairs", "delf_att", 1024, 1000, use="match"),
    Setting("pairs", "delf_att", 1024, 1000),
    Setting("wonders", "delf_att", 1024, 1000, every=2, pattern="*_00[0-4].*"),
    Setting("scenes", "delf_att", 1024, 1000, every=4, contrast=0),
    Setting("pairs", "delf_att", 640, 500, contrast=0),
    Setting("scenes", "delf_att", 640, 500, every=4, contrast=0),
    Setting("pairs", "delf_att", 320, 100, contrast=0),
    Setting("scenes", "delf_att", 320, 100, every=4, contrast=0),
    Setting("wonders", "delf_att", 320, 100, every=6, contrast=0),
    Setting("pairs", "resnet50_v1", 1024, 1000, contrast=0),
    Setting("scenes", "resnet50_v1", 320, 100, every=4, contrast=0),
    Setting("wonders", "resnet50_v1", 320, 100, every=6, contrast=0),
    Setting("pairs", "delf_ft_att", 320, 100),
    Setting("scenes", "delf_ft_att", 320, 100, every=4),
)


def place(photo: str) -> str:
    """Return the place of a photo: its folder, or the castle of which the folder shows a part."""
    folder = photo.split("/")[0]
    return SAME_PLACE.get(folder, folder)


# --- verified pairs


def pairs_of(setting: Setting, folder: Path) -> list[Pair]:
    """Return the verified pairs of a setting, from the cache folder if they are already there."""
    name = "-".join(str(value) for value in vars(setting).values()).replace("*", "")
    path = cache_folder() / "verdict" / f"pairs-{name}.pickle"
    if not path.is_file():
        pyramid = dx.PyramidConfig(longest=setting.longest)
        extraction = dx.ExtractionConfig(pyramid=pyramid, min_contrast=setting.contrast)
        model = dx.load(setting.model, extraction)
        photos = scan(folder)
        names = tuple(n for n in photos.names if fnmatchcase(Path(n).name, setting.pattern))
        find = {"search": by_search, "match": by_match}[setting.use]
        found = find(setting, model, replace(photos, names=names))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(found))  # read by this study only
    return pickle.loads(path.read_bytes())


def by_search(setting: Setting, model: LocalExtractor, photos: PhotoFolder) -> list[Pair]:
    """Search for some photos among all photos, as `delfjax search` does."""
    kind = "" if setting.contrast else "-no_contrast"
    name = f"{setting.photos}-{setting.model}-{setting.longest}{kind}"
    store = dx.extract_folder(model, photos, cache_folder() / "verdict" / name)
    searcher = dx.Searcher(store, "exact", dx.SearchConfig(features=setting.features))
    pairs = []
    for query in tqdm(store.names[:: setting.every], f"{name}/{setting.features}", leave=False):
        result = searcher(searcher.config.limit_features(store.read(query)))
        for image, found in result.verifications.items():
            if (photo := searcher.database.names[image]) != query:
                pairs.append(Pair(query, photo, result.matches[image], found))
    return pairs


def by_match(setting: Setting, model: LocalExtractor, photos: PhotoFolder) -> list[Pair]:
    """Match pairs of photos alone, as `delfjax match` does: all pairs, or a random sample."""
    chosen = [*combinations(photos.names, 2)]
    if setting.photos == "train":
        same = [place(one) == place(other) for one, other in chosen]
        random = np.random.default_rng(SEED)
        rows = [random.permutation(np.flatnonzero(np.equal(same, kind))) for kind in (True, False)]
        chosen = [chosen[row] for each in rows for row in each[:PAIRS]]
    features = lru_cache(maxsize=None)(lambda name: model(photos.load(name)))
    pairs = []
    for one, other in tqdm(chosen, f"{setting.photos}, match", leave=False):
        found = dx.match(features(one), features(other))
        pairs.append(Pair(one, other, found.matches, found))
    return pairs


# --- truth


def is_true(query: str, photo: str, cameras: dict[str, Camera]) -> bool | None:
    """Return whether two photos show the same view (``scenes``) or place. None: not known."""
    if place(query) != place(photo):
        return False
    if not cameras:
        return True
    if not {query, photo} <= cameras.keys():
        return None
    axes = (cameras[name].rotation[:, 2] for name in (query, photo))
    return True if angle(*axes) < NEAR else None


def is_found(pair: Pair, cameras: dict[str, Camera], root: Path) -> bool:
    """Return whether most inliers agree with the true epipolar geometry of the two photos."""
    if not pair.found.num_inliers:
        return False
    sizes = [original_size(root / name) for name in (pair.query, pair.photo)]
    if cameras:
        views = (cameras[pair.query], cameras[pair.photo])
        distances = epipolar_distances(pair.matches, *views, [*sizes])
    else:
        fundamental = fundamental_by_sift(root, *sorted((pair.query, pair.photo)))
        if fundamental is None:
            return False
        if pair.query > pair.photo:
            fundamental = fundamental.T
        distances = line_distances(pair.matches, fundamental)
    return bool((distances[pair.found.inliers] <= RIGHT * max(sizes[0])).mean() >= 0.5)


@cache
def fundamental_by_sift(root: Path, one: str, other: str) -> np.ndarray | None:
    """Return the fundamental matrix of two photos by SIFT, or None with fewer than 20 inliers."""
    import cv2

    sift = cv2.SIFT_create(4000)
    found = [
        sift.detectAndCompute(dx.read_image(root / name)[..., ::-1].copy(), None)
        for name in (one, other)
    ]
    (points, first), (others, second) = found
    nearest = cv2.BFMatcher(cv2.NORM_L2).knnMatch(first, second, k=2)
    kept = [a for a, b in nearest if a.distance < 0.8 * b.distance]
    if len(kept) < SIFT_INLIERS:
        return None
    x = np.float64([points[each.queryIdx].pt for each in kept])
    y = np.float64([others[each.trainIdx].pt for each in kept])
    fundamental, inliers = cv2.findFundamentalMat(x, y, cv2.USAC_MAGSAC, 2.0, 0.9999, 20000)
    return fundamental if inliers is not None and inliers.sum() >= SIFT_INLIERS else None


# --- calibration


def fit(sets: Sequence[Sequence[Pair]]) -> dict[str, float]:
    """Fit the logistic model of the verdict to pairs of labeled photos, by maximum likelihood.

    A pair of one landmark shows the same view with a probability that is fitted too.
    Otherwise its evidence is that of two landmarks. Same and different pairs of each set have the
    same weight.
    """
    rows, same, weights = [], [], []
    for pairs in sets:
        found = [evidence(each.matches, each.found, dx.RansacConfig()) for each in pairs]
        kept = [row for row, (cells, *_) in enumerate(found) if cells]
        labels = np.array([is_true(pairs[row].query, pairs[row].photo, {}) for row in kept])
        rows.append(np.log([found[row] for row in kept]))
        same.append(labels)
        weights.append(0.5 / np.where(labels, labels.sum(), (~labels).sum()))
    x, y, w = map(np.concatenate, (rows, same, weights))

    def loss(values: np.ndarray) -> float:
        share = special.expit(values[0])
        ratio = np.exp(np.clip(values[1] + x @ values[2:], -50, 50))
        odds = 1 - share + share * ratio
        return float(-(w * np.where(y, np.log(odds), 0) - w * np.log1p(odds)).sum())

    start = np.array([1.0, -4.0, 1.0, 1.0, 1.0])
    options = {"maxiter": 20000, "maxfev": 20000, "xatol": 1e-5, "fatol": 1e-9}
    best = optimize.minimize(loss, start, method="Nelder-Mead", options=options).x
    names = ("same view", "intercept", "cells", "share", "enrichment")
    return {
        n: round(float(v), 3)
        for n, v in zip(names, [special.expit(best[0]), *best[1:]], strict=True)
    }


# --- errors


def wilson(hits: int, count: int) -> list[float] | None:
    """Return a share in percent, with its 95% interval (Wilson). None without any case."""
    if not count:
        return None
    low, high = stats.binomtest(hits, count).proportion_ci(method="wilson")
    return [round(100 * each, 2) for each in (hits / count, low, high)]


def errors(setting: Setting, pairs: list[Pair], folder: Path) -> dict:
    """Count the errors of the verdict on the pairs of a setting."""
    cameras = read_cameras(folder)
    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[tuple[float, str, str]] = []
    for pair in pairs:
        true = is_true(pair.query, pair.photo, cameras)
        if true is None:
            continue
        verdict = judge(pair.matches, pair.found)
        kind = "different"
        if true:
            found = setting.photos in GEOMETRY and is_found(pair, cameras, folder)
            kind = "found" if found else "missed"
        counts[kind, verdict.label] += 1
        if kind == "different" and verdict.label == "same place":
            wrong.append((round(verdict.probability, 4), pair.query, pair.photo))

    def total(*kinds: str) -> int:
        return sum(counts[kind, label] for kind in kinds for label in get_args(Label))

    judged = total("different", "found", "missed")
    unsure = sum(counts[kind, "unsure"] for kind in ("different", "found", "missed"))
    return {
        "pairs": judged,
        "true": total("found", "missed"),
        "found": total("found") if setting.photos in GEOMETRY else None,
        "same among found": wilson(counts["found", "same place"], total("found")),
        "different among found": wilson(counts["found", "different"], total("found")),
        "different places": total("different"),
        "false same": wilson(counts["different", "same place"], total("different")),
        "unsure": wilson(unsure, judged),
        "wrong": [list(each) for each in sorted(wrong, reverse=True)],
    }


def read_cameras(folder: Path) -> dict[str, Camera]:
    """Read the cameras of ``scenes``, by name of the photo. Empty for other sets."""
    files = {path.stem: path for path in (folder / "cameras").glob("*.camera")}
    names = scan(folder).names if files else ()
    return {name: Camera.read(files[Path(name).stem]) for name in names if Path(name).stem in files}


def markdown(rows: list[dict]) -> str:
    """Return the errors as a Markdown table."""

    def share(value: list[float] | None) -> str:
        if value is None:
            return "-"
        return f"{value[0]:.1f} [{value[1]:.1f}, {value[2]:.1f}]"

    names = ("set, longest side/features, model, use", *NUMBERS, *SHARES)
    lines = [[*names], ["---"] * len(names)]
    for row in rows:
        title = f"{row['photos']} {row['longest']}/{row['features']}, {row['model']}, {row['use']}"
        counts = ["-" if row[name] is None else str(row[name]) for name in NUMBERS]
        lines.append([title, *counts, *(share(row[name]) for name in SHARES)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run(photos: str | None = None) -> dict:
    """Fit the model to the rendered training set, and count its errors on all sets."""
    train = rendered.training_photos().root
    calibration = [pairs_of(setting, train) for setting in CALIBRATION]
    rows = [
        vars(setting) | errors(setting, pairs, train)
        for setting, pairs in zip(CALIBRATION, calibration, strict=True)
    ]
    for setting in tqdm(MEASURED if photos else (), desc="settings"):
        folder = Path(photos or "") / setting.photos
        rows.append(vars(setting) | errors(setting, pairs_of(setting, folder), folder))
    for row in rows:  # names of photos that may not be published
        if row["photos"] != "train":
            row["wrong"] = len(row["wrong"])
    measured = [row for row in rows if row["photos"] != "train"] or rows
    value = max(row["false same"][0] for row in measured if row["false same"])
    return {
        "value": value,
        "what": "highest share of pairs of different places with the verdict same place, in percent",
        "fitted": fit(calibration),
        "rows": rows,
        "config": {
            "seed": SEED,
            "pairs": PAIRS,
            "right": RIGHT,
            "near": NEAR,
            "same": SAME,
            "different": DIFFERENT,
        },
    }
