"""Color spaces and value ranges: the only code that knows them.

RGB is sRGB, float in [0, 1] (uint8 or uint16 only at the edges). Lab is CIE 1976 L*a*b* under D65
with the 2-degree observer, as in scikit-image: lightness L in [0, 100], a and b about -110 to 110.
The networks work on `lightness` (..., 1), which is L, and `chroma` (..., 2), which is (a, b) / 128,
about -1 to 1 (report, authors' code). The functions of `conversion` are TensorFlow operations; the
functions of `pixels` are the last step of inference on whole photographs, in NumPy.
"""

from .conversion import (
    CHROMA_BIN,
    CHROMA_LIMIT,
    CHROMA_SCALE,
    fit_chroma_to_gamut,
    lab_to_rgb,
    merge,
    rgb_to_lab,
    split,
    to_float,
    to_uint8,
)
from .pixels import color_pixels, pixel_lightness

__all__ = [
    "CHROMA_BIN",
    "CHROMA_LIMIT",
    "CHROMA_SCALE",
    "color_pixels",
    "fit_chroma_to_gamut",
    "lab_to_rgb",
    "merge",
    "pixel_lightness",
    "rgb_to_lab",
    "split",
    "to_float",
    "to_uint8",
]
