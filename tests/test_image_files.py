"""Image files against Pillow, tifffile, TensorFlow's PNG decoder, NumPy and LittleCMS."""

from __future__ import annotations

import errno
import io
import os
import struct
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tensorflow as tf
import tifffile
from conftest import run_python
from mutations import BOMBS, WHOLE, exif_block, gray_tiff, png_chunk, smooth
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, TiffImagePlugin

from pix2pix_color import image_files
from pix2pix_color.errors import ImageFileError
from pix2pix_color.image_files import (
    FORMATS,
    ImageFile,
    ImageFileWarning,
    is_output_name,
    output_suffix,
    read_frames,
    read_image_file,
    write_image_file,
)

KEPT = (".jpg", ".jfif", ".tif", ".png", ".gif")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ADOBE_RGB = imagecodecs.cms_profile("adobergb")
DNG = (50706, "B", 4, (1, 4, 0, 0), True)
GRAY_18 = imagecodecs.cms_profile("gray", gamma=1.8)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def noise(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    return rng().integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def encoded(image: Image.Image, format: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    return io.BytesIO(file.getvalue())


def tiff(pixels: np.ndarray, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return io.BytesIO(file.getvalue())


def written(image: ImageFile, rgb: np.ndarray, format: str) -> io.BytesIO:
    file = io.BytesIO()
    write_image_file(image, rgb, file, format=format)
    return io.BytesIO(file.getvalue())


def with_alpha(image: ImageFile) -> np.ndarray:
    """Returns an image as RGBA."""
    rgb = np.broadcast_to(image.pixels, (*image.pixels.shape[:2], 3))
    alpha = image.alpha
    if alpha is None:
        alpha = np.full(rgb.shape[:2], np.iinfo(rgb.dtype).max, rgb.dtype)
    return np.concatenate([rgb, alpha[..., None]], axis=-1)


def by_others(content: bytes) -> np.ndarray:
    """Returns the RGBA pixels of a file, read by libraries that keep its depth."""
    if content.startswith(b"\x89PNG") and content[24] == 16:
        return tf.io.decode_png(content, channels=4, dtype=tf.uint16).numpy()
    if content[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            if file.pages.first.dtype == np.uint16:
                pixels = file.pages.first.asarray()
                planes = pixels.ndim == 3 and pixels.shape[0] == 3
                pixels = np.moveaxis(pixels, 0, -1) if planes else np.atleast_3d(pixels)
                alpha = pixels[..., 3] if pixels.shape[-1] == 4 else None
                return with_alpha(ImageFile(pixels[..., :3], alpha))
    with Image.open(io.BytesIO(content)) as image:
        profile = image.info.get("icc_profile")
        image = ImageOps.exif_transpose(image)
        if profile:
            image = ImageCms.profileToProfile(image, io.BytesIO(profile), io.BytesIO(SRGB))
        # Pillow goes from CMYK to RGBA by way of nothing useful.
        return np.asarray((image.convert("RGB") if image.mode == "CMYK" else image).convert("RGBA"))


# Reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_every_kind_of_file_is_read_as_others_read_it(kind, tmp_path):
    content = WHOLE[kind](rng())
    path = tmp_path / "image.dat"  # the content decides, not the name
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image_file(path)
        again = read_image_file(io.BytesIO(content))
    expected = by_others(content)
    ours = with_alpha(image)
    assert ours.dtype == expected.dtype == (np.uint16 if "16" in kind else np.uint8)
    # Two builds of libjpeg, or a rounding of CMYK, may differ by a level or two.
    tolerance = 2 if kind in ("tif-jpeg", "tif-cmyk", "jpg-cmyk") else 0
    np.testing.assert_allclose(ours.astype(int), expected.astype(int), atol=tolerance, rtol=0)
    is_gray = ("gray" in kind and not kind.startswith("gif")) or "bilevel" in kind
    assert image.pixels.shape[-1] == (1 if is_gray or kind == "tif-pages" else 3)
    assert (image.alpha is not None) == ("alpha" in kind or "transparent" in kind)
    assert "." + kind.split("-")[0] in FORMATS[image.format]
    assert image.pixels.flags.c_contiguous
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(ours, with_alpha(again))
    assert path.read_bytes() == content


def of_telephones(kind: str, stored: np.ndarray, orientation: int = 1) -> io.BytesIO:
    """Returns a lossless HEIC, or an AVIF."""
    picture, exif = Image.fromarray(stored), exif_block(orientation)
    if kind == "avif":
        return encoded(picture, "AVIF", quality=100, subsampling="4:4:4", exif=exif)
    file = io.BytesIO()
    pillow_heif.from_pillow(picture).save(file, quality=-1, chroma=444, exif=exif)
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize(("channels", "white"), [(1, 65535), (1, 1000), (3, 200)])
def test_netpbm_and_jpeg_2000_keep_their_depth(channels, white):
    """Kind of fault: a format that is left out, or read with fewer bits."""
    values = rng().integers(0, white + 1, (20, 30, channels))
    largest = 255 if white < 256 else 65535
    header = f"P{5 if channels == 1 else 6}\n# a comment\n30 20\n{white}\n".encode()
    body = values.astype(np.uint8 if white < 256 else ">u2").tobytes()
    plain = f"P{2 if channels == 1 else 3} 30 20 {white} ".encode()
    files = [header + body, plain + b" ".join(b"%d" % value for value in values.flat)]
    if white == 65535:
        gray = Image.fromarray(values[..., 0].astype(np.uint16))
        files.append(encoded(gray, "JPEG2000").getvalue())
    for content in files:
        image = read_image_file(io.BytesIO(content))
        assert image.pixels.dtype == (np.uint8 if white < 256 else np.uint16)
        np.testing.assert_allclose(image.pixels, values / white * largest, atol=1, rtol=0)
        with pytest.raises(ImageFileError, match="limit of 599"):
            read_image_file(io.BytesIO(content), max_pixels=599)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\x0a\x7f\x00", "its format is unknown or not supported"),  # JPEG XL
        (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\1\1\x11\0", "JPEGs of 12 bits are not"),
        (gray_tiff(8, 8, 34712, bytes(64)), "its compression or kind of colors is not supported"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "its format is unknown or not supported"),
        (tiff(np.zeros((8, 8), np.float32)).getvalue(), "type .float32. without a defined black"),
        (tiff(np.zeros((8, 8), np.int16)).getvalue(), "type .int16. without a defined black"),
        (tiff(np.zeros((8, 8), np.uint32)).getvalue(), "type .uint32. without a defined black"),
        (tiff(np.zeros((8, 8), np.uint8), extratags=[DNG]).getvalue(), "it is a camera's raw file"),
    ],
)
def test_what_is_not_supported_is_not_called_damaged(content, reason):
    with pytest.raises(ImageFileError, match=reason) as error:
        read_image_file(io.BytesIO(content))
    assert "damaged" not in str(error.value)


def test_a_tiff_of_twelve_bits_is_stretched_to_sixteen():
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    left, right = levels[:, ::2], levels[:, 1::2]  # three bytes hold two
    packed = np.stack([left >> 4, (left & 15) << 4 | right >> 8, right & 255], axis=-1)
    file = gray_tiff(64, 12, 1, packed.astype(np.uint8).tobytes())
    pixels = read_image_file(io.BytesIO(file)).pixels
    np.testing.assert_array_equal(pixels[..., 0], np.round(levels / 4095 * 65535))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white_is_inverted(dtype):
    levels = noise((30, 40), dtype)
    image = read_image_file(tiff(levels, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels[..., 0], np.iinfo(dtype).max - levels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_alpha_is_divided_out(dtype):
    white = np.iinfo(dtype).max
    rgb, alpha = noise((30, 40, 3), dtype), noise((30, 40), dtype)
    multiplied = np.round(rgb * (alpha[..., None] / white)).astype(dtype)
    pixels = np.concatenate([multiplied, alpha[..., None]], axis=-1)
    image = read_image_file(tiff(pixels, photometric="rgb", extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(image.alpha, alpha)
    error = np.abs(image.pixels.astype(float) - rgb)
    assert (error <= 0.5 * white / np.maximum(alpha, 1)[..., None] + 0.5)[alpha > 0].all()


# Orientation and EXIF -------------------------------------------------------------------------

UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: lambda a: np.rot90(a, 1),
}


ORIENTED = ["png", "png16", "jpeg", "webp", "tiff", "tiff16", "heic", "avif"]


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ORIENTED)
def test_orientation_is_applied_once(kind, orientation):
    stored = noise((20, 30, 3))
    picture = Image.fromarray(stored)
    exif = exif_block(orientation)
    if kind == "tiff16":
        stored = noise((20, 30, 3), np.uint16)
        file = tiff(stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    elif kind == "png16":
        stored = noise((20, 30, 3), np.uint16)
        plain, chunk = imagecodecs.png_encode(stored), png_chunk(b"eXIf", exif[6:])
        file = io.BytesIO(plain[:33] + chunk + plain[33:])
    elif kind in ("heic", "avif"):
        stored = smooth(rng(), 3)
        file = of_telephones(kind, stored, orientation)
    else:
        options = {"webp": {"lossless": True}, "jpeg": {"quality": 100}}.get(kind, {})
        file = encoded(picture, kind, exif=exif, **options)
        if kind == "jpeg":
            stored = np.asarray(Image.open(file))
            file.seek(0)
    image = read_image_file(file)
    tolerance = 6 if kind in ("heic", "avif") else 0  # their YCbCr has 8 bits
    expected = UPRIGHT[orientation](stored).astype(int)
    np.testing.assert_allclose(image.pixels, expected, atol=tolerance, rtol=0)
    out = written(image, image.pixels, "tiff" if kind.startswith("tiff") else "png")
    assert Image.open(out).getexif().get(0x0112, 1) == 1
    out.seek(0)
    np.testing.assert_array_equal(read_image_file(out).pixels, image.pixels)


def camera_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x010E] = orientation, "ACME", "A caption"
    camera, position = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    camera[0x9003], camera[0x927C] = "2001:02:03 04:05:06", b"a maker's note with offsets"
    camera[0x829A] = TiffImagePlugin.IFDRational(1, 250)
    position[1], position[2] = "N", (51.0, 30.0, 26.5)
    return exif.tobytes()


@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "tiff"])
def test_exif_is_carried_from_every_format_to_every_other(source, target):
    file = encoded(
        Image.fromarray(noise((20, 30, 3))), source, exif=camera_block(6), dpi=(300, 200)
    )
    image = read_image_file(file)
    with Image.open(written(image, image.pixels, target)) as out:
        exif = out.getexif()
        assert exif.get(0x0112, 1) == 1
        assert (exif[0x010F], exif[0x010E]) == ("ACME", "A caption")
        if "tiff" not in (source, target):
            camera, position = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
            assert camera[0x9003] == "2001:02:03 04:05:06"
            assert camera[0x927C] == b"a maker's note with offsets"
            assert float(camera[0x829A]) == 1 / 250
            assert tuple(map(float, position[2])) == (51.0, 30.0, 26.5)
        if "webp" not in (source, target):
            np.testing.assert_allclose(np.array(out.info["dpi"], float), (200, 300), atol=0.02)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_is_changed_in_place_and_its_thumbnail_dropped(order):
    def block(orientation: int, thumbnail: int) -> bytes:
        head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "L", 8)
        entry = struct.pack(order + "HHLHH", 0x0112, 3, 1, orientation, 0)
        first = struct.pack(order + "H", 1) + entry + struct.pack(order + "L", thumbnail)
        second = struct.pack(order + "HHHLLL", 1, 0x0201, 4, 1, 60, 0)
        return b"Exif\0\0" + head + first + second + b"offsets into the block stay right"

    file = encoded(Image.fromarray(noise((20, 30, 3))), "JPEG", exif=block(8, 26))
    assert read_image_file(file).exif == block(1, 0)


def test_a_broken_exif_block_is_dropped_with_a_warning():
    file = encoded(
        Image.fromarray(noise((20, 30, 3))), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"
    )
    with pytest.warns(ImageFileWarning, match="The image: its EXIF is damaged"):
        image = read_image_file(file)
    assert image.exif is None
    assert image.pixels.shape == (20, 30, 3)


def test_xmp_is_kept_and_says_upright():
    packet = b'<rdf:Description tiff:Orientation="6"/><tiff:Orientation>8</tiff:Orientation>'
    upright = packet.replace(b'"6"', b'"1"').replace(b">8<", b">1<")
    image = read_image_file(encoded(Image.fromarray(noise((20, 30, 3))), "WEBP", xmp=packet))
    assert image.xmp == upright
    for format in ("png", "jpeg", "webp", "tiff"):
        assert read_image_file(written(image, image.pixels, format)).xmp == upright, format
    out = Image.open(written(image, image.pixels, "png"))
    assert out.info["XML:com.adobe.xmp"] == upright.decode()


# Profiles -------------------------------------------------------------------------------------


def converted(pixels: np.ndarray, profile: bytes, mode: str) -> np.ndarray:
    """Returns uint8 RGB by Pillow's LittleCMS."""
    image = Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    rgb = ImageCms.profileToProfile(image, io.BytesIO(profile), io.BytesIO(SRGB), outputMode="RGB")
    return np.asarray(rgb)


def cmyk_profile() -> bytes:
    """Returns a printer's profile with a table of two steps per ink, with made-up Lab colors."""
    corners = rng().integers(40, 215, (16, 3), dtype=np.uint8)
    ramp = bytes(range(256))
    identity = struct.pack(">9l", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = (
        b"mft1"
        + bytes(4)
        + bytes((4, 3, 2, 0))
        + identity
        + 4 * ramp
        + corners.tobytes()
        + 3 * ramp
    )
    size = 128 + 4 + 12 + len(table)
    header = struct.pack(">L4sL4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3L", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">L4sLL", 1, b"A2B0", 144, len(table)) + table


@pytest.mark.parametrize("format", ["png", "tiff", "jpeg", "webp"])
def test_pixels_with_another_profile_become_srgb_and_say_so(format):
    pixels = smooth(rng(), 3)
    options = {"webp": {"lossless": True}}.get(format, {})
    file = encoded(Image.fromarray(pixels), format, icc_profile=ADOBE_RGB, **options)
    stored = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
    image = read_image_file(file)
    assert np.abs(image.pixels.astype(int) - stored).max() > 3  # the profile matters
    np.testing.assert_array_equal(image.pixels, converted(stored, ADOBE_RGB, "RGB"))
    for target in ("png", "tiff", "jpeg", "webp"):
        out = Image.open(written(image, image.pixels, target))
        name = ImageCms.getProfileDescription(
            ImageCms.ImageCmsProfile(io.BytesIO(out.info["icc_profile"]))
        )
        assert "sRGB" in name, target
    again = read_image_file(written(image, image.pixels, "png"))
    np.testing.assert_array_equal(again.pixels, image.pixels)  # not converted twice


def test_sixteen_bits_are_converted_with_sixteen_bits():
    eight = smooth(rng(), 3)
    image = read_image_file(
        tiff(eight.astype(np.uint16) * 257, photometric="rgb", iccprofile=ADOBE_RGB)
    )
    expected = converted(eight, ADOBE_RGB, "RGB")
    np.testing.assert_allclose(image.pixels / 257, expected, atol=1)
    levels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    ramp = np.stack([levels] * 3, axis=-1)
    image = read_image_file(tiff(ramp, photometric="rgb", iccprofile=ADOBE_RGB))
    assert len(np.unique(image.pixels)) > 4000  # eight bits have 256


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_profile_is_converted_and_the_pixels_stay_gray(dtype):
    white = np.iinfo(dtype).max
    levels = np.linspace(0, white, 4096).astype(dtype).reshape(64, 64)
    image = read_image_file(tiff(levels, photometric="minisblack", iccprofile=GRAY_18))
    assert image.pixels.shape == (64, 64, 1)
    light = (levels / white) ** 1.8
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    error = np.abs(image.pixels[..., 0] - expected * white).max()
    assert error < (0.6 if dtype == np.uint8 else 2)
    if dtype == np.uint8:  # LittleCMS's shortcut for eight bits is coarse in the shadows
        others = converted(levels, GRAY_18, "L")[..., 1]
        np.testing.assert_allclose(image.pixels[..., 0].astype(int), others, atol=2)
    assert b"sRGB" in image.icc_profile.replace(b"\0", b"")


def test_gray_pixels_with_an_rgb_profile_follow_its_curve():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = read_image_file(encoded(Image.fromarray(levels), "PNG", icc_profile=ADOBE_RGB))
    expected = converted(np.repeat(levels[..., None], 3, -1), ADOBE_RGB, "RGB")
    np.testing.assert_allclose(image.pixels[..., 0].astype(int), expected[..., 1], atol=1)
    assert np.abs(expected[..., 1].astype(int) - levels).max() > 2  # the profile matters


@pytest.mark.parametrize("format", ["jpeg", "tiff"])
def test_cmyk_is_converted_by_its_profile(format):
    inks = Image.fromarray(smooth(rng(), 3)).convert("CMYK")
    options = {"quality": 100} if format == "jpeg" else {}
    profile = cmyk_profile()
    file = encoded(inks, format, icc_profile=profile, **options)
    stored = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    image = read_image_file(file)
    np.testing.assert_array_equal(image.pixels, converted(stored, profile, "CMYK"))
    assert np.abs(image.pixels.astype(int) - np.asarray(inks.convert("RGB"))).mean() > 10


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        (b"not a profile at all", "RGB"),
        (ADOBE_RGB[:200], "RGB"),
        (bytes(128), "L"),
        (GRAY_18, "RGB"),
        (ADOBE_RGB, "CMYK"),
    ],
)
def test_a_profile_that_is_broken_or_of_other_pixels_is_srgb_with_a_warning(profile, mode):
    picture = Image.fromarray(noise((20, 30, 3))).convert(mode)
    file = encoded(picture, "TIFF", icc_profile=profile)
    with pytest.warns(ImageFileWarning, match="ICC profile is not usable"):
        image = read_image_file(file)
    np.testing.assert_allclose(
        with_alpha(image)[..., :3], np.asarray(picture.convert("RGB")), atol=1
    )
    assert image.icc_profile is None


def test_srgb_pixels_and_untagged_files_are_unchanged():
    pixels = noise((20, 30, 3))
    tagged = read_image_file(encoded(Image.fromarray(pixels), "PNG", icc_profile=SRGB))
    np.testing.assert_array_equal(tagged.pixels, pixels)
    assert tagged.icc_profile == SRGB
    plain = read_image_file(encoded(Image.fromarray(pixels), "PNG"))
    assert plain.icc_profile is None
    assert "icc_profile" not in Image.open(written(plain, pixels, "jpeg")).info


# Writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "tiff", "webp", "bmp"])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_formats_keep_every_pixel(format, transparent, dtype):
    rgb = noise((37, 53, 3), dtype)
    alpha = noise((37, 53), dtype) if transparent and format != "bmp" else None
    image = ImageFile(rgb[..., :1], alpha)
    out = written(image, rgb, format)
    expected = with_alpha(ImageFile(rgb, alpha))
    if dtype == np.uint16 and format in ("webp", "bmp"):
        expected = np.round(expected / 257).astype(np.uint8)
    np.testing.assert_array_equal(by_others(out.getvalue()), expected)
    np.testing.assert_array_equal(with_alpha(read_image_file(out)), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_is_of_quality_95_with_all_its_chroma(dtype):
    rgb = smooth(rng(), 3, dtype)
    out = Image.open(written(ImageFile(rgb, lossless=False), rgb, "jpeg"))
    reference = Image.open(encoded(Image.new("RGB", (8, 8)), "JPEG", quality=95))
    assert out.quantization == reference.quantization
    assert JpegImagePlugin.get_sampling(out) == 0  # 4:4:4
    expected = rgb if dtype == np.uint8 else np.round(rgb / 257)
    assert np.abs(np.asarray(out, float) - expected).mean() < 2.5


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_stays_lossless_or_lossy(lossless):
    pixels = smooth(rng(), 3)
    image = read_image_file(encoded(Image.fromarray(pixels), "WEBP", lossless=lossless, quality=80))
    assert image.lossless == lossless
    out = written(image, pixels, "webp")
    assert (b"VP8L" in out.getvalue()) == lossless
    assert np.abs(np.asarray(Image.open(out), float) - pixels).mean() < (0.001 if lossless else 4)


def test_formats_without_alpha_use_a_white_background_and_warn():
    rgb = np.zeros((8, 8, 3), np.uint8)
    alpha = np.repeat(np.array([[0, 128, 255, 255]], np.uint8), 8, axis=0).repeat(2, axis=1)
    with pytest.warns(ImageFileWarning, match="bmp has no transparency"):
        out = written(ImageFile(rgb, alpha), rgb, "bmp")
    np.testing.assert_array_equal(np.asarray(Image.open(out))[..., 0], 255 - alpha)
    with pytest.warns(ImageFileWarning, match="jpeg has no transparency"):
        written(ImageFile(rgb, alpha), rgb, "jpeg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written(ImageFile(rgb, np.full_like(alpha, 255)), rgb, "jpeg")  # opaque: nothing is lost


def test_a_gif_has_256_colors_and_transparency():
    rgb = smooth(rng(), 3)
    alpha = np.where(np.indices(rgb.shape[:2])[0] < 10, 0, 255).astype(np.uint8)
    opaque = Image.open(written(ImageFile(rgb), rgb, "gif"))
    assert (opaque.format, opaque.n_frames) == ("GIF", 1)
    assert np.abs(np.asarray(opaque.convert("RGB"), float) - rgb).mean() < 10
    back = read_image_file(written(ImageFile(rgb, alpha), rgb, "gif"))
    np.testing.assert_array_equal(back.alpha, alpha)


@pytest.mark.parametrize(
    ("source", "format", "suffix"),
    [
        ("a.JPG", None, ".JPG"),
        ("a.tif", "TIFF", ".tif"),
        ("a.gif", "gif", ".gif"),
        ("a.GIF", None, ".png"),
        ("a.png", ".jpg", ".jpg"),
        ("scan", None, ".png"),
        ("a.JFIF", None, ".JFIF"),
        ("a.HEIC", None, ".jpg"),
        ("a.avif", None, ".jpg"),
        ("a.jp2", None, ".png"),
        ("a.xyz", None, ".png"),
    ],
)
def test_the_suffix_of_an_output_is_its_format(source, format, suffix, tmp_path):
    """Kind of fault: an output name that no format can be written to."""
    assert output_suffix(source, format) == suffix
    assert is_output_name(f"x{suffix}")
    rgb = noise((8, 8, 3))
    write_image_file(ImageFile(rgb), rgb, tmp_path / "new" / f"x{suffix}")
    with Image.open(tmp_path / "new" / f"x{suffix}") as image:
        assert suffix.lower() in FORMATS[image.format.lower()]
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"x{suffix}"]
    assert is_output_name(source) == (Path(source).suffix.lower() in KEPT)


@pytest.mark.parametrize(
    ("rgb", "name", "format", "reason"),
    [
        (np.zeros((8, 9, 3), np.uint8), "a.png", None, r"must be uint8 \(8, 8, 3\).*\(8, 9, 3\)"),
        (np.zeros((8, 8, 3), np.uint16), "a.png", None, "not uint16"),
        (np.zeros((8, 8), np.uint8), "a.png", None, r"not uint8 \(8, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), "a.xyz", None, "No image can be written as '.xyz'"),
        (np.zeros((8, 8, 3), np.uint8), "a", None, "No image can be written as ''"),
        (np.zeros((8, 8, 3), np.uint8), "a.png", "heic", "No image can be written as 'heic'"),
        (np.zeros((8, 8, 3), np.uint8), "a.png", "jpeg", "the suffix .png does not match"),
        (np.zeros((8, 8, 3), np.uint8), "folder.png", None, "it is a folder"),
        (np.zeros((8, 8, 3), np.uint8), "pipe.png", None, "it is a pipe or a device"),
        (np.zeros((8, 8, 3), np.uint8), "file/a.png", None, "cannot be written"),
    ],
)
def test_an_impossible_output_is_an_error_and_nothing_is_written(
    rgb, name, format, reason, tmp_path
):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageFileError, match=reason):
        write_image_file(
            ImageFile(np.zeros((8, 8, 1), np.uint8)), rgb, tmp_path / name, format=format
        )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder.png", "pipe.png"]
    assert (tmp_path / "pipe.png").is_fifo()


def test_an_image_too_large_for_a_format_is_an_error():
    rgb = np.zeros((1, 16384, 3), np.uint8)
    with pytest.raises(ImageFileError, match="cannot be written: .*16383"):
        written(ImageFile(rgb), rgb, "webp")


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.EIO, ImageFileError, r"a\.png cannot be written: Input/output error\."),
        (errno.ENOSPC, OSError, "No space left"),  # stops a whole job
    ],
)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, number, error, message):
    rgb, path = noise((8, 8, 3)), tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(image_files.writing, "_encode", fail)
    with pytest.raises(error, match=message):
        write_image_file(ImageFile(rgb), rgb, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_exif_too_large_for_a_jpeg_is_dropped_with_a_warning():
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    rgb = noise((8, 8, 3))
    with pytest.warns(ImageFileWarning, match="EXIF of more than 64 kB"):
        out = written(ImageFile(rgb, exif=exif.tobytes()), rgb, "jpeg")
    assert not Image.open(out).getexif()


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.png", "it does not exist"),
        ("folder", "it is a folder, a pipe or a device"),
        ("pipe", "it is a folder, a pipe or a device"),
        ("loop", "symbolic links"),
        ("empty.png", "it is empty"),
        ("nul\0l", "null"),
    ],
)
def test_a_path_that_is_not_a_file_is_an_error_that_names_it(name, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.png").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageFileError, match=reason) as error:
        read_image_file(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_streams_that_cannot_seek_are_read_and_endless_ones_are_not():
    content = WHOLE["png-rgb"](rng())
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb") as end:
        end.write(content)
        end.close()
        np.testing.assert_array_equal(
            read_image_file(stream).pixels, read_image_file(io.BytesIO(content)).pixels
        )

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    with pytest.raises(ImageFileError, match="larger"):
        read_image_file(io.BufferedReader(Endless()), max_pixels=1000)


@pytest.mark.parametrize("suffix", BOMBS)
def test_bombs_are_refused_before_they_are_decoded(suffix):
    with pytest.raises(ImageFileError, match=r"its header says .*the limit of 178,956,970"):
        read_image_file(io.BytesIO(BOMBS[suffix](60000)))


@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_too_many_pixels_and_half_a_file_are_errors_in_every_kind(kind):
    content = WHOLE[kind](rng())
    height, width = read_image_file(io.BytesIO(content)).pixels.shape[:2]
    with pytest.raises(ImageFileError, match=rf"its header says .*limit of {height * width - 1:,}"):
        read_image_file(io.BytesIO(content), max_pixels=height * width - 1)
    assert read_image_file(io.BytesIO(content), max_pixels=height * width).pixels.size
    has_more = kind == "tif-pages" or kind.endswith("animated")
    with pytest.raises(ImageFileError):
        part = content[: len(content) // (8 if has_more else 2)]
        read_image_file(io.BytesIO(part), strict=True)


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "png16"])
def test_of_a_truncated_file_what_is_there_is_read_with_a_warning(kind):
    """Kind of fault: a broken download is refused whole, or passes without a word."""
    pixels = smooth(rng(), 3, np.uint16 if kind == "png16" else np.uint8)
    if kind == "png16":
        content = imagecodecs.png_encode(pixels)
    else:
        options = {"progressive": kind == "progressive"} if kind != "png" else {}
        picture = Image.fromarray(pixels)
        content = encoded(picture, "png" if kind == "png" else "jpeg", **options).getvalue()
    whole = read_image_file(io.BytesIO(content)).pixels
    start = content.index(b"IDAT" if "png" in kind else b"\xff\xda")
    part = io.BytesIO(content[: (start + len(content)) // 2])
    with pytest.warns(ImageFileWarning, match=r"The image: it is truncated: .* missing") as caught:
        image = read_image_file(part)
    assert image.pixels.shape == whole.shape
    if kind != "progressive":
        percent = float(str(caught[0].message).split("truncated: ")[1].split("%")[0])
        rows = round(len(whole) * (1 - percent / 100))
        assert 0 < rows < len(whole)
        kept = slice(0, rows - (24 if kind == "jpeg" else 0))  # the last blocks are in part there
        np.testing.assert_array_equal(image.pixels[kept], whole[kept])
        assert np.ptp(image.pixels[rows:]) == 0
    with pytest.raises(ImageFileError, match="truncated"):
        read_image_file(io.BytesIO(part.getvalue()), strict=True)
    with pytest.raises(ImageFileError):
        read_image_file(io.BytesIO(content[: start + 4]))
    if "png" in kind:  # without its end
        with pytest.warns(ImageFileWarning, match="its end, and perhaps detail, is missing"):
            image = read_image_file(io.BytesIO(content[:-12]))
        np.testing.assert_array_equal(image.pixels, whole)


def moving() -> list[np.ndarray]:
    rows, columns = np.indices((24, 40))
    return [
        np.stack([rows * 9, columns * 6, rows * 0 + 80 * number], axis=-1).astype(np.uint8)
        for number in range(3)
    ]


@pytest.mark.parametrize("target", ["gif", "webp", "png", "tiff", "jpeg"])
@pytest.mark.parametrize("source", ["gif", "webp", "png", "tiff"])
def test_all_frames_and_pages_are_kept_where_the_format_can_hold_them(source, target):
    """Kind of fault: frames or pages that are left out without a word."""
    pictures, exif = [Image.fromarray(frame) for frame in moving()], Image.Exif()
    exif[0x010E] = "A caption"
    options = {"duration": [50, 100, 150], "loop": 0, "lossless": True} if source != "tiff" else {}
    file = encoded(
        pictures[0], source, save_all=True, append_images=pictures[1:], exif=exif, **options
    )
    frames = list(read_frames(file))
    assert [frame.duration for frame in frames] == options.get("duration", [None] * 3)
    for frame, expected in zip(frames, moving(), strict=True):
        error = np.abs(frame.pixels.astype(int) - expected).mean()
        assert error < 8 if source == "gif" else error == 0
    out, others = io.BytesIO(), ((frame, frame.pixels) for frame in frames[1:])
    holds = target == "tiff" or (target != "jpeg" and source != "tiff")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_image_file(frames[0], frames[0].pixels, out, format=target, others=others)
    assert [str(warning.message) for warning in caught] == (
        [] if holds else [f"The image: {target} cannot hold its other 2 frames or pages."]
    )
    with Image.open(out) as image:
        assert getattr(image, "n_frames", 1) == (3 if holds else 1)
        for index in range(3 if holds else 0):
            image.seek(index)
            image.load()
            if "duration" in options and target != "tiff":
                assert image.info["duration"] == options["duration"][index]
                assert image.info["loop"] == 0
            pixels = np.asarray(image.convert("RGB"), float)
            error = np.abs(pixels - frames[index].pixels).mean()
            assert error < 8 if target == "gif" else error == 0
        if source != "gif" and target != "gif":
            image.seek(0)
            assert image.getexif()[0x010E] == "A caption"


def test_frames_after_damage_or_above_the_limit_are_left_out_with_a_warning():
    pictures = [Image.fromarray(frame) for frame in moving()]
    pages = encoded(pictures[0], "TIFF", save_all=True, append_images=pictures[1:]).getvalue()
    for content, limit in [
        (pages[:-3000], 10**6),
        (encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:]).getvalue(), 2000),
    ]:
        with pytest.warns(ImageFileWarning, match=r"only its first \d frames or pages are read"):
            frames = list(read_frames(io.BytesIO(content), max_pixels=limit))
        assert 1 <= len(frames) < 3
        with pytest.raises(ImageFileError):
            list(read_frames(io.BytesIO(content), max_pixels=limit, strict=True))


# Cost -----------------------------------------------------------------------------------------

MEASURE = """
import os, resource, sys
from pathlib import Path
import imagecodecs, numpy
from pix2pix_color.errors import ImageFileError
from pix2pix_color.image_files import pillow, png, read_image_file, tiff, write_image_file

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

assert "tensorflow" not in sys.modules
small, *paths = map(Path, sys.argv[1:])
write_image_file(image := read_image_file(small), image.pixels, small)  # loads what is loaded once
for path in paths:
    sys.stdout.flush()
    if os.fork() == 0:  # every file in a process of its own, which starts from the same peak
        before, read = peak(), 0
        try:
            image = read_image_file(path)
            read = peak() - before
            write_image_file(image, image.pixels, path.with_suffix(".out.tif"))
        except ImageFileError:
            pass
        print(path.name, read, peak() - before, flush=True)
        os._exit(0)
    os.wait()
"""


def test_a_large_tiff_takes_about_twice_its_pixels_and_a_bomb_no_memory(tmp_path):
    pixels = np.tile(noise((16, 3000, 3)) & 0xF8, (125, 1, 1))  # 6 megapixels
    options = {"photometric": "rgb", "compression": "lzw", "iccprofile": ADOBE_RGB}
    small, large = tmp_path / "small.tif", tmp_path / "large.tif"
    tifffile.imwrite(small, pixels[:200, :200], **options)
    tifffile.imwrite(large, pixels, **options)
    bombs = [tmp_path / f"{side}{suffix}" for side in (4000, 60000) for suffix in BOMBS]
    for bomb in bombs:  # the smaller ones are allowed, but have no pixels
        bomb.write_bytes(BOMBS[bomb.suffix](int(bomb.stem)))
    code, output, errors = run_python(MEASURE, small, large, *bombs)
    assert code == 0, errors
    measured = {name: (int(a), int(b)) for name, a, b in map(str.split, output.splitlines())}
    assert len(measured) == 1 + len(bombs)
    read, both = measured[large.name]
    assert read < 2.4 * pixels.nbytes
    assert both < 2.7 * pixels.nbytes
    assert max(both for _, both in measured.values()) < 200e6, measured
