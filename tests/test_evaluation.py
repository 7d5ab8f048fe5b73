"""The evaluation against plain loops over scikit-image and numpy, image by image."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import as_dataset, random_images
from scipy.spatial.distance import jensenshannon
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_color import metrics
from pix2pix_color.data import ImageDataset, load_dataset
from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import BASELINES, REAL, evaluate, scoring, with_batch_statistics
from pix2pix_color.files import shipped_folder
from pix2pix_color.networks import GeneratorConfig, build_generator

pytestmark = pytest.mark.filterwarnings(
    "ignore:Conversion from CIE-LAB"  # out of gamut, clipped by scikit-image and here
)


@pytest.fixture(scope="module")
def generator() -> keras.Model:
    """A small untrained network whose colors are within what sRGB can show, mostly."""
    model = build_generator(GeneratorConfig(depth=2, filters=4), 32, seed=0)
    model.set_weights([0.3 * w if w.ndim == 4 else w for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def photographs() -> ImageDataset:
    """Eleven photographs, an odd number; the first ones of the split are nearly black."""
    images = np.stack([*load_dataset("photographs", "test").images.as_numpy_iterator()])
    return as_dataset(images[3::24][:11], "some photographs")


@pytest.fixture(scope="module")
def evaluation(generator, photographs):
    return evaluate(generator, photographs, batch_size=4, progress=False)


def images_of(dataset: ImageDataset) -> np.ndarray:
    return np.stack([*dataset.images.as_numpy_iterator()])


def colorized(image: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Float RGB of an image's own lightness with another chroma, by scikit-image."""
    return lab2rgb(np.concatenate([rgb2lab(image)[..., :1], ab], axis=-1))


def predicted_ab(generator: keras.Model, image: np.ndarray) -> np.ndarray:
    lightness = rgb2lab(image)[None, ..., :1].astype("f")
    return np.asarray(generator(lightness, training=False))[0] * 128


def as_delivered(rgb) -> np.ndarray:
    return np.round(255 * np.clip(rgb, 0, 1)).astype(np.uint8)


class Gray(keras.Model):
    """Predicts no color at all, and remembers the batch sizes that it saw."""

    input_shape, seen = (None, 32, 32, 1), ()

    def __call__(self, lightness, training=None):
        tf.py_function(lambda x: setattr(self, "seen", (*self.seen, len(x))), [lightness], [])
        return tf.zeros_like(lightness[..., :1]) + tf.zeros(2)


class StubClassifier:
    """Features are the mean color in two scales; the class is the strongest channel."""

    class_names = ("red", "green", "blue")

    def __init__(self, image_size: int = 32, feature_count: int = 4) -> None:
        self.image_size, self.feature_count = image_size, feature_count

    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean = tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2]) / 255.0
        return mean, tf.concat([mean, mean[:, :1] ** 2], axis=-1)


def labeled(dataset: ImageDataset, labels, names=StubClassifier.class_names) -> ImageDataset:
    return ImageDataset(
        dataset.name, dataset.split, dataset.images, dataset.count, 0, np.asarray(labels), names
    )


# Scores -------------------------------------------------------------------------------------


def test_scores_are_those_of_a_loop_over_scikit_image(generator, photographs, evaluation):
    scores = evaluation.per_image
    for i, image in enumerate(images_of(photographs)):
        real, lab = image / 255, rgb2lab(image)
        ab = predicted_ab(generator, image)
        for predictor, values in (("model", ab), ("no_color", 0 * ab)):
            fake = colorized(image, values)
            fake_lab = rgb2lab(fake)  # of the image as delivered, clipped
            psnr = peak_signal_noise_ratio(real, fake, data_range=1)
            ssim = structural_similarity(real, fake, channel_axis=-1, data_range=1)
            distance = np.linalg.norm(lab[..., 1:] - fake_lab[..., 1:], axis=-1)
            expected = {
                "psnr": (psnr, 2e-3),
                "ssim": (ssim, 2e-4),
                "mae_rgb": (np.abs(real - fake).mean(), 2e-5),
                "mae_ab": (np.abs(lab - fake_lab)[..., 1:].mean(), 5e-3),
                "ciede2000": (deltaE_ciede2000(lab, fake_lab).mean(), 5e-3),
                "chroma_auc": (1 - np.minimum(distance / 150, 1).mean(), 1e-4),
                "colorfulness": (hasler_suesstrunk(255 * fake), 2e-2),
            }
            for name, (value, tolerance) in expected.items():
                assert scores[predictor][name][i] == pytest.approx(value, abs=tolerance), name
        assert scores[REAL]["colorfulness"][i] == pytest.approx(hasler_suesstrunk(image), abs=2e-2)
        # The report's scores are of 8-bit images, in which squares wrap.
        delivered = as_delivered(colorized(image, ab))
        psnr = 10 * np.log10(255**2 / ((image - delivered) ** 2).mean())
        # A pixel in some thousands rounds the other way.
        assert scores["model"]["report_psnr"][i] == pytest.approx(psnr, abs=0.05)
        ssim = float(metrics.report_ssim(image[None], delivered[None])[0])
        assert scores["model"]["report_ssim"][i] == pytest.approx(ssim, abs=1e-4)


