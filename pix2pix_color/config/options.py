"""What every section of the configuration has in common: options that check themselves."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import typing
from collections.abc import Iterable
from typing import Any, Literal

from ..errors import ConfigError

__all__ = ["Section", "nearest", "require"]

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


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


@dataclasses.dataclass(frozen=True)
class Section:
    """Options that are checked against their annotations, however the object is made.

    `Literal` lists the choices, `Annotated[int, least, greatest]` gives the range, both ends
    included. Text, as from a command line, and JSON values are read as the annotated type.

    Raises:
        ConfigError: a value of another type, or outside its choices or its range.
    """

    def __post_init__(self) -> None:
        section = type(self).__name__.removesuffix("Config").lower()
        for field, hint in typing.get_type_hints(type(self), include_extras=True).items():
            value = _checked(f"{section}.{field}", getattr(self, field), hint)
            object.__setattr__(self, field, value)


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Returns the value as its annotated type."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"{name}={value!r} is not valid: {nearest(str(value), choices)}")
        return value
    kind, *limits = typing.get_args(hint) or (hint,)
    try:
        value = _read(value, kind)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise ConfigError(f"{name}={value!r} is not valid: give {_KINDS[kind]}.") from None
    if limits and not limits[0] <= value <= limits[1]:  # neither holds for NaN
        raise ConfigError(f"{name} must be from {limits[0]:,} to {limits[1]:,}, not {value}.")
    return value


def _read(value: Any, kind: type) -> Any:
    if kind is bool:
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
        raise TypeError
    if kind is int:
        with contextlib.suppress(ValueError):
            return int(str(value))
        if float(value) != int(float(value)):  # such as 5e4
            raise ValueError
        return int(float(value))
    return kind(value)
