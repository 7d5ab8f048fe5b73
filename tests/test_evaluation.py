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
from pix2pix_color.errors import ClassifierError, EvaluationError
from pix2pix_color.evaluation import (
    BASELINES,
    FIGURE_3,
    REAL,
    SCORES,
    evaluate,
    preparation,
    scoring,
)
from pix2pix_color.evaluation.preparation import choose_classifier
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


def as_delivered(rgb: np.ndarray) -> np.ndarray:
    return np.round(255 * np.clip(rgb, 0, 1)).astype(np.uint8)


class Gray(keras.Model):
    """Predicts no color at all, and remembers the batch sizes that it saw."""

    input_shape, output_shape, seen = (None, 32, 32, 1), (None, 32, 32, 2), ()

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
        # The report's scores are of 8-bit images.
        delivered = as_delivered(colorized(image, ab))
        with np.errstate(over="ignore"):
            wrapped = (image - delivered) ** 2  # in uint8
        psnr = 10 * np.log10(255**2 / wrapped.mean())
        # A pixel in some thousands rounds the other way, and wraps.
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
    images = images_of(photographs)
    others = rgb2lab(np.roll(images, -(len(images) // 2), axis=0))[..., 1:]
    swapped = [rgb2lab(colorized(i, ab))[..., 1:] for i, ab in zip(images, others, strict=True)]
    edges = np.arange(-115, 106, 10)
    real, gray, other = (
        np.histogram2d(*np.reshape(ab, (-1, 2)).T, bins=[edges, edges])[0].ravel()
        for ab in (rgb2lab(images)[..., 1:], np.zeros((1, 2)), np.stack(swapped))
    )
    for name, fake in (("no_color", gray), ("other_chroma", other)):
        expected = jensenshannon(real, fake, base=2)
        found = evaluation.scores[name]["chroma_distance"]
        assert found == pytest.approx(expected, abs=2e-3)
        low, high = evaluation.intervals[name]["chroma_distance"]
        assert 0 <= low < found < high <= 2


def test_scores_do_not_depend_on_the_batch_or_on_what_else_is_scored(generator, photographs):
    together = evaluate({"one": generator, "two": generator}, photographs, progress=False)
    alone = evaluate(generator, photographs, baselines=False, batch_size=3, progress=False)
    assert together.models == ("one", "two")
    assert alone.predictors == ("model", REAL)
    for name, values in alone.per_image["model"].items():
        for model in together.models:
            np.testing.assert_allclose(together.per_image[model][name], values, atol=2e-3)
    nothing = evaluate({}, photographs, progress=False)
    assert nothing.models == ()
    assert nothing.scores["no_color"] == together.scores["no_color"]


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


def test_a_generator_sees_batches_of_the_requested_size(photographs):
    gray = Gray()
    evaluate(gray, photographs, batch_size=4, progress=False)
    assert gray.seen == (4, 4, 3)


def test_the_reference_is_the_train_split_unless_another_is_given(generator):
    test = load_dataset("photographs", "test", limit=4)
    train = load_dataset("photographs", "train")
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
    by_hand = as_dataset(images_of(test), "by hand")
    assert evaluate(generator, by_hand, progress=False).reference["dataset"] == "by hand"


# The classifier's scores --------------------------------------------------------------------


def test_the_classifier_sees_the_delivered_images(generator, photographs, monkeypatch):
    monkeypatch.setattr(scoring, "_BLOCK_PIXELS", 4 * 32**2)  # blocks of 6 and 5, scored in fours
    images = images_of(photographs)
    classifier = StubClassifier()
    strongest = images.mean(axis=(1, 2)).argmax(axis=-1)
    labels = np.where(np.arange(len(images)) < 3, (strongest + 1) % 3, strongest)
    scored = evaluate(
        generator, labeled(photographs, labels), classifier=classifier, progress=False
    )
    recognized = np.arange(len(images)) >= 3
    np.testing.assert_array_equal(scored.per_image[REAL]["recognized"], recognized)
    assert scored.scores[REAL]["semantic_accuracy"] == pytest.approx(recognized.mean())
    fakes = np.stack([colorized(i, predicted_ab(generator, i)) for i in images])
    delivered = as_delivered(fakes)
    right = delivered.mean(axis=(1, 2)).argmax(axis=-1) == labels
    assert scored.scores["model"]["semantic_accuracy"] == pytest.approx(right.mean())
    real, fake = (
        metrics.feature_statistics(np.asarray(classifier(part)[1])) for part in (images, delivered)
    )
    expected = metrics.frechet_distance(*real, *fake)
    assert scored.scores["model"]["fcd"] == pytest.approx(expected, rel=0.02)
    low, high = scored.intervals["model"]["fcd"]
    assert 0 <= low < scored.scores["model"]["fcd"] < high
    assert scored.left_out == {}


def test_what_is_left_out_says_why(generator, photographs):
    scored = evaluate(generator, photographs, classifier=None, progress=False)
    assert set(scored.left_out) == {"semantic_accuracy", "fcd"}
    for name in scored.left_out:
        assert "no classifier was requested" in scored.summary()["left_out"][name]
        assert name not in scored.scores["model"]
        row = next(x for x in scored.table().splitlines() if f"| {SCORES[name].title}" in x)
        assert row.split(" | ")[1].strip() == "–"  # noqa: RUF001


@pytest.mark.parametrize(
    ("labels", "names", "options", "expected"),
    [
        (None, (), {}, {"semantic_accuracy": "no labels"}),
        ([0] * 11, ("cat", "dog", "cow"), {}, {"semantic_accuracy": "other classes"}),
        (
            [0] * 11,
            StubClassifier.class_names,
            {"feature_count": 6},
            {"fcd": "11 images are fewer than twice the classifier's 6 features"},
        ),
        (None, (), {"feature_count": 6}, {"semantic_accuracy": "no labels", "fcd": "11 images"}),
    ],
)
def test_reasons_not_to_use_a_classifier(photographs, labels, names, options, expected):
    dataset = photographs if labels is None else labeled(photographs, labels, names)
    classifier = StubClassifier(**options)
    chosen, left_out = choose_classifier(classifier, dataset, 32)
    assert chosen is (None if len(expected) == 2 else classifier)
    assert set(left_out) == set(expected)
    assert all(text in left_out[name] for name, text in expected.items())


def test_the_shipped_classifier_is_left_out_where_it_does_not_fit(photographs, monkeypatch):
    monkeypatch.setattr(preparation, "load_classifier", lambda name: StubClassifier(16))
    chosen, left_out = choose_classifier("auto", photographs, 32)
    assert chosen is None and "takes 16x16 images, these are 32x32" in left_out["fcd"]

    def absent(name: str):
        raise ClassifierError("none is shipped")

    monkeypatch.setattr(preparation, "load_classifier", absent)
    assert choose_classifier("auto", photographs, 32)[1]["semantic_accuracy"] == "none is shipped"
    with pytest.raises(ClassifierError):
        choose_classifier("mine", photographs, 32)


# Bad input ----------------------------------------------------------------------------------


def test_one_image_is_scored_without_interval(generator):
    scored = evaluate(generator, as_dataset(random_images(1, 32)), progress=False)
    summary = json.loads(json.dumps(scored.summary(), allow_nan=False))
    assert summary["count"] == 1
    assert summary["intervals"]["model"]["psnr"] == [None, None]
    assert summary["intervals"]["model"]["chroma_distance"] == [None, None]
    assert "only one image" in summary["left_out"]["other_chroma"]
    assert "other_chroma" not in summary["scores"]
    assert "[" not in scored.table()


def test_images_without_color_have_defined_scores(generator):
    gray = np.repeat(np.full((3, 32, 32, 1), 127, np.uint8), 3, axis=-1)
    scored = evaluate(generator, as_dataset(gray), progress=False)
    none = scored.summary()["scores"]["no_color"]
    assert none["ssim"] == pytest.approx(1, abs=1e-6)
    assert none["colorfulness"] == pytest.approx(0, abs=0.1)
    assert none["report_psnr"] is None  # infinite: not a level differs
    assert scored.summary()["intervals"]["no_color"]["report_psnr"] == [None, None]
    assert "∞" in scored.table()
    assert "no color" in scored.left_out["colorfulness_ratio"]
    assert "colorfulness_ratio" not in scored.scores["model"]
    json.dumps(scored.summary(), allow_nan=False)


def test_a_model_of_another_size_or_color_space_is_refused(generator):
    with pytest.raises(EvaluationError, match="takes images of shape"):
        evaluate(generator, as_dataset(random_images(2, 16)), progress=False)
    lightness = keras.Input((32, 32, 1))
    rgb = keras.Model(lightness, keras.layers.Conv2D(3, 3, padding="same")(lightness))
    with pytest.raises(EvaluationError, match="another color space"):
        evaluate(rgb, as_dataset(random_images(2, 32)), progress=False)
    with pytest.raises(EvaluationError, match="another color space or size"):
        small = keras.Model(lightness, keras.layers.Conv2D(2, 3)(lightness))
        evaluate(small, as_dataset(random_images(2, 32)), progress=False)


def test_predictions_that_are_not_finite_are_refused(generator):
    broken = keras.models.clone_model(generator)
    broken.set_weights([np.full_like(w, np.nan) for w in generator.get_weights()])
    with pytest.raises(ValueError, match="'bad' predicts values that are not finite"):
        evaluate({"bad": broken}, as_dataset(random_images(2, 32)), progress=False)


def test_data_that_cannot_be_scored_are_refused(generator):
    def refused(dataset: ImageDataset, match: str, **options) -> None:
        with pytest.raises(EvaluationError, match=match):
            evaluate(generator, dataset, progress=False, **options)

    refused(as_dataset(random_images(2, 32)[:0]), "no image")
    refused(as_dataset(random_images(2, 32).astype("f") / 255), "uint8 RGB")
    refused(as_dataset(random_images(2, 32)[..., :1]), "uint8 RGB")
    refused(as_dataset(random_images(2, 5)), "7x7")
    wrong = ImageDataset("wrong", "test", as_dataset(random_images(2, 32)).images, 3, 0)
    refused(wrong, "has 2")
    good = as_dataset(random_images(2, 32))
    refused(good, "batch_size", batch_size=0)
    refused(good, "16x16", classifier=StubClassifier(16))
    refused(labeled(good, [0]), "1 labels")
    refused(good, "reference", reference=as_dataset(random_images(2, 32)[:0]))


def test_names_that_would_clash_are_refused(generator, photographs):
    for name in ("no_color", "real"):
        with pytest.raises(EvaluationError, match=f"'{name}' is reserved"):
            evaluate({name: generator}, photographs, progress=False)
    with pytest.raises(EvaluationError, match="nothing to score"):
        evaluate({}, photographs, baselines=False, progress=False)


# CIFAR-10 -----------------------------------------------------------------------------------


@pytest.mark.cifar10
def test_no_color_at_all_scores_what_is_known_and_what_was_shipped():
    dataset = load_dataset("cifar10", "test")
    options = {"baselines": False, "reference": dataset, "classifier": None, "progress": False}
    scored = evaluate(Gray(), dataset, **options)  # faster than all baselines
    scores = scored.summary()["scores"]["model"]
    assert scored.count == 9_894
    # The report's Figure 3 shows two of them.
    shown = {image.sha256[:16] for image in FIGURE_3 if image.split == "test"}
    assert len(shown) == 2 and shown <= set(scored.images)
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
