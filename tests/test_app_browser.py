"""The web page as it is served: in a real browser, and asked by a program.

`python tests/test_app_browser.py docs/demo.png [MODEL [EXAMPLE]]` takes the README's picture.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import python_process
from PIL import Image

gradio = pytest.importorskip("gradio", reason="the extra [demo] is not installed")
httpx = pytest.importorskip("httpx")
gradio_client = pytest.importorskip("gradio_client")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LOCAL = ("127.0.0.1", "localhost", "::1")
LIMITS = {"megabytes": 2, "megapixels": 1, "files": 3, "queue": 1}
ADDRESS = "http://192.0.2.1/cat.jpg"

# Writes to its error output which other host any part of the server contacts.
SERVER = f"""
import sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", *{LOCAL!r}):
        print("NETWORK", event, host, file=sys.stderr, flush=True)

sys.addaudithook(watch)
from pix2pix_color.apps.web import Limits, demo
demo(port=0, model=sys.argv[1], limits=Limits(**eval(sys.argv[2])))
"""


class Server:
    """The page in a process of its own, with its address, temporary folder and error output."""

    def __init__(self, model: str | Path, folder: Path, **limits: int) -> None:
        self.folder, self.errors = folder, []
        self.process = python_process(
            SERVER, model, limits, TMPDIR=str(folder), TEMP=str(folder), GRADIO_SHARE="True"
        )
        threading.Thread(target=self._listen, daemon=True).start()
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, (line, self.errors)
        self.url = found[0]

    def _listen(self) -> None:
        for line in self.process.stderr:
            self.errors.append(line)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


@pytest.fixture(scope="module")
def server(tiny_export, tmp_path_factory) -> Iterator[Server]:
    server = Server(tiny_export, tmp_path_factory.mktemp("temporary"), **LIMITS)
    yield server
    server.stop()


@pytest.fixture
def photograph(tmp_path) -> Path:
    """A real photograph, of a format that browsers show, with some of its edge cut off."""
    import skimage.data

    path = tmp_path / "cat.jpg"
    Image.fromarray(skimage.data.chelsea()[:200, :301]).save(path, quality=90)
    return path


# In a browser ---------------------------------------------------------------------------------


@contextlib.contextmanager
def browser_page(height: int = 900) -> Iterator[tuple]:
    """Yields a page of a real Chromium, and a list that fills with the addresses it asks for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page, asked = browser.new_page(viewport={"width": 1240, "height": height}), []
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        try:
            yield page, asked
        finally:
            browser.close()


def says(page, area: str, text: str) -> None:
    """Waits until an area of the page says something."""
    page.wait_for_function(
        "([area, text]) => document.querySelector(area)?.innerText.includes(text)",
        arg=[area, text],
    )


def shown(page) -> list[str]:
    """Returns the addresses of the two pictures under the slider."""
    return [image.get_attribute("src") for image in page.locator("#before-after img").all()]


def changes(page, before: list[str]) -> None:
    """Waits until the colors shown are others than before."""
    page.wait_for_function(
        "(before) => document.querySelectorAll('#before-after img')[1]?.src !== before",
        arg=before[1],
    )


