"""What README says can be done is done, on small photos by a tiny network; its numbers are those of runs."""

import pickle
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import fakes
import pytest
from worlds import SIZE, draw, save, settings

from delfjax.cli import main, parser
from delfjax.cli.train import CONFIGS
from delfjax.datasets import download, rendered
from delfjax.paper import tables
from delfjax.paper.runs import readme_table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

SHOWN = README.split(tables.MARK)[0] + README.split(tables.END)[1]  # all but the table of results
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SHOWN, flags=re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"^```.*?^```$", "", SHOWN, flags=re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"`([^`\n]+)`", PROSE)

# What makes each command quick, by its name. A command that is not here fails.
SMALL = "--longest 64 --max-features 60"
RANSAC = "--hypotheses 64 --residual 2"
QUICK = {
    "match": f"{SMALL} {RANSAC}",
    "extract": f"{SMALL} --dimensions 8",
    "index": "",
    "search": f"--neighbors 20 {RANSAC}",
    "evaluate": f"{SMALL} --dimensions 8 --neighbors 20 {RANSAC}",
    # 100 features: of these, benchmark says how many lie on the landmark. SIFT needs more pixels for them.
    "benchmark": f"--longest 64 --max-features 100 --dimensions 10 --neighbors 20 {RANSAC}",
    "benchmark --local": f"--longest 320 --max-features 60 --dimensions 8 --neighbors 20 {RANSAC}",
    "train": "",  # by its configuration
    "data": "",  # from a publisher who is here
    "reproduce": "--list",  # a run takes minutes
}
LANDMARKS = "blue_portal", "canal_palace"  # of the rendered set


def quick(words: list[str]) -> list[str]:
    """Add to the words of a command, after ``delfjax``, what makes it quick."""
    name = f"{words[0]} --local" if "--local" in words else words[0]
    return [*words, *QUICK[name].split()]


def commands(block: str) -> list[list[str]]:
    """Split a block into commands, without their comments."""
    return [words for line in block.splitlines() if (words := shlex.split(line, comments=True))]


# --- code blocks -----------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path, monkeypatch, tiny_network):
    """Go to a folder with all that README's commands name."""
    whole = draw(0, (SIZE[0] + 8, SIZE[1] + 16))
    for name in ("ONE.jpg", "QUERY.jpg", "one.jpg"):
        save(tmp_path / name, whole[: SIZE[0], : SIZE[1]])
    for name in ("OTHER.jpg", "other.jpg"):
        save(tmp_path / name, whole[8:, 16:])
    for number in range(15):
        name = f"{'test' if number % 5 == 0 else 'train'}_{number}.png"
        save(tmp_path / "PHOTOS" / "abc"[number // 5] / name, draw(number // 5))
    (tmp_path / "data").symlink_to(ROOT / "data")  # which commands name as in a checkout
    monkeypatch.setattr(rendered, "ROOT", rendered_part(tmp_path / "rendered"))
    monkeypatch.setitem(CONFIGS, "small", settings)
    monkeypatch.setenv("DELFJAX_DATA", str(tmp_path / "sets"))
    # Of the revisited sets the photos are there, and their truth is not.
    for name in ("oxford5k", "paris6k"):
        fakes.revisited(tmp_path / "sets", name)
        fakes.write(tmp_path / "sets" / name / "gt" / "all_souls_1_query.txt", "")
    monkeypatch.setattr(download, "download_file", publish)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rendered_part(folder: Path) -> Path:
    """Copy two landmarks of the rendered set, a place and the distractor queries of another."""
    parts = [f"gt/{name}_*" for name in LANDMARKS] + [f"images/{name}_*" for name in LANDMARKS]
    parts += ["images/place_000_*", "strangers/place_100_*", "*.json*"]
    for path in [path for part in parts for path in (rendered.ROOT / "eval").glob(part)]:
        fakes.write(folder / path.relative_to(rendered.ROOT), path.read_bytes())
    shutil.copy(rendered.ROOT / "SHA256SUMS", folder)
    return folder


def publish(url: str, path: Path, **_: object) -> Path:
    """Deliver the truth of a revisited set, as its publisher would."""
    assert url.endswith(path.name)
    return fakes.write(path, pickle.dumps(fakes.gnd(), protocol=2))


SHELL = [block for language, block in BLOCKS if not language]


@pytest.mark.parametrize("block", SHELL, ids=[block.split("\n")[0][:30] for block in SHELL])
def test_commands_run(block, world):
    for words in commands(block):
        match words:
            case ["make", target]:
                assert re.search(rf"^{target}:.* ## ", MAKEFILE, flags=re.MULTILINE), target
            case [".", activate]:
                assert Path(activate).parts[0] == re.search(r"^VENV := (.*)", MAKEFILE, re.M)[1]
            case ["delfjax", name, *_] if name in QUICK:
                assert main(quick(words[1:])) == 0, words
            case _:
                pytest.fail(f"{shlex.join(words)}: README shows it, and no test here knows it")
    named = re.findall(r"--(?:figure|page) (\S+)", block)
    assert [name for name in named if not (world / name).is_file()] == []


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "python"])
def test_python_runs(block, world):
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["verified"].num_inliers > 3
    assert names["left"].positions.shape == (len(names["left"]), 2)


