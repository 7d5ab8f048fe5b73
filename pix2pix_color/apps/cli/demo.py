"""The command `demo`: the web page."""

from __future__ import annotations

import argparse

from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .values import positive

__all__ = ["add_arguments", "run"]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `pix2pix-color demo`."""
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=_port,
        default=7860,
        help="port to listen on; 0 takes any free port (default: 7860)",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"name of a shipped model, or path of a model (default: {DEFAULT_MODEL})",
    )
    parser.add_argument("--open", action="store_true", help="also open the page in a browser")
    limits = (
        ("megabytes", 50, "size of a file"),
        ("megapixels", 50, "size of a photograph"),
        ("files", 50, "number of files in a batch"),
        ("queue", 20, "number of waiting requests"),
    )
    for name, default, text in limits:
        parser.add_argument(
            f"--max-{name}",
            metavar="N",
            type=positive,
            default=default,
            help=f"maximum {text} (default: {default})",
        )


def run(options: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C or SIGTERM."""
    start_tensorflow()
    from ..web import Limits, demo

    names = ("megabytes", "megapixels", "files", "queue")
    limits = Limits(**{name: getattr(options, f"max_{name}") for name in names})
    demo(options.host, options.port, options.model, limits=limits, open_browser=options.open)
    return 0