def download(page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as event:
        page.click(button)
    return event.value.suggested_filename, Path(event.value.path()).read_bytes()


def give(page, event: str, name: str, content: bytes) -> None:
    """Pastes or drops a file on the page, outside of its upload area."""
    page.evaluate(
        """([event, name, content]) => {
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], name));
          const options = { bubbles: true, cancelable: true };
          document.querySelector("#title").dispatchEvent(
            event === "paste"
              ? new ClipboardEvent("paste", { clipboardData: data, ...options })
              : new DragEvent("drop", { dataTransfer: data, ...options })
          );
        }""",
        [event, name, base64.b64encode(content).decode()],
    )


def test_a_visit_with_a_browser(server, tiny_colorizer, photograph, tmp_path):
    broken = tmp_path / "broken.png"
    with Image.open(photograph) as image:
        image.save(broken)
    broken.write_bytes(broken.read_bytes()[:40])

    def expected(source: Path, suffix: str = ".png", **settings) -> bytes:
        target = tmp_path / "expected" / f"{source.stem}{suffix}"
        tiny_colorizer.colorize_file(source, target, overwrite=True, **settings)
        return target.read_bytes()

    with browser_page() as (page, asked):
        page.goto(server.url)
        page.set_input_files("#photograph input[type=file]", photograph)
        says(page, "#message", "cat-color.png, 301 \u00d7 200 pixels")
        assert download(page, "#download") == ("cat-color.png", expected(photograph))

        # The handle between the gray and the colored picture.
        picture = page.locator("#before-after img").first.bounding_box()
        handle = page.locator("#before-after [data-testid=slider]").bounding_box()
        middle = picture["y"] + picture["height"] / 2
        page.mouse.move(handle["x"] + handle["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(picture["x"] + picture["width"] / 4, middle, steps=4)
        page.mouse.up()
        cut = page.locator("#before-after img").nth(1).get_attribute("style")
        assert float(re.search(r"inset\(0px 0px 0px ([\d.]+)%\)", cut)[1]) == pytest.approx(
            25, abs=1
        )

        # Settings, each of which colorizes again.
        before = shown(page)
        page.locator("#strength input[type=range]").press("End")
        changes(page, before)
        assert shown(page)[0] == before[0]  # the gray side is the same
        assert download(page, "#download")[1] == expected(photograph, strength=2.0)
        page.get_by_label("Render size").click()
        page.get_by_role("option", name="64 pixels", exact=True).click()
        says(page, "#message", "render size of 64 pixels")
        page.get_by_label("Keep the file format").check()
        says(page, "#message", "cat-color.jpg")
        settings = {"strength": 2.0, "render_size": 64}
        assert download(page, "#download") == (
            "cat-color.jpg",
            expected(photograph, ".jpg", **settings),
        )
        before = shown(page)
        page.get_by_role("radio", name="Original").check()
        page.wait_for_function(
            "(before) => document.querySelector('#before-after img').src !== before", arg=before[0]
        )

        # Other ways to give a photograph: each takes the place of the one before.
        give(page, "paste", "pasted.jpg", photograph.read_bytes())
        says(page, "#message", "pasted-color.jpg")
        give(page, "drop", "dropped.jpg", photograph.read_bytes())
        says(page, "#message", "dropped-color.jpg")
        page.locator("#examples button").nth(1).click()
        says(page, "#message", "chelsea-color.png")
        give(page, "paste", "broken.png", broken.read_bytes())
        says(page, "#message", "broken.png cannot be read")
        assert page.locator("#before-after img").count() == 0
        page.wait_for_selector("#download:disabled")  # a moment after the message
        page.locator("#examples button").nth(1).click()  # the same one again
        says(page, "#message", "chelsea-color.png")

        # Several files.
        page.get_by_role("tab", name="Several photographs").click()
        (tmp_path / "b").mkdir()
        twin = Path(shutil.copy(photograph, tmp_path / "b"))
        with Image.open(twin) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(twin)
        page.set_input_files("#photographs input[type=file]", [photograph, broken, twin])
        says(page, "#photographs", "broken")
        page.click("#colorize-all")
        says(page, "#batch-message", "2 of 3 photographs colorized.")
        says(page, "#batch-message", "broken.png cannot be read")
        name, content = download(page, "#zip")
        assert name == "colorized.zip"
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            first, second = "cat-color.jpg", "cat-color (2).jpg"
            assert archive.namelist() == [first, second, "failures.txt"]
            assert archive.read(first) == expected(photograph, ".jpg", **settings)
            assert archive.read(second) == expected(twin, ".jpg", **settings)
            assert archive.read("failures.txt").startswith(b"broken.png cannot be read")

        # The limits are stated, and nothing came from anywhere else.
        said = page.inner_text("#limits")
        for limit in ("2 MB", "1 megapixels", "3 per batch", "1 requests"):
            assert limit in said
        hosts = {url.split("/")[2].rsplit(":", 1)[0] for url in asked if "://" in url}
        assert hosts - {""} == {"127.0.0.1"}
        assert len(asked) > 20


# Asked by a program ---------------------------------------------------------------------------


@pytest.fixture
def client(server, tmp_path):
    client = gradio_client.Client(
        server.url, verbose=False, download_files=str(tmp_path / "down"), analytics_enabled=False
    )
    yield client
    client.close()


def settings(model: Path, strength: float = 1.0, size: int = 0) -> list:
    return [str(model), strength, 1.0, size, False]


def saved(path: Path, size: tuple[int, int], noise: bool = False) -> Path:
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)
    if noise:
        pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_program_gets_the_librarys_file(
    client, tiny_export, tiny_colorizer, photograph, tmp_path
):
    sent = gradio_client.handle_file(photograph)
    _, result, message = client.predict(sent, *settings(tiny_export), "Gray", api_name="/colorize")
    expected = tiny_colorizer.colorize_file(photograph, tmp_path / "expected.png")
    assert Path(result).read_bytes() == expected.read_bytes()
    assert "301" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": 3.0}, "maximum value 2|[Ss]trength"),
        ({"size": 40}, "not in the list of choices"),
        ({"size": 32_000}, "not in the list of choices"),
        ({"model": Path("/etc/passwd")}, "not in the list of choices"),
    ],
)
def test_settings_that_the_page_does_not_offer_are_refused(
    client, tiny_export, photograph, change, message
):
    sent = gradio_client.handle_file(photograph)
    with pytest.raises(gradio_client.exceptions.AppError, match=message):
        client.predict(
            sent, *settings(**{"model": tiny_export, **change}), "Gray", api_name="/colorize"
        )


