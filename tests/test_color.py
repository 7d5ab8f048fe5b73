import functools

import numpy as np
import pytest
import skimage.color
import tensorflow as tf

from pix2pix_color import color

LEVELS = np.arange(0, 256, 5)  # 0, 5, ..., 255


@pytest.fixture(scope="module")
def grid():
    """Every fifth level of each channel: 140,608 of the 16.7 million colors."""
    return np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), -1).astype(np.uint8)


@pytest.fixture(scope="module")
def grays():
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


@pytest.fixture(scope="module")
def extreme():
    """Lightness and random chroma, most of it far outside what sRGB can show."""
    rng = np.random.default_rng(1)
    lightness = rng.uniform(0, 100, (20_000, 1)).astype(np.float32)
    lightness[:100], lightness[100:200] = 0, 100
    chroma = rng.uniform(-1, 1, (20_000, 2)).astype(np.float32)
    return lightness, chroma


@pytest.fixture(scope="module")
def fitted(extreme):
    return color.fit_chroma_to_gamut(*extreme).numpy()


class TestRgbToLab:
    def test_equals_scikit_image_over_the_whole_cube(self, grid, grays):
        for rgb in (grid, grays):
            difference = np.abs(color.rgb_to_lab(rgb).numpy() - skimage.color.rgb2lab(rgb))
            assert difference.max() <= 0.01

    def test_uint8_and_float_are_the_same_color(self, grays):
        formula = color.rgb_to_lab(grays.astype(np.float64) / 255)
        table = color.rgb_to_lab(grays)  # uint8 is looked up, exact to float32
        np.testing.assert_allclose(table, skimage.color.rgb2lab(grays), rtol=0, atol=1e-4)
        np.testing.assert_allclose(formula, table, rtol=0, atol=2e-4)

    def test_equals_scikit_image_on_both_sides_of_the_kinks(self):
        # sRGB's line ends at 0.04045, Lab's at Y = 0.008856 (gray 0.0779).
        levels = np.concatenate([np.linspace(0.0404, 0.0405, 21), np.linspace(0.0775, 0.0785, 21)])
        rgb = np.repeat(levels[:, None], 3, axis=1)
        assert np.abs(color.rgb_to_lab(rgb).numpy() - skimage.color.rgb2lab(rgb)).max() <= 0.01


class TestLabToRgb:
    def test_round_trip_is_exact_in_8_bits(self, grid):
        np.testing.assert_array_equal(
            color.to_uint8(color.lab_to_rgb(color.rgb_to_lab(grid))), grid
        )

    @pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
    def test_equals_scikit_image_outside_the_gamut_too(self, extreme):
        lightness, chroma = extreme
        lab = np.concatenate([lightness, chroma * 128], axis=-1)
        ours, theirs = color.lab_to_rgb(lab).numpy(), skimage.color.lab2rgb(lab)
        assert np.abs(ours - theirs).max() <= 0.5 / 255
        assert ((theirs == 0) | (theirs == 1)).any(axis=-1).mean() > 0.5  # most were outside


