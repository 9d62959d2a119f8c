"""The site has every page, and builds without executing notebooks."""

import json
import re
import runpy
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import yaml

import delfjax
from benchmarks import differences, speed, verdict, verification_study, zoo
from delfjax.files import sha256
from delfjax.provenance import RESULTS, read_result

ROOT = Path(__file__).resolve().parent.parent
# es5/tex-svg.js of the npm package mathjax 3.2.2.
MATHJAX_SHA256 = "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882"
CONF = runpy.run_path(str(ROOT / "docs" / "conf.py"))


def contents() -> list[str]:
    """Return the entries of the table of contents."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```$", CONF["CONTENTS"], flags=re.DOTALL | re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    entries = [line for line in lines if line and not line.startswith(":")]
    return [re.sub(r"^.*<(.*)>$", r"\1", entry).removeprefix("/") for entry in entries]


def test_the_contents_name_every_notebook_and_existing_pages():
    for path in ROOT.glob("notebooks/*.ipynb"):
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        assert any(fnmatch(name, entry) for entry in contents()), name
    for entry in contents():
        generated = entry.startswith("docs/reference/")
        assert "*" in entry or generated or (ROOT / f"{entry}.md").is_file(), entry


def test_every_page_is_in_the_contents():
    pages = {f"docs/{path.stem}" for path in ROOT.glob("docs/*.md")}
    pages |= {path.stem for path in ROOT.glob("*.md")}
    assert pages - {CONF["root_doc"]} <= set(contents())


def test_the_api_page_has_every_public_function():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    verbs = [
        name
        for name in delfjax.__all__
        if name.islower() and name not in ("datasets", "plots", "provenance")
    ]
    assert [
        name for name in verbs if not re.search(rf"autofunction:: \S+\.{name}$", page, re.M)
    ] == []


def test_the_page_on_robustness_has_the_counts_of_the_last_run():
    page = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    result = read_result(RESULTS / "bench_damaged.json")
    assert (result["value"], result["wrong"]) == (0, [])
    names = ("kind", "tried", "refused", "harmless", "undetectable", "wrong")
    for row in result["rows"]:
        assert f"| {' | '.join(str(row[name]) for name in names)} |" in page


def test_the_page_on_verification_has_the_results_of_the_last_run():
    page = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    result = read_result(RESULTS / "bench_verification_study.json")
    columns = {
        "rows": verification_study.RANKINGS,
        "epipolar geometry": verification_study.GEOMETRY,
        "pairs": verification_study.PAIRS,
    }
    for name, names in columns.items():
        assert verification_study.markdown(result[name], names) in page, name
    assert verdict.markdown(read_result(RESULTS / "bench_verdict.json")["rows"]) in page
    assert zoo.markdown(read_result(RESULTS / "bench_zoo.json")["rows"]) in page


def test_the_page_on_differences_has_the_results_of_the_last_run():
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    assert differences.markdown(read_result(RESULTS / "bench_differences.json")["rows"]) in page


def test_the_page_on_speed_has_the_results_of_the_last_run():
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    rows = read_result(speed.RESULT)["rows"]
    for part in speed.PARTS:
        assert speed.markdown([row for row in rows if row["part"] == part]) in page, part
    assert not re.search(r"@\w+@|NUMBER", page)


def test_solutions_are_collapsed_and_figures_have_an_alternative_text():
    cells = [
        {"cell_type": "code", "source": "1", "metadata": {"tags": ["solution"]}},
        {"cell_type": "code", "source": "2", "metadata": {}},
        {
            "cell_type": "markdown",
            "source": ["*A caption\n", "of a figure.*\n", "\n"],
            "metadata": {},
        },
    ]
    source = [json.dumps({"cells": cells})]
    CONF["edit_source"](None, "notebooks/00_name", source)
    metadata = [cell["metadata"] for cell in json.loads(source[0])["cells"]]
    alt = {"mystnb": {"image": {"alt": "A caption of a figure."}}}
    assert metadata == [{"tags": ["solution", "hide-input"]}, alt, {}]


def test_formulas_are_drawn_without_a_network():
    path = ROOT / "docs" / "_static" / CONF["mathjax_path"]
    assert sha256(path) == MATHJAX_SHA256


def test_the_page_on_the_paper_has_every_figure():
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:Fig\.|Table) \d) \|.*\]\(\.\./notebooks/.*\|$", page, re.M)
    assert rows == [*(f"Fig. {number}" for number in range(1, 10)), "Table 1"]


def test_the_command_for_slides_makes_a_slide_of_each_section(tmp_path):
    page = (ROOT / "docs" / "teachers.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\.venv/bin/(jupyter nbconvert .*)$", page, re.M)
    words = [str(tmp_path) if word == "build" else word for word in command.split()]
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, check=True)
    (slides,) = tmp_path.glob("*.slides.html")
    source = ROOT / "notebooks" / slides.name.replace(".slides.html", ".py")
    sections = re.findall(r"^# ##? ", source.read_text(encoding="utf-8"), re.M)
    assert slides.read_text(encoding="utf-8").count("<section") > 2 * len(sections)


def test_no_notebook_is_executed():
    assert CONF["nb_execution_mode"] == "off"


def test_make_docs_builds_html_with_warnings_as_errors():
    command = ["make", "--dry-run", "docs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m sphinx -b html -W" in done.stdout


def test_the_workflow_runs_make_docs():
    text = (ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert [step["run"] for step in jobs["docs"]["steps"] if "run" in step] == ["make docs"]
    assert jobs["publish"]["needs"] == "docs"
