"""Colorizes arrays and files with a trained model, shipped or your own.

colorizer = Colorizer.load()
rgb = colorizer(gray)                                # uint8 or uint16, any size
colorizer.colorize_file("gray.png", "color.png")
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import tensorflow as tf

from .config import Config
from .errors import ColorizerError, ModelError
from .files import DEFAULT_MODEL
from .hints import GuidedNetwork, Hints, PreparedImage, compiled, palette_of
from .image_files import ImageFile, read_frames, write_image_file
from .inference import (
    any_size,
    apply_chroma,
    render_sizes,
    shrink_lightness,
    size_multiple,
    training_size,
    working_shape,
)
from .model_folder import ModelFolder

if TYPE_CHECKING:
    import keras

__all__ = ["Colorizer", "check_settings"]

MAX_STRENGTH = 4.0
"""The largest color strength: more gives no color that sRGB can show."""


def check_settings(
    multiple: int,
    render_size: int | None = None,
    strength: float = 1.0,
    vividness: float | None = None,
) -> None:
    """Checks the settings of `Colorizer.__call__` and its dial for a model's `multiple`.

    Raises:
        ColorizerError: a setting out of range.
    """
    sizes = render_sizes(multiple)
    if render_size is not None and render_size not in sizes:
        raise ColorizerError(
            f"The render size must be a multiple of {multiple} from {multiple} to {sizes[-1]}, "
            f"not {render_size}."
        )
    if not (math.isfinite(strength) and 0 <= strength <= MAX_STRENGTH):
        raise ColorizerError(f"The strength must be from 0 to {MAX_STRENGTH:g}, not {strength}.")
    if vividness is not None and not 0.0 <= vividness <= 1.0:
        raise ColorizerError(f"The vividness must be from 0 to 1, not {vividness}.")


class Colorizer:
    """A loaded model. Make one with `Colorizer.load`.

    Attributes:
        model: the folder that it was loaded from.
        name: its name or path, as given.
        multiple: every render size is a multiple of it.
        render_size: the model's default render size.
        vividness: where the model's dial stands, from 0 (faithful) to 1 (vivid); `None` for a
            model without a dial.
    """

    def __init__(self, model: ModelFolder) -> None:
        model.verify()
        self.model, self.name, self.vividness = model, model.name, None
        if model.saved_model is None:
            generator = model.generator()
            self.multiple, self.render_size = size_multiple(generator), training_size(generator)
            self._network = GuidedNetwork.of(any_size(generator), model.config)
            return
        try:
            self._loaded = loaded = tf.saved_model.load(str(model.saved_model))
            self.multiple, self.render_size = int(loaded.multiple), int(loaded.render_size)
            if hasattr(loaded, "vividness"):
                self.vividness = float(loaded.vividness)
            self._network = self._at(self.vividness)
        except (OSError, KeyError, ValueError, AttributeError, tf.errors.OpError) as error:
            raise ModelError(
                f"{model.saved_model} is not a SavedModel that can be loaded: {error}"
            ) from error

    def _at(self, vividness: float | None) -> GuidedNetwork:
        """Returns the network with its weights cast, and mixed, once and for all."""
        loaded = self._loaded

        # As `loaded.weights` does, but without a graph, whose first call takes far longer.
        def read(pack: Any) -> tuple[list[tf.Tensor], tf.Tensor]:
            kernels = [tf.cast(kernel, tf.float32) for kernel in pack.kernels]
            return kernels, tf.identity(pack.vectors)

        learned, frozen = read(loaded.generator.learned), read(loaded.generator.frozen)
        if vividness not in (None, 1.0):
            learned = tf.nest.map_structure(
                lambda stable, vivid: (1.0 - vividness) * stable + vividness * vivid,
                read(loaded.generator.stable),
                learned,
            )
        weights = learned, frozen
        halves = [getattr(loaded, half, None) for half in ("encode", "decode")]
        return GuidedNetwork(
            compiled(lambda lightness: loaded.predict(weights, lightness)),
            *(half and functools.partial(half, weights) for half in halves),
        )

    @property
    def takes_hints(self) -> bool:
        """Whether the model takes hints and a reference image."""
        return self._network.decode is not None

    def require_hints(self) -> None:
        """Raises a `ColorizerError` unless the model takes hints and a reference image."""
        if not self.takes_hints:
            raise ColorizerError(
                f"The model {self.name} takes neither hints nor a reference image: use photo, "
                "which does."
            )

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_MODEL) -> Colorizer:
        """Loads a model.

        Args:
            name_or_path: the name of a shipped model, or the path of a run (from its first
                checkpoint on), of an exported folder, or of a SavedModel.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
            ChecksumError: a shipped file is missing or was changed.
        """
        return cls(ModelFolder(name_or_path))

    @property
    def config(self) -> Config:
        """The run's configuration, which a SavedModel alone does not have (`ModelError`)."""
        return self.model.config

    def at_vividness(self, vividness: float) -> Colorizer:
        """Returns the same model with its dial at another position.

        Args:
            vividness: from 0, the most faithful colors, to 1, the most vivid ones.

        Raises:
            ColorizerError: the model has no dial, or the vividness is out of range.
        """
        if self.vividness is None:
            raise ColorizerError(f"The model {self.name} has no vividness dial.")
        check_settings(self.multiple, vividness=vividness)
        other = copy.copy(self)
        other.__dict__.pop("generator", None)  # at the dial's old position
        other.vividness = float(vividness)
        palette = self._network.palette
        other._network = dataclasses.replace(self._at(vividness), palette=palette)
        return other

    def like(self, reference: np.ndarray) -> Colorizer:
        """Returns the same model with the palette of a reference image.

        Args:
            reference: uint8 or uint16 RGB (height, width, 3), any size.

        Raises:
            ColorizerError: the model takes no reference image, or this one is gray or no image.
        """
        self.require_hints()
        self._check(reference[None], reference, None, 1.0)
        other = copy.copy(self)
        other._network = dataclasses.replace(self._network, palette=palette_of(reference))
        return other

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
        hints: Hints | Iterable[tuple[int, int, str]] = (),
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
            hints: colors of places of a single image, as (x, y, "#rrggbb") in its pixels.
            threads: number of threads per image; the default is the number of cores.

        Returns:
            RGB of the same type, (height, width, 3) or (batch, height, width, 3). Its L equals the
            input's within one 8-bit level, and an image's colors do not depend on the batch.

        Raises:
            ColorizerError: wrong type or shape, a setting out of range, or hints that cannot be
                used.
        """
        images, hints = np.asarray(images), Hints.of(hints)
        single = images.ndim in (2, 3)
        batch = images[None, :, :, None] if images.ndim == 2 else images[None] if single else images
        self._check(batch, images, render_size, strength)
        if hints.points:
            self.require_hints()
            if not single:
                raise ColorizerError("Hints are for a single image, not for a batch.")
        rgb = np.empty((*batch.shape[:3], 3), batch.dtype)
        for image, colored in zip(batch, rgb, strict=True):
            prepared = self.prepare(image, render_size=render_size, threads=threads)
            colored[:] = prepared.color(image, hints, strength, threads)
        return rgb[0] if single else rgb

    def prepare(
        self, image: np.ndarray, *, render_size: int | None = None, threads: int | None = None
    ) -> PreparedImage:
        """Returns an image that can be colored with other hints in a fraction of the time.

        Args:
            image: uint8 or uint16 (height, width, 1 or 3).
            render_size, threads: as in `__call__`.

        Raises:
            ColorizerError: wrong type or shape, or a render size out of range.
        """
        self._check(image[None], image, render_size, 1.0)
        size = image.shape[:2]
        shape = working_shape(*size, render_size or self.render_size, self.multiple)
        return PreparedImage(self._network, size, shrink_lightness(image, shape, threads))

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
            ColorizerError: a render size out of range.
        """
        check_settings(self.multiple, render_size)
        shape = working_shape(*lightness.shape[1:3], render_size or self.render_size, self.multiple)
        small = tf.image.resize(np.float32(lightness), shape, antialias=True)
        return self._network(small)

    def apply_chroma(
        self,
        images: np.ndarray,
        chroma: np.ndarray,
        strength: float = 1.0,
        *,
        lightness: np.ndarray | None = None,
    ) -> np.ndarray:
        """Colors a batch of images, at full size, with chroma from `predict_chroma`.

        Args:
            images: uint8 or uint16 (batch, height, width, 1 or 3).
            chroma: float32 (batch, rows, columns, 2), (a, b) / 128.
            strength: as in `__call__`.
            lightness: float32 (batch, rows, columns, 1), that of `images` at the size of `chroma`,
                by a caller that has it already.

        Returns:
            RGB (batch, height, width, 3) of the same type.

        Raises:
            ColorizerError: as in `__call__`.
        """
        self._check(images, images, None, strength)
        rgb = np.empty((*images.shape[:3], 3), images.dtype)
        if lightness is None:
            lightness = [shrink_lightness(image, chroma.shape[1:3]) for image in images]
        stride = self._network.stride
        for image, small, one, colored in zip(images, lightness, chroma, rgb, strict=True):
            colored[:] = apply_chroma(image, small, one, strength, stride=stride)
        return rgb

    def _check(
        self, batch: np.ndarray, given: np.ndarray, render_size: int | None, strength: float
    ) -> None:
        fits = batch.ndim == 4 and batch.shape[-1] in (1, 3) and 0 not in batch.shape[1:]
        if batch.dtype not in (np.uint8, np.uint16) or not fits:
            raise ColorizerError(
                "Images must be uint8 or uint16, (height, width), (height, width, 1 or 3) or a "
                f"batch of these, not {given.dtype} {given.shape}."
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
        hints: Hints | Iterable[tuple[int, int, str]] = (),
        threads: int | None = None,
    ) -> Path | None:
        """Colorizes one image file; an `ImageFileWarning` names what the output cannot keep.

        Args:
            source: a file that `image_files` reads, or an open binary file; never changed.
            destination: a path, which is written completely or not at all, or an open binary file.
            render_size, strength, hints, threads: as in `__call__`.
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
            ColorizerError: the destination exists, a setting is out of range, or the hints cannot
                be used.
            ImageFileError: the source cannot be read, the format is unknown, or the destination
                cannot be written.
            OSError: the disk is full.
        """
        check_settings(self.multiple, render_size, strength)
        is_path = isinstance(destination, str | os.PathLike)
        if is_path and os.path.exists(destination):
            is_file = isinstance(source, str | os.PathLike) and os.path.exists(source)
            if is_file and os.path.samefile(source, destination):
                raise ColorizerError(f"{destination} is the input itself: choose another output.")
            if not overwrite:
                raise ColorizerError(
                    f"{destination} exists already: use --overwrite to replace it."
                )
        settings, hints = {"render_size": render_size, "threads": threads}, Hints.of(hints)

        def colorized(image: ImageFile) -> tuple[ImageFile, np.ndarray]:
            rgb = self(image.pixels, strength=strength, hints=hints, **settings)
            if compare:
                gray = self(image.pixels, strength=0.0, **settings)
                rgb = np.concatenate([gray, rgb], axis=1)
                image = dataclasses.replace(image, pixels=rgb, alpha=None)
            return image, rgb

        frames = read_frames(source, strict=strict)
        image = next(frames)
        others = map(colorized, frames) if image.frames > 1 and not first else ()
        if others and hints.points:
            raise ColorizerError(f"Hints are for a single image: use --first for that of {source}.")
        write_image_file(*colorized(image), destination, format=format, others=others)
        return Path(destination) if is_path else None
