"""Color hints and palettes: what a person says about the colors of a picture.

A hint gives the color of a place (`Hints`), a palette those of a reference image (`palette_of`).
Only generators of kind `pretrained` take them (Zhang et al. 2017, "Real-time user-guided image
colorization with learned deep priors"). A `PreparedImage` has been seen by the encoder of one:
other hints for it take the decoder alone.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from . import color, metrics
from .config import CHROMA_STRIDE, PALETTE
from .errors import ColorizerError, in_words
from .inference import apply_chroma

if TYPE_CHECKING:
    import keras

    from .config import Config

__all__ = ["GuidedNetwork", "Hint", "Hints", "PreparedImage", "compiled", "hint_grid", "palette_of"]

_REACH = 1  # cells around a hint's own: training shows squares of one to three
_NEARLY_GRAY = 5.0  # in units of CIE Lab
_PALETTE_SIDE = 64  # cells of the shorter side: colors of a place, as in training, not of a grain
_MOST_BYTES = 1 << 20  # of a hints file
_FORM = '{"size": [width, height], "hints": [{"x": 0, "y": 0, "color": "#rrggbb"}]}'


class Hint(NamedTuple):
    """A pixel of the picture, and the color of what is there, such as `"#1f4fa0"`.

    Only hue and chroma of the color count; the lightness stays the picture's.
    """

    x: int
    y: int
    color: str


@dataclasses.dataclass(frozen=True)
class Hints:
    """Hints, in order, for a picture of a size (width, height), or of any size.

    Raises:
        ColorizerError: a point is no `Hint` nor a tuple like one, or its color cannot be read.
    """

    points: tuple[Hint, ...] = ()
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(map(_checked, self.points)))

    @classmethod
    def of(cls, hints: Hints | Iterable[tuple[int, int, str]]) -> Hints:
        """Returns `Hints` as they are, and others as `Hints`."""
        return hints if isinstance(hints, cls) else cls(tuple(hints))

    @classmethod
    def read(cls, path: str | Path) -> Hints:
        """Reads a file that holds what `to_json` returns; anything else is a `ColorizerError`."""
        try:
            with open(path, "rb") as file:
                content = json.loads(file.read(_MOST_BYTES))
            width, height = map(operator.index, content["size"])
            points = [(hint["x"], hint["y"], hint["color"]) for hint in content["hints"]]
        except OSError as error:
            raise ColorizerError(f"The hints cannot be read: {in_words(error)}") from error
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ColorizerError(f"{path} is no hints file: it must hold {_FORM}.") from error
        return cls(points, (width, height))

    def to_json(self) -> str:
        """Returns the content of a hints file."""
        hints = [hint._asdict() for hint in self.points]
        return json.dumps({"size": self.size, "hints": hints}, indent=1) + "\n"

    def grid(self, height: int, width: int, shape: tuple[int, int]) -> tf.Tensor:
        """Returns the hints as a generator takes them; see `hint_grid`.

        Raises:
            ColorizerError: they are for a picture of another size, or one is outside it.
        """
        if self.size not in (None, (width, height)):
            raise ColorizerError(
                f"The hints are for a picture of {self.size[0]} x {self.size[1]} pixels, not of "
                f"{width} x {height}."
            )
        for x, y, _ in self.points:
            if not (0 <= x < width and 0 <= y < height):
                raise ColorizerError(
                    f"The hint at {x},{y} is outside the picture of {width} x {height} pixels."
                )
        points = np.array([hint[:2] for hint in self.points], np.int32).reshape(-1, 2)
        colors = [list(bytes.fromhex(hint.color[1:])) for hint in self.points]
        colors = np.array(colors, np.uint8).reshape(-1, 3)
        return hint_grid(points, colors, (height, width), shape)


def _checked(hint: tuple[int, int, str]) -> Hint:
    try:
        x, y, color = hint
        x, y = operator.index(x), operator.index(y)
    except (TypeError, ValueError) as error:
        raise ColorizerError(f'A hint is (x, y, "#rrggbb"), not {hint!r:.80}.') from error
    if not (isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color)):
        raise ColorizerError(
            f"The color of the hint at {x},{y} must be #rrggbb, such as #1f4fa0, not {color!r:.40}."
        )
    return Hint(x, y, color)


def hint_grid(
    points: tf.Tensor,
    colors: tf.Tensor,
    size: tuple[int, int] | tf.Tensor,
    shape: tuple[int, int] | tf.Tensor,
) -> tf.Tensor:
    """Returns hints on the grid in which a generator predicts chroma; also in a graph.

    A hint fills its cell and those around it. Where several fill a cell, the last one counts.

    Args:
        points: int32 (n, 2), x and y in pixels of the image.
        colors: uint8 (n, 3), RGB.
        size: (height, width) of the image.
        shape: (rows, columns) of what the network sees, multiples of 4.

    Returns:
        float32 (rows / 4, columns / 4, 3): (a, b) / 128, and 1 where there is a hint.
    """
    cells, size = tf.cast(shape, tf.int64) // CHROMA_STRIDE, tf.cast(size, tf.int64)
    places = tf.cast(points, tf.int64)[:, ::-1] * cells // size
    reach = tf.range(-_REACH, _REACH + 1, dtype=tf.int64)
    around = tf.reshape(tf.stack(tf.meshgrid(reach, reach), axis=-1), [-1, 2])
    places = tf.clip_by_value(places[:, None] + around, 0, cells - 1)
    numbers = places[..., 0] * cells[1] + places[..., 1]
    order = tf.broadcast_to(1 + tf.range(tf.shape(numbers)[0])[:, None], tf.shape(numbers))
    last = tf.math.unsorted_segment_max(order, numbers, cells[0] * cells[1])  # < 0: none
    chroma = color.split(colors)[1]
    values = tf.pad(tf.pad(chroma, [[0, 0], [0, 1]], constant_values=1.0), [[1, 0], [0, 0]])
    return tf.reshape(tf.gather(values, tf.maximum(last, 0)), [cells[0], cells[1], 3])


def palette_of(reference: np.ndarray) -> np.ndarray:
    """Returns the palette of a reference image (the global hints of Zhang et al. 2017).

    Args:
        reference: uint8 or uint16 (height, width, 1 or 3), any size.

    Returns:
        float32 (485,): the share of each bin of `metrics.chroma_histogram`, then 1.

    Raises:
        ColorizerError: the reference is gray, and so has no palette.
    """
    step = max(1, min(reference.shape[:2]) // (8 * _PALETTE_SIDE))
    pixels = reference[::step, ::step]
    lab = color.rgb_to_lab(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))[None]
    scale = min(1.0, _PALETTE_SIDE / min(pixels.shape[:2]))
    lab = tf.image.resize(lab, [max(1, round(scale * n)) for n in pixels.shape[:2]], "area")
    if tf.reduce_max(tf.abs(lab[..., 1:])) < _NEARLY_GRAY:
        raise ColorizerError("The reference image is gray: choose one in color.")
    counts = metrics.chroma_histogram(lab)[0].numpy()
    return np.append(counts / counts.sum(), np.float32(1))


@dataclasses.dataclass(frozen=True)
class GuidedNetwork:
    """A generator, from lightness (batch, rows, columns, 1) to chroma, with what guides it.

    Attributes:
        predict: the generator without guidance.
        encode, decode: the halves of one that takes it, as in a SavedModel: lightness to maps, and
            lightness, maps, hints and palettes to chroma.
        palette: from `palette_of`, for all images.
    """

    predict: Callable[..., tf.Tensor]
    encode: Callable[..., list[tf.Tensor]] | None = None
    decode: Callable[..., tf.Tensor] | None = None
    palette: np.ndarray | None = None

    @property
    def stride(self) -> int:
        """Side, in pixels, of the cells in which it predicts chroma."""
        return CHROMA_STRIDE if self.decode else 1

    @classmethod
    def of(cls, network: keras.Model, config: Config) -> GuidedNetwork:
        """Returns a generator from `any_size`, built for a configuration."""
        predict = compiled(lambda lightness: network(lightness, training=False))
        if config.generator.kind != "pretrained":
            return cls(predict)
        from .networks import split_generator

        encode, decode = split_generator(network)
        return cls(predict, encode, lambda _, maps, *guidance: decode([*maps, *guidance]))

    def __call__(
        self,
        lightness: np.ndarray,
        hints: tf.Tensor | None = None,
        maps: list[tf.Tensor] | None = None,
    ) -> np.ndarray:
        """Returns chroma; `hints` are (batch, rows / 4, columns / 4, 3), `maps` the encoder's."""
        if hints is None and self.palette is None:
            return self.predict(tf.constant(lightness)).numpy()
        batch, rows, columns, _ = lightness.shape
        lightness = tf.constant(lightness)
        if hints is None:
            hints = tf.zeros((batch, rows // CHROMA_STRIDE, columns // CHROMA_STRIDE, 3))
        palette = np.zeros(PALETTE, np.float32) if self.palette is None else self.palette
        palettes = tf.tile(palette[None], [batch, 1])
        maps = maps or self.encode(lightness)
        return self.decode(lightness, maps, hints, palettes).numpy()


def compiled(network: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a network as one graph for all sizes."""
    signature = [tf.TensorSpec([None, None, None, 1], tf.float32)]
    return tf.function(network, input_signature=signature, autograph=False)


@dataclasses.dataclass(frozen=True)
class PreparedImage:
    """An image of a size (height, width), and its lightness (rows, columns, 1) for the network."""

    network: GuidedNetwork
    size: tuple[int, int]
    lightness: np.ndarray

    @functools.cached_property
    def _maps(self) -> list[tf.Tensor]:
        return self.network.encode(tf.constant(self.lightness[None]))

    def color(
        self,
        image: np.ndarray,
        hints: Hints | Iterable[tuple[int, int, str]] = (),
        strength: float = 1.0,
        threads: int | None = None,
    ) -> np.ndarray:
        """Colors the image, (height, width, 1 or 3), or a copy of it of another size.

        The other arguments, the result and the errors are those of `Colorizer.__call__`; hints
        are in pixels of the image that was prepared.
        """
        hints, guidance = Hints.of(hints), ()
        if hints.points or hints.size:
            grid = hints.grid(*self.size, self.lightness.shape[:2])
            guidance = (grid[None], self._maps) if hints.points else ()
        chroma = self.network(self.lightness[None], *guidance)[0]
        stride = self.network.stride
        return apply_chroma(image, self.lightness, chroma, strength, threads, stride)
