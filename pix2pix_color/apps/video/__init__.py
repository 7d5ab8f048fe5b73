"""Colorizes videos with `colorize_video`, through PyAV (the extra `[video]`).

`reading` decodes frames, `smoothing` prevents flicker, `writing` encodes segments and joins them
with the original audio and subtitles, and `job` runs the whole and resumes interrupted work.
Importing this package loads neither PyAV nor TensorFlow.
"""

from .formats import OUTPUT_EXTENSIONS, VIDEO_EXTENSIONS
from .job import colorize_video

__all__ = ["OUTPUT_EXTENSIONS", "VIDEO_EXTENSIONS", "colorize_video"]
