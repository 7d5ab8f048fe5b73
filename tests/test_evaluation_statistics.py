"""Intervals against closed forms; paired differences; two splits side by side."""

from __future__ import annotations

import numpy as np
import pytest

from pix2pix_color import metrics
from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import gaps, side_by_side
from pix2pix_color.evaluation.comparison import difference
from pix2pix_color.evaluation.results import Evaluation
from pix2pix_color.evaluation.statistics import (
    bootstrap_ratios,
    bootstrap_sums,
    percentile_interval,
    resample_weights,
    symmetric_interval,
)
from pix2pix_color.evaluation.totals import (
    chroma_distances,
    feature_distances,
    frechet_deviation,
    summarize,
)


def made(split: str = "test", count: int = 500, shift: float = 0.0, seed: int = 0) -> Evaluation:
    """An evaluation of normal scores: the model `shift` dB above the baseline, on average."""
    rng = np.random.default_rng(seed)
    base = rng.normal(24, 4, count)
    per_image = {
        "model": {
            "psnr": base + shift + rng.normal(0, 0.5, count),
            "ciede2000": rng.uniform(5, 15, count),
            "chroma_auc_rebalanced": rng.uniform(0.7, 0.9, count),
            "colorfulness": rng.uniform(5, 25, count),
            "recognized": rng.integers(0, 2, count).astype(float),
        },
        "no_color": {"psnr": base, "colorfulness": np.zeros(count)},
        "real": {
            "colorfulness": rng.uniform(20, 40, count),
            "rebalancing_weight": rng.uniform(0.1, 10, count),
        },
    }
    scores, intervals = summarize(per_image)
    scores["model"]["fcd"], intervals["model"]["fcd"] = 10.0 + shift, (8.0 + shift, 12.0 + shift)
    images = tuple(f"{i:016x}" for i in range(count))
    return Evaluation("synthetic", split, images, None, per_image, scores, intervals)


# Bootstrap ----------------------------------------------------------------------------------


def test_resamples_are_whole_seeded_and_the_same_in_chunks(monkeypatch):
    from pix2pix_color.evaluation import statistics

    (whole,) = resample_weights(50, 40, seed=3)
    assert whole.shape == (40, 50)
    np.testing.assert_array_equal(whole.sum(axis=1), 50)
    assert not np.array_equal(whole, next(resample_weights(50, 40, seed=4)))
    monkeypatch.setattr(statistics, "_CHUNK", 50 * 7)
    parts = list(resample_weights(50, 40, seed=3))
    assert len(parts) == 6
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(24, 4, 4_000)[:, None]
    resampled = bootstrap_ratios(values, np.ones_like(values), resamples=4_000)
    low, high = percentile_interval(resampled)[:, 0]
    half = 1.96 * values.std() / np.sqrt(4_000)
    # The ends of 4,000 resamples scatter by about 3 % of the half width.
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_interval_of_a_ratio_of_sums_is_that_of_the_delta_method():
    rng = np.random.default_rng(2)
    below = rng.uniform(1, 3, (3_000, 1))
    above = below * rng.normal(0.7, 0.2, (3_000, 1))
    estimate = above.sum() / below.sum()
    deviation = np.std(above - estimate * below) / below.mean() / np.sqrt(3_000)
    resampled = bootstrap_ratios(above, below)
    assert resampled.std() == pytest.approx(deviation, rel=0.08)
    assert resampled.mean() == pytest.approx(estimate, abs=0.2 * deviation)


def test_resampled_ratios_are_those_of_a_loop_and_keep_their_digits():
    rng = np.random.default_rng(3)
    values = 1e4 + 1e-4 * rng.normal(size=(30, 1))  # float32 alone would lose what differs
    (weights,) = resample_weights(30, 20)
    looped = [np.average(values[:, 0], weights=row) for row in weights]
    found = bootstrap_ratios(values, np.ones_like(values), resamples=20)[:, 0]
    np.testing.assert_allclose(found - 1e4, np.array(looped) - 1e4, atol=1e-9)


def test_resampled_sums_are_those_of_a_loop():
    histograms = np.random.default_rng(4).integers(0, 900, (5_000, 6), dtype=np.uint16)
    weights = next(resample_weights(5_000, 3))
    (found,) = next(bootstrap_sums([histograms], resamples=3))
    np.testing.assert_allclose(found, weights @ histograms.astype(float), rtol=1e-6)


def test_a_symmetric_interval_does_not_go_below_zero():
    assert symmetric_interval(5.0, np.array([6.0, 8.0])) == pytest.approx(
        (5 - 1.96 * np.sqrt(2), 5 + 1.96 * np.sqrt(2))
    )
    assert symmetric_interval(0.5, np.array([6.0, 8.0]))[0] == 0.0


def test_an_infinite_mean_has_no_interval_and_spoils_no_other():
    values = {"psnr": np.array([20.0, 30.0, np.inf]), "ssim": np.array([0.8, 0.9, 1.0])}
    scores, intervals = summarize({"model": values})
    assert scores["model"]["psnr"] == np.inf
    assert np.isnan(intervals["model"]["psnr"]).all()
    assert intervals["model"]["ssim"] == pytest.approx((0.8, 1.0), abs=0.04)


# Distances ----------------------------------------------------------------------------------


