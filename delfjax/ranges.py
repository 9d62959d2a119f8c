"""Check the settings of a configuration: ranges of numbers, and types of other values."""

import math
from copy import copy
from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

UNIONS = (Union, UnionType)  # origins of types such as ``int | None``


class ConfigError(ValueError):
    """Raised if a setting is out of range, or conflicts with another setting or the model."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Range of numbers that a setting allows. NaN is not allowed, infinity only if ``infinite``."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf
    whole: bool = False
    infinite: bool = False

    def __contains__(self, value: object) -> bool:
        kind = Integral if self.whole else Real
        if isinstance(value, bool) or not isinstance(value, kind):
            return False
        try:
            number = float(value)
        except OverflowError:  # a whole number that is larger than any float
            return False
        if math.isinf(number):
            return self.infinite and number > 0
        return self.at_least <= number <= self.at_most and self.above < number < self.below

    def __str__(self) -> str:
        names = ("of at least", "above", "at most", "below")
        limits = zip(names, (self.at_least, self.above, self.at_most, self.below), strict=True)
        texts = [f"{name} {limit:.12g}" for name, limit in limits if math.isfinite(limit)]
        infinity = ", or infinity" if self.infinite else ""
        number = "whole number" if self.whole else "number"
        return f"a {number} {' and '.join(texts)}".rstrip() + infinity


COUNT = Range(at_least=1, at_most=1_000_000_000, whole=True)
COUNT_OR_0 = Range(at_least=0, at_most=COUNT.at_most, whole=True)
SEED = Range(at_least=0, at_most=2**32 - 1, whole=True)
"""Seeds that NumPy, JAX and scikit-learn accept. JAX would drop the higher bits of larger seeds."""
PIXELS = Range(at_least=16, at_most=16_384, whole=True)
SCALE = Range(at_least=0.01, at_most=16)
POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(at_least=0)
FRACTION = Range(at_least=0, at_most=1)
RATIO = Range(above=0, at_most=1)


def check_number(name: str, value: object, limits: Range) -> None:
    """Raise a `ConfigError` if the value of the setting ``name`` is out of range."""
    if value not in limits:
        raise ConfigError(f"{name} is {value!r}; expected {limits}")


def check_dimensions(name: str, value: int | None, dimensions: int | None) -> None:
    """Raise a `ConfigError` if a setting exceeds the number of dimensions of the descriptors."""
    if value is not None and dimensions is not None and value > dimensions:
        raise ConfigError(
            f"{name} is {value}; expected at most {dimensions}, the number of "
            "dimensions of the descriptors"
        )


def check_fields(config: Any, **ranges: Range) -> None:  # noqa: ANN401
    """Raise a `ConfigError` if a field of a dataclass is out of range or has the wrong type.

    ``ranges`` maps the names of numeric fields to ranges. Tuples of numbers must not be empty.
    """
    for name, kind in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if name not in ranges:
            if not _has_type(value, kind):
                raise ConfigError(f"{name} is {value!r}; expected {_describe(kind)}")
        elif get_origin(kind) is tuple:
            if not isinstance(value, tuple) or not value:
                raise ConfigError(f"{name} is {value!r}; expected a tuple of at least one number")
            for each in value:
                if each not in ranges[name]:
                    raise ConfigError(f"{name} is {value!r}; expected each to be {ranges[name]}")
        elif value is not None or type(None) not in get_args(kind):
            check_number(name, value, ranges[name])


def check_change(config: Any, name: str, value: object) -> None:  # noqa: ANN401
    """Raise a `ConfigError` if a configuration is invalid with a new value of one field."""
    changed = copy(config)
    object.__setattr__(changed, name, value)  # of any type, without the checks of a type checker
    changed.__post_init__()


def _has_type(value: object, kind: Any) -> bool:  # noqa: ANN401
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) in UNIONS:
        return any(_has_type(value, each) for each in get_args(kind))
    if get_origin(kind) is tuple and isinstance(value, tuple):
        return all(_has_type(each, get_args(kind)[0]) for each in value)
    return isinstance(value, get_origin(kind) or kind)


def _describe(kind: Any) -> str:  # noqa: ANN401
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if get_origin(kind) in UNIONS:
        return " or ".join(map(_describe, get_args(kind)))
    if kind is type(None):
        return "None"
    return f"a value of type {(get_origin(kind) or kind).__name__}"
