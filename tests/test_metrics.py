"""Scores against scikit-image, closed forms, and what the report printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_color import evaluation, metrics

REPORT_IMAGES = Path(__file__).parents[2] / "shared" / "report" / "figure3"


def images(seed: int, shape=(5, 32, 32, 3)) -> np.ndarray:
    """Smooth random images: SSIM of pure noise would hide a wrong window."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for _ in range(4):
        noise = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2)) / 3
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def uint8(values: np.ndarray) -> np.ndarray:
    return np.round(values * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    real = images(0)
    return real, np.clip(real + 0.15 * (images(1) - 0.5), 0, 1).astype(np.float32)


def test_psnr_is_scikit_image_s(pair):
    expected = [peak_signal_noise_ratio(r, f, data_range=1) for r, f in zip(*pair, strict=True)]
    np.testing.assert_allclose(metrics.psnr(*pair), expected, rtol=1e-6)


def test_psnr_of_a_constant_difference_has_a_closed_form():
    real = np.zeros((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(metrics.psnr(real, real + np.float32(0.1)), 20.0, atol=1e-5)
    assert np.isposinf(metrics.psnr(real, real).numpy()).all()


def test_ssim_is_scikit_image_s(pair):
    expected = [
        structural_similarity(r, f, channel_axis=-1, data_range=1)
        for r, f in zip(*pair, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(*pair), expected, atol=1e-6)


def test_ssim_of_constant_images_is_finite_and_one_when_equal():
    gray = np.full((1, 16, 16, 3), 0.5, np.float32)
    np.testing.assert_allclose(metrics.ssim(gray, gray), 1.0)
    black, white = gray * 0, gray * 2
    c1 = 0.01**2
    np.testing.assert_allclose(metrics.ssim(black, white), c1 / (1 + c1), rtol=1e-6)


def test_report_psnr_wraps_exactly_as_numpy_s_uint8_does(pair):
    real, fake = uint8(pair[0]), uint8(pair[1])
    wrapped = ((real - fake) ** 2).reshape(len(real), -1)  # uint8 throughout
    assert wrapped.dtype == np.uint8
    expected = 20 * np.log10(255 / np.sqrt(wrapped.mean(axis=1)))
    np.testing.assert_allclose(metrics.report_psnr(real, fake), expected, rtol=1e-10)


@pytest.mark.parametrize(("difference", "wrapped"), [(15, 225), (16, 0), (17, 33), (240, 0)])
def test_report_psnr_forgets_multiples_of_256(difference, wrapped):
    real = np.full((1, 8, 8, 3), difference, np.uint8)
    score = metrics.report_psnr(real, np.zeros_like(real)).numpy()[0]
    if wrapped == 0:
        assert np.isposinf(score)  # a difference of 16 levels counts as none
    else:
        assert score == pytest.approx(10 * np.log10(255**2 / wrapped))


def test_report_ssim_cannot_see_colour_that_keeps_luminance(pair):
    # OpenCV's weights: this change of red, green and blue leaves its gray almost the same.
    real = uint8(pair[0] * 0.4 + 0.3)
    fake = (real.astype(int) + np.array([40, -20, -2])).astype(np.uint8)
    assert metrics.report_ssim(real, fake).numpy().min() > 0.99
    true = metrics.ssim((real / 255).astype("f"), (fake / 255).astype("f"))
    assert true.numpy().max() < metrics.report_ssim(real, fake).numpy().min()


def test_report_ssim_is_scikit_image_s_of_opencv_s_gray(pair):
    real, fake = uint8(pair[0]), uint8(pair[1])

    def gray(rgb):
        weighted = 0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]
        return np.round(weighted).astype(np.uint8)

    expected = [
        structural_similarity(gray(r), gray(f), data_range=255)
        for r, f in zip(real, fake, strict=True)
    ]
    # The fixed-point weights round a pixel in some thousands the other way.
    np.testing.assert_allclose(metrics.report_ssim(real, fake), expected, atol=5e-4)


@pytest.mark.skipif(not REPORT_IMAGES.is_dir(), reason="the report's own images are not here")
@pytest.mark.parametrize("row", [2, 3, 4])
def test_the_report_s_figure_3_scores_are_recomputed_from_its_own_images(row):
    from skimage.io import imread

    real, fake = (
        imread(REPORT_IMAGES / f"row{row}_{kind}.png")[None, ..., :3]
        for kind in ("real", "colorized")
    )
    printed = evaluation.FIGURE_3[row - 1]
    assert metrics.report_psnr(real, fake).numpy()[0] == pytest.approx(
        printed.report_psnr, abs=1e-3
    )
    assert metrics.report_ssim(real, fake).numpy()[0] == pytest.approx(
        printed.report_ssim, abs=1e-3
    )


@pytest.mark.parametrize("score", [metrics.psnr, metrics.ssim])
def test_true_scores_refuse_wrong_input(score):
    good = np.zeros((1, 8, 8, 3), np.float32)
    with pytest.raises(ValueError, match="float32"):
        score(good.astype(np.uint8), good)
    with pytest.raises(ValueError, match="batch, height, width, 3"):
        score(good[..., :1], good)
    with pytest.raises(ValueError, match="differ in shape"):
        score(good, np.zeros((1, 9, 8, 3), np.float32))


@pytest.mark.parametrize("score", [metrics.report_psnr, metrics.report_ssim])
def test_report_scores_refuse_floats(score):
    with pytest.raises(ValueError, match="uint8"):
        score(np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 8, 8, 3), np.uint8))


def test_ssim_refuses_images_below_its_window():
    small = np.zeros((1, 6, 8, 3), np.float32)
    with pytest.raises(ValueError, match="7x7"):
        metrics.ssim(small, small)


def test_discriminator_accuracy_counts_both_kinds_of_patches():
    real = np.array([[[[1.0], [-1.0]]], [[[2.0], [0.0]]]], np.float32)
    fake = np.array([[[[-1.0], [-2.0]]], [[[0.0], [1.0]]]], np.float32)
    # p >= 0.5 is a logit >= 0: zero counts as "real" on both sides.
    np.testing.assert_allclose(metrics.discriminator_accuracy(real, fake), [0.75, 0.5])
