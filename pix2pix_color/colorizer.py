"""Colorizes arrays and files with a trained model, shipped or your own.

colorizer = Colorizer.load()
rgb = colorizer(gray)                                # uint8 or uint16, any size
colorizer.colorize_file("gray.png", "color.png")
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import tensorflow as tf

from .config import Config, nearest
from .errors import ColorizerError, ConfigError
from .files import DEFAULT_MODEL, shipped_folder, verify_checksums
from .image_files import read_image_file, write_image_file
from .inference import MAX_RENDER_SIZE, any_size, apply_chroma, shrink_lightness, working_shape

if TYPE_CHECKING:
    import keras

__all__ = ["Colorizer", "check_settings", "shipped_models"]

MAX_VIVIDNESS = 1.0
"""As in `interpolation`, which would load Keras; a test compares them."""

MAX_STRENGTH = 4.0
"""Of the colors: more than this is no color that sRGB shows."""


def shipped_models() -> list[str]:
    """Returns the names of the models that came with this package and colorize."""
    folder = shipped_folder()
    if not folder.is_dir():
        return []
    # The reference classifier lies beside them and has no generator.
    return sorted(p.name for p in folder.iterdir() if (p / "generator.keras").is_file())


def check_settings(multiple: int, render_size: int | None, strength: float) -> None:
    """Checks what `Colorizer.__call__` takes beside images, for a model's `multiple`.

    Raises:
        ColorizerError: a setting out of range.
    """
    largest = max(MAX_RENDER_SIZE // multiple, 1) * multiple
    if render_size is not None and not (0 < render_size <= largest and render_size % multiple == 0):
        raise ColorizerError(
            f"The render size must be a multiple of {multiple} from {multiple} to {largest}, "
            f"not {render_size}."
        )
    if not (math.isfinite(strength) and 0 <= strength <= MAX_STRENGTH):
        raise ColorizerError(f"The strength must be from 0 to {MAX_STRENGTH:g}, not {strength}.")


class Colorizer:
    """A loaded model. Make one with `Colorizer.load`.

    Attributes:
        name: what it was loaded as.
        folder: where its files lie; `None` for a lone SavedModel or `.keras` file.
        config: the run's configuration, where the folder has one.
        multiple: what a render size is a multiple of: the size of the training images.
        render_size: the model's own, which is used where none is given.
        vividness: where the model's dial stands, from 0 (faithful) to 1 (vivid); `None`: it has
            none.
    """

    def __init__(
        self,
        predict: Callable[..., tf.Tensor],
        name: str,
        folder: Path | None = None,
        config: Config | None = None,
        *,
        multiple: int = 32,
        render_size: int | None = None,
        vividness: float | None = None,
    ) -> None:
        self._predict = predict
        self.vividness = vividness
        self.name, self.folder, self.config = name, folder, config
        self.multiple, self.render_size = multiple, render_size or multiple

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_MODEL, *, verify: bool = True) -> Colorizer:
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
        sizes = {"multiple": config.data.image_size} if config else {}
        if (path / "saved_model").is_dir():
            predict, own = _load_saved_model(path / "saved_model")
            return cls(predict, name, path, config, **(sizes | own))
        if (path / "saved_model.pb").is_file():
            predict, own = _load_saved_model(path)
            return cls(predict, name, **own)
        keras_file = path if path.is_file() else path / "generator.keras"
        if keras_file.is_file():
            generator = _load_keras(keras_file)
            sizes = {"multiple": generator.input_shape[1] or 32}
            return cls(_wrap(generator), name, keras_file.parent, config, **sizes)
        raise ColorizerError(
            f"{path} is no model: expected a SavedModel, a .keras file, or a folder with "
            "saved_model/ or generator.keras (a run folder gets one when its training ends)."
        )

    def at_vividness(self, vividness: float) -> Colorizer:
        """Returns the same model with its dial elsewhere.

        Args:
            vividness: from 0, the most faithful colors, to 1, the most believable ones.

        Raises:
            ColorizerError: the model has no dial, or the vividness is out of range.
        """
        if self.vividness is None:
            raise ColorizerError(f"The model {self.name} has no dial of vividness.")
        if not 0.0 <= vividness <= MAX_VIVIDNESS:
            raise ColorizerError(
                f"The vividness must be from 0 to {MAX_VIVIDNESS:g}, not {vividness}."
            )
        sizes = {"multiple": self.multiple, "render_size": self.render_size}
        predict = functools.partial(self._predict, vividness=tf.constant(vividness, tf.float32))
        return Colorizer(
            predict, self.name, self.folder, self.config, **sizes, vividness=float(vividness)
        )

    @functools.cached_property
    def generator(self) -> keras.Model:
        """The Keras generator, from lightness (L, 0-100) to chroma ((a, b) / 128).

        Where the model has a dial, as it stands.

        Raises:
            ColorizerError: the model was loaded from a SavedModel alone.
        """
        if self.folder is None or not (self.folder / "generator.keras").is_file():
            raise ColorizerError(f"{self.name} comes without its Keras generator.")
        generator = _load_keras(self.folder / "generator.keras")
        if self.vividness is None or self.vividness == 1.0:
            return generator
        from .networks.interpolation import interpolate_generators

        initial = self.folder / "initial_generator.keras"
        if not initial.is_file():
            raise ColorizerError(f"{self.name} comes without the other end of its dial, {initial}.")
        return interpolate_generators(_load_keras(initial), generator, self.vividness)

    def __call__(
        self,
        images: np.ndarray,
        *,
        render_size: int | None = None,
        strength: float = 1.0,
        threads: int | None = None,
    ) -> np.ndarray:
        """Colorizes one image or a batch, of any size.

        Args:
            images: uint8 or uint16 (height, width), (height, width, 1 or 3) or
                (batch, height, width, 1 or 3), gray or RGB (whose luminance is used).
            render_size: shorter side, in pixels, of what the network sees, a multiple of
                `multiple`; the default is the model's own. Larger ones follow smaller things,
                as far as the model knows them.
            strength: of the colors: 0 none (the gray image), 1 the model's, up to 4.
            threads: that work on one image; the default is the number of cores.

        Returns:
            RGB of the same type, (height, width, 3) or (batch, height, width, 3). L is the
            input's within one 8-bit level, and an image is colored alone as it is among
            others.

        Raises:
            ColorizerError: another type or shape, or a setting out of range.
        """
        images = np.asarray(images)
        single = images.ndim in (2, 3)
        batch = images[None, :, :, None] if images.ndim == 2 else images[None] if single else images
        self._check(batch, images, render_size, strength)
        rgb = np.empty((*batch.shape[:3], 3), batch.dtype)
        for image, colored in zip(batch, rgb, strict=True):
            chroma = self._chroma_of(image, render_size, threads)
            colored[:] = apply_chroma(image, chroma, strength, threads)
        return rgb[0] if single else rgb

    def predict_chroma(
        self, lightness: np.ndarray, *, render_size: int | None = None
    ) -> np.ndarray:
        """Returns what the network sees in a batch of lightness, on its small copy.

        Args:
            lightness: float32 (batch, height, width, 1), L in [0, 100], any size.
            render_size: as in `__call__`.

        Returns:
            float32 (batch, rows, columns, 2), (a, b) / 128.

        Raises:
            ColorizerError: another shape, or a render size out of range.
        """
        lightness = np.asarray(lightness, np.float32)
        if lightness.ndim != 4 or lightness.shape[-1] != 1 or 0 in lightness.shape[1:]:
            raise ColorizerError(
                f"Lightness must be (batch, height, width, 1), not {lightness.shape}."
            )
        check_settings(self.multiple, render_size, 1.0)
        shape = working_shape(*lightness.shape[1:3], render_size or self.render_size, self.multiple)
        small = tf.image.resize(lightness, shape, antialias=True)
        return self._predict(small).numpy()

    def apply_chroma(
        self, images: np.ndarray, chroma: np.ndarray, strength: float = 1.0
    ) -> np.ndarray:
        """Gives a batch of images the colors of `predict_chroma`, at their full size.

        Args:
            images: uint8 or uint16 (batch, height, width, 1 or 3).
            chroma: float32 (batch, rows, columns, 2), (a, b) / 128.
            strength: as in `__call__`.

        Returns:
            RGB (batch, height, width, 3) of the same type.

        Raises:
            ColorizerError: as in `__call__`, or not a chroma an image.
        """
        images = np.asarray(images)
        self._check(images, images, None, strength)
        if chroma.ndim != 4 or chroma.shape[-1] != 2 or len(chroma) != len(images):
            raise ColorizerError(
                f"Chroma must be ({len(images)}, rows, columns, 2), not {chroma.shape}."
            )
        pairs = zip(images, chroma, strict=True)
        results = [apply_chroma(image, one, strength) for image, one in pairs]
        return np.stack(results) if results else np.empty((*images.shape[:3], 3), images.dtype)

    def _chroma_of(
        self, image: np.ndarray, render_size: int | None, threads: int | None
    ) -> np.ndarray:
        size = render_size or self.render_size
        shape = working_shape(*image.shape[:2], size, self.multiple)
        small = shrink_lightness(image, shape, threads)
        return self._predict(tf.constant(small[None])).numpy()[0]

    def _check(
        self, batch: np.ndarray, given: np.ndarray, render_size: int | None, strength: float
    ) -> None:
        if batch.dtype not in (np.uint8, np.uint16):
            raise ColorizerError(f"Images must be uint8 or uint16, not {batch.dtype}.")
        if batch.ndim != 4 or batch.shape[-1] not in (1, 3) or 0 in batch.shape[1:]:
            raise ColorizerError(
                "Images must be (height, width), (height, width, 1 or 3) or a batch of these, "
                f"not {given.shape}."
            )
        check_settings(self.multiple, render_size, strength)

    def colorize_file(
        self,
        source: str | Path | BinaryIO,
        destination: str | Path | BinaryIO,
        *,
        render_size: int | None = None,
        strength: float = 1.0,
        format: str | None = None,
        compare: bool = False,
        overwrite: bool = False,
        threads: int | None = None,
    ) -> Path | None:
        """Colorizes one image file; an `ImageFileWarning` names what the output cannot keep.

        Args:
            source: a file that `image_files` reads, or an open binary file; never changed.
            destination: a path, which is written completely or not at all, or an open binary file.
            render_size, strength, threads: as in `__call__`.
            format: a format's name or suffix; the default is the suffix of `destination`, and for
                an open file the format of `source` (PNG for a GIF).
            compare: write the gray image and the colorized one side by side.
            overwrite: replace an existing destination (but never the source).

        Returns:
            The path that was written; `None` for an open file.

        Raises:
            ColorizerError: the destination exists, or a setting is out of range.
            ImageFileError: the source cannot be read, the format is unknown, or the destination
                cannot be written.
            OSError: the disk is full.
        """
        check_settings(self.multiple, render_size, strength)
        is_path = isinstance(destination, str | os.PathLike)
        if is_path and os.path.exists(destination):
            if _is_same_file(source, destination):
                raise ColorizerError(f"{destination} is the input itself: choose another output.")
            if not overwrite:
                raise ColorizerError(
                    f"{destination} exists already: use --overwrite to replace it."
                )
        image = read_image_file(source)
        settings = {"render_size": render_size, "threads": threads}
        rgb = self(image.pixels, strength=strength, **settings)
        if compare:
            gray = self(image.pixels, strength=0.0, **settings)
            rgb = np.concatenate([gray, rgb], axis=1)
            image = dataclasses.replace(image, pixels=rgb, alpha=None)
        write_image_file(image, rgb, destination, format=format)
        return Path(destination) if is_path else None


def _is_same_file(source: str | Path | BinaryIO, destination: str | Path) -> bool:
    is_path = isinstance(source, str | os.PathLike)
    return is_path and os.path.exists(source) and os.path.samefile(source, destination)


def _load_saved_model(path: Path) -> tuple[Callable[..., tf.Tensor], dict[str, Any]]:
    """Returns the network, and the sizes and the dial that newer exports tell."""
    try:
        loaded = tf.saved_model.load(str(path))
        inputs = loaded.signatures["chroma"].structured_input_signature
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise ColorizerError(f"{path} is not a SavedModel that can be loaded: {error}") from error
    (key,) = inputs[1].keys() - {"vividness"}
    own = {n: int(getattr(loaded, n)) for n in ("multiple", "render_size") if hasattr(loaded, n)}
    dial = {}
    if hasattr(loaded, "vividness"):
        own["vividness"] = float(loaded.vividness)
        dial["vividness"] = tf.constant(own["vividness"])

    def predict(lightness: tf.Tensor, **moved: tf.Tensor) -> tf.Tensor:
        # By way of `loaded`, which a signature alone would not keep alive.
        found = loaded.signatures["chroma"](**{key: lightness, **dial, **moved})
        return next(iter(found.values()))

    return predict, own


def _load_keras(path: Path) -> keras.Model:
    import keras  # here, since a SavedModel does without it

    from .networks import layers  # noqa: F401  registers what a saved generator may hold

    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ColorizerError(f"{path} is not a Keras model that can be loaded: {error}") from error


def _wrap(generator: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    network = any_size(generator)
    return tf.function(
        lambda lightness: network(lightness, training=False),
        input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)],
    )
