"""Serves the page: on this machine alone unless told otherwise, without asking any network."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import DemoError
from ...files import DEFAULT_MODEL

__all__ = ["demo"]

_LOCAL = ("127.0.0.1", "::1", "localhost")
_JSON_BYTES = 1_000_000  # of a request that carries no file
_BYTES_AROUND = 10_000  # a file of an upload, and to name it in a request


def demo(
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str | Path = DEFAULT_MODEL,
    *,
    open_browser: bool = False,
    max_megabytes: int = 50,
    max_megapixels: int = 50,
    max_files: int = 50,
    max_queue: int = 20,
) -> None:
    """Serves the page until Ctrl-C or SIGTERM, and leaves nothing behind.

    Args:
        host: address to listen on. The default is for this machine alone; `0.0.0.0` is for
            everybody who can reach it.
        port: to listen on; 0 takes any free one, which is printed.
        model: a shipped model's name, or the path of a model, as in `Colorizer.load`.
        open_browser: also open the page in a browser.
        max_megabytes: size of a file.
        max_megapixels: size of a photograph.
        max_files: files in a batch.
        max_queue: requests that may wait.

    Raises:
        DemoError: no Gradio, or the port or address is not to be had.
        ColorizerError, ChecksumError: the model cannot be loaded.
        ValueError: a limit is not a positive whole number.
    """
    with _settings(host), _folder() as folder:
        page = _import_page()
        from .photographs import Limits, Models

        limits = Limits(max_megabytes, max_megapixels, max_files, max_queue)
        port = _free_port(host, port)  # before the seconds that a model takes
        blocks = page.build_page(Models(model), limits, folder)
        try:
            _launch(blocks, page.launch_options(folder), host, port, limits)
            url = f"http://{_in_url(host)}:{port}/"
            print(f"Colorize photographs at {url} (Ctrl-C stops).", flush=True)
            if host not in _LOCAL:
                print("Everybody who can reach this machine can use it.", flush=True)
            if open_browser:
                webbrowser.open(url)
            _wait()
        finally:
            _stop(blocks)


def _import_page() -> Any:
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise DemoError(
            f'The web page needs Gradio ({error}): pip install "pix2pix_color[demo]"'
        ) from error
    from . import page

    return page


@contextlib.contextmanager
def _settings(host: str) -> Iterator[None]:
    """Sets what Gradio reads from the environment: no telemetry, no proxy to this machine."""
    direct = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), *_LOCAL, host]
    direct = ",".join(filter(None, direct))
    changes = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OTEL_SDK_DISABLED": "true",  # FastAPI's
        "NO_PROXY": direct,
        "no_proxy": direct,
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yields a folder for everything that Gradio and the page write, and removes it."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    if before:
        Path(before).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pix2pix-color-", dir=before)).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


def _free_port(host: str, port: int) -> int:
    """Returns the port, or a free one for 0; Gradio's own message names neither cause nor cure.

    Raises:
        DemoError: it is taken, not allowed, or `host` is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            return server.getsockname()[1]
    except (OSError, OverflowError) as error:
        if isinstance(error, socket.gaierror) or getattr(error, "errno", None) in (99, 10049):
            raise DemoError(
                f"{host} is not an address of this machine: try --host 127.0.0.1."
            ) from error
        if isinstance(error, PermissionError):
            raise DemoError(
                f"Port {port} is not for ordinary users: choose one from 1024 on with --port."
            ) from error
        if isinstance(error, OverflowError):
            raise DemoError(f"{port} is no port: choose one from 1024 to 65535.") from error
        raise DemoError(
            f"Port {port} of {host} is taken. Stop what uses it, choose another with --port, "
            "or --port 0 for any free one."
        ) from error


def _launch(blocks: Any, options: dict, host: str, port: int, limits: Any) -> None:
    from starlette.middleware import Middleware

    around = _JSON_BYTES + limits.files * _BYTES_AROUND
    sizes = {"upload": limits.files * limits.file_bytes + around, "other": around}
    blocks.launch(
        server_name=_in_url(host),
        server_port=port,
        share=False,  # said, since an environment variable or a notebook may turn it on
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        max_file_size=limits.file_bytes,
        app_kwargs={"middleware": [Middleware(_LimitedBodies, **sizes)]},
        **options,
    )


def _stop(blocks: Any) -> None:
    if not blocks.is_running:
        return
    # Open pages hold connections for ever; that they are cut is no error to report.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    blocks.server.config.timeout_graceful_shutdown = 1
    blocks.close(verbose=False)


class _LimitedBodies:
    """Refuses requests whose body is larger than any that the page sends."""

    def __init__(self, app: Any, upload: int, other: int) -> None:
        self.app, self.upload, self.other = app, upload, other

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH"):
            length = dict(scope["headers"]).get(b"content-length")
            is_upload = scope["path"].rstrip("/").endswith("/upload")
            if length is None:
                await self._refuse(411, "Say the length of the body.", scope, receive, send)
                return
            if int(length) > (self.upload if is_upload else self.other):
                await self._refuse(413, "The request is too large.", scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _refuse(self, status: int, text: str, scope: dict, receive: Any, send: Any) -> None:
        from starlette.responses import PlainTextResponse

        await PlainTextResponse(text, status)(scope, receive, send)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _wait() -> None:
    """Returns at Ctrl-C or SIGTERM."""
    stop = threading.Event()
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        while not stop.wait(1.0):  # Windows lets no Ctrl-C through an endless wait
            pass
    except KeyboardInterrupt:
        pass
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
