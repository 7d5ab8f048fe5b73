"""What is wrong with a value, said in one line."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ..errors import ConfigError

__all__ = ["ALMOST_ONE", "nearest", "require", "require_choices", "require_ranges"]

ALMOST_ONE = 0.999999


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns the tail of an error message: the nearest valid name and all of them."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(valid)}."


def require(condition: bool, message: str) -> None:
    """Raises a `ConfigError` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def require_ranges(section: str, config: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Checks that each number lies in its range; both ends are included."""
    for field, (least, greatest) in ranges.items():
        value = getattr(config, field)
        require(
            least <= value <= greatest,  # neither holds for NaN
            f"{section}.{field} must be from {least:,} to {greatest:,}, not {value}.",
        )


def require_choices(section: str, config: Any) -> None:
    """Checks the fields that name one of a few choices, however the object was made."""
    for field, hint in typing.get_type_hints(type(config)).items():
        value, choices = getattr(config, field), typing.get_args(hint)
        require(
            typing.get_origin(hint) is not Literal or value in choices,
            f"{section}.{field}={value!r} is not valid: {nearest(str(value), map(str, choices))}",
        )
