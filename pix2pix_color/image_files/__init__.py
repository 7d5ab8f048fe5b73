"""Reads and writes the image files that users have, in any common format and depth.

image = read_image_file("scan.tif")                      # sRGB pixels, upright
write_image_file(image, colorizer(image.pixels), "scan-color.tif")

- **8 and 16 bits** are kept; 9 to 15 bits are stretched to 16, except in color Netpbm files, which
  are read in 8 bits. 32-bit and floating-point samples have no defined black and white and are
  refused.
- **Colors are sRGB.** Pixels with another ICC profile are converted, and the written file gets an
  sRGB profile; a file without a profile is assumed to be sRGB and stays without one.
- **Orientation** is applied and set to upright in EXIF and XMP, which are otherwise kept, except
  the thumbnail (it would show the gray image) and what is not text in the EXIF of a TIFF.
- **Alpha** is kept in PNG, TIFF and WebP, and resolution (dpi) where the format has it.
- **Animations and documents**: `read_image_file` reads the first frame or page, `read_frames` all.
- **HEIC, AVIF, Netpbm and JPEG 2000** are only read. The output is a JPEG for the first two, the
  formats of phone photographs, and a PNG for the others. HEIC needs the extra `heic`.
- **GIF** has 256 colors, too few to keep the luminance of a colorized image: the output for a GIF
  is a PNG, of an animation an animated one, unless a GIF is requested.

No file is trusted: sizes are checked before pixels are decoded, and damage of any kind is an
`ImageFileError`.
"""

from .folders import FolderContents, find_images, in_numbers
from .image_file import (
    FORMATS,
    MAX_PIXELS,
    OUTPUT_FORMATS,
    SUFFIXES,
    ImageFile,
    ImageFileWarning,
    is_output_name,
    output_suffix,
)
from .reading import read_frames, read_image_file
from .writing import write_image_file

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "OUTPUT_FORMATS",
    "SUFFIXES",
    "FolderContents",
    "ImageFile",
    "ImageFileWarning",
    "find_images",
    "in_numbers",
    "is_output_name",
    "output_suffix",
    "read_frames",
    "read_image_file",
    "write_image_file",
]