def test_every_block_is_of_a_language_that_is_tested():
    assert {language for language, _ in BLOCKS} <= {"", "python", "bibtex"}


# --- commands in the text --------------------------------------------------------------------------


def test_targets_and_commands_in_the_text_exist():
    targets = set(re.findall(r"^(\w+):.* ## ", MAKEFILE, flags=re.MULTILINE))
    named = {words.split()[1] for words in INLINE if words.startswith("make ")}
    assert named <= targets
    for words in (shlex.split(words) for words in INLINE if words.startswith("delfjax ")):
        if words[2:]:
            parser().parse_args(words[1:])
        else:
            assert words[1] in {*QUICK, "table"}


def test_make_docs_makes_a_site():
    done = subprocess.run(
        ["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "-m sphinx -b html -W" in done.stdout


def test_extras_and_files_of_the_installation_exist():
    installs = [words for words in INLINE if words.startswith(("pip ", "conda "))]
    assert len(installs) == 3
    named = [name for words in installs for name in re.findall(r"\.\[([\w,]+)\]", words)]
    assert {name for names in named for name in names.split(",")} <= set(EXTRAS)
    files = [name for words in installs for name in re.findall(r"-f (\S+)", words)]
    assert files
    assert all((ROOT / name).is_file() for name in files)


def test_options_in_the_text_exist():
    """Of some command each: the text says of which."""
    options = {word for words in INLINE for word in re.findall(r"(?<!\S)--[a-z-]+", words)}
    assert options
    usage = "".join(sub.format_help() for sub in subcommands())
    assert [option for option in sorted(options) if f"{option} " not in usage] == []


def subcommands():
    (actions,) = (each for each in parser()._actions if each.dest == "command")
    return actions.choices.values()


# --- numbers ---------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_results():
    shown = README.split(tables.MARK)[1].split(tables.END)[0].strip()
    assert shown == readme_table(RESULTS).markdown(), "mend: delfjax table --page README.md"


def test_values_in_the_text_are_those_of_the_results():
    assert len(tables.VALUE.findall(README)) > 5
    assert tables.with_values(README, RESULTS) == README, "mend: delfjax table --page README.md"


def test_no_line_begins_with_a_mark():
    """There a comment would begin a block of HTML, in the middle of a sentence."""
    assert not re.findall(r"^\s*<!-- value.*", README, flags=re.MULTILINE)


def test_no_measurement_in_the_text_is_typed_in():
    """Where nothing repeats a measurement, a star says so."""
    text = re.sub(r"^\\\*.*?\n\n", "", tables.VALUE.sub("", PROSE), flags=re.M | re.S)
    lines = [line for line in text.splitlines() if not line.endswith("without * |")]
    typed = [line for line in lines if re.search(r"\d ?(%|points|seconds)|mAP \d", line)]
    assert typed == []
