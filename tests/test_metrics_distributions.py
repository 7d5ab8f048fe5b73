"""Histograms, class rebalancing and FCD's distance against NumPy, SciPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from pix2pix_color import metrics

SIDE, BINS = 22, 484
EDGES = np.arange(-110, 111, metrics.CHROMA_BIN)


def lab_images(seed: int = 0, shape=(3, 16, 16), chroma: float = 25.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lightness = rng.uniform(0, 100, (*shape, 1))
    return np.concatenate([lightness, rng.normal(0, chroma, (*shape, 2))], -1).astype(np.float32)


def pixels(*ab: tuple[float, float]) -> np.ndarray:
    """Returns one image, a row of pixels of these a and b."""
    return np.array([[[(50.0, *pair) for pair in ab]]], np.float32)


def numpy_histogram(lab: np.ndarray) -> np.ndarray:
    a, b = np.clip(lab[..., 1:].reshape(-1, 2).astype(float), -109.9, 109.9).T
    return np.histogram2d(a, b, bins=[EDGES, EDGES])[0].reshape(-1)


@pytest.mark.parametrize("chroma", [5.0, 25.0, 90.0])
def test_chroma_histogram_is_numpy_s(chroma):
    lab = lab_images(chroma=chroma)
    counts = metrics.chroma_histogram(lab)
    assert counts.dtype == tf.float32
    np.testing.assert_array_equal(counts, [numpy_histogram(image) for image in lab])


@pytest.mark.parametrize(
    ("ab", "place"),
    [
        ((-110, -110), (0, 0)),
        ((-100.01, -100), (0, 1)),
        ((0, -0.01), (11, 10)),
        ((110, 0), (21, 11)),
        ((1e9, -np.inf), (21, 0)),
    ],
)
def test_a_bin_holds_its_lower_edges_and_the_rim_what_lies_outside(ab, place):
    counts = metrics.chroma_histogram(pixels(ab)).numpy()[0]
    assert counts.sum() == 1
    assert divmod(int(counts.argmax()), SIDE) == place


def training_histogram() -> np.ndarray:
    """Returns counts of many, few and no pixels, at the rim too."""
    counts = np.zeros((SIDE, SIDE))
    counts[8:14, 7:15] = np.random.default_rng(0).integers(0, 10_000, (6, 8))
    counts[9, 9] = 0
    counts[19, :2] = 3_000
    counts[17, 16] = 1
    return counts.reshape(-1)


def test_rebalancing_weights_are_one_over_the_smoothed_shares():
    counts = training_histogram()
    weights = metrics.class_rebalancing(counts)
    smoothed = gaussian_filter(counts.reshape(SIDE, SIDE), 0.5, mode="constant", truncate=20)
    product = (weights * smoothed.reshape(-1))[counts > 0]
    np.testing.assert_allclose(product, product[0], rtol=1e-9)


def test_bins_that_were_never_seen_weigh_no_more_than_the_rarest_seen():
    counts = training_histogram()
    weights = metrics.class_rebalancing(counts).reshape(SIDE, SIDE)
    assert np.isfinite(weights).all() and (weights > 0).all()
    assert weights[17, 16] == weights.max() == weights[0, 0] == weights[21, 3]
    assert weights[9, 9] < weights.max()  # its neighbors were seen often
    assert metrics.class_rebalancing(12 * np.eye(1, BINS, 100)[0])[100] == pytest.approx(1.0)


def test_a_mixture_with_equal_shares_is_equation_4_of_zhang_et_al():
    counts = np.zeros(BINS)
    counts[[253, 254, 20]] = 900, 90, 10
    np.testing.assert_allclose(metrics.class_rebalancing(counts, 1.0), np.ones(BINS), rtol=1e-12)
    image = gaussian_filter(counts.reshape(SIDE, SIDE), 0.5, mode="constant", truncate=50)
    expected = 1 / (0.5 * image.reshape(-1) / image.sum() + 0.5 / 3)
    expected /= np.sum(expected * counts / counts.sum())
    found, seen = metrics.class_rebalancing(counts, 0.5), counts > 0
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-3)
    assert found[20] / found[253] < metrics.class_rebalancing(counts)[20]


@pytest.mark.parametrize(
    ("histogram", "uniform", "message"),
    [
        (np.ones((2, BINS)), 0, r"\(484,\), not \(2, 484\)"),
        (np.zeros(BINS), 0, "not all 0"),
        (np.arange(BINS) - 1, 0, "at least 0"),
        (np.full(BINS, np.nan), 0, "at least 0"),
        *((np.ones(BINS), uniform, r"uniform must be in \[0, 1\]") for uniform in (-0.1, 1.1)),
        (np.ones(BINS), float("nan"), r"uniform must be in \[0, 1\]"),
    ],
)
def test_what_class_rebalancing_refuses(histogram, uniform, message):
    with pytest.raises(ValueError, match=message):
        metrics.class_rebalancing(histogram, uniform)


def test_pixel_weights_are_those_of_the_pixels_bins():
    lab = pixels((-110, -110), (0, 5), (500, 500), (np.nan, 0))
    weights = metrics.pixel_weights(lab, np.arange(BINS)).numpy()
    np.testing.assert_array_equal(weights, [[[0, 11 * SIDE + 11, BINS - 1, np.nan]]])
    with pytest.raises(ValueError, match="bin_weights must be"):
        metrics.pixel_weights(lab, np.arange(BINS - 1))


def test_rebalancing_makes_a_rare_color_count_as_much_as_gray():
    # Nine gray pixels are right, one red pixel is wrong by 75: half of AuC's range.
    real = pixels(*[(0, 0)] * 9, (75, 0))
    fake = pixels(*[(0, 0)] * 10)
    weights = metrics.class_rebalancing(metrics.chroma_histogram(real).numpy()[0])
    assert np.mean(metrics.pixel_weights(real, weights)) == pytest.approx(1.0)
    balanced = metrics.chroma_auc(real, fake, metrics.pixel_weights(real, weights))
    np.testing.assert_allclose(metrics.chroma_auc(real, fake), 0.95, rtol=1e-6)
    np.testing.assert_allclose(balanced, 0.75, rtol=1e-6)


def features(seed: int, count: int = 60, dimensions: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dimensions, dimensions))
    return rng.normal(size=(count, dimensions)) @ mixing + rng.random()


def test_frechet_distance_is_that_of_scipy_s_matrix_root():
    real, fake = features(0).astype(np.float32), features(1, count=50)
    gap = real.mean(axis=0, dtype=float) - fake.mean(axis=0)
    c1, c2 = (np.cov(part.astype(float), rowvar=False) for part in (real, fake))
    expected = np.sum(gap**2) + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    distance = metrics.frechet_distance(real, fake)
    assert isinstance(distance, float)
    assert distance == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(fake, real) == pytest.approx(distance, rel=1e-9)
    assert metrics.frechet_distance([[1], [3]], [[5], [9]]) == pytest.approx(25 + 2)


@pytest.mark.parametrize("count", [60, 5])
def test_frechet_distance_of_equal_statistics_is_zero(count):
    real = features(0, count)  # of 5 images 8 of 12 directions are empty
    assert 0 <= metrics.frechet_distance(real, real[::-1]) < 1e-12 * np.sum(real.var(axis=0))


def test_frechet_distance_of_singular_covariances_is_exact():
    # Uncorrelated features in a rotated space, some of which never vary.
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    v1, v2 = np.array([1, 2, 3, 0, 0, 0.0]), np.array([4, 0, 3, 5, 0, 0.0])
    white = np.concatenate([np.eye(6), -np.eye(6)]) * np.sqrt(11 / 2)
    real, fake = ((white * np.sqrt(values)) @ rotation.T for values in (v1, v2))
    expected = np.sum((np.sqrt(v1) - np.sqrt(v2)) ** 2)
    assert metrics.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-12)


def test_what_frechet_distance_refuses():
    good = features(0)
    for wrong in (np.ones((1, 12)), np.ones(12), np.ones((2, 3, 12)), good[:, :3]):
        with pytest.raises(ValueError, match="at least two rows"):
            metrics.frechet_distance(good, wrong)
    with pytest.raises(ValueError, match="finite"):
        metrics.frechet_distance(good, good * np.nan)
