"""The runs of `delfjax.paper.runs` on the benchmarks that are here: makes the results that are missing.

A result is kept for as long as command, code and model are what they were, and the photos of the rendered set or of
a labeled folder; it is made again once one of them is not. Of a real set photos are not compared.
"""

import argparse
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tqdm.auto import tqdm

from delfjax import datasets, provenance
from delfjax.cli.evaluate import (
    benchmark_options,
    evaluate_as_asked,
    inputs_sha256,
    load_as_asked,
    result_of,
)
from delfjax.cli.networks import extractor_for
from delfjax.datasets.labeled_folder import LABELED
from delfjax.datasets.catalog import DATASETS, missing_message, missing_parts
from delfjax.features.extract_folder import LocalExtractor
from delfjax.fingerprint import code_sha256
from delfjax.paper.runs import FOLDER, PROFILES, RUNS, Profile, Run

State = Literal["kept", "made", "failed"]


@dataclass(frozen=True, kw_only=True)
class LabeledFolder:
    """A folder with one sub-folder a class, to be a benchmark; see `delfjax.datasets.labeled`.

    Attributes:
        folder: Which.
        queries: Which photos are queries, by a pattern of file names.
        database: Which are the database.
    """

    folder: Path
    queries: str = "*"
    database: str = "*"

    @property
    def arguments(self) -> list[str]:
        """Say so to ``delfjax benchmark``."""
        patterns = {"--queries": self.queries, "--database": self.database}
        given = [f"{name}={pattern}" for name, pattern in patterns.items() if pattern != "*"]
        return ["--root", f"{self.folder}", *given]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run on a benchmark.

    Attributes:
        run: Which.
        benchmark: Its name.
        profile: Sizes.
        folder: Of the results.
        data: Of the real data sets.
        labeled: The folder that is the benchmark, where it has no name.
    """

    run: Run
    benchmark: str
    profile: Profile
    folder: Path = FOLDER
    data: Path | None = None
    labeled: LabeledFolder | None = None

    @property
    def name(self) -> str:
        """The name of its result."""
        return f"{self.benchmark}_{self.run.name}"

    @property
    def path(self) -> Path:
        """The file of its result."""
        return self.folder / self.profile.folder / f"{self.name}.json"

    @property
    def headline(self) -> bool:
        """Whether the README's table shows it: without distractors, the rendered set is only a comparison."""
        return self.run.headline and self.benchmark != "rendered"

    @property
    def arguments(self) -> list[str]:
        """Everything that follows ``delfjax benchmark``."""
        root = [] if self.benchmark in datasets.RENDERED else ["--root", f"{self.data}"]
        if self.labeled is not None:
            root = self.labeled.arguments
        size = ["--longest", f"{self.profile.longest}"]
        if self.run.kind != "global":
            size += ["--features", f"{self.run.features or self.profile.features}"]
        return [self.benchmark, *root, *size, *self.run.arguments, "--json", f"{self.path}"]

    @property
    def command(self) -> str:
        """What one would type."""
        return shlex.join(["delfjax", "benchmark", *self.arguments])

    @property
    def options(self) -> argparse.Namespace:
        """The arguments, read as the command line reads them."""
        parser = argparse.ArgumentParser(prog="delfjax benchmark")
        benchmark_options(parser)
        options = parser.parse_args(self.arguments)
        options.typed = self.command
        return options

    def outdated(self) -> str | None:
        """Say why the result has to be made, in a word or two; None where it may stay.

        The configuration follows from command and code, and a model's weights from its file.
        """
        if not self.path.is_file():
            return "missing"
        try:
            result = provenance.read(self.path)
        except ValueError:
            return "damaged"
        checks = {
            "another command": result.get("command") != self.command,
            "other code": result.get("code_sha256") != code_sha256(),
            "another model or set": result.get("inputs_sha256") != inputs_sha256(self.options),
        }
        return next((words for words, changed in checks.items() if changed), None)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: Which.
        state: Its result was there, was made, or could not be.
        reason: Why it was made, or why it could not be.
        seconds: It took.
        unreadable: Photos that the result does without.
    """

    job: Job
    state: State
    reason: str = ""
    seconds: float = 0.0
    unreadable: int = 0


def plan(
    names: Sequence[str] = (),
    folder: Path = FOLDER,
    *,
    data: Path | None = None,
    labeled: LabeledFolder | None = None,
    profile: str = "embedded",
) -> list[Job]:
    """List the jobs: every run on every benchmark that is there, the rendered ones first.

    Args:
        names: Of runs, benchmarks or results; none: all.
        folder: Of the results.
        data: Of the real data sets; None: the rendered ones alone.
        labeled: A folder of photos that is the only benchmark.
        profile: Of `PROFILES`.

    Raises:
        ValueError: If a name is none of these.
    """
    there = datasets.RENDERED if data is None else datasets.available(data)
    benchmarks = sorted(there, key=lambda name: name not in datasets.RENDERED)
    benchmarks = benchmarks if labeled is None else [LABELED]
    shared = {"profile": PROFILES[profile], "folder": folder, "data": data, "labeled": labeled}
    jobs = [Job(run=run, benchmark=name, **shared) for name in benchmarks for run in RUNS.values()]
    known = {*RUNS, *benchmarks, *(job.name for job in jobs)}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"no run, benchmark or result {', '.join(unknown)}; expected a run ({', '.join(RUNS)}), a "
            f"benchmark that is here ({', '.join(benchmarks)}), or both, as in rendered_norm"
        )
    return [job for job in jobs if not names or {job.run.name, job.benchmark, job.name} & {*names}]


def lacking(data: Path) -> list[str]:
    """Say of every real data set that is not in a folder what is missing, and how to get it."""
    parts = dict.fromkeys(part for name in datasets.NAMES for part in name.split("+"))
    real = [part for part in parts if part in DATASETS]
    return [missing_message(part, data, found) for part in real if (found := missing_parts(part, data))]


def run_all(
    names: Sequence[str] = (),
    folder: Path = FOLDER,
    *,
    data: Path | None = None,
    labeled: LabeledFolder | None = None,
    profile: str = "embedded",
) -> list[Outcome]:
    """Make the results that are missing or out of date; see `plan` for the arguments.

    What cannot be made is told by its outcome, and stops nothing else. Interrupted, it goes on with the next
    call: results that were made stay, and so do features in the cache.
    """
    extractors: dict[str, LocalExtractor] = {}
    outcomes = []
    jobs = plan(names, folder, data=data, labeled=labeled, profile=profile)
    with tqdm(jobs, unit="run") as bar:
        for job in bar:
            bar.set_description(job.name)
            start = time.perf_counter()
            try:
                outcome = _run(job, extractors)
            except (
                Exception
            ) as error:  # whatever it is: a night's other runs must not be lost to it
                reason = f"{type(error).__name__}: {error}"
                outcome = Outcome(job=job, state="failed", reason=reason)
            outcomes.append(replace(outcome, seconds=time.perf_counter() - start))
    return outcomes


def _run(job: Job, extractors: dict[str, LocalExtractor]) -> Outcome:
    reason = job.outdated()
    if reason is None:
        kept = provenance.read(job.path)
        provenance.write(job.path, kept | {"headline": job.headline})
        return Outcome(job=job, state="kept", unreadable=len(kept.get("failed", ())))
    options = job.options
    key = repr([options.model, options.local, options.selection])  # all else is the profile's
    if key not in extractors:
        extractors[key] = extractor_for(options)
    evaluation = evaluate_as_asked(options, load_as_asked(options), extractors[key])
    result = result_of(evaluation, options) | {"headline": job.headline}
    provenance.write(job.path, result)
    return Outcome(job=job, state="made", reason=reason, unreadable=len(evaluation.report.failed))
