"""The type checker that pyproject.toml's --jaxtyping-packages puts on every function of the library.

It is beartype, with an int good enough for a float (PEP 484), and two hints in other words:

- ``Self``: jaxtyping hands methods over one by one, where beartype cannot tell whose they are.
- ``typing.Hashable``, which Flax uses: its old name is a warning, and warnings are errors here.
"""

import collections.abc
import typing

from beartype import BeartypeConf, FrozenDict, beartype

HINTS = FrozenDict({typing.Self: object, typing.Hashable: collections.abc.Hashable})
check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=HINTS))
