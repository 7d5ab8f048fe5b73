"""What `SERVING.md` says to TensorFlow Serving, done to the letter.

No server is here. A stand-in reads requests and writes answers as TensorFlow Serving documents it
(tensorflow.org/tfx/serving/api_rest) and runs the exported signatures.
"""

from __future__ import annotations

import base64
import http.server
import io
import json
import re
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from pix2pix_color.inference import any_size, colorize_images

NAME = "my-model"


@pytest.fixture(scope="module")
def folder(lively_export, tmp_path_factory) -> Path:
    """An exported folder, with a gray image in it."""
    folder = shutil.copytree(lively_export, tmp_path_factory.mktemp("served") / "my model")
    pixels = np.random.default_rng(1).integers(0, 256, (21, 34), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "gray.png")
    return folder


# TensorFlow Serving's rules -----------------------------------------------------------------


class Servable:
    """A SavedModel behind the predict API of TensorFlow Serving."""

    def __init__(self, folder: Path) -> None:
        self._model = tf.saved_model.load(str(folder))
        content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.signatures = content.meta_graphs[0].signature_def

    def predict(self, body: dict) -> dict:
        name = body.get("signature_name", "serving_default")
        inputs, row = self.signatures[name].inputs, "instances" in body
        assert row != ("inputs" in body)
        given = _by_column(body["instances"], inputs) if row else body["inputs"]
        if not isinstance(given, dict) or set(given) == {"b64"}:
            (only,) = inputs
            given = {only: given}
        missing = set(inputs) - set(given)
        assert not missing, f"Missing named input: {missing}"  # defaults are not filled in
        tensors = {
            key: tf.constant(_decoded(given[key]), tf.as_dtype(inputs[key].dtype)) for key in inputs
        }
        made = self._model.signatures[name](**tensors)
        outputs = {key: _encoded(key, value.numpy().tolist()) for key, value in made.items()}
        (only,) = outputs.values()  # several would be objects with their names
        return {"predictions" if row else "outputs": only}


def _by_column(instances: list, inputs: dict) -> dict:
    if isinstance(instances[0], dict) and set(instances[0]) != {"b64"}:
        assert all(set(instance) == set(inputs) for instance in instances)
        return {key: [instance[key] for instance in instances] for key in inputs}
    (only,) = inputs
    return {only: instances}


def _decoded(value):
    """An object with `b64` alone is bytes, wherever it stands."""
    if isinstance(value, dict):
        (text,) = [value["b64"]]
        assert set(value) == {"b64"}
        return base64.b64decode(text, validate=True)
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _encoded(name: str, value):
    """Strings are binary where a tensor's name ends in `_bytes`, and else must be UTF-8."""
    if isinstance(value, list):
        return [_encoded(name, item) for item in value]
    if isinstance(value, bytes):
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode()
    return value


@pytest.fixture(scope="module")
def servable(folder) -> Servable:
    return Servable(folder / "saved_model")


@pytest.fixture(scope="module")
def port(servable):
    """The port of a server on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == f"/v1/models/{NAME}:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(servable.predict(body), indent=4).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


# What SERVING.md says -----------------------------------------------------------------------


def blocks(folder: Path, language: str) -> list[str]:
    text = (folder / "SERVING.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def as_array(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def expected(lively, image: np.ndarray, **settings) -> np.ndarray:
    image = image[None, :, :, None] if image.ndim == 2 else image[None]
    return colorize_images(image, any_size(lively), 8, 8, **settings)[0].numpy()


def test_the_docker_command_serves_the_model_that_the_requests_ask_for(folder):
    docker, request = blocks(folder, "sh")
    words = shlex.split(docker.replace("\\\n", " "))
    assert words[:2] == ["docker", "run"]
    mount = dict(part.split("=") for part in words[words.index("--mount") + 1].split(","))
    assert mount["type"] == "bind"
    source = Path(mount["source"].replace("$PWD", str(folder)))
    assert (source / "saved_model.pb").is_file()
    # The server looks for numbered versions in /models/${MODEL_NAME}.
    assert mount["target"] == f"/models/{NAME}/1"
    assert words[words.index("-e") + 1] == f"MODEL_NAME={NAME}"
    assert words[-1] == "tensorflow/serving"
    (port, name) = re.search(r"http://localhost:(\d+)/v1/models/([^:]+):predict", request).groups()
    assert (words[words.index("-p") + 1], name) == (f"{port}:8501", NAME)


def test_the_curl_command_turns_a_gray_file_into_a_color_file(folder, lively, port):
    for program in ("curl", "base64", "python3"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    _, request = blocks(folder, "sh")
    assert request.count("localhost:8501") == 1
    command = request.replace("localhost:8501", f"127.0.0.1:{port}")
    done = subprocess.run(
        ["sh", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    gray = as_array((folder / "gray.png").read_bytes())
    colored = as_array((folder / "color.png").read_bytes())
    np.testing.assert_array_equal(colored, expected(lively, gray))
    assert np.ptp(colored, axis=-1).max() > 20


def test_columns_of_files_are_answered_in_order(folder, servable, lively):
    body = json.loads(blocks(folder, "json")[0])
    (column,) = body["inputs"].values()
    assert column == [{"b64": "..."}] * 2
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (size, 2 * size, 3), dtype=np.uint8) for size in (8, 13)]
    for place, image in zip(column, images, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        place["b64"] = base64.b64encode(file.getvalue()).decode()
    answer = json.loads(json.dumps(servable.predict(body)))
    for made, image in zip(answer["outputs"], images, strict=True):
        colored = as_array(base64.b64decode(made["b64"]))
        np.testing.assert_array_equal(colored, expected(lively, image))
    # The same by rows, each an object with the input's name.
    rows = [{"image_bytes": place} for place in column]
    by_rows = servable.predict({"signature_name": "from_bytes", "instances": rows})
    assert by_rows == {"predictions": answer["outputs"]}


def test_pixels_with_settings_are_answered_by_pixels(folder, servable, lively):
    body = json.loads(blocks(folder, "json")[1])
    image = np.array(body["inputs"]["images"], np.uint8)[0]
    (colored,) = servable.predict(body)["outputs"]
    np.testing.assert_array_equal(colored, expected(lively, image, strength=0.8))
    (colored,) = servable.predict({"instances": body["inputs"]["images"]})["predictions"]
    np.testing.assert_array_equal(colored, expected(lively, image))


def test_the_table_names_every_signature_with_its_tensors(folder, servable):
    rows = re.findall(
        r"^\| `(\w+)` \| (.*) \| (.*) \|$", (folder / "SERVING.md").read_text(), re.MULTILINE
    )
    for name, given, made in rows:
        signature = servable.signatures[name]
        assert re.findall(r"`(\w+)`", given) == [
            key
            for key in ("image_bytes", "images", "lightness", "render_size", "strength")
            if key in signature.inputs
        ]
        assert re.findall(r"`(\w+)`", made) == list(signature.outputs)
    served = {name for name in servable.signatures if not name.startswith("__")}
    assert {name for name, _, _ in rows} == served
    # Bytes are base64 only where a name ends so.
    strings = {
        key
        for signature in servable.signatures.values()
        for tensors in (signature.inputs, signature.outputs)
        for key, tensor in tensors.items()
        if tensor.dtype == tf.string.as_datatype_enum
    }
    assert strings == {"image_bytes", "png_bytes"}
