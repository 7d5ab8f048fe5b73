"""The web page as it is served: in a real browser, and asked by a program.

`python tests/test_app_browser.py docs/demo.png [MODEL [EXAMPLE]]` takes the README's picture.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import python_process
from PIL import Image
from test_hints import guided

gradio = pytest.importorskip("gradio", reason="the extra [demo] is not installed")
httpx = pytest.importorskip("httpx")
gradio_client = pytest.importorskip("gradio_client")

ADDRESS = "http://192.0.2.1/cat.jpg"

# Writes to its error output which other host any part of the server contacts.
SERVER = """
import sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "127.0.0.1", "localhost", "::1"):
        print("NETWORK", event, host, file=sys.stderr, flush=True)

sys.addaudithook(watch)
from pix2pix_color.apps import cli
sys.exit(cli.main(["demo", "--port", "0", "--model", *sys.argv[1:]]))
"""

# Its model takes hints.
GUIDED = """
from test_hints import Colorizer, guided
load = Colorizer.load
Colorizer.load = lambda name: guided(load(name))
"""


class Server:
    """`pix2pix-color demo` as a process, with its address, temporary folder and error output."""

    def __init__(
        self, model: str | Path, folder: Path, *options: str, script: str = SERVER
    ) -> None:
        self.folder, self.errors = folder, []
        self.process = python_process(
            script, model, *options, TMPDIR=str(folder), TEMP=str(folder), GRADIO_SHARE="True"
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
    limits = ("--max-megabytes", "2", "--max-megapixels", "1")
    server = Server(tiny_export, tmp_path_factory.mktemp("temporary"), *limits)
    yield server
    server.stop()


@pytest.fixture
def photograph(tmp_path) -> Path:
    """A real photograph, of a format that browsers show, with some of its edge cut off."""
    import skimage.data

    path = tmp_path / "cat.png"
    Image.fromarray(skimage.data.chelsea()[:200, :301]).save(path)
    return path


@contextlib.contextmanager
def browser_page(height: int = 900) -> Iterator[tuple]:
    """Yields a page of a real Chromium, and a list that fills with the addresses it asks for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, asked = browser.new_page(viewport={"width": 1240, "height": height}), []
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        try:
            yield page, asked
        finally:
            browser.close()


def says(page, text: str) -> None:
    """Waits until the page says something about the result."""
    page.wait_for_function(
        "(text) => document.querySelector('#message textarea')?.value.includes(text)", arg=text
    )


def download(page, button: str = "#download") -> tuple[str, bytes]:
    with page.expect_download() as event:
        page.click(button)
    return event.value.suggested_filename, Path(event.value.path()).read_bytes()


def test_a_visit_with_a_browser(server, tiny_colorizer, photograph, tmp_path):
    def expected(**settings: float) -> bytes:
        target = tmp_path / "expected.png"
        tiny_colorizer.colorize_file(photograph, target, overwrite=True, **settings)
        return target.read_bytes()

    broken = tmp_path / "broken.png"
    broken.write_bytes(photograph.read_bytes()[:40])
    with browser_page() as (page, asked):
        page.goto(server.url)
        page.set_input_files("#photograph input[type=file]", photograph)
        says(page, "cat-color.png, 301 x 200 pixels")
        assert download(page) == ("cat-color.png", expected())

        # A setting colorizes again; the gray side stays the same.
        before = [image.get_attribute("src") for image in page.locator("#before-after img").all()]
        page.locator("#strength input[type=range]").press("End")
        page.wait_for_function(
            "(src) => document.querySelectorAll('#before-after img')[1]?.src !== src",
            arg=before[1],
        )
        assert download(page)[1] == expected(strength=2.0)

        page.click("#photograph .icon-button-wrapper button")
        page.set_input_files("#photograph input[type=file]", broken)
        says(page, "broken.png cannot be read")
        assert page.locator("#before-after img").count() == 0
        for _ in range(2):
            page.locator("#examples button").nth(1).click()
        says(page, "chelsea-color.png")
        assert "2 MB and 1 megapixels" in page.inner_text("body")
        hosts = {url.split("/")[2].rsplit(":", 1)[0] for url in asked if "://" in url}
        assert hosts - {""} == {"127.0.0.1"}
        assert len(asked) > 20


# A place in the coordinates of the page, from the pixels of the picture.
PLACE = """(image, [x, y]) => {
    const box = image.getBoundingClientRect()
    const [width, height] = [image.naturalWidth, image.naturalHeight]
    const scale = Math.min(box.width / width, box.height / height, 1)
    return [box.left + (box.width - width * scale) / 2 + x * scale,
            box.top + (box.height - height * scale) / 2 + y * scale]
}"""