def test_the_deviation_of_a_frechet_distance_is_that_of_new_draws():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(5, 5))

    def draw() -> tuple[np.ndarray, np.ndarray]:
        real = rng.normal(size=(2_000, 5)) @ mix
        return real, 0.7 * real + 0.5 * rng.normal(size=real.shape) + 0.2

    def distance(real: np.ndarray, fake: np.ndarray) -> float:
        real, fake = metrics.feature_statistics(real), metrics.feature_statistics(fake)
        return metrics.frechet_distance(*real, *fake)

    drawn = [distance(*draw()) for _ in range(300)]
    found = [frechet_deviation(*draw()) for _ in range(5)]
    assert np.mean(found) == pytest.approx(np.std(drawn), rel=0.15)
    real, fake = draw()
    value, (low, high) = feature_distances({"real": real, "model": fake})["model"]
    assert value == pytest.approx(distance(real, fake))
    assert high - low == pytest.approx(2 * 1.96 * frechet_deviation(real, fake))


def test_features_that_never_vary_do_no_harm():
    rng = np.random.default_rng(1)
    real = np.pad(rng.normal(size=(100, 3)), [(0, 0), (0, 2)])
    fake = real + np.array([1.0, 0, 0, 0, 0])
    value, (low, high) = feature_distances({"real": real, "model": fake})["model"]
    assert value == pytest.approx(1.0)
    assert low == pytest.approx(1.0, abs=1e-6) and high == pytest.approx(1.0, abs=1e-6)


def test_the_deviation_of_a_chroma_distance_is_that_of_new_draws():
    rng = np.random.default_rng(2)
    real_share, fake_share = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.3, 0.4])

    def draw() -> dict[str, np.ndarray]:
        return {
            "real": rng.multinomial(100, real_share, size=400),
            "model": rng.multinomial(100, fake_share, size=400),
        }

    drawn = [chroma_distances_of(draw()) for _ in range(300)]
    value, (low, high) = chroma_distances(draw())["model"]
    assert high - value == pytest.approx(1.96 * np.std(drawn), rel=0.2)
    assert value - low == pytest.approx(high - value)
    assert abs(value - np.mean(drawn)) < high - low


def chroma_distances_of(histograms: dict[str, np.ndarray]) -> float:
    pooled = (histograms[name].sum(axis=0) for name in ("real", "model"))
    return float(metrics.jensen_shannon_distance(*pooled))


# Differences --------------------------------------------------------------------------------


def test_a_paired_difference_is_narrower_than_the_intervals_of_the_two():
    evaluation = made(shift=0.3)
    found = evaluation.difference("model", "no_color")
    psnr = evaluation.per_image["model"]["psnr"] - evaluation.per_image["no_color"]["psnr"]
    low, high = found.scores["psnr"].interval
    half = 1.96 * psnr.std() / np.sqrt(len(psnr))
    assert found.scores["psnr"].mean == pytest.approx(psnr.mean())
    assert (low, high) == pytest.approx((psnr.mean() - half, psnr.mean() + half), abs=0.2 * half)
    alone = evaluation.intervals["model"]["psnr"]
    assert high - low < 0.3 * (alone[1] - alone[0])
    assert found.scores["psnr"].share_better == pytest.approx((psnr > 0).mean())
    ratio = found.scores["colorfulness_ratio"]
    assert ratio.mean == pytest.approx(evaluation.scores["model"]["colorfulness_ratio"])
    assert ratio.share_better is None
    assert "fcd" not in found.scores  # a distance is of the whole set
    assert "the model - no color at all, 500 images" in found.table()
    assert found.summary()["scores"]["psnr"]["difference"] == pytest.approx(psnr.mean(), abs=1e-5)
    with pytest.raises(EvaluationError, match="no predictor 'color'; there are: model, no_color"):
        evaluation.difference("model", "color")


def test_lower_may_be_better_equal_is_not_better_and_weights_count():
    auc = np.array([0.5, 0.6, 0.7, 0.8])
    per_image = {
        "one": {"ciede2000": np.array([1.0, 2.0, 3.0, 4.0]), "chroma_auc_rebalanced": auc},
        "two": {"ciede2000": np.array([2.0, 2.0, 2.0, 4.000001]), "chroma_auc_rebalanced": auc / 2},
        "real": {"rebalancing_weight": np.array([1.0, 0, 0, 3.0])},
    }
    found = difference(per_image, "one", "two").scores
    assert found["ciede2000"].share_better == 0.25
    assert found["ciede2000"].mean == pytest.approx(0, abs=1e-6)
    assert found["chroma_auc_rebalanced"].mean == pytest.approx((0.25 + 3 * 0.4) / 4)


def test_a_difference_of_one_image_has_no_interval():
    found = made(count=1).difference("model", "no_color")
    assert np.isnan(found.scores["psnr"].interval).all()
    assert found.summary()["scores"]["psnr"]["interval"] == [None, None]
    assert "[" not in found.table()


def test_train_and_test_stand_side_by_side_with_their_gap():
    train, test = made("train", shift=1.0, count=2_000, seed=5), made("test", seed=6)
    found = gaps(train, test)["model"]
    a, b = (e.per_image["model"]["psnr"] for e in (train, test))
    assert found["psnr"].gap == pytest.approx(a.mean() - b.mean())
    half = 1.96 * np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b)))
    low, high = found["psnr"].interval
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert found["fcd"].gap == 1.0
    assert found["fcd"].interval == pytest.approx((1 - np.sqrt(8), 1 + np.sqrt(8)))
    table = side_by_side(train, test)
    assert "| the model | train, 2,000 images | test, 500 images | train - test |" in table
    assert "| no color at all |" in table
    assert f"| {found['fcd'].train:.2f} [9.00, 13.00] |" in table
    with pytest.raises(EvaluationError, match="Only two splits"):
        side_by_side(test, test)
