"""From text and JSON to the types of the fields."""

from __future__ import annotations

import ast
import math
import types
import typing
from typing import Any, Literal

from ..errors import ConfigError
from .checks import nearest

__all__ = ["parse"]

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parse(name: str, value: Any, hint: Any) -> Any:
    """Returns `value`, text from a command line or a JSON value, as the annotated type."""
    wrong = ConfigError(f"{name}={value!r} is not valid: ")
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            wrong.args = (wrong.args[0] + nearest(str(value), choices),)
            raise wrong
        return value
    if origin in (typing.Union, types.UnionType):  # generator.skip_connections
        if isinstance(value, str) and value[:1] not in "([0123456789":
            return value
        try:
            levels = ast.literal_eval(value) if isinstance(value, str) else value
            if not isinstance(levels, int | list | tuple):
                raise TypeError
            levels = (levels,) if isinstance(levels, int) else tuple(int(i) for i in levels)
        except (ValueError, SyntaxError, TypeError):
            wrong.args = (wrong.args[0] + "give a name or levels such as (1,2).",)
            raise wrong from None
        return levels
    try:
        if hint is bool:
            return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
        if hint is int:
            number = float(str(value).replace("_", ""))
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
        kind = {bool: "true or false", int: "a whole number", float: "a finite number"}
        wrong.args = (wrong.args[0] + f"give {kind.get(hint, 'text')}.",)
        raise wrong from None
