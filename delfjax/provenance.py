"""Read and write results: JSON files with scores, configuration, versions and hardware."""

import json
import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import delfjax
from delfjax.files import DATA, StoreError, read_json, reading, write_output
from delfjax.ranges import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
else:
    DataclassInstance = object

PROTOCOL = 2
"""Version of the code that computes results. Increase it when a change of the code intentionally
changes the results of a `RunConfig`. `delfjax reproduce` then computes all older results again."""

FEATURES = 3
"""Version of the code that extracts and stores features. Increase it when a change of the code
intentionally changes the features of a configuration, or the format of feature stores. Cached
features of other versions are not used."""

# Patterns of a list of plain values that json.dumps breaks into lines, and of its line breaks.
PLAIN_LIST, LINE_BREAK = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]"), re.compile(r",\n\s+")

RESULTS = DATA / "results"
"""Folder of the results in the repository."""

REPRODUCE = "run `make reproduce`"
RESULT_TYPES = {
    "value": int | float,
    "what": str,
    "benchmark": str,
    "protocol": str,
    "interval": list,
    "inputs_sha256": dict,
}
VOLATILE = ("seconds", "versions", "hardware")  # keys that may differ if a result is made again
TOLERANCE = 0.02  # of numbers, relative or absolute: each kind of CPU rounds differently

Config = TypeVar("Config", bound=DataclassInstance)


def write_result(path: Path, result: dict[str, Any] | list[Any]) -> None:
    """Write a result as a JSON file, completely or not at all. Create its folder if needed."""
    write_output(path, to_json(result) + "\n")


def update_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result as a JSON file, unless the file already holds an equal result.

    Results are equal if their numbers agree within `TOLERANCE` and all other values are the same.
    Times, versions and hardware are not compared.
    """
    if not path.is_file() or not _same(_lasting(read_result(path)), _lasting(result)):
        write_result(path, result)


def read_result(path: Path) -> dict[str, Any]:
    """Read a result from a JSON file.

    Raises:
        ValueError: If the file is missing, damaged, or does not hold a result.
    """
    try:
        result = read_json(path, fix=REPRODUCE, expected="a result")
        with reading(path, "a result", fix=REPRODUCE):
            for name, kind in RESULT_TYPES.items():
                if name in result and (
                    not isinstance(result[name], kind) or isinstance(result[name], bool)
                ):
                    raise ValueError(f"{name} is {result[name]!r}")
            low, high = result.get("interval", (0, 0))
            if not (isinstance(low, int | float) and isinstance(high, int | float)):
                raise ValueError(f"interval is [{low!r}, {high!r}]")
        return result
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file. Fix: {REPRODUCE}") from error
    except StoreError as error:
        raise ValueError(str(error)) from error


def to_json(result: dict[str, Any] | list[Any]) -> str:
    """Return a result as JSON text. Infinity is written as null, because JSON has no infinity.

    Raises:
        ValueError: If a number is NaN.
    """
    text = json.dumps(to_plain(result), indent=2, sort_keys=True, allow_nan=False)
    # Put each list of plain values on one line. This is safe: a JSON string has no line breaks.
    return PLAIN_LIST.sub(lambda found: f"[{LINE_BREAK.sub(', ', found[1])}]", text)


def to_plain(value: object) -> object:
    """Convert a value for JSON: tuples to lists, mappings to dicts, and infinity to None."""
    if isinstance(value, Mapping):
        return {key: to_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _lasting(result: Mapping[str, Any]) -> object:
    kept = {key: value for key, value in result.items() if key not in VOLATILE}
    return json.loads(to_json(kept))


def _same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal. Numbers may differ by `TOLERANCE`."""
    if isinstance(one, list) and isinstance(other, list):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == other


def config_to_dict(config: DataclassInstance) -> dict[str, Any]:
    """Return a configuration (a dataclass that may contain other dataclasses) as a dict.

    A field is left out if its value equals the ``metadata["missing"]`` of the field. With that
    value, delfjax behaves like older versions, which did not have the field.
    """
    return {
        each.name: config_to_dict(value)
        if is_dataclass(value) and not isinstance(value, type)
        else value
        for each in fields(config)
        if (value := getattr(config, each.name)) != each.metadata.get("missing", MISSING)
    }


def config_from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Create a configuration (a dataclass that may contain other dataclasses) from a dict.

    A field that is missing in ``values`` gets its ``metadata["missing"]``, or else its default.
    `to_plain` writes infinity as None. So if a field does not allow None, None means infinity: the
    field gets its default, which is infinity for all such fields.

    Raises:
        ValueError: If a field is unknown or a value is out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{cls.__name__} is {values!r}; expected a JSON object")
    hints = get_type_hints(cls)
    known = {each.name for each in fields(cls)}
    if unknown := sorted(values.keys() - known):
        raise ConfigError(
            f"{cls.__name__}: unknown fields {', '.join(unknown)}; the known fields are "
            f"{', '.join(sorted(known))}"
        )
    found = {
        each.name: each.metadata["missing"] for each in fields(cls) if "missing" in each.metadata
    }
    for name, value in values.items():
        kinds = get_args(hints[name]) or (hints[name],)
        if value is None and type(None) not in kinds:
            continue
        nested = [kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)]
        if nested and isinstance(value, Mapping):
            value = config_from_dict(nested[0], value)
        elif get_origin(hints[name]) is tuple and isinstance(value, list):
            value = tuple(value)
        found[name] = value
    return cls(**found)


def describe(config: DataclassInstance | Mapping[str, Any]) -> dict[str, Any]:
    """Return configuration, package versions and hardware as a dict, to store with a result."""
    settings = config if isinstance(config, Mapping) else config_to_dict(config)
    return {"config": to_plain(settings), "versions": versions(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Return the versions of Python, delfjax, JAX and NumPy, by name."""
    import jax
    import numpy as np

    packages = {"delfjax": delfjax.__version__, "jax": jax.__version__, "numpy": np.__version__}
    return packages | {"python": platform.python_version()}


def hardware() -> str:
    """Return the device on which JAX computes, such as ``"x86_64 CPU, 8 cores"``."""
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"{platform.machine()} CPU, {os.cpu_count()} cores"
    return str(device.device_kind)
