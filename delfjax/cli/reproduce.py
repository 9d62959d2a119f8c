"""The command ``delfjax reproduce``: make every result of the paper's table and figures that is not there."""

import argparse
from pathlib import Path

from delfjax import provenance
from delfjax.cli.output import FAILED, OK, SOME_FAILED
from delfjax.files import cache_folder, digest
from delfjax.paper.reproduce import Job, LabeledFolder, Outcome, lacking, plan, run_all
from delfjax.paper.runs import FOLDER, PROFILES


def reproduce_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax reproduce`` takes."""
    sub.add_argument(
        "--data", type=Path, metavar="FOLDER", help="of real data sets, to run all that are there"
    )
    sub.add_argument(
        "--labeled",
        type=Path,
        metavar="FOLDER",
        help="with one sub-folder a class, to run all on it alone",
    )
    sub.add_argument("--queries", default="*", help="file names of its query photos")
    sub.add_argument("--database", default="*", help="file names of its database photos")
    sub.add_argument(
        "--profile", choices=PROFILES, default="embedded", help="sizes: ours, or the paper's"
    )
    sub.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="runs, benchmarks or results, as --list names them",
    )
    sub.add_argument("--list", action="store_true", help="run nothing: show commands and scores")
    sub.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help=f"default: {FOLDER}; of a labeled folder, one in the cache",
    )


def reproduce(options: argparse.Namespace) -> int:
    """Run ``delfjax reproduce``; return its exit code."""
    folder = options.labeled
    if folder is None and (options.queries, options.database) != ("*", "*"):
        raise ValueError("--queries and --database are of a labeled folder; name it by --labeled")
    labeled = folder and LabeledFolder(
        folder=folder, queries=options.queries, database=options.database
    )
    asked = {"data": options.data, "labeled": labeled, "profile": options.profile}
    kept = options.results or (_beside_the_cache(labeled) if labeled else FOLDER)
    if options.list:
        for job in plan(options.only, kept, **asked):
            print(_entry(job))
        return OK
    outcomes = run_all(options.only, kept, **asked)
    print(_summary(outcomes))
    for missing in lacking(options.data) if options.data else ():
        print(f"not run: {missing}")
    if any(outcome.state == "failed" for outcome in outcomes):
        return FAILED
    return SOME_FAILED if any(outcome.unreadable for outcome in outcomes) else OK


def _beside_the_cache(labeled: LabeledFolder) -> Path:
    """Return where results of one's own photos are kept: never among those of the checkout."""
    folder = labeled.folder.resolve()
    words = f"{folder} {labeled.queries} {labeled.database}"  # others may have its name
    return cache_folder() / "results" / f"{folder.name}-{digest(words.encode())[:12]}"


def _entry(job: Job) -> str:
    """Show a run: its score, where there is one, beside the command that should give it."""
    score = "no result"
    if job.path.is_file():
        result = provenance.read(job.path)
        score = f"mAP {result['value']} {result['interval']}"
    return (
        f"{job.name}  {job.run.row}\n  {score}, {job.outdated() or 'up to date'}\n  {job.command}"
    )


def _summary(outcomes: list[Outcome]) -> str:
    """Say what became of all of them, the failed ones last and each with its reason."""
    made = [each for each in outcomes if each.state == "made"]
    failed = [each for each in outcomes if each.state == "failed"]
    lines = [f"{each.job.path}: {each.seconds:.0f} s ({each.reason})" for each in made]
    lines += [
        f"{each.job.path}: {each.unreadable} photos could not be read; `failed` in it names them"
        for each in outcomes
        if each.unreadable
    ]
    lines.append(
        f"{len(made)} made, {len(outcomes) - len(made) - len(failed)} up to date, {len(failed)} failed"
    )
    return "\n".join([*lines, *(f"FAILED {each.job.name}: {each.reason}" for each in failed)])
