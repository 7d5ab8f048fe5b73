"""Colors that do not flicker: each frame's chroma is blended with the frames' before it.

A network that colors frames one by one gives the same wall another tint in each, since noise
and grain differ. Chroma is smoothed on the network's small copy, where it costs nothing:

    chroma[t] = weight * chroma[t - 1] + (1 - weight) * predicted[t]

an exponential moving average. The weight is guided by the lightness, pixel by pixel: where the
picture moved, another thing is there now and its old colors would trail behind as ghosts, so
the weight falls to 0; after a cut it is 0 everywhere. Lightness is averaged along with the
chroma, so that a slow change counts as much as a fast one; and its median change is taken out
first, so that old film whose exposure flickers is smoothed too.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["ChromaSmoother", "flicker"]

_MOVED = 6.0  # change of L at which a pixel's weight has fallen to 1/e
_CUT = 0.35  # mean change of L, by the contrast of both frames; unrelated frames: 0.56 and more
_CONTRAST = 4.0  # least contrast (of L): noise in black frames is no cut
_REFERENCE_RATE = 25.0  # frames a second for which `smoothing` is stated
_SAME = 2.0  # change of L that the eye hardly sees


class ChromaSmoother:
    """Smooths the chroma of frames, one after the other.

    Args:
        smoothing: how much of the colors before is kept where nothing moves, from one frame
            of 25 a second to the next, from 0 (nothing) to 1 (all). Other frame rates keep as
            much in the same time.
    """

    def __init__(self, smoothing: float = 0.8) -> None:
        self.smoothing = smoothing
        self._state: dict[str, np.ndarray] = {}

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What the next frame depends on; assign it to another smoother to go on there."""
        return dict(self._state)

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        self._state = dict(state)

    def __call__(self, chroma: np.ndarray, lightness: np.ndarray, seconds: float) -> np.ndarray:
        """Returns the smoothed chroma of the next frame.

        Args:
            chroma: float32 (rows, columns, 2), as predicted.
            lightness: float32 (rows, columns, 1), L in [0, 100], at the same size.
            seconds: the frame's time; never less than the frame's before.
        """
        before, mean_lightness = self._state, lightness
        if before and before["chroma"].shape == chroma.shape:
            weight = self._weight(lightness, seconds)
            chroma = weight * before["chroma"] + (1 - weight) * chroma
            mean_lightness = weight * before["mean_lightness"] + (1 - weight) * lightness
        self._state = {
            "chroma": chroma.astype(np.float32),
            "mean_lightness": mean_lightness.astype(np.float32),
            "lightness": lightness.astype(np.float32),
            "seconds": np.float64(seconds),
        }
        return self._state["chroma"]

    def _weight(self, lightness: np.ndarray, seconds: float) -> np.ndarray | float:
        before = self._state
        if is_cut(before["lightness"], lightness):
            return 0.0
        change = lightness - before["mean_lightness"]
        change = change - np.median(change)
        frames = max(seconds - float(before["seconds"]), 0.0) * _REFERENCE_RATE
        kept = self.smoothing**frames if self.smoothing else 0.0
        return np.float32(kept) * np.exp(-np.square(change / _MOVED))


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Returns whether two frames' lightness (L, 0-100, any shape) shows different scenes."""
    contrast = float(before.std() + after.std()) + _CONTRAST
    return float(np.abs(after - before).mean()) > _CUT * contrast


def flicker(chroma: np.ndarray, lightness: np.ndarray | None = None) -> float:
    """Measures how much colors change from frame to frame where the picture does not.

    The mean distance in the (a, b) plane of CIE Lab between a pixel and the same pixel a frame
    later, over all pixels whose L changed by less than 2: real motion and cuts do not count.
    A just noticeable difference is about 2.3.

    Args:
        chroma: (frames, rows, columns, 2), (a, b) / 128.
        lightness: (frames, rows, columns, 1), L in [0, 100]; `None` counts every pixel.

    Returns:
        The mean, 0 or more; NaN for fewer than two frames or where everything moved.
    """
    from ...color import CHROMA_SCALE

    change = np.linalg.norm(np.diff(np.asarray(chroma, np.float64), axis=0), axis=-1)
    change *= CHROMA_SCALE
    if lightness is not None:
        still = np.abs(np.diff(np.asarray(lightness, np.float64)[..., 0], axis=0)) < _SAME
        change = change[still]
    return float(change.mean()) if change.size else math.nan
