"""Scores of color against the standard's test data, scikit-image and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid
from skimage.color import deltaE_ciede2000

from pix2pix_color import metrics

# Sharma, Wu and Dalal 2005, table 1: L, a and b of two colors, and their difference.
SHARMA_2005 = np.loadtxt(
    """
    50.0000   2.6772 -79.7751 50.0000   0.0000 -82.7485  2.0425
    50.0000   3.1571 -77.2803 50.0000   0.0000 -82.7485  2.8615
    50.0000   2.8361 -74.0200 50.0000   0.0000 -82.7485  3.4412
    50.0000  -1.3802 -84.2814 50.0000   0.0000 -82.7485  1.0000
    50.0000  -1.1848 -84.8006 50.0000   0.0000 -82.7485  1.0000
    50.0000  -0.9009 -85.5211 50.0000   0.0000 -82.7485  1.0000
    50.0000   0.0000   0.0000 50.0000  -1.0000   2.0000  2.3669
    50.0000  -1.0000   2.0000 50.0000   0.0000   0.0000  2.3669
    50.0000   2.4900  -0.0010 50.0000  -2.4900   0.0009  7.1792
    50.0000   2.4900  -0.0010 50.0000  -2.4900   0.0010  7.1792
    50.0000   2.4900  -0.0010 50.0000  -2.4900   0.0011  7.2195
    50.0000   2.4900  -0.0010 50.0000  -2.4900   0.0012  7.2195
    50.0000  -0.0010   2.4900 50.0000   0.0009  -2.4900  4.8045
    50.0000  -0.0010   2.4900 50.0000   0.0010  -2.4900  4.8045
    50.0000  -0.0010   2.4900 50.0000   0.0011  -2.4900  4.7461
    50.0000   2.5000   0.0000 50.0000   0.0000  -2.5000  4.3065
    50.0000   2.5000   0.0000 73.0000  25.0000 -18.0000 27.1492
    50.0000   2.5000   0.0000 61.0000  -5.0000  29.0000 22.8977
    50.0000   2.5000   0.0000 56.0000 -27.0000  -3.0000 31.9030
    50.0000   2.5000   0.0000 58.0000  24.0000  15.0000 19.4535
    50.0000   2.5000   0.0000 50.0000   3.1736   0.5854  1.0000
    50.0000   2.5000   0.0000 50.0000   3.2972   0.0000  1.0000
    50.0000   2.5000   0.0000 50.0000   1.8634   0.5757  1.0000
    50.0000   2.5000   0.0000 50.0000   3.2592   0.3350  1.0000
    60.2574 -34.0099  36.2677 60.4626 -34.1751  39.4387  1.2644
    63.0109 -31.0961  -5.8663 62.8187 -29.7946  -4.0864  1.2630
    61.2901   3.7196  -5.3901 61.4292   2.2480  -4.9620  1.8731
    35.0831 -44.1164   3.7933 35.0232 -40.0716   1.5901  1.8645
    22.7233  20.0904 -46.6940 23.0331  14.9730 -42.5619  2.0373
    36.4612  47.8580  18.3852 36.2715  50.5065  21.2231  1.4146
    90.8027  -2.0831   1.4410 91.1528  -1.6435   0.0447  1.4441
    90.9257  -0.5406  -0.9208 88.6381  -0.8985  -0.7239  1.5381
     6.7747  -0.2908  -2.4247  5.8714  -0.0985  -2.2286  0.6377
     2.0776   0.0795  -1.1350  0.9033  -0.0636  -0.5514  0.9082
    """.splitlines()
)


def lab_pair(seed: int = 0, shape=(4, 16, 16), chroma: float = 30.0, apart: float = 1.0):
    """Returns two random Lab batches; `apart` is how much chroma they do not share."""
    rng = np.random.default_rng(seed)
    lightness = rng.uniform(0, 100, shape)
    real, other = rng.normal(0, chroma, (2, *shape, 2))
    fake = (1 - apart) * real + apart * other
    lab = [
        np.concatenate([(lightness + shift)[..., None], ab], axis=-1).astype(np.float32)
        for shift, ab in ((0, real), (rng.normal(0, 2, shape), fake))
    ]
    return lab[0], lab[1]


def constant(*lab: float, shape=(1, 4, 4)) -> np.ndarray:
    return np.broadcast_to(np.float32(lab), (*shape, 3)).copy()


def ciede2000_of_pixels(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Returns the difference of each pixel, each scored as an image of its own."""
    pixels = (np.float32(lab).reshape(-1, 1, 1, 3) for lab in (real, fake))
    return metrics.ciede2000(*pixels).numpy().reshape(np.shape(real)[:-1])


