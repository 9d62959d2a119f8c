"""Compare rules of geometric verification on rendered and real photos, with exact truth by cameras.

The folder of real photos is not part of the repository. It has these sub-folders, of which any may
be missing:

- ``scenes``: one folder per place, and ``cameras/NAME.camera`` with the true camera of a photo: K, a
  line of distortion, R, the camera center and ``width height``, in the format of the EPFL multi-view
  benchmark (Strecha et al., CVPR 2008). Projection: ``K [R^T | -R^T c]``.
- ``wonders``: one folder per landmark, with queries ``test_*`` and database photos ``train_*``.
- ``pairs``: one folder per place. Two photos of one folder show the same view.

Every rule ranks the same 100 candidates from the same matches. "By place", all photos of the place
are correct. "By view", only those from nearly the same direction are. Intervals are of the
difference to a ranking by votes, over places. The photo of a query is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

import delfjax as dx
from delfjax.datasets import rendered
from delfjax.datasets.benchmark import Benchmark, Truth
from delfjax.datasets.labeled_folder import labeled
from delfjax.evaluation.benchmark import Evaluation
from delfjax.evaluation.metrics import score_rankings
from delfjax.evaluation.significance import bootstrap_interval
from delfjax.geometry.ransac import verify
from delfjax.images.reading import original_size
from delfjax.paper.runs import PAPER_RULE
from delfjax.types import Matches

NEAR, FAR = 30, 90  # degrees between viewing directions: the same view, and certainly another view
SAME_PLACE = {"entry": "castle", "fountain": "castle"}  # parts of one castle
RIGHT = 0.02  # of the longest side: largest distance of a right match from its epipolar line
KEPT = 0.9  # share of the true pairs that the threshold on inliers keeps
RANKINGS = (  # columns of the table of rankings
    "truth",
    "votes",
    "paper",
    "official rule",
    "OpenCV USAC_MAGSAC",
    "pydegensac",
    "votes + paper inliers",
    "scale-aware",
    "votes + scale-aware inliers",
)
GEOMETRY = ("rule", "matches that are right", "inliers that are right", "right matches kept")
PAIRS = ("rule", "threshold", "true kept", "false kept")
SIZES = ((320, 100), (640, 500), (1024, 1000))  # longest side, features per photo
PAPER, AWARE = PAPER_RULE.ransac, dx.RansacConfig()
OFFICIAL = replace(PAPER, residual=10.0, hypotheses=1000)


@dataclass(frozen=True)
class Camera:
    """Camera matrix for pixels of the original size, rotation, center, and ``(width, height)``."""

    intrinsics: np.ndarray
    rotation: np.ndarray
    center: np.ndarray
    size: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Camera":
        """Read a ``.camera`` file."""
        rows = [np.array(line.split(), float) for line in path.read_text().splitlines() if line]
        return cls(np.array(rows[:3]), np.array(rows[4:7]), rows[7], rows[8])

    def at(self, height: int, width: int) -> np.ndarray:
        """Return the camera matrix for a photo of another size."""
        return np.diag([*np.array([width, height]) / self.size, 1.0]) @ self.intrinsics


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """Return the angle between two vectors in degrees."""
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def epipolar_distances(matches: Matches, one: Camera, other: Camera, sizes: list) -> np.ndarray:
    """Return how far each match is from its epipolar line, the larger one in both photos."""
    rotation = other.rotation.T @ one.rotation
    shift = other.rotation.T @ (one.center - other.center)
    cross = np.cross(np.eye(3), shift)
    first, second = one.at(*sizes[0]), other.at(*sizes[1])
    fundamental = np.linalg.inv(second).T @ cross.T @ rotation @ np.linalg.inv(first)
    return line_distances(matches, fundamental)


def line_distances(matches: Matches, fundamental: np.ndarray) -> np.ndarray:
    """Return how far each match is from its epipolar line, the larger one in both photos."""
    x, y = (np.c_[p[:, ::-1], np.ones(len(p))] for p in (matches.query, matches.database))
    lines, back = x @ fundamental.T, y @ fundamental
    error = np.abs((y * lines).sum(1))
    return np.maximum(error / np.hypot(*lines.T[:2]), error / np.hypot(*back.T[:2]))


# --- rules: each returns one score per candidate


def by_ransac(config: dx.RansacConfig) -> Callable[[list[Matches]], np.ndarray]:
    """Return a rule: the number of inliers of our RANSAC."""
    return lambda matches: np.array([each.num_inliers for each in verify(matches, config)])


def official(matches: list[Matches]) -> np.ndarray:
    """Count inliers as ``image_reranking`` of the official code: at most 3 count as 0."""
    kept = [one[one.distances <= 0.9] for one in matches]
    inliers = by_ransac(OFFICIAL)(kept)
    return np.where(inliers > 3, inliers, 0)


def by_peer(find: Callable) -> Callable[[list[Matches]], np.ndarray]:
    """Return a rule: the number of inliers of another library's homography."""

    def count(one: Matches) -> int:
        if len(one) < 5:
            return 0
        points = (one.query[:, ::-1].astype(float), one.database[:, ::-1].astype(float))
        mask = find(*points)[1]
        return 0 if mask is None else int(np.sum(mask))

    return lambda matches: np.array([count(one) for one in matches])


