"""Retrieval over a class-labelled folder: every query against the database, scored by its labels.

The protocol is that of Oxford5k with one set of positives a label: trapezoid average precision over
the full ranking, the query itself being junk where it stands in the database too. Labels of a folder
are classes, not views: the figures serve for order and sanity, not for the paper's tables.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from delfjax.collection import ReductionConfig, Report, extract_folder, made_by
from delfjax.extraction import Extractor
from delfjax.index import PAPER_NEIGHBOURS, ExactIndex, build_index
from delfjax.metrics import Scores, Truth, bootstrap, evaluate
from delfjax.photos import PhotoFolder
from delfjax.results import circumstances
from delfjax.search import Answer, Database, SearchConfig, Searcher


@dataclass(kw_only=True, eq=False)
class Evaluation:
    """A folder's rankings and what they are worth.

    Attributes:
        queries: Names of the query photos.
        database: Names of the database photos.
        truths: Positives and junk of each query, as numbers of database photos.
        answers: Rankings and matches.
        scores: Average precision and precision at 1, 5 and 10.
        seconds: Wall time by stage.
        report: What became of each photo.
        index_kind: ``ExactIndex`` or ``NNDescentIndex``.
        recall: Of that index at 60 neighbours, against exact search.
        settings: Every configuration that the figures depend on.
    """

    queries: tuple[str, ...]
    database: tuple[str, ...]
    truths: list[Truth]
    answers: list[Answer]
    scores: Scores
    seconds: dict[str, float]
    report: Report
    index_kind: str
    recall: float
    settings: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """Return what is worth keeping, as plain numbers and words."""
        low, high = bootstrap(self.scores.average_precision, seed=0)
        return {
            "value": round(100 * self.scores.mean_average_precision, 2),
            "interval": [round(100 * low, 2), round(100 * high, 2)],
            "precision_at": {
                str(k): round(100 * float(value), 2)
                for k, value in zip(self.scores.ks, self.scores.mean_precision_at, strict=True)
            },
            "queries": len(self.queries),
            "database": len(self.database),
            "index": {"kind": self.index_kind, "recall_at_60": round(self.recall, 4)},
            "failed": {name: str(error) for name, error in self.report.failed.items()},
            "seconds": {stage: round(value, 2) for stage, value in self.seconds.items()},
            **circumstances(self.settings),
        }


def evaluate_folder(
    extractor: Extractor,
    photos: PhotoFolder,
    store_path: Path | str,
    *,
    queries: str = "*",
    database: str = "*",
    index: str = "auto",
    search: SearchConfig | None = None,
    reduction: ReductionConfig | None = None,
) -> Evaluation:
    """Extract what is missing, search every query, and score the rankings.

    Args:
        extractor: Model and selection.
        photos: A folder with one sub-folder a class.
        store_path: Where features are kept: a second run reads them from there.
        queries: Which photos are queries, by a pattern of file names.
        database: Which are the database; the PCA is learnt of these.
        index: ``"exact"``, ``"nndescent"`` or ``"auto"``.
        search: How queries are answered.
        reduction: How the PCA is learnt; ``database`` above says of which photos.

    Raises:
        ValueError: If the folder has no classes, a pattern matches no photo, or no query has anything
            to find.
    """
    search = search or SearchConfig()
    reduction = replace(reduction or ReductionConfig(), database=database)
    if photos.labels is None:
        raise ValueError(f"{photos.root}: expected one sub-folder a class, found photos only")
    chosen = {pattern: photos.select(pattern) for pattern in (queries, database)}
    for pattern, found in chosen.items():
        if not len(found):
            raise ValueError(f"{photos.root}: no photo's file name matches {pattern!r}")
    seconds: dict[str, float] = {}
    with _timed(seconds, "extract"):
        store, report = extract_folder(extractor, photos, store_path, config=reduction)
    with _timed(seconds, "load"):
        names = {
            pattern: tuple(name for name in found.names if name not in report.failed)
            for pattern, found in chosen.items()
        }
        truths = [truth(name, names[database]) for name in names[queries]]
        if not any(len(each.positives) for each in truths):
            raise ValueError(
                f"{photos.root}: no query has another readable photo of its class in the database"
            )
        base = Database.load(store, names[database])
        asked = [store.read(name) for name in names[queries]]
    with _timed(seconds, "build index"):
        searcher = Searcher(base, build_index(base.descriptors, index), search)
    neighbours, answers = [], []
    with _timed(seconds, "neighbours"):
        for query in tqdm(asked, desc="neighbours", unit="query"):
            neighbours.append(searcher.neighbours(query))
    with _timed(seconds, "vote and verify"):
        for query, found in tqdm(
            zip(asked, neighbours, strict=True), total=len(asked), desc="verify", unit="query"
        ):
            answers.append(searcher.rank(query, found))
    with _timed(seconds, "measure recall"):
        sample = np.concatenate([query.descriptors for query in asked])
        exact = isinstance(searcher.index, ExactIndex)
        k = min(PAPER_NEIGHBOURS, len(base.descriptors))
        share = 1.0 if exact else searcher.index.recall(sample, k, sample=1000)
    return Evaluation(
        queries=names[queries],
        database=base.names,
        truths=truths,
        answers=answers,
        scores=evaluate(
            [answer.ranking.images for answer in answers],
            truths,
            ks=[k for k in (1, 5, 10) if k <= len(base)],
            database_size=len(base),
        ),
        seconds=seconds,
        report=report,
        index_kind=type(searcher.index).__name__,
        recall=share,
        settings=made_by(extractor, reduction)
        | {"search": asdict(search), "queries": queries, "database": database},
    )


def truth(query: str, database: tuple[str, ...]) -> Truth:
    """Return a query's positives, the photos of its class, and its junk, the query itself."""
    label = query.split("/")[0]
    same = np.array([name.split("/")[0] == label for name in database], bool)
    itself = np.array([name == query for name in database], bool)
    return Truth(positives=np.flatnonzero(same & ~itself), junk=np.flatnonzero(itself))


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