@pytest.mark.parametrize("swapped", [False, True])
def test_ciede2000_reproduces_the_34_published_pairs(swapped):
    first, second = SHARMA_2005[:, :3], SHARMA_2005[:, 3:6]
    score = ciede2000_of_pixels(*((second, first) if swapped else (first, second)))
    np.testing.assert_allclose(score, SHARMA_2005[:, 6], rtol=0, atol=1e-4)


@pytest.mark.parametrize("chroma", [30.0, 100.0, 1.0, 1e-3, 0.0])
@pytest.mark.parametrize("apart", [1.0, 0.05, 0.0])
def test_ciede2000_is_scikit_image_s(chroma, apart):
    real, fake = lab_pair(shape=(4, 64, 64), chroma=chroma, apart=apart)
    expected = deltaE_ciede2000(real.astype(float), fake.astype(float))
    np.testing.assert_allclose(ciede2000_of_pixels(real, fake), expected, rtol=0, atol=1e-3)
    means = expected.mean(axis=(1, 2))
    np.testing.assert_allclose(metrics.ciede2000(real, fake), means, rtol=0, atol=1e-5)


def test_ciede2000_is_right_on_both_sides_of_every_angle():
    # Each hue against each: where angles wrap, and where the mean hue is the far one.
    hues = np.deg2rad(np.arange(0.5, 360, 3))
    circle = np.stack([np.full_like(hues, 60), 40 * np.cos(hues), 40 * np.sin(hues)], axis=-1)
    real, fake = np.float32(np.broadcast_arrays(circle[:, None], 1.2 * circle[None]))
    expected = deltaE_ciede2000(real.astype(float), fake.astype(float))
    # For exactly opposite hues the halfway one depends on the oracle's rounding; see below.
    checked = ~np.isclose(np.abs(hues[:, None] - hues), np.pi)
    score = ciede2000_of_pixels(real, fake)
    np.testing.assert_allclose(score[checked], expected[checked], rtol=0, atol=1e-3)


def test_ciede2000_of_opposite_hues_takes_the_mean_of_their_angles():
    # The standard has it that way up to 180 degrees and the other way beyond. The oracle gets
    # hues that are slightly less far apart, so that its rounding does not decide.
    a, b = np.meshgrid(np.arange(-12, 13), np.arange(-12, 13))
    real = np.stack([np.full(a.shape, 50), a, b], axis=-1)[(a != 0) | (b != 0)].astype(float)
    fake = real * [1, -2, -2]
    first_is_less = (real[:, 2] > 0) | ((real[:, 2] == 0) & (real[:, 1] > 0))
    turn = np.where(first_is_less, -1e-7, 1e-7)
    nearer = fake + np.stack([0 * turn, -turn * fake[:, 2], turn * fake[:, 1]], axis=-1)
    expected = deltaE_ciede2000(real, nearer)
    np.testing.assert_allclose(ciede2000_of_pixels(real, fake), expected, rtol=0, atol=1e-3)


def test_ciede2000_of_grays_has_a_closed_form_and_no_color_overflows():
    # At a mean lightness of 50 the weight of lightness is 1.
    np.testing.assert_allclose(metrics.ciede2000(constant(48, 0, 0), constant(52, 0, 0)), 4.0)
    assert not metrics.ciede2000(constant(0, 0, 0), constant(0, 0, 0)).numpy().any()
    assert np.isfinite(metrics.ciede2000(constant(50, 1e6, -1e6), constant(50, -1e6, 1e5))).all()