def rules() -> dict[str, Callable[[list[Matches]], np.ndarray]]:
    """Return all rules by name. pydegensac is left out if it is not installed."""
    import cv2

    def magsac(one: np.ndarray, other: np.ndarray) -> tuple:
        return cv2.findHomography(one, other, cv2.USAC_MAGSAC, 20.0, maxIters=2000)

    found = {
        "paper": by_ransac(PAPER),
        "official rule": official,
        "OpenCV USAC_MAGSAC": by_peer(magsac),
    }
    try:
        import pydegensac
    except ImportError:
        pass
    else:
        found["pydegensac"] = by_peer(lambda a, b: pydegensac.findHomography(a, b, 20.0))
    return found | {"scale-aware": by_ransac(AWARE)}


# --- data sets


@dataclass(frozen=True)
class Data:
    """A benchmark, the place of each query, and the cameras of some photos."""

    benchmark: Benchmark
    places: list[str]
    cameras: dict[str, Camera]


def without_own_photos(benchmark: Benchmark) -> Benchmark:
    """Return a benchmark in which the photo of a query is junk for this query."""
    own = benchmark.own_photos
    truths = {
        name: tuple(
            Truth(np.setdiff1d(truth.positives, own[query]), np.append(truth.junk, own[query]))
            for query, truth in enumerate(each)
        )
        for name, each in benchmark.truths.items()
    }
    return replace(benchmark, truths=truths)


def load_rendered() -> Data:
    """Load the rendered set. The photo of a query is junk."""
    benchmark = without_own_photos(rendered.load())
    names = {"place": "standard", "view": rendered.VIEW}
    truths = {name: benchmark.truths[protocol] for name, protocol in names.items()}
    places = [query.name.rpartition("_")[0] for query in benchmark.queries]
    return Data(replace(benchmark, truths=truths), places, {})


def load_scenes(folder: Path) -> Data:
    """Load ``scenes``: every photo is a query, and truth by view where cameras are known."""
    plain = labeled(folder)
    names = plain.database
    place = [SAME_PLACE.get(name.split("/")[0], name.split("/")[0]) for name in names]
    cameras = {
        name: Camera.read(path)
        for name in names
        if (path := folder / "cameras" / f"{Path(name).stem}.camera").is_file()
    }
    by_place, by_view = [], []
    for query, name in enumerate(names):
        same = np.flatnonzero(np.array(place) == place[query])
        by_place.append(Truth(same[same != query], np.array([query])))
        near, junk, far = [], [query], 0
        for other in same[same != query].tolist():
            if name not in cameras or names[other] not in cameras:
                junk.append(other)
                continue
            axes = (cameras[each].rotation[:, 2] for each in (name, names[other]))
            turned = angle(*axes)
            if turned < NEAR:
                near.append(other)
            elif turned <= FAR:
                junk.append(other)
            else:
                far += 1
        # Without a view from elsewhere, truth by view would be truth by place.
        by_view.append(Truth(np.array(near if far else [], int), np.array(junk)))
    truths = {"place": tuple(by_place), "view": tuple(by_view)}
    folders = [name.split("/")[0] for name in names]
    return Data(replace(plain, truths=truths), folders, cameras)


