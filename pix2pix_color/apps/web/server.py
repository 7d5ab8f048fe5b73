"""Serves the page: by default on this machine only, and without contacting any other."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DemoError
from ...files import DEFAULT_MODEL
from .photographs import Limits, Models

if TYPE_CHECKING:
    import gradio

__all__ = ["demo"]

_LOCAL = ("127.0.0.1", "::1", "localhost")
_JSON_BYTES = 1_000_000  # limit of a request without files
_BYTES_PER_FILE = 10_000  # of headers in an upload, and of its path in a request
_NO_ADDRESS = "Upload the file instead of its address.", 403


def demo(
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str | Path = DEFAULT_MODEL,
    limits: Limits | None = None,
    *,
    open_browser: bool = False,
) -> None:
    """Serves the page until Ctrl-C or SIGTERM, and leaves no files behind.

    Args:
        host: address to listen on. Only this machine can reach the default; anyone on the
            network can reach `0.0.0.0`.
        port: port to listen on; 0 takes any free port, which is printed.
        model: name of a shipped model or path of a model, as in `Colorizer.load`.
        limits: what the server accepts; `Limits()` by default.
        open_browser: also open the page in a browser.

    Raises:
        DemoError: Gradio is missing, or the address cannot be used.
        ModelError, ChecksumError: the model cannot be loaded.
    """
    limits = limits or Limits()
    with _sigterm_as_ctrl_c(), _environment(host) as folder:
        try:
            import gradio  # noqa: F401
        except ImportError as error:
            raise DemoError(
                f'The web page needs Gradio ({error}): pip install "pix2pix_color[demo]"'
            ) from error
        from .page import LOOK, build_page

        port = _free_port(host, port)  # before the model, which takes seconds to load
        page = build_page(Models(model), limits, folder)
        try:
            _launch(page, host, port, limits, LOOK)
            url = f"http://{_in_url(host)}:{port}/"
            print(f"Colorize photographs at {url} (press Ctrl-C to stop).", flush=True)
            if host not in _LOCAL:
                print("Anyone who can reach this machine can use the page.", flush=True)
            if open_browser:
                webbrowser.open(url)
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            pass
        finally:
            _stop(page)


@contextlib.contextmanager
def _environment(host: str) -> Iterator[Path]:
    """Yields the folder of all temporary files; sets what Gradio reads from the environment."""
    before = os.environ.copy()
    proxied = before.get("NO_PROXY") or before.get("no_proxy")
    direct = ",".join(filter(None, [proxied, *_LOCAL, host]))
    with tempfile.TemporaryDirectory(prefix="pix2pix-color-", ignore_cleanup_errors=True) as folder:
        changes = {
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_RUN_HISTORY": "False",
            "GRADIO_TEMP_DIR": os.path.realpath(folder),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OTEL_SDK_DISABLED": "true",  # FastAPI's telemetry
            "NO_PROXY": direct,
            "no_proxy": direct,
        }
        os.environ.update(changes)
        try:
            yield Path(changes["GRADIO_TEMP_DIR"])
        finally:
            for name in changes:
                del os.environ[name]
            os.environ.update({name: before[name] for name in changes if name in before})


def _free_port(host: str, port: int) -> int:
    """Returns the port, or any free port for 0.

    Gradio cannot pick any free port, and its message names neither the cause nor a remedy.

    Raises:
        DemoError: this machine cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            return server.getsockname()[1]
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if getattr(error, "errno", 0) > 0 else str(error)
        raise DemoError(
            f"The page cannot be served at {_in_url(host)}:{port}: {reason}. Choose another --host "
            "or --port (0 takes any free port)."
        ) from error


def _launch(page: gradio.Blocks, host: str, port: int, limits: Limits, look: dict) -> None:
    from starlette.middleware import Middleware

    other = _JSON_BYTES + limits.files * _BYTES_PER_FILE
    guard = Middleware(_Guard, upload=limits.files * limits.file_bytes + other, other=other)
    page.launch(
        server_name=_in_url(host),
        server_port=port,
        # Stated, since environment variables and notebooks would change these defaults.
        share=False,
        mcp_server=False,
        enable_monitoring=False,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=limits.file_bytes,
        app_kwargs={"middleware": [guard]},
        **look,
    )


def _stop(page: gradio.Blocks) -> None:
    if page.is_running:
        # Cutting the connections of open pages is not an error to report.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        page.server.config.timeout_graceful_shutdown = 1
        page.close(verbose=False)


class _Guard:
    """Refuses what Gradio would accept: oversized requests, and addresses that it would fetch.

    Gradio limits each file, but neither a whole request nor a request without files. It downloads
    `http` addresses in place of an uploaded file, and for `GET .../file=ADDRESS`.
    """

    def __init__(self, app: Any, upload: int, other: int) -> None:
        self.app, self.upload, self.other = app, upload, other

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
            elif int(length) > (self.upload if is_upload else self.other):
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


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
