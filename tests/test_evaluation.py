"""The evaluation against a plain loop over scikit-image, image by image."""

from __future__ import annotations

import hashlib
import json

import keras
import numpy as np
import pytest
from conftest import as_dataset, random_images
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_color.colorizer import Colorizer
from pix2pix_color.data import load_dataset
from pix2pix_color.evaluation import FIGURE_3, evaluate, find_image, sample_images
from pix2pix_color.networks import GeneratorConfig, build_generator


@pytest.fixture(scope="module")
def generator() -> keras.Model:
    return build_generator(GeneratorConfig(depth=2, filters=4), 32, seed=0)


@pytest.fixture(scope="module")
def photographs():
    return load_dataset("photographs", "test", limit=10)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")  # out of gamut, clipped by both
def test_scores_are_those_of_a_loop_over_scikit_image(generator, photographs):
    scores = evaluate(generator, photographs, batch_size=4, progress=False).per_image
    for i, image in enumerate(photographs.images.as_numpy_iterator()):
        real, lab = image / 255, rgb2lab(image)
        chroma = generator(lab[None, ..., :1].astype("f"), training=False).numpy()[0] * 128
        for predictor, ab in (("model", chroma), ("no_colour", chroma * 0)):
            fake = lab2rgb(np.concatenate([lab[..., :1], ab], axis=-1))
            psnr = peak_signal_noise_ratio(real, fake, data_range=1)
            ssim = structural_similarity(real, fake, channel_axis=-1, data_range=1)
            assert scores[predictor]["psnr"][i] == pytest.approx(psnr, abs=2e-3)
            assert scores[predictor]["ssim"][i] == pytest.approx(ssim, abs=2e-4)


def test_scores_do_not_depend_on_the_batch(generator, photographs):
    one, many = (
        evaluate(generator, photographs, batch_size=size, progress=False).per_image["model"]
        for size in (1, 10)
    )
    np.testing.assert_allclose(one["psnr"], many["psnr"], atol=1e-4)
    np.testing.assert_allclose(one["ssim"], many["ssim"], atol=1e-5)


def test_summary_and_table_carry_protocol_baseline_count_and_interval(
    generator, photographs, tmp_path
):
    evaluation = evaluate(generator, photographs, progress=False)
    summary = json.loads(evaluation.save(tmp_path, step=7).read_text())
    assert summary["step"] == 7
    assert summary["count"] == photographs.count == evaluation.count
    assert set(summary["scores"]) == {"model", "no_colour"}
    values = evaluation.per_image["no_colour"]["psnr"]
    low, high = summary["intervals"]["no_colour"]["psnr"]
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=1e-3)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert high - low == pytest.approx(2 * 1.96 * error, abs=1e-3)
    table = evaluation.table()
    assert "photographs, test, 10 images" in table
    assert "no colour at all" in table
    assert f"{values.mean():.2f}" in table


def test_a_single_image_has_an_unbounded_interval(generator):
    summary = evaluate(generator, as_dataset(random_images(1, 32)), progress=False).summary()
    assert summary["count"] == 1
    assert summary["intervals"]["model"]["psnr"] == [-np.inf, np.inf]


def test_a_generator_of_another_size_or_a_broken_one_is_refused(generator):
    with pytest.raises(ValueError, match="takes images of shape"):
        evaluate(generator, as_dataset(random_images(2, 16)), progress=False)
    broken = keras.models.clone_model(generator)
    broken.set_weights([np.full_like(w, np.nan) for w in generator.get_weights()])
    with pytest.raises(ValueError, match="not finite"):
        evaluate(broken, as_dataset(random_images(2, 32)), progress=False)


def test_images_are_found_by_their_hash_and_chosen_by_it():
    images = random_images(20, 8)
    dataset = as_dataset(images)
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    np.testing.assert_array_equal(find_image(dataset, digests[13]), images[13])
    assert find_image(dataset, "0" * 64) is None
    order = np.argsort(digests)[:5]
    np.testing.assert_array_equal(sample_images(dataset, 5), images[order])


@pytest.mark.cifar10
def test_the_report_s_four_images_are_found_in_their_splits():
    for split in ("train", "test"):
        digests = {
            hashlib.sha256(image.tobytes()).hexdigest()
            for image in load_dataset("cifar10", split).images.as_numpy_iterator()
        }
        assert {image.sha256 for image in FIGURE_3 if image.split == split} <= digests


@pytest.mark.cifar10
def test_no_colour_at_all_scores_what_the_reference_says(generator):
    summary = evaluate(generator, load_dataset("cifar10", "test"), progress=False).summary()
    scores = summary["scores"]["no_colour"]
    assert summary["count"] == 9_894
    # 24.13 dB and 0.932 are known for 2,000 of these images: two standard errors are 0.2 dB.
    assert scores["psnr"] == pytest.approx(24.13, abs=0.2)
    assert scores["ssim"] == pytest.approx(0.932, abs=0.003)
    # What was shipped beside the model was measured on these images.
    shipped = json.loads((Colorizer.load("report").folder / "metrics.json").read_text())
    assert shipped["scores"]["no_colour"] == pytest.approx(scores, abs=2e-3)
    assert scores["report_psnr"] == pytest.approx(30.94, abs=0.05)
    assert scores["report_ssim"] == pytest.approx(0.998, abs=0.001)
