"""The commands ``delfjax reproduce`` and ``delfjax table``, which compute and show results."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from delfjax.cli import options as shared
from delfjax.cli.output import (
    FAILED,
    OK,
    SOME_FAILED,
    UsageError,
    check_folder,
    show,
)
from delfjax.datasets.catalog import DATASETS, missing_message, missing_parts
from delfjax.files import cache_folder, digest
from delfjax.paper.claims import FILE as CLAIMS
from delfjax.paper.claims import format_claims, read_claims
from delfjax.paper.reproduce import (
    DAMAGED,
    Job,
    LabeledFolder,
    Outcome,
    Reproduction,
    plan,
    run_all,
)
from delfjax.paper.runs import PROFILES
from delfjax.paper.tables import all_results, update_page
from delfjax.provenance import RESULTS, read_result


def reproduce_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax reproduce``."""
    real = "also run on all real data sets in this folder; by default only on the rendered sets"
    sets = parser.add_mutually_exclusive_group()
    sets.add_argument("--data", type=Path, metavar="FOLDER", help=real)
    labeled = "run only on this folder of photos with one sub-folder per class"
    sets.add_argument("--labeled", type=Path, metavar="FOLDER", help=labeled)
    queries = "with --labeled: use only files that match this pattern as query photos"
    parser.add_argument("--queries", default="*", metavar="PATTERN", help=queries)
    database = "with --labeled: use only files that match this pattern as database photos"
    parser.add_argument("--database", default="*", metavar="PATTERN", help=database)
    profile = (
        "size of photos and number of features: embedded is small, full runs on the large rendered set, "
        "and paper has the sizes of the paper"
    )
    parser.add_argument("--profile", choices=PROFILES, default="embedded", help=profile)
    shared.add_backend_option(parser)
    only = "compute only these results, runs or benchmarks, by name; --list shows all names"
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help=only)
    listed = "list the results and whether they are up to date, and compute nothing"
    parser.add_argument("--list", action="store_true", help=listed)
    results = "folder of the results; by default data/results, or a cache folder for --labeled"
    parser.add_argument("--results", type=Path, metavar="FOLDER", help=results)


def reproduce(options: argparse.Namespace) -> int:
    """Run ``delfjax reproduce``."""
    shared.refuse_unused("--queries", options.queries != "*", "--labeled", options.labeled)
    shared.refuse_unused("--database", options.database != "*", "--labeled", options.labeled)
    labeled = None
    if options.labeled is not None:
        patterns = {"queries": options.queries, "database": options.database}
        labeled = LabeledFolder(folder=options.labeled, **patterns)
    folder = options.results or (_cached_results(labeled) if labeled else RESULTS)
    check_folder("--results", folder)
    jobs = plan(
        options.only,
        folder,
        data=options.data,
        labeled=labeled,
        profile=options.profile,
        backend=options.backend,
    )
    if options.list:
        reproduction = Reproduction()
        for job in jobs:
            show(_describe(job, reproduction.outdated(job) or "up to date"))
        return OK
    outcomes = run_all(jobs)
    show(_summarize(outcomes))
    for name in DATASETS if options.data else ():
        if missing_parts(name, options.data):
            show(f"not run: {missing_message(name, options.data)}")
    if any(outcome.state == "failed" for outcome in outcomes):
        return FAILED
    return SOME_FAILED if any(outcome.unreadable for outcome in outcomes) else OK


def table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax table``."""
    results = "folder of the results"
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help=results)
    parser.add_argument("--all", action="store_true", help="also show results not in the README")
    page = "also write the README's table into this Markdown file, below the line <!-- results -->"
    parser.add_argument("--page", dest="markdown", type=Path, metavar="FILE", help=page)


def table(options: argparse.Namespace) -> int:
    """Run ``delfjax table``."""
    page: Path | None = options.markdown
    if page and not page.is_file():
        raise UsageError(f"--page {page}: no such file. Fix: choose an existing page")
    show(all_results(options.results, headline=not options.all).text())
    if (claims := options.results / CLAIMS).exists():
        show(f"\n{format_claims(read_claims(claims))}")
    if page:
        update_page(page, options.results)
    return OK


def _cached_results(labeled: LabeledFolder) -> Path:
    """Return the cache folder for the results of a labeled folder."""
    folder = labeled.folder.resolve()
    key = f"{folder} {labeled.queries} {labeled.database}"  # two folders may share a name
    return cache_folder() / "results" / f"{folder.name}-{digest(key)[:12]}"


def _describe(job: Job, state: str) -> str:
    """Describe a job: name, score, state, and the command that makes the result."""
    score = "no result"
    if job.path.is_file() and state != DAMAGED:
        result = read_result(job.path)
        score = f"mAP {result.get('value')} {result.get('interval')}"
    return f"{job.name}  {job.run.row}\n  {score}, {state}\n  {job.command}"


def _summarize(outcomes: Sequence[Outcome]) -> str:
    """List the results that were made, with reasons. The jobs that failed come last."""
    made = [each for each in outcomes if each.state == "made"]
    failed = [each for each in outcomes if each.state == "failed"]
    lines = [f"{each.job.path}: {each.seconds:.0f} s ({each.reason})" for each in made]
    lines += [
        f"{each.job.path}: number of unreadable photos: {each.unreadable}; `failed` in this file lists them"
        for each in outcomes
        if each.unreadable
    ]
    kept = len(outcomes) - len(made) - len(failed)
    lines.append(f"{len(made)} made, {kept} up to date, {len(failed)} failed")
    return "\n".join([*lines, *(f"FAILED {each.job.name}: {each.reason}" for each in failed)])