def test_files_over_the_limits_are_refused(client, server, tiny_export, tmp_path):
    large = saved(tmp_path / "large.png", (1001, 1000))
    with pytest.raises(gradio_client.exceptions.AppError, match="1001 x 1000 pixels"):
        client.predict(
            gradio_client.handle_file(large), *settings(tiny_export), "Gray", api_name="/colorize"
        )
    small = gradio_client.handle_file(saved(tmp_path / "small.png", (40, 40)))
    with pytest.raises(
        gradio_client.exceptions.AppError, match="4 files are too many: the limit is 3"
    ):
        client.predict([small] * 4, *settings(tiny_export), api_name="/batch")

    upload = f"{server.url}gradio_api/upload"
    heavy = saved(tmp_path / "heavy.png", (900, 800), noise=True)
    assert heavy.stat().st_size > 2_000_000
    with open(heavy, "rb") as file:
        assert httpx.post(upload, files={"files": file}).status_code == 413
    # Many files at once are refused by the length alone, before they are read.
    announced = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: {60_000_000}\r\n\r\n"
    )
    host, port = server.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(announced.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert httpx.post(upload, content=iter([b"unknown length"])).status_code == 411
    join = f"{server.url}gradio_api/queue/join"
    assert httpx.post(join, content=b" " * 2_000_000).status_code == 413


def join(server: Server, function: int, data: list) -> str:
    """Sends a request as the page does and returns what the server has to say about it."""
    body = {"fn_index": function, "data": data, "session_hash": os.urandom(5).hex()}
    with httpx.Client(base_url=f"{server.url}gradio_api/", timeout=30) as http:
        answer = http.post("queue/join", json=body)
        if answer.status_code != 200:
            return answer.text
        stream = http.get("queue/data", params={"session_hash": body["session_hash"]})
        return stream.text


def number_of(server: Server, name: str) -> int:
    config = httpx.get(f"{server.url}config").json()
    return next(f["id"] for f in config["dependencies"] if f["api_name"] == name)


def test_the_servers_own_files_and_other_addresses_are_not_read(server, tiny_export, photograph):
    function = number_of(server, "colorize")
    with open(photograph, "rb") as file:
        (path,) = httpx.post(f"{server.url}gradio_api/upload", files={"files": file}).json()

    def ask(path: str) -> str:
        sent = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return join(server, function, [sent, *settings(tiny_export), "Gray", []])

    assert "cat-color.png" in ask(path)
    assert "cat-color.png" not in ask(str(photograph))
    refusal = "Upload the file instead of its address."
    assert ask(ADDRESS) == ask(f"{server.url}static/img/logo.svg") == refusal
    for route in ("queue/join", "run/predict", "run/upload", "call/colorize", "call/v2/colorize"):
        body = json.dumps({"data": [{"path": ADDRESS}], "fn_index": 1}).replace("/", "\\/")
        answer = httpx.post(f"{server.url}gradio_api/{route}", content=body)
        assert (answer.status_code, answer.text) == (403, refusal)
    for route in (f"file={ADDRESS}", f"file/{ADDRESS}", f"proxy={ADDRESS}"):
        assert httpx.get(f"{server.url}gradio_api/{route}").text == refusal
        encoded = route.replace(":", "%3A").replace("//", "%2F%2F")
        assert httpx.get(f"{server.url}gradio_api/{encoded}").text == refusal
    for outside in (photograph, tiny_export, "/etc/passwd"):
        assert httpx.get(f"{server.url}gradio_api/file={outside}").status_code in (403, 404)
    # Nobody bypasses the queue.
    for route in ("api/colorize", "run/colorize"):
        answer = httpx.post(f"{server.url}gradio_api/{route}", json={"data": []})
        assert answer.status_code == 404


def test_a_full_queue_refuses(server, client, tiny_export, tmp_path):
    # Three photographs as the network sees them at its largest: busy for a while.
    source = gradio_client.handle_file(saved(tmp_path / "busy.png", (1000, 1000), noise=False))
    busy = [client.submit([source] * 3, *settings(tiny_export, 1.0, 128), api_name="/batch")]
    jobs = busy + [
        client.submit(source, *settings(tiny_export), "Gray", api_name="/colorize")
        for _ in range(6)
    ]
    problems = [job.exception(timeout=60) for job in jobs]
    refused = [problem for problem in problems if problem is not None]
    assert len(refused) >= 3
    assert {str(problem) for problem in refused} == {"Queue is full! Please try again."}
    assert None in problems  # and what was taken was done


def test_the_server_asks_no_network_and_leaves_nothing_behind(server):
    assert any(server.folder.rglob("*"))
    assert server.stop() == 0
    assert [line for line in server.errors if line.startswith("NETWORK")] == []
    # What Gradio itself refuses, it also reports; nothing else went wrong.
    problems = [line for line in server.errors if re.match(r"[\w.]+(Error|Exception)\b", line)]
    assert [line for line in problems if not line.startswith("gradio.exceptions.")] == []
    assert server.process.stdout.read() == ""  # no public address was made
    assert list(server.folder.iterdir()) == []


def take_screenshot(target: Path, model: str = "vivid", example: int = 1) -> None:
    """Saves a picture of the page with one of its examples, as a talk would show it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, browser_page(height=980) as (page, _):
        server = Server(model, Path(folder))
        try:
            page.goto(server.url)
            page.locator("#examples button").nth(example).click()
            page.wait_for_selector("#message b")
            page.mouse.move(1, 1)
            page.wait_for_timeout(2_000)  # until nothing fades or grows any more
            picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            target.parent.mkdir(parents=True, exist_ok=True)
            # 256 colors, dithered: half the size.
            picture.quantize(palette=picture.quantize(256)).save(target, optimize=True)
        finally:
            server.stop()


if __name__ == "__main__":
    take_screenshot(Path(sys.argv[1]), *sys.argv[2:3], *map(int, sys.argv[3:]))
