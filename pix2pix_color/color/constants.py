"""The constants of sRGB and CIE Lab, with scikit-image's digits because it is the oracle."""

# skimage.color.xyz_from_rgb (sRGB primaries, D65) and the D65 2-degree white point.
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_FROM_XYZ = (
    (3.240481342, -1.537151516, -0.498536326),
    (-0.969254950, 1.875990001, 0.041555927),
    (0.055646640, -0.204041338, 1.057311069),
)
WHITE = (0.95047, 1.0, 1.08883)
EPSILON = 0.008856  # below it, Lab replaces the cube root by a line; skimage's rounded value
LINEAR_OF_LEVEL = tuple(
    level / 255 / 12.92 if level / 255 <= 0.04045 else ((level / 255 + 0.055) / 1.055) ** 2.4
    for level in range(256)
)

CHROMA_SCALE = 128.0
"""The networks' target is (a, b) divided by this."""

CHROMA_BIN = 10
"""Side of a bin of the ab plane, in CIE Lab units (Zhang et al. 2016)."""
CHROMA_LIMIT = 110
"""The bins cover -CHROMA_LIMIT to CHROMA_LIMIT in a and b."""

BISECTIONS = 14  # enough that the remaining error is far below an 8-bit level
# The sRGB gamut in linear light, a hundredth of a level wider than [0, 1] so that rounding does
# not put gray and white outside.
DARKEST, LIGHTEST = -1e-5, 1.0 + 1e-4
