"""Fixtures that several test files share."""

import functools
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from delfjax.files import cache_folder

# Compiling is most of what the tests wait for: what one run compiled, the next reads. Before jax starts.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder() / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import hypothesis
from worlds import network

from delfjax.cli import extract, options
from delfjax.models import weights
from delfjax.models.backbone import ResNet
from delfjax.models.conversion import WeightsError
from delfjax.models.resnet import RESNET50_V1, ResNetSpec
from delfjax.models.weights import load_backbone

# Files with a test that takes long. They come first, so that no process works alone at the end.
SLOW = (
    "widgets/test_attention_browser.py",
    "test_mypy.py",
    "test_project.py",
    "evaluation/test_golden.py",
    "search/test_nndescent.py",
    "models/test_weights.py",
    "test_readme.py",
    "training/test_loop.py",
    "features/test_store_kill.py",
    "cli/test_cli.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the files in `SLOW` first."""
    order = {Path(__file__).parent / name: rank for rank, name in enumerate(SLOW)}
    items.sort(key=lambda item: order.get(item.path, len(SLOW)))


# No test has a time limit of its own: a loaded machine may be ten times slower.
hypothesis.settings.register_profile("delfjax", deadline=None)
hypothesis.settings.load_profile("delfjax")


@pytest.fixture(scope="session")
def imagenet():
    """Load a backbone with ImageNet weights; skip where they cannot be had.

    Where ``DELFJAX_REQUIRE_WEIGHTS=1`` the test fails instead. Tests that ask for this fixture are
    marked ``weights``.
    """

    @functools.cache
    def load_or_skip(spec: ResNetSpec = RESNET50_V1) -> ResNet:
        try:
            return load_backbone(spec)
        except WeightsError as error:
            if os.environ.get("DELFJAX_REQUIRE_WEIGHTS") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))

    return load_or_skip


@pytest.fixture
def shared_path():
    """An empty folder that every user can read: those of ``tmp_path`` belong to one user."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def tiny_network(monkeypatch, tmp_path):
    """Put the tiny network in place of every download, and the cache in a folder of the test's own.

    Its value is what was asked for, in order.
    """
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path / "cache"))
    asked = []

    def load_tiny(
        spec: ResNetSpec = RESNET50_V1, *, file: Path | None = None, conv5: bool = False
    ) -> ResNet:
        asked.append(SimpleNamespace(spec=spec.name, file=file))
        return network(conv5=conv5)

    monkeypatch.setattr(weights, "load_backbone", load_tiny)
    for module in (extract, options):  # the model of the zoo does not fit the tiny network
        monkeypatch.setattr(module, "DEFAULT_MODEL", "resnet50_v1")
    return asked
