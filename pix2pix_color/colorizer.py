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
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import tensorflow as tf

from .config import Config
from .errors import ColorizerError, ModelError
from .files import DEFAULT_MODEL
from .image_files import ImageFile, read_frames, write_image_file
from .inference import (
    MAX_RENDER_SIZE,
    any_size,
    apply_chroma,
    read_weights,
    shrink_lightness,
    working_shape,
)
from .model_folder import ModelFolder

if TYPE_CHECKING:
    import keras

__all__ = ["Colorizer", "check_settings"]

MAX_STRENGTH = 4.0
"""The largest color strength: more gives no color that sRGB can show."""


def check_settings(multiple: int, render_size: int | None, strength: float) -> None:
    """Checks the settings of `Colorizer.__call__` for a model's `multiple`.

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
        model: the folder that it was loaded from.
        multiple: every render size is a multiple of it: the size of the training images.
        render_size: the model's default render size.
        vividness: where the model's dial stands, from 0 (faithful) to 1 (vivid); `None` for a
            model without a dial.
    """

    def __init__(
        self,
        model: ModelFolder,
        predict: Callable[[tf.Tensor], tf.Tensor],
        *,
        multiple: int = 32,
        render_size: int | None = None,
        vividness: float | None = None,
        at_vividness: Callable[[float], Callable] | None = None,
    ) -> None:
        self.model, self._predict, self._at_vividness = model, predict, at_vividness
        self.multiple, self.render_size = multiple, render_size or multiple
        self.vividness = vividness

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_MODEL, *, verify: bool = True) -> Colorizer:
        """Loads a model.

        Args:
            name_or_path: the name of a shipped model, or the path of a run (from its first
                checkpoint on), of an exported folder, or of a SavedModel.
            verify: compare the files with their `SHA256SUMS` if there is one.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
            ChecksumError: a shipped file is missing or was changed.
        """
        model = ModelFolder(name_or_path)
        if verify:
            model.verify()
        if model.saved_model is not None:
            return _load_saved_model(model)
        generator = model.generator()
        network = any_size(generator)
        predict = tf.function(
            lambda lightness: network(lightness, training=False),
            input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)],
        )
        return cls(model, predict, multiple=generator.input_shape[1] or 32)

    @property
    def name(self) -> str:
        """The model's name or path, as given."""
        return self.model.name

    @property
    def config(self) -> Config | None:
        """The run's configuration, if the folder has one."""
        return self.model.config

    def at_vividness(self, vividness: float) -> Colorizer:
        """Returns the same model with its dial at another position.

        Args:
            vividness: from 0, the most faithful colors, to 1, the most vivid ones.

        Raises:
            ColorizerError: the model has no dial, or the vividness is out of range.
        """
        if self._at_vividness is None:
            raise ColorizerError(f"The model {self.name} has no vividness dial.")
        if not 0.0 <= vividness <= 1.0:
            raise ColorizerError(f"The vividness must be from 0 to 1, not {vividness}.")
        return Colorizer(
            self.model,
            self._at_vividness(float(vividness)),
            multiple=self.multiple,
            render_size=self.render_size,
            vividness=float(vividness),
            at_vividness=self._at_vividness,
        )

    @functools.cached_property
    def generator(self) -> keras.Model:
        """The Keras generator, from lightness (L, 0-100) to chroma ((a, b) / 128).

        If the model has a dial, at its present position.

        Raises:
            ModelError: the model is a SavedModel alone, without its configuration.
        """
        return self.model.generator(1.0 if self.vividness is None else self.vividness)

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
                `multiple`; the default is the model's own. Larger sizes resolve smaller objects
                at the cost of context.
            strength: color strength: 0 keeps the image gray, 1 is what the model predicts; up
                to 4.
            threads: number of threads per image; the default is the number of cores.

        Returns:
            RGB of the same type, (height, width, 3) or (batch, height, width, 3). Its L equals the
            input's within one 8-bit level, and an image's colors do not depend on the batch.

        Raises:
            ColorizerError: wrong type or shape, or a setting out of range.
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
        """Predicts chroma for a batch, at the network's working size.

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
        """Colors a batch of images, at full size, with chroma from `predict_chroma`.

        Args:
            images: uint8 or uint16 (batch, height, width, 1 or 3).
            chroma: float32 (batch, rows, columns, 2), (a, b) / 128.
            strength: as in `__call__`.

        Returns:
            RGB (batch, height, width, 3) of the same type.

        Raises:
            ColorizerError: as in `__call__`, or not one chroma map per image.
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
        first: bool = False,
        strict: bool = False,
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
            first: only the first frame of an animation or page of a TIFF. Otherwise all are
                colorized, each by itself, where the output format can hold them.
            strict: refuse a truncated source instead of colorizing what is there.

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
        settings = {"render_size": render_size, "threads": threads}

        def colorized(image: ImageFile) -> tuple[ImageFile, np.ndarray]:
            rgb = self(image.pixels, strength=strength, **settings)
            if compare:
                gray = self(image.pixels, strength=0.0, **settings)
                rgb = np.concatenate([gray, rgb], axis=1)
                image = dataclasses.replace(image, pixels=rgb, alpha=None)
            return image, rgb

        frames = read_frames(source, strict=strict)
        image = next(frames)
        others = map(colorized, frames) if image.frames > 1 and not first else ()
        write_image_file(*colorized(image), destination, format=format, others=others)
        return Path(destination) if is_path else None


def _is_same_file(source: str | Path | BinaryIO, destination: str | Path) -> bool:
    is_path = isinstance(source, str | os.PathLike)
    return is_path and os.path.exists(source) and os.path.samefile(source, destination)


def _load_saved_model(model: ModelFolder) -> Colorizer:
    """Returns a colorizer that has cast, and mixed, the model's weights once and for all."""
    path = model.saved_model
    try:
        loaded = tf.saved_model.load(str(path))
        multiple, render_size = int(loaded.multiple), int(loaded.render_size)
        loaded.predict, loaded.generator  # noqa: B018  fails here if the model is another's
    except (OSError, KeyError, ValueError, AttributeError, tf.errors.OpError) as error:
        raise ModelError(f"{path} is not a SavedModel that can be loaded: {error}") from error
    vividness = float(loaded.vividness) if hasattr(loaded, "vividness") else None

    def at(*vividness: float) -> Callable[[tf.Tensor], tf.Tensor]:
        weights = read_weights(loaded.generator, *vividness)
        return tf.function(
            lambda lightness: loaded.predict(weights, lightness),
            input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)],
            autograph=False,
        )

    return Colorizer(
        model,
        at() if vividness is None else at(vividness),
        multiple=multiple,
        render_size=render_size,
        vividness=vividness,
        at_vividness=None if vividness is None else at,
    )
