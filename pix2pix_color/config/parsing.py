"""From text and JSON to the types of the fields."""

from __future__ import annotations

import contextlib
import math
import typing
from typing import Any, Literal

from ..errors import ConfigError
from .checks import nearest

__all__ = ["parse"]

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_KINDS = {bool: "true or false", int: "a whole number", float: "a finite number"}


def parse(name: str, value: Any, hint: Any) -> Any:
    """Returns `value`, text from a command line or a JSON value, as the annotated type.

    Raises:
        ConfigError: the value is of another kind.
    """
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"{name}={value!r} is not valid: {nearest(str(value), choices)}")
        return value
    try:
        if hint is bool:
            return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
        if hint in (int, float) and isinstance(value, bool):
            raise ValueError
        if hint is int:
            with contextlib.suppress(ValueError):
                return int(str(value))
            number = float(value)  # such as 5e4
            if number != int(number):
                raise ValueError
            return int(number)
        if hint is float:
            number = float(value)
            if not math.isfinite(number):
                raise ValueError
            return number
        if not isinstance(value, str):
            raise ValueError
        return value
    except (ValueError, KeyError, TypeError, OverflowError):
        kind = _KINDS.get(hint, "text")
        raise ConfigError(f"{name}={value!r} is not valid: give {kind}.") from None
