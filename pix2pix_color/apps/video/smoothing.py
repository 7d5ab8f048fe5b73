"""Prevents flicker: each frame's chroma is blended with that of the frames before it.

A network that colorizes frames independently gives the same wall a different tint in each one,
because noise and grain differ. Chroma is smoothed at the network's low resolution, where it costs
almost nothing:

    chroma[t] = weight * chroma[t - 1] + (1 - weight) * predicted[t]

This is an exponential moving average whose weight depends on the lightness of each pixel. Where
something moved, old colors would trail behind as ghosts, so the weight falls to 0; after a cut it
is 0 everywhere. Lightness is averaged along with the chroma, so that slow changes count as much as
fast ones, and its median change is subtracted first, so that old film with flickering exposure is
smoothed too.
"""

from __future__ import annotations

import numpy as np

__all__ = ["ChromaSmoother"]

_MOVED = 6.0  # change of L at which a pixel's weight falls to 1/e
_CUT = 0.35  # mean change of L relative to both frames' contrast; unrelated frames exceed 0.56
_CONTRAST = 4.0  # minimum contrast (L), so that noise in black frames is not a cut
_REFERENCE_RATE = 25.0  # frames per second to which `smoothing` refers


class ChromaSmoother:
    """Smooths the chroma of successive frames.

    Args:
        smoothing: weight of the previous colors where nothing moves, from 0 (no smoothing) to 1,
            at 25 frames per second. At other rates the same weight remains after the same time.

    Attributes:
        state: what the next frame depends on; assign it to another smoother to resume there.
    """

    def __init__(self, smoothing: float = 0.8) -> None:
        self.smoothing = smoothing
        self.state: dict[str, np.ndarray] = {}

    def __call__(self, chroma: np.ndarray, lightness: np.ndarray, seconds: float) -> np.ndarray:
        """Returns the smoothed chroma of the next frame.

        Args:
            chroma: float32 (rows, columns, 2), as predicted.
            lightness: float32 (rows, columns, 1), L in [0, 100], at the same size.
            seconds: time of the frame; later than the previous frame's.
        """
        before, mean_lightness = self.state, lightness
        if before:
            weight = self._weight(lightness, seconds)
            chroma = weight * before["chroma"] + (1 - weight) * chroma
            mean_lightness = weight * before["mean_lightness"] + (1 - weight) * lightness
        self.state = {
            "chroma": chroma.astype(np.float32),
            "mean_lightness": mean_lightness.astype(np.float32),
            "lightness": lightness.astype(np.float32),
            "seconds": np.float64(seconds),
        }
        return self.state["chroma"]

    def _weight(self, lightness: np.ndarray, seconds: float) -> np.ndarray | float:
        before = self.state
        if is_cut(before["lightness"], lightness):
            return 0.0
        change = lightness - before["mean_lightness"]
        change = change - np.median(change)
        frames = (seconds - float(before["seconds"])) * _REFERENCE_RATE
        return np.float32(self.smoothing**frames) * np.exp(-np.square(change / _MOVED))


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Returns whether two frames, given by their lightness (L, 0-100), show different scenes."""
    contrast = float(before.std() + after.std()) + _CONTRAST
    return float(np.abs(after - before).mean()) > _CUT * contrast
