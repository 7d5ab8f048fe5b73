"""Scores of fidelity against scikit-image, closed forms and what the report printed.

Below them, what holds for every score: what it refuses, and that images do not mix.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_color import color, metrics


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


@pytest.mark.parametrize(
    ("score", "oracle", "tolerance"),
    [
        (metrics.psnr, lambda r, f: peak_signal_noise_ratio(r, f, data_range=1), 1e-4),
        (
            metrics.ssim,
            lambda r, f: structural_similarity(r, f, channel_axis=-1, data_range=1),
            1e-6,
        ),
        (metrics.mae_rgb, lambda r, f: np.abs(r.astype(float) - f).mean(), 1e-6),
    ],
)
def test_scores_are_those_of_scikit_image_and_numpy(pair, score, oracle, tolerance):
    expected = [oracle(*both) for both in zip(*pair, strict=True)]
    np.testing.assert_allclose(score(*pair), expected, rtol=0, atol=tolerance)


def test_psnr_of_a_constant_difference_has_a_closed_form():
    real = np.zeros((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(metrics.psnr(real, real + np.float32(0.1)), 20.0, atol=1e-5)
    assert np.isposinf(metrics.psnr(real, real).numpy()).all()


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


def test_what_the_report_s_scores_and_ssim_refuse():
    floats, levels = np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 8, 8, 3), np.uint8)
    for score in (metrics.report_psnr, metrics.report_ssim):
        with pytest.raises(ValueError, match="uint8"):
            score(floats, levels)
    with pytest.raises(ValueError, match="7x7"):
        metrics.ssim(floats[:, :6], floats[:, :6])


def test_discriminator_accuracy_counts_both_kinds_of_patches():
    real = np.array([[[[1.0], [-1.0]]], [[[2.0], [0.0]]]], np.float32)
    fake = np.array([[[[-1.0], [-2.0]]], [[[0.0], [1.0]]]], np.float32)
    # p >= 0.5 is a logit >= 0: zero counts as "real" on both sides.
    np.testing.assert_allclose(metrics.discriminator_accuracy(real, fake), [0.75, 0.5])


RGB_SCORES = {
    "mae_rgb": metrics.mae_rgb,
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
}
LAB_SCORES = {
    "chroma_auc": metrics.chroma_auc,
    "ciede2000": metrics.ciede2000,
    "mae_ab": metrics.mae_ab,
    "nazeri_accuracy": lambda real, fake: metrics.nazeri_accuracy(real, fake, 0.05),
}
ONE_IMAGE_SCORES = {
    "chroma_histogram": lambda real, fake: metrics.chroma_histogram(fake),
    "colorfulness": lambda real, fake: metrics.colorfulness(fake),
    "pixel_weights": lambda real, fake: metrics.pixel_weights(fake, np.arange(1, 485)),
}
SCORES = RGB_SCORES | LAB_SCORES | ONE_IMAGE_SCORES | {"blotches": metrics.blotches}
IN_RGB = (*RGB_SCORES, "colorfulness")


def arguments(name: str, pair) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pair in the color space that the score takes."""
    return pair if name in IN_RGB else tuple(color.rgb_to_lab(part).numpy() for part in pair)


@pytest.mark.parametrize("name", SCORES)
def test_images_score_the_same_alone_in_a_batch_and_in_a_graph_of_unknown_size(name, pair):
    real, fake = arguments(name, pair)
    together = SCORES[name](real, fake).numpy()
    alone = [SCORES[name](real[i : i + 1], fake[i : i + 1]).numpy()[0] for i in range(len(real))]
    assert together.dtype in (np.float32, np.float64) and len(together) == len(real)
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)
    unknown = tf.TensorSpec([None, None, None, 3])
    graph = tf.function(SCORES[name], input_signature=[unknown, unknown], autograph=False)
    np.testing.assert_allclose(graph(real, fake), together, rtol=1e-6, atol=1e-6)
    assert SCORES[name](real[:0], fake[:0]).shape == (0, *together.shape[1:])


@pytest.mark.parametrize("name", SCORES)
def test_what_is_not_a_number_shows_in_its_own_image_only(name, pair):
    real, fake = arguments(name, pair)
    broken = fake.copy()
    broken[1, 3, 4, 1:] = np.nan
    score, expected = (SCORES[name](real, images).numpy() for images in (broken, fake))
    assert np.isnan(score[1]).any()
    np.testing.assert_array_equal(score[[0, 2, 3, 4]], expected[[0, 2, 3, 4]])


@pytest.mark.parametrize("name", [*RGB_SCORES, *LAB_SCORES])
def test_equal_images_get_the_best_score(name, pair):
    real, _ = arguments(name, pair)
    best = {"psnr": np.inf, "ssim": 1.0, "chroma_auc": 1.0, "nazeri_accuracy": 1.0}
    np.testing.assert_allclose(SCORES[name](real, real), best.get(name, 0.0), rtol=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_scores_refuse_wrong_input(name):
    good = np.zeros((1, 8, 8, 3), np.float32)
    if name in ONE_IMAGE_SCORES:
        with pytest.raises(ValueError, match="must be float32, not uint8"):
            SCORES[name](None, good.astype(np.uint8))
        with pytest.raises(ValueError, match="batch, height, width, 3"):
            SCORES[name](None, good[..., :2])
        return
    for real, fake, message in (
        (good.astype(np.uint8), good, "real must be float32, not uint8"),
        (good, good.astype(np.float64), "fake must be float32, not float64"),
        (good[..., :1], good, "batch, height, width, 3"),
        (good[0], good[0], "batch, height, width, 3"),
        (good, np.zeros((1, 9, 8, 3), np.float32), "differ in shape"),
        (np.zeros((2, 8, 8, 3), np.float32), good, "differ in shape"),  # no broadcasting
    ):
        with pytest.raises(ValueError, match=message):
            SCORES[name](real, fake)


@pytest.mark.parametrize("name", IN_RGB)
def test_rgb_scores_refuse_another_range(name):
    good = np.full((2, 8, 8, 3), 0.5, np.float32)
    with pytest.raises(ValueError, match=r"RGB in \[0, 1\], not \[127.5, 127.5\]"):
        SCORES[name](good, good * 255)
    with pytest.raises(ValueError, match=r"RGB in \[0, 1\], not \[-0.5"):
        SCORES[name](good, good - 1)
    if name in RGB_SCORES:
        with pytest.raises(ValueError, match=r"real must be RGB in \[0, 1\]"):
            SCORES[name](good * 255, good)
    SCORES[name](good, good + np.float32(0.5005))  # within what rounding may add
