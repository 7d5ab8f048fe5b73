"""Values of options, as `argparse` reads them."""

from __future__ import annotations

import argparse

__all__ = ["number", "positive"]


def positive(text: str) -> int:
    """Returns a whole number from 1 on, which may be written as 50_000."""
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def number(text: str) -> float:
    """Returns a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
