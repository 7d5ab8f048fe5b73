"""Images of any size: the library's bands against the graph, large images, 16 bits."""

from __future__ import annotations

import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from skimage.color import lab2rgb, rgb2lab

from pix2pix_color import color, inference
from pix2pix_color.colorizer import MAX_STRENGTH
from pix2pix_color.errors import ColorizerError


def noise(*shape: int, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


class TestPixels:
    every_gray = np.arange(256, dtype=np.uint8)[:, None]

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_lightness_is_scikit_images(self, dtype, channels):
        pixels = noise(5_000, channels, dtype=dtype)
        rgb = np.broadcast_to(pixels, (len(pixels), 3)) / np.iinfo(dtype).max
        expected = rgb2lab(rgb)[:, 0]
        np.testing.assert_allclose(color.pixel_lightness(pixels), expected, atol=2e-3)

    def test_every_gray_without_chroma_comes_back(self):
        rgb = color.color_pixels(self.every_gray, np.zeros((2, 256), np.float32))
        np.testing.assert_array_equal(rgb, np.repeat(self.every_gray, 3, axis=1))
        deep = np.arange(1 << 16, dtype=np.uint16)[:, None]
        rgb = color.color_pixels(deep, np.zeros((2, 1 << 16), np.float32))
        assert np.abs(rgb.astype(int) - deep).max() <= 3  # of 65535

    @pytest.mark.parametrize("strength", [0.05, 0.3, 1.5])
    def test_colors_are_those_of_the_tensors(self, strength):
        pixels = noise(20_000, 3)
        chroma = np.random.default_rng(1).normal(0, strength, (20_000, 2)).astype(np.float32)
        lightness = color.rgb_to_lab(pixels)[..., :1]
        fitted = color.fit_chroma_to_gamut(lightness, chroma)
        expected = color.to_uint8(color.merge(lightness, fitted)).numpy().astype(int)
        rgb = color.color_pixels(pixels, np.ascontiguousarray(chroma.T)).astype(int)
        assert np.abs(rgb - expected).max() <= 1
        assert (rgb != expected).mean() < 0.01

    def test_colors_are_scikit_images_where_it_can_show_them(self):
        pixels = np.full((1_000, 1), 145, np.uint8)
        ab = np.random.default_rng(2).uniform(-15, 15, (1_000, 2))
        expected = lab2rgb(np.column_stack([color.pixel_lightness(pixels), ab]))
        chroma = np.float32(ab.T / color.CHROMA_SCALE)
        assert np.abs(color.color_pixels(pixels, chroma) - 255 * expected).max() < 0.6
        deep = color.color_pixels(pixels.astype(np.uint16) * 257, chroma)
        assert np.abs(deep - 65535 * expected).max() < 3

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_luminance_is_kept_within_an_8_bit_level_whatever_the_chroma(self, dtype):
        pixels = noise(20_000, 3, dtype=dtype)
        chroma = np.random.default_rng(3).uniform(-2, 2, (2, 20_000)).astype(np.float32)
        rgb = color.color_pixels(pixels, chroma)
        before, after = color.pixel_lightness(pixels), color.pixel_lightness(rgb)
        level = np.diff(color.pixel_lightness(self.every_gray)).max()  # where they are furthest
        assert np.abs(before - after).max() <= level


class TestBands:
    @pytest.mark.parametrize("size", [(1, 1), (5, 40), (40, 5), (63, 61), (7, 300)])
    @pytest.mark.parametrize("render_size", [8, 24])
    def test_equal_the_graph(self, lively, colorizer, monkeypatch, size, render_size):
        monkeypatch.setattr(inference, "_BAND", 200)  # many bands, of one row at the least
        image = noise(*size, 3)
        graph = inference.colorize_images(
            image[None], inference.any_size(lively), render_size, 8, 0.7
        )
        rgb = colorizer(image, render_size=render_size, strength=0.7)
        monkeypatch.undo()
        whole = colorizer(image, render_size=render_size, strength=0.7)
        np.testing.assert_array_equal(rgb, whole)  # bands do not show
        difference = np.abs(rgb.astype(int) - graph[0].numpy())
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02

    @pytest.mark.parametrize("size", [(40, 56), (150, 100)])
    def test_equal_the_graph_with_chroma_in_cells(self, lively, size):
        coarse = keras.layers.AveragePooling2D(4)(lively.output)
        colors = keras.layers.UpSampling2D(4, interpolation="bilinear")(coarse)
        network = inference.any_size(keras.Model(lively.input, colors))
        image = noise(*size, 3)
        graph = inference.colorize_images(image[None], network, 24, 8, stride=4)
        small = inference.shrink_lightness(image, inference.working_shape(*size, 24, 8))
        chroma = network(small[None])[0].numpy()
        rgb = inference.apply_chroma(image, small, chroma, stride=4).astype(int)
        difference = np.abs(rgb - graph[0].numpy())
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02

    def test_the_shape_for_the_network_follows_the_aspect_ratio(self):
        assert inference.working_shape(100, 100, 32, 32) == (32, 32)
        assert inference.working_shape(1_000, 2_000, 64, 32) == (64, 128)
        assert inference.working_shape(2_000, 1_500, 96, 32) == (128, 96)
        assert inference.working_shape(10, 100_000, 32, 32) == (32, 256)
        assert inference.working_shape(1, 1, 8, 8) == (8, 8)


def mean_around(maps: np.ndarray, y: int, x: int) -> np.ndarray:
    return maps[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean((0, 1))


def everywhere(function, maps: np.ndarray) -> np.ndarray:
    return np.array([[function(y, x) for x in range(maps.shape[1])] for y in range(len(maps))])


class TestEdges:
    """Chroma follows the edges of the image's own lightness."""

    @pytest.mark.parametrize("stride", [1, 4])
    def test_slopes_are_the_guided_filters_and_lines_pass_through_the_prediction(self, stride):
        random = np.random.default_rng(4)
        light, chroma = random.uniform(0, 100, (5, 6, 1)), random.normal(0, 0.3, (5, 6, 2))

        def slope(y: int, x: int) -> np.ndarray:  # He et al. 2013, equations 5 and 6
            products = light * chroma, light, chroma, light**2
            both, mean_light, mean_chroma, square = (mean_around(maps, y, x) for maps in products)
            return (both - mean_light * mean_chroma) / (square - mean_light**2 + 100)

        slopes = everywhere(slope, light)
        expected = everywhere(lambda y, x: mean_around(slopes, y, x), light)

        def enlarge(maps: np.ndarray) -> np.ndarray:
            return tf.image.resize(maps, (5 * stride, 6 * stride)).numpy()

        flat = np.ones((stride, stride, 1))
        large_chroma = np.kron(chroma, flat)
        large = (tf.constant(x[None], tf.float32) for x in (np.kron(light, flat), large_chroma))
        found, offset = inference._lines(*large, stride)
        np.testing.assert_allclose(found[0], enlarge(expected), atol=1e-5)
        through = found * enlarge(light) + offset
        np.testing.assert_allclose(through[0], large_chroma, atol=1e-4)

    def test_colors_meet_at_an_edge_that_the_network_saw_blurred(self):
        """Red and bright beside green and dark, cut within one of the network's pixels."""
        left = np.arange(160) < 76
        gray = np.where(left, 170, 80).astype(np.uint8)[None, :, None].repeat(40, axis=0)
        truth = np.where(left[None, :, None], (0.2, 0.1), (-0.2, 0.1)).repeat(40, axis=0)
        small = inference.shrink_lightness(gray, (4, 16))
        chroma = tf.image.resize(truth, (4, 16), antialias=True).numpy()
        near = slice(66, 86)
        errors = []
        for light in (small, np.zeros_like(small)):  # without contrast: plain enlargement
            lab = rgb2lab(inference.apply_chroma(gray, light, chroma))
            errors.append(np.abs(lab[:, near, 1:] / 128 - truth[:, near]).mean())
        assert errors[0] < 0.6 * errors[1]

    def test_an_image_of_the_networks_size_keeps_the_prediction(self):
        gray = noise(32, 32, 1)
        chroma = np.random.default_rng(5).normal(0, 0.05, (32, 32, 2)).astype(np.float32)
        small = inference.shrink_lightness(gray, (32, 32))
        rgb = inference.apply_chroma(gray, small, chroma).astype(int)
        plain = color.color_pixels(gray.reshape(-1, 1), chroma.reshape(-1, 2).T)
        assert np.abs(rgb - plain.reshape(32, 32, 3)).max() <= 1


class TestSettings:
    def test_no_strength_gives_the_gray_image_back(self, colorizer):
        for dtype in (np.uint8, np.uint16):
            gray = noise(30, 20, dtype=dtype)
            rgb = colorizer(gray, strength=0).astype(int)
            assert np.abs(rgb - gray[..., None]).max() <= (3 if dtype == np.uint16 else 0)

    def test_more_strength_gives_more_color_of_the_same_hue(self, colorizer):
        gray = np.full((1, 4, 4, 1), 30_000, np.uint16)
        chroma = np.full((1, 2, 2, 2), (0.08, -0.05), np.float32)
        found = [
            rgb2lab(colorizer.apply_chroma(gray, chroma, strength) / 65535)[0, 0, 0, 1:]
            for strength in (0.3, 0.6, 1.2)
        ]
        for strength, ab in zip((0.3, 0.6, 1.2), found, strict=True):
            np.testing.assert_allclose(ab, strength * 128 * chroma[0, 0, 0], atol=0.02)

    def test_a_larger_render_size_gives_the_network_more_to_see(self, colorizer):
        assert colorizer.multiple == colorizer.render_size == 8
        seen = colorizer.predict_chroma(np.zeros((2, 30, 60, 1)), render_size=16)
        assert seen.shape == (2, 16, 32, 2)

    @pytest.mark.parametrize(
        "settings",
        [
            {"render_size": 12},
            {"render_size": 0},
            {"render_size": -8},
            {"render_size": 4_096},
            {"strength": -0.1},
            {"strength": float("nan")},
            {"strength": MAX_STRENGTH + 1},
        ],
    )
    def test_out_of_range_are_refused(self, colorizer, settings):
        with pytest.raises(ColorizerError, match=r"multiple of 8 from 8 to 1024|from 0 to 4"):
            colorizer(noise(9, 9), **settings)

    def test_prediction_and_application_are_the_whole(self, colorizer):
        images = noise(3, 40, 56, 3)
        lightness = color.rgb_to_lab(images)[..., :1].numpy()
        chroma = colorizer.predict_chroma(lightness)
        rgb = colorizer.apply_chroma(images, chroma, 0.5).astype(int)
        assert np.abs(rgb - colorizer(images, strength=0.5)).max() <= 1

    def test_an_image_is_colored_alone_as_it_is_among_others(self, colorizer):
        images = noise(4, 33, 47, 1)
        together = colorizer(images)
        for image, among in zip(images, together, strict=True):
            np.testing.assert_array_equal(colorizer(image), among)


def test_a_large_image_takes_little_more_memory_than_it_and_its_colors(colorizer):
    image = np.full((2_500, 4_000, 3), 100, np.uint8)
    image[::7] = 30
    colorizer(image[:64, :64])
    tracemalloc.start()
    try:
        colorizer(image, threads=1, strength=0.1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The result is as large as the image, and one band takes 45 MB; a plane of floats would be 40.
    assert peak < 3 * image.nbytes


def test_lightness_is_shrunk_as_tensorflow_shrinks_it():
    image = noise(50, 90, 3, dtype=np.uint16)
    lightness = rgb2lab(image / 65535)[..., :1]
    expected = tf.image.resize(lightness, (24, 40), antialias=True)
    np.testing.assert_allclose(
        inference.shrink_lightness(image, (24, 40)), expected, atol=2e-3, rtol=0
    )