def hasler_suesstrunk(rgb: np.ndarray) -> float:
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())


def test_the_baselines_have_the_chroma_that_they_are_named_for(photographs, evaluation):
    images = images_of(photographs)
    lab = rgb2lab(images)
    others = rgb2lab(np.roll(images, -(len(images) // 2), axis=0))
    for i, image in enumerate(images):
        for name, ab in {
            "no_color": np.zeros((32, 32, 2)),
            "mean_chroma": lab[..., 1:].mean(axis=(0, 1, 2)) + np.zeros((32, 32, 2)),
            "own_mean_chroma": lab[i, ..., 1:].mean(axis=(0, 1)) + np.zeros((32, 32, 2)),
            "other_chroma": others[i, ..., 1:],
        }.items():
            psnr = peak_signal_noise_ratio(image / 255, colorized(image, ab), data_range=1)
            assert evaluation.per_image[name]["psnr"][i] == pytest.approx(psnr, abs=5e-3), name
    assert len(set(evaluation.scores[name]["psnr"] for name in BASELINES)) == 4


def test_means_ratios_and_weighted_means_of_the_whole_set(photographs, evaluation):
    images = images_of(photographs)
    series, scores = evaluation.per_image["no_color"], evaluation.scores["no_color"]
    for name in ("psnr", "ssim", "mae_ab", "accuracy_5", "report_psnr"):
        assert scores[name] == pytest.approx(series[name].mean(), rel=1e-12)
    model, real = (evaluation.scores[name]["colorfulness"] for name in ("model", REAL))
    assert evaluation.scores["model"]["colorfulness_ratio"] == pytest.approx(model / real)
    # Rebalanced AuC: of all pixels together, whatever image they are in.
    lab = np.asarray(rgb2lab(images), np.float32)
    histogram = np.sum(metrics.chroma_histogram(lab), axis=0)
    weights = np.asarray(metrics.pixel_weights(lab, metrics.class_rebalancing(histogram)))
    shares = 1 - np.minimum(np.linalg.norm(lab[..., 1:], axis=-1) / 150, 1)
    pooled = np.sum(weights * shares) / np.sum(weights)
    assert scores["chroma_auc_rebalanced"] == pytest.approx(pooled, abs=1e-3)
    assert abs(pooled - scores["chroma_auc"]) > 0.01  # the weights matter


def test_the_chroma_distance_is_of_the_pooled_histograms(photographs, evaluation):
    edges = np.arange(-115, 106, 10)
    real, gray = (
        np.histogram2d(*np.reshape(ab, (-1, 2)).T, bins=[edges, edges])[0].ravel()
        for ab in (rgb2lab(images_of(photographs))[..., 1:], np.zeros((1, 2)))
    )
    found = evaluation.scores["no_color"]["chroma_distance"]
    assert found == pytest.approx(jensenshannon(real, gray, base=2), abs=2e-3)
    low, high = evaluation.intervals["no_color"]["chroma_distance"]
    assert 0 <= low < found < high <= 2


def test_scores_do_not_depend_on_the_batch_or_on_what_else_is_scored(photographs, evaluation):
    models = {"gray": Gray(), "same": Gray()}
    together = evaluate(models, photographs, batch_size=4, progress=False)
    alone = evaluate(models["gray"], photographs, baselines=False, batch_size=3, progress=False)
    assert models["same"].seen == (4, 4, 3)
    assert together.models == ("gray", "same")
    assert tuple(alone.per_image) == ("model", REAL)
    for name, values in alone.per_image["model"].items():
        for model in ("gray", "same", "no_color"):
            np.testing.assert_allclose(together.per_image[model][name], values, atol=2e-3)
    assert evaluation.scores["no_color"] == together.scores["no_color"]


def test_compiled_blocks_score_the_same(generator, photographs, evaluation, monkeypatch):
    monkeypatch.setattr(scoring, "_BLOCK_PIXELS", 5 * 32**2)
    monkeypatch.setattr(scoring, "_COMPILED_FROM", 2)  # two whole blocks of five, and one image
    compiled = evaluate(generator, photographs, batch_size=11, progress=False)
    for predictor, series in evaluation.per_image.items():
        for name, values in series.items():
            # A color on the edge of two levels or of a tolerance may fall on either side.
            near = {"report_psnr": 0.1, "accuracy_2": 0.01, "accuracy_5": 0.01}.get(name, 2e-3)
            np.testing.assert_allclose(
                compiled.per_image[predictor][name], values, atol=near, err_msg=name
            )


def test_the_reference_is_the_train_split_unless_another_is_given(generator):
    test, train = load_dataset("photographs", "test", limit=4), load_dataset("photographs", "train")
    known = evaluate(generator, test, progress=False)
    assert known.reference == {"dataset": "photographs", "split": "train", "count": train.count}
    mean = rgb2lab(images_of(train))[..., 1:].mean(axis=(0, 1, 2))
    image = images_of(test)[0]
    flat = colorized(image, mean + np.zeros((32, 32, 2)))
    expected = peak_signal_noise_ratio(image / 255, flat, data_range=1)
    assert known.per_image["mean_chroma"]["psnr"][0] == pytest.approx(expected, abs=5e-3)
    own = evaluate(generator, test, reference=test, progress=False)
    assert own.reference["split"] == "test"
    assert own.scores["mean_chroma"]["psnr"] != known.scores["mean_chroma"]["psnr"]


# The classifier's scores --------------------------------------------------------------------


def test_the_classifier_sees_the_delivered_images(generator, photographs, monkeypatch):
    monkeypatch.setattr(scoring, "_BLOCK_PIXELS", 4 * 32**2)  # blocks of 6 and 5, scored in fours
    images = images_of(photographs)
    classifier = StubClassifier()
    strongest = images.mean(axis=(1, 2)).argmax(axis=-1)
    labels = np.where(np.arange(len(images)) < 3, (strongest + 1) % 3, strongest)
    options = {"classifier": classifier, "batch_size": 6, "progress": False}
    scored = evaluate(generator, labeled(photographs, labels), **options)
    recognized = np.arange(len(images)) >= 3
    np.testing.assert_array_equal(scored.per_image[REAL]["recognized"], recognized)
    assert scored.scores[REAL]["semantic_accuracy"] == pytest.approx(recognized.mean())
    delivered = as_delivered([colorized(i, predicted_ab(generator, i)) for i in images])
    right = delivered.mean(axis=(1, 2)).argmax(axis=-1) == labels
    assert scored.scores["model"]["semantic_accuracy"] == pytest.approx(right.mean())
    expected = metrics.frechet_distance(*(classifier(part)[1] for part in (images, delivered)))
    assert scored.scores["model"]["fcd"] == pytest.approx(expected, rel=0.02)
    low, high = scored.intervals["model"]["fcd"]
    assert 0 <= low < scored.scores["model"]["fcd"] < high
    assert scored.left_out == {}


@pytest.mark.parametrize(
    ("labels", "names", "options", "expected"),
    [
        (None, (), {}, {"semantic_accuracy": "no labels"}),
        ([0] * 11, ("cat", "dog", "cow"), {}, {"semantic_accuracy": "other classes"}),
        ([0] * 11, StubClassifier.class_names, {"feature_count": 6}, {"fcd": "11 images are"}),
        (None, (), {"feature_count": 6}, {"semantic_accuracy": "no labels", "fcd": "11 images"}),
        (None, (), {"image_size": 16}, dict.fromkeys(("semantic_accuracy", "fcd"), "takes 16x16")),
    ],
)
def test_reasons_not_to_use_a_classifier(photographs, labels, names, options, expected):
    dataset = photographs if labels is None else labeled(photographs, labels, names)
    classifier = StubClassifier(**options)
    chosen, left_out = scoring.choose_classifier(classifier, dataset, 32)
    assert chosen is (None if len(expected) == 2 else classifier)
    assert set(left_out) == set(expected)
    assert all(text in left_out[name] for name, text in expected.items())


# Bad input ----------------------------------------------------------------------------------


def test_one_gray_image_has_defined_scores_without_intervals(generator):
    gray = np.full((1, 32, 32, 3), 127, np.uint8)
    scored = evaluate(generator, as_dataset(gray), progress=False)
    summary = json.loads(json.dumps(scored.summary(), allow_nan=False))
    assert summary["count"] == 1
    none = summary["scores"]["no_color"]
    assert none["ssim"] == pytest.approx(1, abs=1e-6)
    assert none["report_psnr"] is None  # infinite: not a level differs
    for name in ("ssim", "report_psnr", "chroma_distance"):
        assert summary["intervals"]["no_color"][name] == [None, None]
    assert "∞" in scored.table() and "[" not in scored.table()
    assert "only one image" in summary["left_out"]["other_chroma"]
    assert "other_chroma" not in summary["scores"]


def test_what_cannot_be_scored_is_refused(generator):
    def refused(match: str, generators, size: int) -> None:
        with pytest.raises(EvaluationError, match=match):
            evaluate(generators, as_dataset(random_images(2, size)), progress=False)

    refused("at least 7x7 pixels, but those of synthetic \\(train\\) are 5x5", generator, 5)
    refused("'model' colorizes 32x32 images, but .* are 16x16", generator, 16)
    refused("'no_color' is reserved", {"no_color": generator}, 32)
    broken = keras.models.clone_model(generator)
    broken.set_weights([np.full_like(w, np.nan) for w in generator.get_weights()])
    refused("'bad' predicts values that are not finite", {"bad": broken}, 32)


# Batch statistics ---------------------------------------------------------------------------


def trained_like(**options) -> keras.Model:
    """A generator whose moving statistics are not the initial ones."""
    precision = options.pop("precision", "float32")
    config = GeneratorConfig(depth=2, filters=4, **options)
    generator = build_generator(config, 8, seed=0, precision=precision)
    rng = np.random.default_rng(1)
    generator.set_weights([w + rng.uniform(0.1, 0.3, w.shape) for w in generator.get_weights()])
    return generator


@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-5), ("mixed_bfloat16", 0.05)])
def test_batch_statistics_are_those_of_training_and_change_nothing(precision, near):
    lightness = np.random.default_rng(0).uniform(0, 100, (6, 8, 8, 1)).astype("f")
    generator = trained_like(precision=precision)
    before = [weights.copy() for weights in generator.get_weights()]
    copy = with_batch_statistics(generator)
    found = [np.asarray(copy(lightness, training=training)) for training in (False, True)]
    for weights in (copy.get_weights(), generator.get_weights()):
        for old, new in zip(before, weights, strict=True):
            np.testing.assert_array_equal(old, new)
    assert np.abs(found[0] - generator(lightness, training=False)).max() > 0.01
    expected = np.asarray(generator(lightness, training=True))
    for values in found:
        np.testing.assert_allclose(values, expected, atol=near)
    without_dropout = with_batch_statistics(trained_like(dropout=0.5))
    np.testing.assert_array_equal(without_dropout(lightness), without_dropout(lightness))