def load_labeled(folder: Path, queries: str = "*", database: str = "*") -> Data:
    """Load a folder with one sub-folder per place, with truth by place."""
    plain = labeled(folder, queries, database)
    places = [query.photo.split("/")[0] for query in plain.queries]
    return Data(replace(plain, truths={"place": plain.truths["standard"]}), places, {})


# --- measurements


def count(evaluation: Evaluation, rule: Callable) -> list[np.ndarray]:
    """Return for each query the number of inliers of each database photo by a rule, at least 0."""
    counts = []
    for result in evaluation.results[: len(evaluation.benchmark.queries)]:
        inliers = np.zeros(len(evaluation.benchmark.database), int)
        inliers[list(result.matches)] = rule(list(result.matches.values()))
        counts.append(inliers)
    return counts


def rank(
    evaluation: Evaluation, counts: list[np.ndarray], *, add_votes: bool = False
) -> list[np.ndarray]:
    """Rank the photos of each query by inliers, or by votes and inliers, then by votes."""
    rankings = []
    for result, inliers in zip(evaluation.results, counts, strict=False):
        images, votes = result.ranking.images, result.ranking.votes
        scores = inliers[images] + add_votes * votes
        rankings.append(images[np.lexsort((images, -votes, -scores))])
    return rankings


def compare(data: Data, evaluation: Evaluation, setting: dict) -> list[dict]:
    """Compare all rules with votes on one set. Return one row per protocol."""
    known = rules()
    counts = {
        name: count(evaluation, rule) for name, rule in tqdm(known.items(), "rules", leave=False)
    }
    zero = [np.zeros_like(each) for each in counts["paper"]]
    rankings = {"votes": rank(evaluation, zero)}
    rankings |= {name: rank(evaluation, each) for name, each in counts.items()}
    for name in ("paper", "scale-aware"):
        rankings[f"votes + {name} inliers"] = rank(evaluation, counts[name], add_votes=True)
    groups, rows = np.array(data.places), []
    for protocol, truths in data.benchmark.truths.items():
        scores = {
            name: 100 * score_rankings(each, truths, ks=(1,)).average_precision
            for name, each in rankings.items()
        }
        row = setting | {"truth": protocol, "queries": int(np.isfinite(scores["votes"]).sum())}
        row["votes"] = round(float(np.nanmean(scores["votes"])), 2)
        for name, values in scores.items():
            if name != "votes":
                gain = values - scores["votes"]
                low, high = bootstrap_interval(gain, groups=groups)
                row[name] = [round(float(each), 2) for each in (np.nanmean(gain), low, high)]
        rows.append(row)
    return rows


def check_geometry(data: Data, evaluation: Evaluation, setting: dict) -> list[dict]:
    """Compare inliers with the true epipolar geometry, over all matches of pairs of one view."""
    names, pairs = data.benchmark.database, []
    views = zip(names, evaluation.results, data.benchmark.truths["view"], strict=True)
    for query, result, truth in views:
        for image in set(truth.positives.tolist()).intersection(result.matches):
            photos, matches = (query, names[image]), result.matches[image]
            sizes = [original_size(data.benchmark.root / name) for name in photos]
            one, other = (data.cameras[name] for name in photos)
            distances = epipolar_distances(matches, one, other, sizes)
            pairs.append((matches, distances <= RIGHT * max(sizes[0])))
    matches, parts = zip(*pairs, strict=True)
    right, rows = np.concatenate(parts), []
    for title, config in {"paper": PAPER, "scale-aware": AWARE}.items():
        inliers = np.concatenate([each.inliers for each in verify(matches, config)])
        shares = {
            "matches that are right": right.mean(),
            "inliers that are right": right[inliers].mean(),
            "right matches kept": inliers[right].mean(),
        }
        shares = {name: round(100 * float(share), 1) for name, share in shares.items()}
        rows.append(setting | {"rule": title, "pairs": len(pairs)} | shares)
    return rows


