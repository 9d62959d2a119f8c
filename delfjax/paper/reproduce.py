"""Make missing or outdated results of the runs (methods with settings) in `delfjax.paper.runs`.

A result is up to date if the configuration, the model, the photos and `PROTOCOL` (the version of the
code) have not changed.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from delfjax.paper.runs import PROFILES, RUNS, Profile, Run
from delfjax.provenance import PROTOCOL, RESULTS, read_result, write_result
from delfjax.ranges import ConfigError

State = Literal["kept", "made", "failed"]


@dataclass(frozen=True, kw_only=True)
class LabeledFolder:
    """Arguments of `delfjax.datasets.labeled_folder.labeled`: a folder that becomes a benchmark."""

    folder: Path
    queries: str = "*"
    database: str = "*"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run (a method with its settings) on one benchmark.

    Attributes:
        run: The run.
        benchmark: Name of the benchmark.
        profile: Size of photos and number of features.
        folder: Folder of the results.
        data: Folder of the real data sets. A rendered set needs none.
        labeled: Labeled folder to evaluate instead of a named benchmark.
    """

    run: Run
    benchmark: str
    profile: Profile
    folder: Path = RESULTS
    data: Path | None = None
    labeled: LabeledFolder | None = None

    @property
    def name(self) -> str:
        """Name of the result, ``<benchmark>_<run>``."""
        return f"{self.benchmark}_{self.run.name}"

    @property
    def path(self) -> Path:
        """Path of the JSON file with the result."""
        return self.folder / self.profile.folder / f"{self.name}.json"

    @property
    def headline(self) -> bool:
        """Whether the README's table shows the result. The table leaves out the benchmark ``rendered``."""
        return self.run.headline and self.benchmark != "rendered"

    @property
    def config(self) -> RunConfig:
        """Configuration of the evaluation, with the photo size and number of features of ``profile``."""
        return self.run.at(self.profile)

    @property
    def command(self) -> str:
        """Shell command that makes the result."""
        words = ["delfjax", "reproduce", "--only", self.name]
        if self.labeled is not None:
            words += ["--labeled", str(self.labeled.folder)]
            words += ["--queries", self.labeled.queries, "--database", self.labeled.database]
        elif self.benchmark not in datasets.RENDERED:
            words += ["--data", str(self.data)]
        return shlex.join(words)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of a `Job`.

    Attributes:
        job: The job.
        state: ``"kept"`` if the result was up to date, ``"made"``, or ``"failed"``.
        reason: Reason why the result was made, or the error of a failed job. Empty if it was kept.
        seconds: Wall time in seconds.
        unreadable: Number of photos that could not be read.
    """

    job: Job
    state: State
    reason: str
    seconds: float
    unreadable: int


def plan(
    names: Sequence[str] = (),
    folder: Path = RESULTS,
    *,
    data: Path | None = None,
    labeled: LabeledFolder | None = None,
    profile: str = "embedded",
) -> list[Job]:
    """List all jobs (one run on one benchmark each). The rendered sets come first.

    Args:
        names: Names of runs, benchmarks or results to list. Empty: all jobs.
        folder: Folder of the results.
        data: Folder of the real data sets. None: only the rendered sets.
        labeled: A labeled folder to evaluate instead of all benchmarks.
        profile: Name in `PROFILES`.

    Raises:
        ConfigError: If a name is unknown.
    """
    available = datasets.RENDERED if data is None else datasets.available(data)
    benchmarks = sorted(available, key=lambda name: name not in datasets.RENDERED)
    benchmarks = benchmarks if labeled is None else [datasets.LABELED]
    job = partial(Job, profile=PROFILES[profile], folder=folder, data=data, labeled=labeled)
    jobs = [job(run=run, benchmark=name) for name in benchmarks for run in RUNS.values()]
    known = {*RUNS, *benchmarks, *(job.name for job in jobs)}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"unknown name {', '.join(unknown)}; expected a run, an available benchmark "
            f"({', '.join(benchmarks)}) or a result. Fix: choose from `delfjax reproduce --list`"
        )
    return [job for job in jobs if not names or {job.run.name, job.benchmark, job.name} & {*names}]


class Reproduction:
    """Run jobs. Loaded models and benchmarks are kept in memory."""

    def __init__(self) -> None:
        self._models: dict[str, LocalExtractor] = {}
        self._benchmarks: dict[str, tuple[Benchmark, str]] = {}

    def outdated(self, job: Job) -> str | None:
        """Return a short reason why a result has to be made, or None if the result is up to date."""
        _, photos = self._benchmark(job)
        if not job.path.is_file():
            return "missing"
        try:
            result = read_result(job.path)
        except ValueError:
            return "damaged"
        inputs, model = result.get("inputs_sha256", {}), model_sha256(job.config.model)
        checks = {
            "another code version": result.get("protocol_version") != PROTOCOL,
            "another configuration": result.get("config") != job.config.to_dict(),
            "another model": model is not None and inputs.get("model") != model,
            "other photos": inputs.get("photos") != photos,
        }
        return next((words for words, changed in checks.items() if changed), None)

    def run(self, job: Job) -> Outcome:
        """Make a job's result if it is missing or out of date."""
        start, unreadable = time.perf_counter(), 0
        try:
            reason = self.outdated(job)
            state: State = "made" if reason else "kept"
            if reason:
                self._make(job)
            unreadable = len(read_result(job.path).get("failed", ()))
        except Exception as error:  # one failed run must not stop the others
            state, reason = "failed", f"{type(error).__name__}: {error}"
        return Outcome(
            job=job,
            state=state,
            reason=reason or "",
            seconds=time.perf_counter() - start,
            unreadable=unreadable,
        )

    def _make(self, job: Job) -> None:
        name = job.config.model
        if name not in self._models:
            self._models[name] = load(name)
        benchmark, _ = self._benchmark(job)
        evaluation = evaluate(self._models[name], benchmark, job.config)
        added = {"headline": job.headline, "command": job.command}
        write_result(job.path, report(evaluation) | added)

    def _benchmark(self, job: Job) -> tuple[Benchmark, str]:
        """Load a job's benchmark. Return also the checksum of its photos."""
        if job.benchmark not in self._benchmarks:
            if (own := job.labeled) is not None:
                loaded = datasets.labeled(own.folder, own.queries, own.database)
                loaded = replace(loaded, name=datasets.LABELED)
            else:
                loaded = datasets.load(job.benchmark, job.data)
            self._benchmarks[job.benchmark] = loaded, photos_sha256(loaded)
        return self._benchmarks[job.benchmark]


def run_all(jobs: Sequence[Job]) -> list[Outcome]:
    """Run jobs one after another. A failed job is reported and does not stop the others.

    After an interrupt, call the function again: finished results and cached features are reused.
    """
    reproduction, outcomes = Reproduction(), []
    with tqdm(jobs, unit="run") as bar:
        for job in bar:
            bar.set_description(job.name)
            outcomes.append(reproduction.run(job))
    return outcomes
