"""The report's Figure 3: its four images, and what its own pictures score."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import as_dataset, random_images
from PIL import Image

from pix2pix_color import color, load_dataset, metrics
from pix2pix_color.evaluation import FIGURE_3, find_image, images_at, sample_images
from pix2pix_color.evaluation.images import digest

PICTURES = Path(__file__).resolve().parents[2] / "shared" / "report" / "figure3"
needs_pictures = pytest.mark.skipif(
    not PICTURES.is_dir(), reason="needs the pictures of the report's Figure 3, which are not here"
)


def test_images_are_found_by_their_hash_and_chosen_by_it():
    images = random_images(20, 8)
    dataset = as_dataset(images)
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    np.testing.assert_array_equal(find_image(dataset, digests[13]), images[13])
    assert find_image(dataset, "0" * 64) is None
    order = np.argsort(digests)[:5]
    np.testing.assert_array_equal(sample_images(dataset, 5), images[order])
    np.testing.assert_array_equal(images_at(dataset, [7, 2, 7]), images[[7, 2, 7]])


@pytest.mark.cifar10
def test_the_report_s_training_images_are_found_in_the_train_split():
    batches = load_dataset("cifar10", "train").images.batch(1_000).as_numpy_iterator()
    digests = {digest(image) for images in batches for image in images}
    assert {image.sha256 for image in FIGURE_3 if image.split == "train"} <= digests


def picture(row: int, kind: str) -> np.ndarray:
    return np.asarray(Image.open(PICTURES / f"row{row}_{kind}.png").convert("RGB"))[None]


@needs_pictures
@pytest.mark.parametrize("row", [1, 2, 3, 4])
def test_the_report_s_pictures_score_what_is_recorded(row):
    recorded, real, fake = FIGURE_3[row - 1], picture(row, "real"), picture(row, "colorized")
    assert hashlib.sha256(real.tobytes()).hexdigest() == recorded.sha256
    again = float(metrics.report_psnr(real, fake)[0]), float(metrics.report_ssim(real, fake)[0])
    assert again == pytest.approx(recorded.recomputed, abs=1e-3)
    if row > 1:  # the report's own numbers, wrap-around and all
        assert again == pytest.approx((recorded.report_psnr, recorded.report_ssim), abs=1e-3)

    truth = color.to_float(real)

    def true_scores(other):
        return float(metrics.psnr(truth, other)[0]), float(metrics.ssim(truth, other)[0])

    assert true_scores(color.to_float(fake)) == pytest.approx(recorded.true, abs=1e-3)
    lightness, chroma = color.split(real)
    gray = color.merge(lightness, 0 * chroma)
    psnr, ssim = true_scores(gray)
    assert psnr == pytest.approx(recorded.no_color[0], abs=1e-2)
    assert ssim == pytest.approx(recorded.no_color[1], abs=1e-3)
