"""Colourizes arrays and files with a trained model, shipped or your own.

colorizer = Colorizer.load("report")
rgb = colorizer(gray)                                # uint8, any size
colorizer.colorize_file("gray.png", "color.png")
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .config import Config, ConfigError, nearest
from .files import replacing, shipped_folder, verify_checksums
from .inference import any_size, colorize_images

__all__ = ["Colorizer", "ColorizerError", "read_image", "shipped_models"]

_FORMATS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ColorizerError(RuntimeError):
    """A model or an image that cannot be used, or an output that is in the way."""


def shipped_models() -> list[str]:
    """Returns the names of the models that came with this package and colourize."""
    folder = shipped_folder()
    if not folder.is_dir():
        return []
    # The reference classifier lies beside them and has no generator.
    return sorted(p.name for p in folder.iterdir() if (p / "generator.keras").is_file())


class Colorizer:
    """A loaded model. Make one with `Colorizer.load`.

    Attributes:
        name: what it was loaded as.
        folder: where its files lie; `None` for a lone SavedModel or `.keras` file.
        config: the run's configuration, where the folder has one.
    """

    def __init__(
        self,
        colorize: Callable[[tf.Tensor], tf.Tensor],
        name: str,
        folder: Path | None = None,
        config: Config | None = None,
    ) -> None:
        self._colorize = colorize
        self.name, self.folder, self.config = name, folder, config

    @classmethod
    def load(cls, name_or_path: str | Path = "report", *, verify: bool = True) -> Colorizer:
        """Loads a model.

        Args:
            name_or_path: the name of a shipped model; or the path of a shipped folder, a run
                folder with a `generator.keras`, a SavedModel, or a `.keras` file.
            verify: compare the files with their `SHA256SUMS` where there is one.

        Raises:
            ColorizerError: nothing of that name, or not a model.
            ChecksumError: a shipped file is missing or was changed.
        """
        name = str(name_or_path)
        path = shipped_folder() / name if name in shipped_models() else Path(name_or_path)
        if not path.exists():
            models = shipped_models()
            hint = nearest(name, models) if models else "No model is shipped here."
            raise ColorizerError(f"There is no model named or at {name!r}. {hint}")
        if verify and (path / "SHA256SUMS").is_file():
            verify_checksums(path)
        config_path = path / "config.json"
        config = None
        if config_path.is_file():
            try:
                config = Config.from_json(config_path.read_text(encoding="utf-8"))
            except ConfigError as error:
                raise ColorizerError(f"{config_path}: {error}") from error
        if (path / "saved_model").is_dir():
            return cls(_load_saved_model(path / "saved_model"), name, path, config)
        if (path / "saved_model.pb").is_file():
            return cls(_load_saved_model(path), name)
        keras_file = path if path.is_file() else path / "generator.keras"
        if keras_file.is_file():
            return cls(_wrap(_load_keras(keras_file)), name, keras_file.parent, config)
        raise ColorizerError(
            f"{path} is no model: expected a SavedModel, a .keras file, or a folder with "
            "saved_model/ or generator.keras (a run folder gets one when its training ends)."
        )

    @functools.cached_property
    def generator(self) -> keras.Model:
        """The Keras generator, from lightness (L, 0-100) to chroma ((a, b) / 128).

        Raises:
            ColorizerError: the model was loaded from a SavedModel alone.
        """
        if self.folder is None or not (self.folder / "generator.keras").is_file():
            raise ColorizerError(f"{self.name} comes without its Keras generator.")
        return _load_keras(self.folder / "generator.keras")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Colourizes one image or a batch, of any size.

        Args:
            images: uint8 (height, width), (height, width, 1 or 3) or
                (batch, height, width, 1 or 3), gray or RGB (whose luminance is used).

        Returns:
            uint8 RGB, (height, width, 3) or (batch, height, width, 3). L is the input's within
            one 8-bit level, and an image is coloured alone as it is among others.

        Raises:
            ColorizerError: another dtype or shape.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8:
            raise ColorizerError(f"Images must be uint8, 0 to 255, not {images.dtype}.")
        single = images.ndim in (2, 3)
        batch = images[None, :, :, None] if images.ndim == 2 else images[None] if single else images
        if batch.ndim != 4 or batch.shape[-1] not in (1, 3) or 0 in batch.shape[1:]:
            raise ColorizerError(
                "Images must be (height, width), (height, width, 1 or 3) or a batch of these, "
                f"not {images.shape}."
            )
        if not len(batch):
            return np.zeros((*batch.shape[:3], 3), np.uint8)
        rgb = self._colorize(tf.constant(batch)).numpy()
        return rgb[0] if single else rgb

    def colorize_file(
        self, source: str | Path, destination: str | Path, *, overwrite: bool = False
    ) -> Path:
        """Colourizes an image file into another.

        Args:
            source: any image that Pillow reads; never changed.
            destination: written whole or not at all; its suffix is the format.
            overwrite: replace an existing destination (but never the source).

        Returns:
            `destination`.

        Raises:
            ColorizerError: an unreadable source, an unknown format, or a file in the way.
        """
        source, destination = Path(source), Path(destination)
        if destination.suffix.lower() not in _FORMATS:
            raise ColorizerError(
                f"{destination}: unknown image format {destination.suffix!r}. Use one of "
                f"{', '.join(_FORMATS)}."
            )
        image = read_image(source)
        if destination.exists():
            if destination.samefile(source):
                raise ColorizerError(f"{destination} is the input itself: choose another output.")
            if not overwrite:
                raise ColorizerError(
                    f"{destination} exists already: use --overwrite to replace it."
                )
        from PIL import Image

        colored = Image.fromarray(self(image))
        options = {"quality": 95} if destination.suffix.lower() in (".jpg", ".jpeg") else {}
        with replacing(destination) as temporary:
            colored.save(temporary, **options)
        return destination


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image file as uint8 (height, width, 3) RGB, EXIF orientation applied.

    Raises:
        ColorizerError: missing, empty, truncated, or not an image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    if not path.exists():
        raise ColorizerError(f"{path} does not exist.")
    if not path.is_file():
        raise ColorizerError(f"{path} is not a file.")
    if path.stat().st_size == 0:
        raise ColorizerError(f"{path} is empty.")
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode.startswith("I;16") or image.mode == "I":
                image = Image.fromarray((np.asarray(image) / 256).clip(0, 255).astype(np.uint8))
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError as error:
        raise ColorizerError(f"{path} is not an image that can be read.") from error
    except Image.DecompressionBombError as error:
        raise ColorizerError(f"{path} is too large to open safely: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ColorizerError(f"{path} cannot be read: {error}.") from error


def _load_saved_model(path: Path) -> Callable[[tf.Tensor], tf.Tensor]:
    try:
        loaded = tf.saved_model.load(str(path))
        function = loaded.signatures["serving_default"]
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise ColorizerError(f"{path} is not a SavedModel that can be loaded: {error}") from error
    ((_, keywords),) = [function.structured_input_signature]
    (key,) = keywords
    return _KeepAlive(loaded, lambda images: next(iter(function(**{key: images}).values())))


class _KeepAlive:
    """A function and the object whose variables it uses."""

    def __init__(self, owner: object, function: Callable) -> None:
        self.owner, self.function = owner, function

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return self.function(images)


def _load_keras(path: Path) -> keras.Model:
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ColorizerError(f"{path} is not a Keras model that can be loaded: {error}") from error


def _wrap(generator: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    network, multiple = any_size(generator), generator.input_shape[1] or 32
    return tf.function(
        lambda images: colorize_images(images, network, multiple, multiple),
        input_signature=[tf.TensorSpec([None, None, None, None], tf.uint8)],
    )
