"""The files of the project agree with each other: environment, lock, license, changelog, CI."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from PIL import Image
from sklearn.datasets import load_sample_image

from delfjax.types import Features

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
SIZE_LIMIT = 90_000_000  # bytes

# Joined from parts, because this file is checked too.
REGISTRIES = [".".join(parts) for parts in (("pypi", "org"), ("files", "pythonhosted", "org"))]
REGISTRIES += [".".join(("registry", "npmjs", "org"))]
MACHINE_PATHS = [f"/{folder}/" for folder in ("work", "root")]


# --- environment.yml -------------------------------------------------------------------------------


def environment() -> tuple[Requirement, list[str]]:
    """Read environment.yml: its Python, and the lines that it gives to pip."""
    parts = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = {
        req.name: req for req in (Requirement(part) for part in parts if isinstance(part, str))
    }
    (pip,) = [part["pip"] for part in parts if isinstance(part, dict)]
    assert set(conda) == {"python", "pip"}, "pyproject.toml names every other package"
    return conda["python"], pip


def test_environment_has_the_python_of_pyproject() -> None:
    python, _ = environment()
    assert python.specifier == SpecifierSet(PROJECT["requires-python"])


def test_environment_installs_the_project_with_an_extra_that_exists() -> None:
    _, lines = environment()
    assert len(lines) == 1
    extra = re.fullmatch(r"-e \.\[(\w+)\]", lines[0])
    assert extra, f"{lines[0]!r}: expected -e .[EXTRA]"
    assert extra[1] in PROJECT["optional-dependencies"]


def test_environment_pip_part_really_installs(tmp_path: Path) -> None:
    """Install the pip part as conda would, into a fresh environment that sees this one's packages.

    Without a package index, a missing package is an error.
    """
    python, packages = fresh_environment(tmp_path / "fresh")
    lines = tmp_path / "requirements.txt"
    lines.write_text("\n".join(environment()[1]) + "\n", encoding="utf-8")

    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation"]
    run(python, *install, "-r", lines, cwd=ROOT)

    ask = (
        "import json, delfjax.types, importlib.metadata as m; d = m.distribution('delfjax');"
        "print(json.dumps([str(d.locate_file('')), d.version, delfjax.types.__file__]))"
    )
    folder, version, module = json.loads(run(python, "-I", "-c", ask, cwd=tmp_path))
    assert Path(folder).resolve() == packages.resolve()
    assert version == PROJECT["version"]
    assert Path(module) == ROOT / "delfjax" / "types.py"


def fresh_environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment that has the packages of this one, but not delfjax itself.

    Returns:
        Its Python and its folder of packages.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", where, cwd=folder.parent).strip())
    (packages / "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return python, packages


def test_the_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    """The wheel has the models of the zoo, the public names, and the script of the explorers."""
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(sys.executable, *build, "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("delfjax-*.whl")
    python, packages = fresh_environment(tmp_path / "fresh")
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
        *("--no-compile", "--target", packages, wheel),
        cwd=tmp_path,
    )
    for name, photo in (
        ("one.png", load_sample_image("china.jpg")),
        ("other.png", load_sample_image("china.jpg")[8:, 16:]),
    ):
        Image.fromarray(photo).save(tmp_path / name)
    options = ["--model", "sift", "--longest", "96", "--max-features", "60"]
    options += ["--hypotheses", "64", "--residual", "2"]
    printed = run(
        python, "-I", "-m", "delfjax", "match", "one.png", "other.png", *options, cwd=tmp_path
    )
    assert int(re.search(r"inliers +(\d+)", printed)[1]) > 10

    # The names, a model, the data of the repository, and a notebook that reads results.
    code = """if True:
        import delfjax as dx
        from delfjax.paper import runs, values
        dx.plots, dx.explore, dx.load("delf_ft")
        benchmark = dx.datasets.load("rendered")
        photo = benchmark.base_photos.load(benchmark.database[0])
        print(dx.__file__)
        print(photo.shape, runs.result_files("ft_att")[0].stem, len(values.table1().rows))
    """
    (notebook,) = ROOT.glob("notebooks/*_scale.py")
    (tmp_path / "code.py").write_text(code + notebook.read_text(encoding="utf-8"))
    printed = run(python, "-I", "code.py", cwd=tmp_path)
    place, facts, rest = printed.split("\n", 2)
    assert Path(place).is_relative_to(packages)
    assert re.fullmatch(r"\(\d+, \d+, 3\) rendered\+places_ft_att \d+", facts)
    assert "GB for 1,000,000 images" in rest


def test_the_wheel_has_the_modules_and_the_data_of_the_notebooks() -> None:
    """A module that a notebook imports, or a new folder of data, has to be listed in pyproject.toml."""
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["include"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("notebooks/[0-9]*.py"))
    imported = re.findall(r"^from (notebooks|benchmarks)(?:\.(\w+))? import (.+)", text, re.M)
    names = [
        (folder, name)
        for folder, module, listed in imported
        for name in ([module] if module else listed.split(", "))
    ]
    assert {f"{folder}/{name}.py" for folder, name in names} <= set(included)
    folders = {f"data/{path.name}" for path in ROOT.glob("data/*") if path.is_dir()}
    not_read = {"data/render", "data/landmarks_large", "data/__pycache__"}
    assert folders - not_read <= set(included)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its output; fail with all of it if the command fails."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- requirements.lock -----------------------------------------------------------------------------


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """Read the lock: each pinned requirement, and its hashes."""
    text = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", LOCK, flags=re.MULTILINE))
    entries = [line.split(" --hash=") for line in text.splitlines() if line.strip()]
    return [(Requirement(entry), [item.strip() for item in hashes]) for entry, *hashes in entries]


def test_an_editable_installation_has_no_copies(tmp_path: Path) -> None:
    """Python would import a copy in the environment instead of the file of the repository."""
    code = "from importlib.util import find_spec; print(find_spec('notebooks.exercises').origin)"
    printed = run(Path(sys.executable), "-I", "-c", code, cwd=tmp_path)
    assert Path(printed.strip()) == ROOT / "notebooks" / "exercises.py"


def test_lock_pins_every_entry_with_hashes() -> None:
    entries = lock_entries()
    assert len(entries) > len(PROJECT["dependencies"])
    for pinned, hashes in entries:
        assert re.fullmatch(r"==[^,*]+", str(pinned.specifier)), f"{pinned} is not pinned"
        assert hashes, f"{pinned} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes), pinned


def test_lock_names_no_place_to_install_from() -> None:
    assert "://" not in LOCK
    assert not re.findall(r"^\s*-(?!-hash=).*", LOCK, flags=re.MULTILINE)
    assert not [pinned for pinned, _ in lock_entries() if pinned.url]


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_lock_satisfies_pyproject(python: str, platform: str) -> None:
    system = {"linux": "Linux", "darwin": "Darwin"}[platform]
    marks = default_environment() | {"python_version": python, "python_full_version": f"{python}.0"}
    marks |= {"sys_platform": platform, "platform_system": system}
    held: dict[str, str] = {}
    for pinned, _ in lock_entries():
        if pinned.marker is None or pinned.marker.evaluate(marks):
            name = canonicalize_name(pinned.name)
            assert name not in held, f"{name} is pinned twice for Python {python}"
            held[name] = str(pinned.specifier).removeprefix("==")

    wanted = [*map(Requirement, PYPROJECT["build-system"]["requires"]), *requirements("dev")]
    for wish in wanted:
        if wish.marker is None or wish.marker.evaluate(marks):
            version = held.get(canonicalize_name(wish.name))
            assert version, f"the lock has no {wish.name}: make lock"
            assert wish.specifier.contains(version), f"{wish} against {version}: make lock"


def requirements(extra: str) -> list[Requirement]:
    """Return the project's dependencies with an extra's, and those of the extras that it names."""
    found = list(map(Requirement, PROJECT["dependencies"]))
    for wish in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if wish.name == PROJECT["name"]:
            found += [other for name in wish.extras for other in requirements(name)]
        else:
            found.append(wish)
    return found


# --- license, changelog, CI ------------------------------------------------------------------------


def test_license_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert re.match(r"\s*Apache License\s+Version 2\.0, January 2004\s", text)
    assert "END OF TERMS AND CONDITIONS" in text


def test_changelog_has_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(PROJECT['version'])}\] - (\d{{4}}-\d\d-\d\d|Unreleased)\n+(.+)"
    assert re.search(heading, text, flags=re.MULTILINE)


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)
    assert "make test" in lines
    assert "export DELFJAX_REQUIRE_WEIGHTS=1 DELFJAX_REQUIRE_BROWSER=1" in lines
    subprocess.run(["bash", "-n", script], check=True)


def test_workflow_runs_make_test_on_both_pythons() -> None:
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]


def test_make_test_checks_the_style_and_runs_pytest() -> None:
    commands = run("make", "--dry-run", "test", cwd=ROOT)
    for words in ("-m ruff check", "-m ruff format --check", "-m pytest"):
        assert words in commands


def test_shapes_are_checked_in_the_tests() -> None:
    nothing = {"scales": np.ones(2), "scores": np.ones(2), "descriptors": np.ones((2, 40))}
    with pytest.raises(jaxtyping.TypeCheckError, match="positions"):
        Features(positions=np.ones((2, 3)), image_size=(480, 640), **nothing)


# --- the tree --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file of the tree that git has, or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: no way to tell the tree's own files")
    paths = (ROOT / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_registry_or_a_machine(files: list[Path]) -> None:
    found = []
    for path in files:
        content = path.read_bytes()
        if b"\0" not in content:
            text = content.decode("utf-8", errors="replace")
            found += [(path, name) for name in REGISTRIES + MACHINE_PATHS if name in text]
    assert not found


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]


def test_the_tree_is_small(files: list[Path]) -> None:
    assert sum(path.stat().st_size for path in files) < SIZE_LIMIT
