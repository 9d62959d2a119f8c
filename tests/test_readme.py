"""The commands and the code of the README run, on small photos with a tiny network."""

import pickle
import re
import shlex
import shutil
import tomllib
from collections import Counter
from functools import partial
from pathlib import Path

import fakes
import pytest
from worlds import SIZE, draw, extractor, head, network, save, settings

from delfjax.cli.main import COMMANDS, main, parse
from delfjax.cli.train import CONFIGS
from delfjax.datasets import fetch, rendered
from delfjax.features.extract_folder import PCAConfig
from delfjax.models import checkpoints
from delfjax.paper import tables
from delfjax.paper.claims import FILE, read_claims
from delfjax.paper.runs import PROFILES, results_by_row
from delfjax.paper.values import table1
from delfjax.provenance import RESULTS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

SHOWN = README.split(tables.START)[0] + README.split(tables.END)[1]  # without the table of results
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SHOWN, flags=re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"^```.*?^```$", "", SHOWN, flags=re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"`([^`\n]+)`", PROSE)

# Options that make each command quick. A command that is not listed fails.
SMALL = "--longest 64 --max-features 60"
RANSAC = "--hypotheses 64 --residual 2"
QUICK = {
    "match": f"{SMALL} {RANSAC}",
    "search": f"{SMALL} --dimensions 8 --neighbors 20 {RANSAC}",
    "evaluate": f"{SMALL} --dimensions 8 --neighbors 20 {RANSAC}",
    # The share of keypoints on the landmark is measured with 100 features.
    "benchmark": "--longest 64 --max-features 100 --features 60 "
    f"--dimensions 10 --neighbors 20 {RANSAC}",
    "train": "--config test",
    "data": "",
    "reproduce": "--list",  # a run takes minutes
}
LANDMARKS = "blue_portal", "canal_palace"  # of the rendered set; one has no confidence interval


def commands(block: str) -> list[list[str]]:
    """Split a block into commands, without their comments."""
    return [words for line in block.splitlines() if (words := shlex.split(line, comments=True))]


# --- code blocks -----------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path, monkeypatch, tiny_network):
    """Work in a folder with all files that the commands name."""
    whole = draw(0, (SIZE[0] + 8, SIZE[1] + 16))
    for name in ("ONE.jpg", "QUERY.jpg"):
        save(tmp_path / name, whole[: SIZE[0], : SIZE[1]])
    save(tmp_path / "OTHER.jpg", whole[8:, 16:])
    for number in range(15):
        name = f"{'test' if number % 5 == 0 else 'train'}_{number}.png"
        save(tmp_path / "PHOTOS" / "abc"[number // 5] / name, draw(number // 5))
    rendered_part(tmp_path / "sets" / "landmarks")
    monkeypatch.setattr(checkpoints, "load_model", lambda *_, **__: (network(), head()))
    monkeypatch.setitem(CONFIGS, "test", settings)
    monkeypatch.setenv("DELFJAX_DATA", str(tmp_path / "sets"))
    # The photos of the revisited sets exist, their ground truth does not.
    for name in ("oxford5k", "paris6k"):
        fakes.revisited(tmp_path / "sets", name)
        fakes.write(tmp_path / "sets" / name / "gt" / "all_souls_1_query.txt", "")
    monkeypatch.setattr(fetch, "download_file", publish)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rendered_part(folder: Path) -> None:
    """Copy two landmarks of the rendered set, a place and the distractor queries of another."""
    parts = [f"{part}/{landmark}_*" for part in ("gt", "images") for landmark in LANDMARKS]
    parts += "images/place_000_*", "strangers/place_100_*", "*.json*"
    for path in [path for part in parts for path in (rendered.ROOT / "eval").glob(part)]:
        fakes.write(folder / path.relative_to(rendered.ROOT), path.read_bytes())
    shutil.copy(rendered.ROOT / "SHA256SUMS", folder)


def publish(url: str, path: Path) -> Path:
    """Deliver the truth of a revisited set, as its publisher would."""
    assert url.endswith(path.name)
    return fakes.write(path, pickle.dumps(fakes.gnd(), protocol=2))


SHELL = [block for language, block in BLOCKS if not language]


@pytest.mark.parametrize("block", SHELL, ids=[block.split("\n")[0][:30] for block in SHELL])
def test_commands_run(block, world):
    for words in commands(block):
        match words:
            case ["make", target, *_]:
                assert re.search(rf"^{target}:.* ## ", MAKEFILE, flags=re.MULTILINE), target
            case [".", activate]:
                assert Path(activate).parts[0] == re.search(r"^VENV := (.*)", MAKEFILE, re.M)[1]
            case ["delfjax", name, *_] if name in QUICK:
                assert main([*words[1:], *QUICK[name].split()]) == 0, words
            case _:
                pytest.fail(f"{shlex.join(words)}: not tested")
    named = re.findall(r"--(?:figure|page) (\S+)", block)
    assert [name for name in named if not (world / name).is_file()] == []


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "python"])
def test_python_runs(block, world, monkeypatch):
    import delfjax as dx

    small = extractor()
    monkeypatch.setattr(dx, "load", lambda: small)
    monkeypatch.setattr(
        dx, "extract_folder", partial(dx.extract_folder, config=PCAConfig(dimensions=8))
    )
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["pair"].num_inliers > 3
    assert len(names["result"].ranking) > 0


def test_every_block_is_of_a_language_that_is_tested():
    assert {language for language, _ in BLOCKS} <= {"", "python"}


# --- commands in the text --------------------------------------------------------------------------


def test_targets_and_commands_in_the_text_exist():
    targets = set(re.findall(r"^(\w+):.* ## ", MAKEFILE, flags=re.MULTILINE))
    assert {words.split()[1] for words in INLINE if words.startswith("make ")} <= targets
    for words in (shlex.split(words) for words in INLINE if words.startswith("delfjax ")):
        assert words[1] in COMMANDS
        if words[2:] and "NAME" not in words:
            parse(words[1:])


def test_extras_and_files_of_the_installation_exist():
    installs = [words for words in INLINE if words.startswith(("pip ", "conda "))]
    assert len(installs) == 2
    named = [name for words in installs for name in re.findall(r"\.\[([\w,]+)\]", words)]
    assert {name for names in named for name in names.split(",")} <= set(EXTRAS)
    files = [name for words in installs for name in re.findall(r"-f (\S+)", words)]
    assert files
    assert all((ROOT / name).is_file() for name in files)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 130


# --- numbers ---------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_results():
    shown = README.split(tables.START)[1].split(tables.END)[0].strip()
    expected = tables.compare_table1(
        table1(), results_by_row(headline=True), summary=True
    ).markdown()
    assert shown == expected, "Fix: delfjax table --page README.md"


def test_the_claims_are_those_of_the_results():
    found = [
        Counter(each.decision for each in read_claims(folder / FILE) if each.source == "paper")
        for folder in (RESULTS, RESULTS / PROFILES["full"].folder)
    ]
    small = {"holds": 2, "does not hold": 1, "not decided": 3}
    assert found == [small, {"holds": 1, "not decided": 5}]
    words = " ".join(README.split())
    assert "two hold on `rendered+places`, one does not, and three are not decided; on" in words
    assert "on `rendered_large`, one holds" in words