def accepted(true: list[int], false: list[int]) -> dict:
    """Return the threshold that keeps most true pairs, and the shares of pairs that it accepts."""
    threshold = int(np.quantile(true, 1 - KEPT, method="lower"))
    kept, wrong = (100 * float(np.mean(np.array(each) >= threshold)) for each in (true, false))
    return {"threshold": threshold, "true kept": round(kept, 1), "false kept": round(wrong, 1)}


def check_pairs(data: Data, evaluation: Evaluation, setting: dict) -> list[dict]:
    """Match all pairs of photos of a store, with its PCA. Count true and false pairs accepted."""
    store = dx.FeatureStore(evaluation.store)
    features = {name: store.read(name) for name in data.benchmark.database}
    place = {name: name.split("/")[0] for name in features}
    rows = []
    for title, config in {"paper": PAPER, "scale-aware": AWARE}.items():
        inliers = {True: [], False: []}
        for a, b in combinations(features, 2):
            pair = dx.match(features[a], features[b], ransac=config)
            inliers[place[a] == place[b]].append(pair.num_inliers)
        rows.append(setting | {"rule": title} | accepted(inliers[True], inliers[False]))
    return rows


def settings(folder: Path | None) -> Iterator[tuple[str, Data, str, int, int]]:
    """Yield name, data, model, longest side and number of features of all evaluations."""
    data = load_rendered()
    for model in ("resnet50_v1", "delf_att", "delf_ft_att"):
        yield "rendered+places", data, model, 320, 100
    if folder is None:
        return
    models = ("resnet50_v1", "delf_att")
    for name in ("wonders", "scenes", "pairs"):
        if not (folder / name).is_dir():
            continue
        if name == "wonders":
            data = load_labeled(folder / name, "test_*", "train_*")
        else:
            data = load_scenes(folder / name) if name == "scenes" else load_labeled(folder / name)
        for longest, features in SIZES[:1] if name == "wonders" else SIZES:
            for model in models:
                yield name, data, model, longest, features


def markdown(rows: list[dict], names: Sequence[str]) -> str:
    """Return columns of the result as a Markdown table, after a column for the setting."""

    def show(value: object) -> str:
        if isinstance(value, list):
            gain, low, high = value
            return f"{gain:+.1f} [{low:+.1f}, {high:+.1f}]"
        return f"{value:.1f}" if isinstance(value, float) else str(value)

    def line(row: dict) -> list[str]:
        setting = f"{row['set']} {row['longest']}/{row['features']}, {row['model']}"
        return [setting, *(show(row[name]) for name in names)]

    lines = [["set, longest side/features, model", *names], ["---"] * (len(names) + 1)]
    return "\n".join(f"| {' | '.join(each)} |" for each in [*lines, *map(line, rows)])


def run(photos: str | None = None) -> dict:
    """Compare rules on the rendered set and, if given, on a folder of real photos."""
    folder = None if photos is None else Path(photos)
    rankings, geometry, pairs = [], [], []
    for name, data, model, longest, features in tqdm([*settings(folder)], desc="sets"):
        pyramid = dx.PyramidConfig(longest=longest)
        config = dx.RunConfig(
            model=model,
            extraction=dx.ExtractionConfig(pyramid=pyramid),
            search=replace(PAPER_RULE, features=features),
        )
        evaluation = dx.evaluate(dx.load(model, config.extraction), data.benchmark, config)
        if evaluation.report.failed:
            raise OSError(f"photos that cannot be read: {', '.join(evaluation.report.failed)}")
        setting = {"set": name, "model": model, "longest": longest, "features": features}
        if name == "pairs":
            pairs += check_pairs(data, evaluation, setting)
            continue
        rankings += compare(data, evaluation, setting)
        if data.cameras:
            geometry += check_geometry(data, evaluation, setting)
    gain = next(row for row in rankings if row["model"] == "delf_att" and row["truth"] == "view")
    return {
        "value": gain["votes + scale-aware inliers"][0],
        "what": "mAP of votes and scale-aware inliers minus mAP of votes, rendered+places by view",
        "rows": rankings,
        "epipolar geometry": geometry,
        "pairs": pairs,
        "config": {"paper": vars(PAPER), "scale-aware": vars(AWARE), "right": RIGHT, "near": NEAR},
    }
