"""Intervals against closed forms; paired differences; the gap between two splits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from pix2pix_color import metrics
from pix2pix_color.evaluation import Evaluation, gap, statistics
from pix2pix_color.evaluation.statistics import (
    bootstrap_ratios,
    chroma_distances,
    feature_distances,
    frechet_deviation,
    ratios,
    resample_weights,
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
    values = summarize(per_image)
    values["model"]["fcd"] = 10.0 + shift, (8.0 + shift, 12.0 + shift)
    images = tuple(f"{i:016x}" for i in range(count))
    return Evaluation("synthetic", split, images, None, per_image, values)


# Bootstrap ----------------------------------------------------------------------------------


def test_resamples_are_whole_seeded_and_the_same_in_chunks(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 40)
    (whole,) = resample_weights(50, seed=3)
    assert whole.shape == (40, 50)
    np.testing.assert_array_equal(whole.sum(axis=1), 50)
    assert not np.array_equal(whole, next(resample_weights(50, seed=4)))
    monkeypatch.setattr(statistics, "_CHUNK", 50 * 7)
    parts = list(resample_weights(50, seed=3))
    assert len(parts) == 6
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 4_000)
    values = np.random.default_rng(1).normal(24, 4, 4_000)
    mean, (low, high) = ratios({"psnr": (values, np.ones_like(values))})["psnr"]
    half = 1.96 * values.std() / np.sqrt(4_000)
    # The ends of 4,000 resamples scatter by about 3 % of the half width.
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_resampled_ratios_are_those_of_a_loop_and_keep_their_digits():
    rng = np.random.default_rng(3)
    below = rng.uniform(1, 3, (30, 1))
    above = below * (1e4 + 1e-4 * rng.normal(size=(30, 1)))  # float32 would lose what differs
    (weights,) = resample_weights(30)
    looped = [np.average(above / below, weights=row[:, None] * below) for row in weights]
    found = bootstrap_ratios(above, below)[:, 0]
    np.testing.assert_allclose(found - 1e4, np.array(looped) - 1e4, atol=1e-9)


def test_an_infinite_mean_has_no_interval_and_spoils_no_other():
    scores = {"psnr": np.array([20.0, 30.0, np.inf]), "ssim": np.array([0.8, 0.9, 1.0])}
    found = summarize({"model": scores})["model"]
    assert found["psnr"][0] == np.inf
    assert np.isnan(found["psnr"][1]).all()
    assert found["ssim"][1] == pytest.approx((0.8, 1.0), abs=0.04)


# Distances ----------------------------------------------------------------------------------


def test_the_deviation_of_a_frechet_distance_is_that_of_new_draws():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(5, 5))

    def draw() -> tuple[np.ndarray, np.ndarray]:
        real = rng.normal(size=(2_000, 5)) @ mix
        return real, 0.7 * real + 0.5 * rng.normal(size=real.shape) + 0.2

    drawn = [metrics.frechet_distance(*draw()) for _ in range(300)]
    found = [frechet_deviation(*draw()) for _ in range(5)]
    assert np.mean(found) == pytest.approx(np.std(drawn), rel=0.15)
    real, fake = draw()
    value, (low, high) = feature_distances({"real": real, "model": fake})["model"]
    assert value == pytest.approx(metrics.frechet_distance(real, fake))
    assert high - low == pytest.approx(2 * 1.96 * frechet_deviation(real, fake))


def test_features_that_never_vary_do_no_harm():
    rng = np.random.default_rng(1)
    real = np.pad(rng.normal(size=(100, 3)), [(0, 0), (0, 2)])
    fake = real + np.array([1.0, 0, 0, 0, 0])
    value, (low, high) = feature_distances({"real": real, "model": fake})["model"]
    assert value == pytest.approx(1.0)
    assert low == pytest.approx(1.0, abs=1e-6) and high == pytest.approx(1.0, abs=1e-6)


def test_the_deviation_of_a_chroma_distance_is_that_of_new_draws(monkeypatch):
    monkeypatch.setattr(statistics, "_BLOCK", 150)
    rng = np.random.default_rng(2)
    real_share, fake_share = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.3, 0.4])

    def draw() -> dict[str, np.ndarray]:
        return {
            "real": rng.multinomial(100, real_share, size=400),
            "model": rng.multinomial(100, fake_share, size=400),
        }

    def distance(histograms: dict[str, np.ndarray]) -> float:
        pooled = (histograms[name].sum(axis=0) for name in ("real", "model"))
        return float(jensenshannon(*pooled, base=2))

    drawn = [distance(draw()) for _ in range(300)]
    value, (low, high) = chroma_distances(draw())["model"]
    assert high - value == pytest.approx(1.96 * np.std(drawn), rel=0.2)
    assert value - low == pytest.approx(high - value)
    assert abs(value - np.mean(drawn)) < high - low
    low, _ = chroma_distances({"real": draw()["real"], "model": draw()["real"]})["model"][1]
    assert low == 0.0  # not below


# Differences --------------------------------------------------------------------------------


def test_a_paired_difference_is_narrower_than_the_intervals_of_the_two():
    evaluation = made(shift=0.3)
    found = evaluation.difference("model", "no_color")
    psnr = evaluation.per_image["model"]["psnr"] - evaluation.per_image["no_color"]["psnr"]
    mean, (low, high) = found.values["psnr"]
    half = 1.96 * psnr.std() / np.sqrt(len(psnr))
    assert mean == pytest.approx(psnr.mean())
    assert (low, high) == pytest.approx((psnr.mean() - half, psnr.mean() + half), abs=0.2 * half)
    alone = evaluation.intervals["model"]["psnr"]
    assert high - low < 0.3 * (alone[1] - alone[0])
    assert found.share_better["psnr"] == pytest.approx((psnr > 0).mean())
    ratio = evaluation.scores["model"]["colorfulness_ratio"]
    assert found.values["colorfulness_ratio"][0] == pytest.approx(ratio)
    assert found.share_better["colorfulness_ratio"] is None
    assert "fcd" not in found.values  # a distance is of the whole set
    assert "the model - no color at all, 500 images" in found.table()
    assert found.summary()["scores"]["psnr"]["difference"] == pytest.approx(psnr.mean(), abs=1e-5)


def test_lower_may_be_better_equal_is_not_better_and_weights_count():
    auc = np.array([0.5, 0.6, 0.7, 0.8])
    per_image = {
        "one": {"ciede2000": np.array([1.0, 2.0, 3.0, 4.0]), "chroma_auc_rebalanced": auc},
        "two": {"ciede2000": np.array([2.0, 2.0, 2.0, 4.000001]), "chroma_auc_rebalanced": auc / 2},
        "real": {"rebalancing_weight": np.array([1.0, 0, 0, 3.0])},
    }
    found = Evaluation("", "", (), None, per_image, {}).difference("one", "two")
    assert found.share_better["ciede2000"] == 0.25
    assert found.values["ciede2000"][0] == pytest.approx(0, abs=1e-6)
    assert found.values["chroma_auc_rebalanced"][0] == pytest.approx((0.25 + 3 * 0.4) / 4)


def test_a_difference_of_one_image_has_no_interval():
    found = made(count=1).difference("model", "no_color")
    assert np.isnan(found.values["psnr"][1]).all()
    assert found.summary()["scores"]["psnr"]["interval"] == [None, None]
    assert "[" not in found.table()


def test_the_gap_between_training_and_test_images():
    train, test = made("train", shift=1.0, count=2_000, seed=5), made("test", seed=6)
    found = {name: gap(train, test, "model", name) for name in ("psnr", "fcd")}
    a, b = (e.per_image["model"]["psnr"] for e in (train, test))
    assert (found["psnr"].train, found["psnr"].test) == pytest.approx((a.mean(), b.mean()))
    assert found["psnr"].gap == pytest.approx(a.mean() - b.mean())
    half = 1.96 * np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b)))
    low, high = found["psnr"].interval
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert gap(train, test, "no_color", "fcd") is None
    assert found["fcd"].gap == 1.0
    assert found["fcd"].interval == pytest.approx((1 - np.sqrt(8), 1 + np.sqrt(8)))
