"""The numbers of sRGB and CIE Lab, the same digits as scikit-image, because it is the oracle."""

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
EPSILON = 0.008856  # below it the cube root becomes a line; skimage's rounded value
LINEAR_OF_LEVEL = tuple(
    level / 255 / 12.92 if level / 255 <= 0.04045 else ((level / 255 + 0.055) / 1.055) ** 2.4
    for level in range(256)
)

CHROMA_SCALE = 128.0
"""What a and b are divided by to become the networks' target."""

CHROMA_BIN = 10
"""Side of a bin of the ab plane, in units of CIE Lab (Zhang et al. 2016)."""
CHROMA_LIMIT = 110
"""Where the bins end, each way."""

BISECTIONS = 14  # so fine that rounding elsewhere cannot move a color by an 8-bit level
# What still counts as shown by sRGB, in linear light: a hundredth of a level more than
# [0, 1], which forgives the rounding of gray and white.
DARKEST, LIGHTEST = -1e-5, 1.0 + 1e-4
