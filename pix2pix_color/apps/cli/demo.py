"""The command `demo`: the web page."""

from __future__ import annotations

import argparse

from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .values import positive

__all__ = ["add_arguments", "run"]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what follows `pix2pix-color demo`."""
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="to listen on (default: 127.0.0.1, for this machine alone)",
    )
    parser.add_argument(
        "--port", metavar="N", type=_port, default=7860, help="0 takes a free one (default: 7860)"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"a shipped model's name, or a folder or file of a model (default: {DEFAULT_MODEL})",
    )
    parser.add_argument("--open", action="store_true", help="also open the page in a browser")
    limits = (("megabytes", 50, "of a file"), ("megapixels", 50, "of a photograph"))
    limits += (("files", 50, "of a batch"), ("queue", 20, "of requests that may wait"))
    for name, default, text in limits:
        parser.add_argument(
            f"--max-{name}",
            metavar="N",
            type=positive,
            default=default,
            help=f"limit {text} (default: {default})",
        )


def run(options: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C or SIGTERM."""
    start_tensorflow()
    from ..web import demo

    demo(
        options.host,
        options.port,
        options.model,
        open_browser=options.open,
        max_megabytes=options.max_megabytes,
        max_megapixels=options.max_megapixels,
        max_files=options.max_files,
        max_queue=options.max_queue,
    )
    return 0
