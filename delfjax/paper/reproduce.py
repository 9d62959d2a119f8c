"""Make the results of `delfjax.paper.runs` that are missing or out of date.

A result is up to date while its configuration, its model, its photos and the `PROTOCOL` number are
the same. Of a real data set, only names and sizes of the photos are compared.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tqdm.auto import tqdm

from delfjax import datasets
from delfjax.datasets.benchmark import Benchmark
from delfjax.evaluation.benchmark import evaluate, photos_sha256
from delfjax.evaluation.config import RunConfig
from delfjax.evaluation.report import report
from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.factory import load, model_sha256
from delfjax.paper.runs import PROFILES, RESULTS, RUNS, Profile, Run
from delfjax.provenance import PROTOCOL, read_result, write_result

State = Literal["kept", "made", "failed"]


@dataclass(frozen=True, kw_only=True)
class LabeledFolder:
    """A folder with one sub-folder per class that is evaluated like a benchmark.

    Attributes:
        folder: The folder.
        queries: Pattern of the file names of query photos.
        database: Pattern of the file names of database photos.
    """

    folder: Path
    queries: str = "*"
    database: str = "*"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run on one benchmark.

    Attributes:
        run: The run.
        benchmark: Name of the benchmark.
        profile: Sizes of photos and numbers of features.
        folder: Folder of the results.
        data: Folder of the real data sets.
        labeled: The folder that is the benchmark, instead of a named one.
    """

    run: Run
    benchmark: str
    profile: Profile
    folder: Path = RESULTS
    data: Path | None = None
    labeled: LabeledFolder | None = None

    @property
    def name(self) -> str:
        """Name of the result."""
        return f"{self.benchmark}_{self.run.name}"

    @property
    def path(self) -> Path:
        """File of the result."""
        return self.folder / self.profile.folder / f"{self.name}.json"

    @property
    def headline(self) -> bool:
        """Whether the README's table shows the result; the set without distractors is left out."""
        return self.run.headline and self.benchmark != "rendered"

    @property
    def config(self) -> RunConfig:
        """Configuration of the evaluation."""
        return self.run.at(self.profile)

    @property
    def command(self) -> str:
        """Command that makes the result."""
        words = ["delfjax", "reproduce", "--only", self.name]
        if self.labeled is not None:
            words += ["--labeled", str(self.labeled.folder)]
            words += ["--queries", self.labeled.queries, "--database", self.labeled.database]
        elif self.benchmark not in datasets.RENDERED:
            words += ["--data", str(self.data)]
        return shlex.join(words)

    def load_benchmark(self) -> Benchmark:
        """Load the benchmark's photos, queries and truth."""
        if self.labeled is not None:
            own = self.labeled
            benchmark = datasets.labeled(own.folder, own.queries, own.database)
            return replace(benchmark, name=datasets.LABELED)
        return datasets.load(self.benchmark, self.data)

    def outdated(self, photos: str) -> str | None:
        """Say in a few words why the result has to be made; None if it is up to date.

        Args:
            photos: `photos_sha256` of the benchmark.
        """
        if not self.path.is_file():
            return "missing"
        try:
            result = read_result(self.path)
        except ValueError:
            return "damaged"
        inputs, model = result.get("inputs_sha256", {}), model_sha256(self.config.model)
        checks = {
            "another protocol": result.get("protocol_version") != PROTOCOL,
            "another configuration": result.get("config") != self.config.to_dict(),
            "another model": model is not None and inputs.get("model") != model,
            "other photos": inputs.get("photos") != photos,
        }
        return next((words for words, changed in checks.items() if changed), None)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened to a job.

    Attributes:
        job: The job.
        state: Whether its result was up to date, was made, or failed.
        reason: Why the result was made, or why it failed.
        seconds: Wall time.
        unreadable: Number of photos that could not be read.
    """

    job: Job
    state: State
    reason: str = ""
    seconds: float = 0.0
    unreadable: int = 0


def plan(
    names: Sequence[str] = (),
    folder: Path = RESULTS,
    *,
    data: Path | None = None,
    labeled: LabeledFolder | None = None,
    profile: str = "embedded",
) -> list[Job]:
    """List every run on every available benchmark, the rendered sets first.

    Args:
        names: Names of runs, benchmarks or results to keep; by default all.
        folder: Folder of the results.
        data: Folder of the real data sets; None: only the rendered sets.
        labeled: A folder of photos to evaluate, instead of all benchmarks.
        profile: Name of one of `PROFILES`.

    Raises:
        ValueError: If a name is unknown.
    """
    available = datasets.RENDERED if data is None else datasets.available(data)
    benchmarks = sorted(available, key=lambda name: name not in datasets.RENDERED)
    benchmarks = benchmarks if labeled is None else [datasets.LABELED]
    shared = {"profile": PROFILES[profile], "folder": folder, "data": data, "labeled": labeled}
    jobs = [Job(run=run, benchmark=name, **shared) for name in benchmarks for run in RUNS.values()]
    known = {*RUNS, *benchmarks, *(job.name for job in jobs)}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"{', '.join(unknown)}: unknown. Expected a run ({', '.join(RUNS)}), an available "
            f"benchmark ({', '.join(benchmarks)}), or both, as in rendered_norm"
        )
    return [job for job in jobs if not names or {job.run.name, job.benchmark, job.name} & {*names}]


class Reproduction:
    """Runs jobs, and keeps models and benchmarks loaded between them."""

    def __init__(self) -> None:
        self._models: dict[str, LocalExtractor] = {}
        self._benchmarks: dict[str, Benchmark] = {}
        self._photos: dict[str, str] = {}

    def outdated(self, job: Job) -> str | None:
        """Say why a job's result has to be made; None if it is up to date."""
        if job.benchmark not in self._photos:
            self._photos[job.benchmark] = photos_sha256(self._benchmark(job))
        return job.outdated(self._photos[job.benchmark])

    def run(self, job: Job) -> Outcome:
        """Make a job's result if it is missing or out of date."""
        start = time.perf_counter()
        try:
            outcome = self._run(job)
        except Exception as error:  # one failed run must not stop the others
            reason = f"{type(error).__name__}: {error}"
            outcome = Outcome(job=job, state="failed", reason=reason)
        return replace(outcome, seconds=time.perf_counter() - start)

    def _run(self, job: Job) -> Outcome:
        reason = self.outdated(job)
        if reason is None:
            kept = read_result(job.path)
            return Outcome(job=job, state="kept", unreadable=len(kept.get("failed", ())))
        name = job.config.model
        if name not in self._models:
            self._models[name] = load(name)
        evaluation = evaluate(self._models[name], self._benchmark(job), job.config)
        added = {"headline": job.headline, "command": job.command}
        write_result(job.path, report(evaluation) | added)
        unreadable = len(evaluation.report.failed)
        return Outcome(job=job, state="made", reason=reason, unreadable=unreadable)

    def _benchmark(self, job: Job) -> Benchmark:
        if job.benchmark not in self._benchmarks:
            self._benchmarks[job.benchmark] = job.load_benchmark()
        return self._benchmarks[job.benchmark]


def run_all(jobs: Sequence[Job]) -> list[Outcome]:
    """Run jobs one after another. A job that fails is reported and stops no other.

    After an interrupt, the next call goes on: results and cached features stay.
    """
    reproduction, outcomes = Reproduction(), []
    with tqdm(jobs, unit="run") as bar:
        for job in bar:
            bar.set_description(job.name)
            outcomes.append(reproduction.run(job))
    return outcomes