# CIFAR-10 -----------------------------------------------------------------------------------


@pytest.mark.cifar10
def test_no_color_at_all_scores_what_is_known_and_what_was_shipped():
    dataset = load_dataset("cifar10", "test")
    options = {"baselines": False, "reference": dataset, "classifier": None, "progress": False}
    scored = evaluate(Gray(), dataset, **options)  # faster than all baselines
    scores = scored.summary()["scores"]["model"]
    assert scored.count == 9_894
    # 24.13 dB, 0.932 and 33.4 are known for 2,000 of these images. Two standard errors of those
    # are 0.2 dB, 0.003 and 0.8.
    assert scores["psnr"] == pytest.approx(24.13, abs=0.2)
    assert scores["ssim"] == pytest.approx(0.932, abs=0.003)
    assert scored.scores[REAL]["colorfulness"] == pytest.approx(33.4, abs=0.8)
    shipped = json.loads((shipped_folder() / "report" / "metrics.json").read_text())
    for name, value in shipped["scores"]["no_color"].items():
        if name in scores and name != "chroma_auc_rebalanced":  # which depends on the reference
            assert value == pytest.approx(scores[name], abs=2e-3), name
    assert scores["report_psnr"] == pytest.approx(30.94, abs=0.05)
    assert scores["report_ssim"] == pytest.approx(0.998, abs=0.001)
