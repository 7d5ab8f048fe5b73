"""Image files as users have them: any usual format and depth in, the same with colors out.

image = read_image_file("scan.tif")                      # sRGB pixels, upright
write_image_file(image, colorizer(image.pixels), "scan-color.tif")

What comes out of a file:

- **8 and 16 bits** stay what they are; 9 to 15 bits are stretched to 16. 32-bit and floating
  point samples have no defined black and white and are refused.
- **Colors are sRGB.** Pixels with another ICC profile are converted and the written file
  carries an sRGB profile; a file without a profile is taken as sRGB and stays without.
- **Orientation** is applied, and EXIF and XMP then say so; all else in them is kept, except
  the thumbnail (it would show the gray image). Resolution (dpi) is kept.
- **Alpha** is kept by PNG, TIFF and WebP. JPEG and BMP have none: what is transparent becomes
  white, with a warning. GIF knows only transparent or not.
- **Animations and documents**: the first frame, the first page.
- **GIF** has 256 colors, not enough for a colored image's luminance: what is read from a GIF
  is written as PNG unless a GIF is asked for.

Nothing here trusts a file: sizes are checked before pixels are decoded, and damage of any kind
is an `ImageFileError`.
"""

from .image_file import (
    FORMATS,
    MAX_PIXELS,
    SUFFIXES,
    ImageFile,
    ImageFileWarning,
    output_suffix,
)
from .reading import read_image_file
from .writing import write_image_file

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageFile",
    "ImageFileWarning",
    "output_suffix",
    "read_image_file",
    "write_image_file",
]