def test_a_click_gives_a_place_its_color(tiny_export, tiny_colorizer, photograph, tmp_path):
    def changed(page, action) -> bytes:
        """Does something in the tab of hints and returns the new result."""
        before = page.locator("#before-after img").nth(1).get_attribute("src")
        page.get_by_role("tab", name="Color hints").click()
        action()
        page.get_by_role("tab", name="Before and after").click()
        page.wait_for_function(
            "(src) => ![undefined, src].includes("
            "document.querySelectorAll('#before-after img')[1]?.src)",
            arg=before,
        )
        return download(page)[1]

    (tmp_path / "server").mkdir()
    with browser_page() as (page, _):
        server = Server(tiny_export, tmp_path / "server", script=GUIDED + SERVER)
        try:
            page.goto(server.url)
            page.set_input_files("#photograph input[type=file]", photograph)
            says(page, "pixels")
            _, automatic = download(page)
            picture = page.locator("#hint-picture img")
            hinted = changed(page, lambda: page.mouse.click(*picture.evaluate(PLACE, [100, 50])))
            page.get_by_role("tab", name="Color hints").click()
            name, saved = download(page, "#hint-save")
            assert changed(page, lambda: page.click("#hint-undo")) == automatic
            (tmp_path / name).write_bytes(saved)
            load = functools.partial(page.set_input_files, "input[accept='.json']", tmp_path / name)
            assert changed(page, load) == hinted
        finally:
            server.stop()
    assert name == "cat-hints.json"
    ((x, y, color),) = (hint.values() for hint in json.loads(saved)["hints"])
    assert max(abs(x - 100), abs(y - 50)) <= 1  # the browser rounds
    expected, hints = tmp_path / "expected.png", [(x, y, color)]
    guided(tiny_colorizer).colorize_file(photograph, expected, hints=hints)
    assert hinted == expected.read_bytes()


# Asked by a program ---------------------------------------------------------------------------


@pytest.fixture
def predict(server, tiny_export, tmp_path):
    """Asks for a photograph's colors, with the settings of the page or others."""
    client = gradio_client.Client(
        server.url, verbose=False, download_files=str(tmp_path / "down"), analytics_enabled=False
    )

    def predict(source: Path, model: Path = tiny_export, strength: float = 1.0, size: int = 0):
        sent = gradio_client.handle_file(source)
        return client.predict(sent, str(model), strength, 1.0, size, api_name="/colorize")

    yield predict
    client.close()


def saved(path: Path, size: tuple[int, int]) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_program_gets_the_librarys_file(predict, tiny_colorizer, photograph, tmp_path):
    _, result, text, _ = predict(photograph)
    expected = tiny_colorizer.colorize_file(photograph, tmp_path / "expected.png")
    assert Path(result).read_bytes() == expected.read_bytes()
    assert "301 x 200" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": 3.0}, "maximum value 2|[Ss]trength"),
        ({"size": 40}, "not in the list of choices"),
        ({"model": Path("/etc/passwd")}, "not in the list of choices"),
    ],
)
def test_settings_that_the_page_does_not_offer_are_refused(predict, photograph, change, message):
    with pytest.raises(gradio_client.exceptions.AppError, match=message):
        predict(photograph, **change)


def test_files_over_the_limits_are_refused(predict, server, tmp_path):
    large = tmp_path / "large.png"
    Image.new("L", (1001, 1000)).save(large)
    _, result, text, _ = predict(large)
    assert result is None
    assert "1001 x 1000 pixels" in text

    upload = f"{server.url}gradio_api/upload"
    heavy = saved(tmp_path / "heavy.png", (900, 800))
    assert heavy.stat().st_size > 2_000_000
    with open(heavy, "rb") as file:
        assert httpx.post(upload, files={"files": file}).status_code == 413
    # Many files at once are refused by the length alone, before they are read.
    announced = "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n"
    host, port = server.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(announced.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert httpx.post(upload, content=iter([b"unknown length"])).status_code == 411
    join = f"{server.url}gradio_api/queue/join"
    assert httpx.post(join, content=b" " * 2_000_000).status_code == 413


def test_the_servers_own_files_and_other_addresses_are_not_read(server, tiny_export, photograph):
    api = f"{server.url}gradio_api/"
    functions = httpx.get(f"{server.url}config").json()["dependencies"]
    (function,) = [f["id"] for f in functions if f["api_name"] == "colorize"]
    with open(photograph, "rb") as file:
        (uploaded,) = httpx.post(f"{api}upload", files={"files": file}).json()

    def ask(path: str) -> str:
        """Sends a request as the page does and returns what the server has to say about it."""
        sent = {"path": path, "meta": {"_type": "gradio.FileData"}}
        data = [sent, str(tiny_export), 1.0, 1.0, 0, None, []]
        body = {"fn_index": function, "data": data, "session_hash": os.urandom(5).hex()}
        with httpx.Client(base_url=api, timeout=30) as http:
            answer = http.post("queue/join", json=body)
            if answer.status_code != 200:
                return answer.text
            return http.get("queue/data", params={"session_hash": body["session_hash"]}).text

    assert "cat-color.png" in ask(uploaded)
    assert "cat-color.png" not in ask(str(photograph))
    refusal = "Upload the file instead of its address."
    assert ask(ADDRESS) == ask(f"{server.url}static/img/logo.svg") == refusal
    for route in ("queue/join", "run/predict", "run/upload", "call/colorize", "call/v2/colorize"):
        body = json.dumps({"data": [{"path": ADDRESS}], "fn_index": 1}).replace("/", "\\/")
        answer = httpx.post(f"{api}{route}", content=body)
        assert (answer.status_code, answer.text) == (403, refusal)
    for route in (f"file={ADDRESS}", f"file/{ADDRESS}", f"proxy={ADDRESS}"):
        assert httpx.get(f"{api}{route}").text == refusal
        encoded = route.replace(":", "%3A").replace("//", "%2F%2F")
        assert httpx.get(f"{api}{encoded}").text == refusal
    for outside in (photograph, tiny_export, "/etc/passwd"):
        assert httpx.get(f"{api}file={outside}").status_code in (403, 404)
    # Nobody bypasses the queue.
    for route in ("api/colorize", "run/colorize"):
        assert httpx.post(f"{api}{route}", json={"data": []}).status_code == 404


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
            says(page, "pixels")
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
