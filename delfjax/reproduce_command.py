"""The command ``delfjax reproduce``: make every result of the paper's table and figures that is not there."""

import argparse
from pathlib import Path

from delfjax import results
from delfjax.answers import FAILED, OK, SOME_FAILED
from delfjax.paper_runs import FOLDER, PROFILES
from delfjax.reproduction import Job, Outcome, lacking, plan, run_all


def reproduce_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax reproduce`` takes."""
    sub.add_argument(
        "--data", type=Path, metavar="FOLDER", help="of real data sets, to run all that are there"
    )
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
    sub.add_argument("--results", type=Path, default=FOLDER, metavar="FOLDER")


def reproduce(options: argparse.Namespace) -> int:
    """Run ``delfjax reproduce``; return its exit code."""
    asked = {"data": options.data, "profile": options.profile}
    if options.list:
        for job in plan(options.only, options.results, **asked):
            print(_entry(job))
        return OK
    outcomes = run_all(options.only, options.results, **asked)
    print(_summary(outcomes))
    for missing in lacking(options.data) if options.data else ():
        print(f"not run: {missing}")
    if any(outcome.state == "failed" for outcome in outcomes):
        return FAILED
    return SOME_FAILED if any(outcome.unreadable for outcome in outcomes) else OK


def _entry(job: Job) -> str:
    """Show a run: its score, where there is one, beside the command that should give it."""
    score = "no result"
    if job.path.is_file():
        result = results.read(job.path)
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