class TestAnyShape:
    @pytest.mark.parametrize("leading", [(), (5,), (2, 3), (2, 1, 3, 4), (0,)])
    def test_leading_axes_are_kept(self, leading):
        rgb = np.random.default_rng(0).random((*leading, 3), np.float32)
        lab = color.rgb_to_lab(rgb)
        assert lab.shape == rgb.shape and lab.dtype == tf.float32
        assert color.lab_to_rgb(lab).shape == rgb.shape
        lightness, chroma = color.split(rgb)
        assert (lightness.shape, chroma.shape) == ((*leading, 1), (*leading, 2))
        assert color.fit_chroma_to_gamut(lightness, chroma).shape == chroma.shape
        np.testing.assert_allclose(color.merge(lightness, chroma), rgb, atol=0.5 / 255)

    def test_sizes_may_be_unknown_in_a_graph(self):
        convert = tf.function(
            lambda rgb: color.merge(*color.split(rgb)),
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
        )
        rgb = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
        np.testing.assert_array_equal(color.to_uint8(convert(rgb)), rgb)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: color.rgb_to_lab(np.zeros((4, 4, 1))), "rgb must have 3 channels"),
            (lambda: color.rgb_to_lab(0.5), "rgb must have 3 channels"),
            (lambda: color.lab_to_rgb(np.zeros((4, 2))), "lab must have 3 channels"),
            (lambda: color.merge(np.zeros((4, 3)), np.zeros((4, 2))), "lightness must have 1"),
            (lambda: color.merge(np.zeros((4, 1)), np.zeros((4, 1))), "chroma must have 2"),
        ],
    )
    def test_wrong_channels_are_an_error_that_names_them(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


def gradient(function, values):
    values = tf.constant(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(function(values))
    return tape.gradient(total, values).numpy()


class TestGradients:
    """A gradient that is not finite anywhere would end a training."""

    def test_of_rgb_to_lab_are_finite_everywhere(self, grid):
        for rgb in (grid / 255, [[0.04045] * 3, [0.0] * 3]):
            assert np.isfinite(gradient(color.rgb_to_lab, rgb)).all()

    def test_of_lab_to_rgb_are_finite_everywhere(self, grid, extreme):
        lab = np.concatenate([extreme[0], extreme[1] * 128], axis=-1)
        corners = [[0, 0, 0], [100, 0, 0], [50, 0, 0], [0, 100, 100], [100, -100, 100]]
        for values in (lab, corners, skimage.color.rgb2lab(grid)):
            assert np.isfinite(gradient(color.lab_to_rgb, values)).all()

    def test_of_lab_to_rgb_are_right(self):
        lab = np.array([[60.0, 10.0, -20.0]])
        found = gradient(color.lab_to_rgb, lab)[0]
        for channel in range(3):
            step = np.zeros((1, 3))
            step[0, channel] = 0.01
            slope = skimage.color.lab2rgb(lab + step) - skimage.color.lab2rgb(lab - step)
            assert found[channel] == pytest.approx(slope.sum() / 0.02, rel=1e-3)


class TestStraightThrough:
    """Clips in the forward pass and lets gradients pass, so that colors can be learned back."""

    def test_passes_gradients_and_changes_nothing_else(self, extreme):
        lightness, chroma = (values[200:700] for values in extreme)
        rgb = color.merge(lightness, chroma).numpy()
        inside = ((rgb > 0) & (rgb < 1)).all(axis=-1)
        assert 0 < inside.sum() < 400
        straight = functools.partial(color.merge, lightness, straight_through=True)
        np.testing.assert_allclose(straight(chroma), rgb, atol=1e-6)
        clipped = gradient(functools.partial(color.merge, lightness), chroma)
        found = gradient(straight, chroma)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[inside], clipped[inside], rtol=1e-4, atol=1e-5)
        assert (found[~inside] != 0).all()


class TestUint8:
    def test_rounds_to_the_nearest_level_and_clips_instead_of_wrapping(self):
        levels = np.array([-9.0, 0.49, 0.51, 127.49, 127.51, 254.49, 254.51, 300.0]) / 255
        np.testing.assert_array_equal(color.to_uint8(levels), [0, 0, 1, 127, 128, 254, 255, 255])

    def test_to_float_is_its_inverse_and_passes_floats(self):
        levels = np.arange(256, dtype=np.uint8)
        floats = color.to_float(levels)
        assert floats.dtype == tf.float32 and float(floats[-1]) == 1.0
        np.testing.assert_array_equal(color.to_uint8(floats), levels)
        assert color.to_float(np.array([0.25, 1.5])).numpy().tolist() == [0.25, 1.5]


class TestFitChromaToGamut:
    @pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
    def test_the_result_is_a_color_that_srgb_shows(self, extreme, fitted):
        lightness, _ = extreme
        lab = np.concatenate([lightness, fitted * 128], axis=-1)
        # Clipping would move a color out of gamut: scikit-image brings it back unmoved.
        back = skimage.color.rgb2lab(skimage.color.lab2rgb(lab))
        assert np.abs(back - lab).max() < 0.2

    def test_colors_inside_are_unchanged(self, grid):
        lightness, chroma = color.split(grid)
        np.testing.assert_array_equal(color.fit_chroma_to_gamut(lightness, chroma), chroma)

    def test_lightness_is_kept_within_one_8_bit_level(self, extreme, fitted):
        lightness, chroma = extreme
        level = 100 / 255
        shown = color.to_uint8(color.merge(lightness, fitted)).numpy()
        error = np.abs(skimage.color.rgb2lab(shown)[..., :1] - lightness)
        assert error.max() <= level
        clipped = color.to_uint8(color.merge(lightness, chroma)).numpy()
        assert np.abs(skimage.color.rgb2lab(clipped)[..., :1] - lightness).max() > 10 * level

    def test_hue_is_kept_and_chroma_only_shrinks(self, extreme, fitted):
        _, chroma = extreme
        before, after = np.linalg.norm(chroma, axis=-1), np.linalg.norm(fitted, axis=-1)
        assert (after <= before * (1 + 1e-6)).all()
        cross = chroma[:, 0] * fitted[:, 1] - chroma[:, 1] * fitted[:, 0]
        assert np.abs(cross).max() < 1e-6
        assert ((chroma * fitted).sum(axis=-1) >= 0).all()

    def test_no_more_color_is_lost_than_needed(self, extreme, fitted):
        lightness, chroma = extreme
        # A part in 256 more of the wanted chroma would be outside again.
        moved = np.linalg.norm(fitted, axis=-1) < 0.99 * np.linalg.norm(chroma, axis=-1)
        moved &= (lightness[:, 0] > 5) & (lightness[:, 0] < 95)
        more = (fitted + chroma / 256)[moved]
        again = color.fit_chroma_to_gamut(lightness[moved], more).numpy()
        assert moved.sum() > 10_000
        assert (np.linalg.norm(again, axis=-1) < np.linalg.norm(more, axis=-1)).all()
