"""Fixtures that several test files share."""

import functools
import os
from pathlib import Path

import pytest

# Compiling is most of what the tests wait for: what one run compiled, the next reads. Before jax starts.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "xla")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

from delfjax.backbone import ResNet
from delfjax.conversion import WeightsError
from delfjax.resnet import RESNET50_V1, ResNetSpec
from delfjax.weights import load


@pytest.fixture(scope="session")
def imagenet():
    """Load a backbone with ImageNet weights; skip where they cannot be had.

    Where ``DELFJAX_REQUIRE_WEIGHTS=1`` the test fails instead. Tests that ask for this fixture are
    marked ``weights``.
    """

    @functools.cache
    def load_or_skip(spec: ResNetSpec = RESNET50_V1, *, classifier: bool = False) -> ResNet:
        try:
            return load(spec, classifier=classifier)
        except WeightsError as error:
            if os.environ.get("DELFJAX_REQUIRE_WEIGHTS") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))

    return load_or_skip
