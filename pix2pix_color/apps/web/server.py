"""Serves the page: by default on this machine only, and without contacting any other."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from ...errors import DemoError, in_words
from ...files import DEFAULT_MODEL

__all__ = ["demo"]

_LOCAL = ("127.0.0.1", "localhost")
_JSON_BYTES = 1_000_000  # limit of a request without a file, and of what surrounds a file
_NO_ADDRESS = "Upload the file instead of its address.", 403


def demo(
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str | Path = DEFAULT_MODEL,
    *,
    max_megabytes: int = 50,
    max_megapixels: int = 50,
    open_browser: bool = False,
) -> None:
    """Serves the page until Ctrl-C, and leaves no files behind.

    Gradio is configured by environment variables, which stay set.

    Args:
        host: address to listen on. Only this machine can reach the default; anyone on the
            network can reach `0.0.0.0`.
        port: port to listen on; 0 takes any free port, which is printed.
        model: name of a shipped model or path of a model, as in `Colorizer.load`.
        max_megabytes: maximum size of a file, in 1,000,000 bytes.
        max_megapixels: maximum width times height of a photograph, in 1,000,000 pixels.
        open_browser: also open the page in a browser.

    Raises:
        DemoError: Gradio is missing, or the address cannot be used.
        ModelError, ChecksumError: the model cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="pix2pix-color-", ignore_cleanup_errors=True) as folder:
        folder = os.path.realpath(folder)
        _set_environment(host, folder)
        try:
            import gradio  # noqa: F401
        except ImportError as error:
            raise DemoError(
                f'The web page needs Gradio ({error}): pip install "pix2pix_color[demo]"'
            ) from error
        port = _free_port(host, port)  # before the model, which takes seconds to load
        from starlette.middleware import Middleware

        from .page import build_page

        page = build_page(model, Path(folder), max_megabytes, max_megapixels)
        max_bytes = max_megabytes * 1_000_000
        try:
            page.launch(
                server_name=host,
                server_port=port,
                # Stated, since environment variables and notebooks would change these defaults.
                share=False,
                mcp_server=False,
                enable_monitoring=False,
                inbrowser=open_browser,
                prevent_thread_lock=True,
                quiet=True,
                max_file_size=max_bytes,
                app_kwargs={"middleware": [Middleware(_Guard, max_bytes + _JSON_BYTES)]},
            )
            print(
                f"Colorize photographs at http://{host}:{port}/ (press Ctrl-C to stop).", flush=True
            )
            if host not in _LOCAL:
                print("Anyone who can reach this machine can use the page.", flush=True)
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            pass
        finally:
            page.close(verbose=False)


def _set_environment(host: str, folder: str) -> None:
    """Keeps Gradio's files in one folder, and Gradio from contacting any other machine."""
    proxied = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    direct = ",".join(filter(None, [proxied, *_LOCAL, host]))
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        "GRADIO_TEMP_DIR": folder,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OTEL_SDK_DISABLED": "true",  # FastAPI's telemetry
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def _free_port(host: str, port: int) -> int:
    """Returns the port, or any free port for 0.

    Gradio cannot pick any free port, and its message names neither the cause nor a remedy.

    Raises:
        DemoError: this machine cannot listen there.
    """
    try:
        with socket.create_server((host, port)) as server:
            return server.getsockname()[1]
    except OSError as error:
        raise DemoError(
            f"The page cannot be served at {host}:{port}: {in_words(error)} Choose another --host "
            "or --port (0 takes any free port)."
        ) from error


class _Guard:
    """Refuses what Gradio would accept: oversized requests, and addresses that it would fetch.

    Gradio limits each file, but neither a whole request nor a request without files. It downloads
    `http` addresses in place of an uploaded file, and for `GET .../file=ADDRESS`.
    """

    def __init__(self, app: Any, max_upload: int) -> None:
        self.app, self.max_upload = app, max_upload

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        refusal = None
        if scope["type"] == "http" and "://" in scope["path"]:
            refusal = _NO_ADDRESS
        elif scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH"):
            # The whole route, since `run/upload` would be a call.
            is_upload = scope["path"].rstrip("/").endswith("/gradio_api/upload")
            length = dict(scope["headers"]).get(b"content-length")
            if length is None:
                refusal = "The request must state its length.", 411
            elif int(length) > (self.max_upload if is_upload else _JSON_BYTES):
                refusal = "The request is too large.", 413
            elif not is_upload:
                body = await Request(scope, receive).body()
                refusal = _NO_ADDRESS if _names_an_address(body) else None
                receive = _replay(body, receive)
        app = PlainTextResponse(*refusal) if refusal else self.app
        await app(scope, receive, send)


def _replay(body: bytes, receive: Any) -> Any:
    """Returns `receive` with a body put back."""
    messages = [{"type": "http.request", "body": body}]

    async def receive_again() -> dict:
        return messages.pop() if messages else await receive()

    return receive_again


def _names_an_address(body: bytes) -> bool:
    """Returns whether any file in a JSON body is an address."""
    found = []
    with contextlib.suppress(ValueError, RecursionError):  # not JSON: Gradio refuses it
        json.loads(body, object_hook=lambda item: found.append("://" in str(item.get("path"))))
    return any(found)
