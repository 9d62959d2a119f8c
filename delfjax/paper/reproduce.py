"""Compute the missing and outdated results of the runs in `delfjax.paper.runs`.

A run is a method with its settings. A result is outdated if the configuration, the model, the
photos or the version of the evaluation code (`PROTOCOL`) have changed.
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
from delfjax.evaluation.benchmark import evaluate
from delfjax.evaluation.config import RunConfig
from delfjax.evaluation.report import report
from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.extraction import Backend
from delfjax.features.factory import load, model_sha256
from delfjax.features.handcrafted import NAMES as HANDCRAFTED
from delfjax.paper.claims import FILE as CLAIMS
from delfjax.paper.claims import decide_all, write_claims
from delfjax.paper.runs import PROFILES, RUNS, Profile, Run
from delfjax.provenance import PROTOCOL, RESULTS, read_result, write_result
from delfjax.ranges import ConfigError

DAMAGED = "damaged"  # why a result is outdated

State = Literal["kept", "made", "failed"]


@dataclass(frozen=True, kw_only=True)
class LabeledFolder:
    """Arguments of `delfjax.datasets.labeled_folder.labeled`: a folder that is a benchmark."""

    folder: Path
    queries: str = "*"
    database: str = "*"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The evaluation of one run on one benchmark.

    Attributes:
        run: Method with its settings.
        benchmark: Name of the benchmark.
        profile: Size of photos and number of features.
        folder: Folder of the results.
        data: Folder of the published data sets. May be None for a rendered data set.
        labeled: Labeled folder to evaluate instead of a named benchmark.
        backend: Library that runs the network, as in ``delfjax.load``.
    """

    run: Run
    benchmark: str
    profile: Profile
    folder: Path = RESULTS
    data: Path | None = None
    labeled: LabeledFolder | None = None
    backend: Backend = "jax"

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
        """Whether short tables show the result."""
        return self.run.headline and self.listed

    @property
    def listed(self) -> bool:
        """Whether `plan` lists the job by default. False on rendered sets except the profile's."""
        return self.benchmark not in {*datasets.RENDERED} - {self.profile.benchmark}

    @property
    def config(self) -> RunConfig:
        """Configuration of the run, with the photo size and number of features of the profile."""
        return self.run.at(self.profile)

    @property
    def command(self) -> str:
        """Shell command that writes the result into the default folder of results."""
        words = ["delfjax", "reproduce", "--only", self.name]
        if self.labeled is not None:
            words += ["--labeled", str(self.labeled.folder)]
            words += ["--queries", self.labeled.queries, "--database", self.labeled.database]
        elif self.benchmark not in datasets.RENDERED:
            words += ["--data", str(self.data)]
        if self.profile.folder:  # the name of the profile
            words += ["--profile", self.profile.folder]
        if self.backend != "jax":
            words += ["--backend", self.backend]
        return shlex.join(words)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `Reproduction` did for one job.

    Attributes:
        job: The job.
        state: ``"kept"`` if the existing result was up to date, ``"made"`` if a new result was
            computed, or ``"failed"`` after an error.
        reason: Why a new result was computed, or the error. Empty for ``"kept"``.
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
    backend: Backend = "jax",
) -> list[Job]:
    """List the jobs: one job per run and benchmark. The rendered data sets come first.

    Rendered benchmarks other than the profile's are listed only if ``names`` contains them.

    Args:
        names: Names of the runs, benchmarks or results to list. Empty: all jobs.
        folder: Folder of the results.
        data: Folder of the published data sets. None: only the rendered data sets.
        labeled: Labeled folder to evaluate instead of all benchmarks.
        profile: Key in `PROFILES`, which holds photo sizes, numbers of features and a benchmark.
        backend: Library that runs the network, as in ``delfjax.load``.

    Raises:
        ConfigError: If a name is unknown.
    """
    available = datasets.RENDERED if data is None else datasets.available(data)
    benchmarks = sorted(available, key=lambda name: name not in datasets.RENDERED)
    benchmarks = benchmarks if labeled is None else [datasets.LABELED]
    job = partial(
        Job,
        profile=PROFILES[profile],
        folder=folder,
        data=data,
        labeled=labeled,
        backend=backend,
    )
    jobs = [job(run=run, benchmark=name) for name in benchmarks for run in RUNS.values()]
    known = {*RUNS, *benchmarks, *(job.name for job in jobs)}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"unknown name {', '.join(unknown)}; expected a run, an available benchmark "
            f"({', '.join(benchmarks)}) or a result. "
            "Fix: choose a name that `delfjax reproduce --list` shows"
        )
    return [
        job
        for job in jobs
        if {job.benchmark, job.name} & {*names}
        or (job.listed and (not names or job.run.name in names))
    ]


class Reproduction:
    """Runner of jobs. Loaded models and benchmarks stay in memory for the next job."""

    def __init__(self) -> None:
        self._models: dict[str, LocalExtractor] = {}
        self._benchmarks: dict[str, Benchmark] = {}

    def outdated(self, job: Job) -> str | None:
        """Return why the result of a job has to be computed. None: the result is up to date."""
        photos = self._benchmark(job).photos_sha256
        if not job.path.is_file():
            return "missing"
        try:
            result = read_result(job.path)
        except ValueError:
            return DAMAGED
        inputs, model = result.get("inputs_sha256", {}), model_sha256(job.config.model)
        checks = {
            "another code version": result.get("protocol_version") != PROTOCOL,
            "another configuration": result.get("config") != job.config.to_dict(),
            "another model": model is not None and inputs.get("model") != model,
            "other photos": inputs.get("photos") != photos,
        }
        return next((words for words, changed in checks.items() if changed), None)

    def run(self, job: Job) -> Outcome:
        """Compute a result if it is missing or outdated. An error gives the state ``"failed"``."""
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
            backend = "jax" if name in HANDCRAFTED else job.backend
            self._models[name] = load(name, backend=backend)
        evaluation = evaluate(self._models[name], self._benchmark(job), job.config)
        added = {"headline": job.headline, "command": job.command}
        write_result(job.path, report(evaluation) | added)

    def _benchmark(self, job: Job) -> Benchmark:
        """Load the benchmark of a job, once for all jobs."""
        if job.benchmark not in self._benchmarks:
            if (own := job.labeled) is not None:
                loaded = datasets.labeled(own.folder, own.queries, own.database)
                loaded = replace(loaded, name=datasets.LABELED)
            else:
                loaded = datasets.load(job.benchmark, job.data)
            self._benchmarks[job.benchmark] = loaded
        return self._benchmarks[job.benchmark]


def run_all(jobs: Sequence[Job]) -> list[Outcome]:
    """Run jobs one after another. Then write to ``claims.json`` which claims the results support.

    After a failed job, the next job runs. A call after an interruption reuses finished results.
    """
    reproduction, outcomes = Reproduction(), []
    with tqdm(jobs, unit="run") as bar:
        for job in bar:
            bar.set_description(job.name)
            outcomes.append(reproduction.run(job))
    decided = [job for job in jobs if job.benchmark in (job.profile.benchmark, datasets.LABELED)]
    for folder, benchmark in {(job.path.parent, job.benchmark) for job in decided}:
        claims = decide_all(folder, benchmark)
        if any(claim.decision != "not run" for claim in claims):
            write_claims(claims, folder / CLAIMS)
    return outcomes
