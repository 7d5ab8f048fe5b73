"""The command `demo`: the web page."""

from __future__ import annotations

import argparse
import signal

from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .values import MODELS, between, positive

__all__ = ["add_arguments", "run"]


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
        type=between(0, 65_535),
        default=7860,
        help="port to listen on; 0 takes any free port (default: 7860)",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"{MODELS} (default: {DEFAULT_MODEL})",
    )
    parser.add_argument("--open", action="store_true", help="also open the page in a browser")
    for name, text in (("megabytes", "a file"), ("megapixels", "a photograph")):
        parser.add_argument(
            f"--max-{name}",
            metavar="N",
            type=positive,
            default=50,
            help=f"maximum size of {text} (default: 50)",
        )


def run(options: argparse.Namespace) -> None:
    """Serves the page until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no files are left behind
    start_tensorflow()
    from ..web import demo

    demo(
        options.host,
        options.port,
        options.model,
        max_megabytes=options.max_megabytes,
        max_megapixels=options.max_megapixels,
        open_browser=options.open,
    )
