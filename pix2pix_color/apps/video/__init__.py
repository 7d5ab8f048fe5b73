"""Colorizes films: `colorize_video`, through PyAV (the extra `video`).

`reading` decodes frames, `smoothing` keeps colors from flickering, `writing` encodes segments
and joins them with the film's own sound and subtitles, `job` leads, and goes on with what was
interrupted. Importing this package loads neither PyAV nor TensorFlow.
"""

from .formats import OUTPUT_EXTENSIONS, VIDEO_EXTENSIONS
from .job import colorize_video
from .smoothing import flicker

__all__ = ["OUTPUT_EXTENSIONS", "VIDEO_EXTENSIONS", "colorize_video", "flicker"]