def test_mae_ab_leaves_lightness_out():
    real, fake = lab_pair()
    expected = np.abs(real[..., 1:].astype(float) - fake[..., 1:]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(metrics.mae_ab(real, fake), expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.mae_ab(constant(10, 3, -4), constant(90, 0, 0)), 3.5)


def shares_within(distances: np.ndarray, thresholds: np.ndarray, weights: np.ndarray) -> list:
    """Returns the share of pixels within each threshold."""
    return [np.average(distances <= t, weights=weights) for t in thresholds]


def test_chroma_auc_is_the_integral_over_thresholds():
    real, fake = lab_pair(chroma=45.0)
    distances = np.linalg.norm(real[..., 1:].astype(float) - fake[..., 1:], axis=-1)
    assert (distances > 150).any()
    fine, even = np.linspace(0, 150, 6001), np.ones(real.shape[:3])
    weights = np.random.default_rng(3).exponential(size=even.shape)
    plain, weighted = (
        [
            trapezoid(shares_within(d, fine, w), fine) / 150
            for d, w in zip(distances, part, strict=True)
        ]
        for part in (even, weights)
    )
    np.testing.assert_allclose(metrics.chroma_auc(real, fake), plain, atol=1e-4)
    np.testing.assert_allclose(metrics.chroma_auc(real, fake, weights), weighted, atol=1e-4)
    assert np.abs(np.subtract(plain, weighted)).max() > 1e-3
    # What published implementations sum differs by less than one step.
    whole = [np.mean(shares_within(d, np.arange(150), even[0])) for d in distances]
    difference = metrics.chroma_auc(real, fake).numpy() - whole
    assert (difference > 0).all() and (difference < 1 / 150).all()


def test_weights_choose_the_pixels_of_chroma_auc():
    real, fake = lab_pair()
    even = np.full(real.shape[:3], 7.0)
    np.testing.assert_allclose(
        metrics.chroma_auc(real, fake, even), metrics.chroma_auc(real, fake), rtol=1e-6
    )
    half = even.copy()
    half[:, :8] = 0
    np.testing.assert_allclose(
        metrics.chroma_auc(real, fake, half),
        metrics.chroma_auc(real[:, 8:], fake[:, 8:]),
        rtol=1e-6,
    )
    assert np.isnan(metrics.chroma_auc(real, fake, 0 * even)).all()
    with pytest.raises(ValueError, match=r"pixel_weights must be one value per pixel"):
        metrics.chroma_auc(real, fake, even[..., None])


@pytest.mark.parametrize(
    ("epsilon", "difference", "right"),
    [
        (0.02, (2, 4, 4), True),
        (0.02, (3, 0, 0), False),
        (0.02, (0, 5, 0), False),
        (0.05, (5, 11, 11), True),
        (0.05, (0, 12, 0), False),
        (0.29, (29, 0, 0), True),  # 0.29 * 100 is a little less than 29
        (0.0, (0, 1, 0), False),
        (0.02, (0, 4.6, 0), False),  # 10 and 14.6 round to 10 and 15
        (0.02, (0, 4.4, 0), True),
    ],
)
def test_nazeri_accuracy_has_a_tolerance_for_each_channel(epsilon, difference, right):
    real = constant(40, 10, -20)
    score = metrics.nazeri_accuracy(real, real + np.float32(difference), epsilon)
    np.testing.assert_array_equal(score, [float(right)])


@pytest.mark.parametrize("percent", [2, 5])
def test_nazeri_accuracy_is_the_share_of_pixels_with_all_three_channels_right(percent):
    real, fake = lab_pair(apart=0.1)
    gaps = [np.abs(np.round(real[..., i]) - np.round(fake[..., i])) for i in range(3)]
    right = (gaps[0] <= percent) & (gaps[1] <= 2.2 * percent) & (gaps[2] <= 2.2 * percent)
    expected = right.mean(axis=(1, 2))
    assert (expected > 0.1).all() and (expected < 0.99).all()
    score = metrics.nazeri_accuracy(real, fake, percent / 100)
    np.testing.assert_allclose(score, expected, rtol=1e-6)


@pytest.mark.parametrize("epsilon", [2, -0.02, float("nan")])
def test_nazeri_accuracy_refuses_percents(epsilon):
    with pytest.raises(ValueError, match="fraction in"):
        metrics.nazeri_accuracy(constant(50, 0, 0), constant(50, 0, 0), epsilon)


def test_colorfulness_is_the_published_formula():
    rgb = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    red, green, blue = np.moveaxis(rgb.astype(float) * 255, -1, 0).reshape(3, 3, -1)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = np.sqrt(rg.std(axis=1) ** 2 + yb.std(axis=1) ** 2)
    shift = np.sqrt(rg.mean(axis=1) ** 2 + yb.mean(axis=1) ** 2)
    np.testing.assert_allclose(metrics.colorfulness(rgb), spread + 0.3 * shift, rtol=1e-5)
    assert metrics.colorfulness(np.full((1, 4, 4, 3), 0.7, np.float32)) == 0  # gray


def blotches(real: np.ndarray, fake: np.ndarray) -> float:
    return float(metrics.blotches(real, fake)[0])


def ramp_on_a_plain_patch(slope: tuple[float, float], patch: int = 21) -> np.ndarray:
    """Returns one image: a and b grow along the rows, L is plain in the middle and loud around."""
    rows, columns = np.mgrid[:61, :61]
    lab = np.stack([100.0 * ((rows + columns) % 2), slope[0] * rows, slope[1] * rows], axis=-1)
    middle = slice(30 - patch // 2, 31 + patch // 2)
    lab[middle, middle, 0] = 60.0
    return lab[None].astype(np.float32)


@pytest.mark.parametrize("patch", [17, 21, 31])
def test_blotches_of_a_ramp_are_its_deviation_in_a_window_where_luminance_is_flat(patch):
    lab = ramp_on_a_plain_patch((0.3, -0.4), patch)
    # Steps of 0.5 over 17 rows, in each window that lies inside the patch.
    expected = 0.5 * np.sqrt((17**2 - 1) / 12) * (patch - 16) ** 2 / 61**2
    assert blotches(lab, lab) == pytest.approx(expected, rel=1e-4)
    assert blotches(lab, lab * np.float32([0, 3, 3])) == pytest.approx(3 * expected, rel=1e-4)


def test_blotches_need_color_that_varies_where_the_real_luminance_does_not():
    real = ramp_on_a_plain_patch((0.3, -0.4))
    assert blotches(real, real * np.float32([1, 0, 0])) == 0
    plain = np.full((1, 40, 30, 3), 50, np.float32)
    assert blotches(plain, plain) == pytest.approx(0, abs=1e-4)
    loud = ramp_on_a_plain_patch((0.3, -0.4), patch=15)
    assert blotches(loud, real) == 0
    # Single pixels are noise: a ninth of their amplitude is left.
    noise = np.where(np.indices((1, 99, 99)).sum(axis=0) % 2, 9.0, -9.0)
    noisy = np.stack([0 * noise + 50, noise, 0 * noise], axis=-1).astype(np.float32)
    assert blotches(noisy, noisy) == pytest.approx(1, abs=0.03)


def test_blotches_are_those_of_a_loop_over_windows():
    rng = np.random.default_rng(0)
    lab = rng.normal(0, 2.2, (1, 19, 23, 3)).astype(np.float32)

    def window(values, row, column, reach):
        part = values[max(0, row - reach) : row + reach + 1]
        return part[:, max(0, column - reach) : column + reach + 1].reshape(-1, 3)

    places = list(np.ndindex(19, 23))
    smooth = np.array([window(lab[0], *p, 1).mean(axis=0) for p in places]).reshape(19, 23, 3)
    flat = [window(lab[0], *place, 8)[:, 0].std() < 2 for place in places]
    spread = [np.hypot(*window(smooth, *place, 8)[:, 1:].std(axis=0)) for place in places]
    assert 0 < np.mean(flat) < 1
    assert blotches(lab, lab) == pytest.approx(np.dot(flat, spread) / 437, rel=1e-4)
