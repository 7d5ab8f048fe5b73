import io
import os

import numpy as np
import pytest
import tensorflow as tf
from conftest import as_dataset, random_images, tiny_config
from PIL import Image

from pix2pix_color import color
from pix2pix_color.config import Config
from pix2pix_color.data import load_dataset
from pix2pix_color.data.aging import age
from pix2pix_color.data.hints import draw_hints
from pix2pix_color.errors import ConfigError, DataError
from pix2pix_color.training import Trainer


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(np.uint8(image)).save(file, "jpeg", quality=100, subsampling=0)
    return file.getvalue()


def plain(index):
    """Returns an image of one color that no other index has, in no form that a crop changes."""
    return np.full((24 + index, 40, 3), (10 * index, 200 - 5 * index, 90))


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Writes two files of ten plain images, a gray one among them."""
    folder = tmp_path_factory.mktemp("records")
    write(folder / "a-0-of-2.tfrecord", [jpeg(plain(i)) for i in range(4)])
    gray = np.full((30, 30, 3), 77)
    write(folder / "a-1-of-2.tfrecord", [jpeg(gray), *(jpeg(plain(i)) for i in range(4, 10))])
    return folder


@pytest.fixture(scope="module")
def dataset(folder):
    return load_dataset(folder, image_size=16)


def arrays(batches, steps):
    return [[part.numpy() for part in batch] for batch in batches.take(steps)]


def colors(batch):
    """Returns which plain images a batch holds."""
    rgb = color.to_uint8(color.merge(*batch[:2])).numpy()
    return np.round(rgb[:, 8, 8, 0] / 10).astype(int).tolist()


def test_a_folder_a_file_and_a_pattern_are_read_in_order_without_gray_images(folder, dataset):
    assert (dataset.name, dataset.split, dataset.count, dataset.gray_count) == (
        str(folder),
        "train",
        10,
        1,
    )
    images = np.stack(list(dataset.images.as_numpy_iterator()))
    expected = np.stack([plain(i)[:16, :16] for i in range(10)])
    np.testing.assert_allclose(images.astype(int), expected, atol=2)
    assert colors(next(iter(dataset.batches(10)))) == list(range(10))
    assert dataset.files == {p.name: p.stat().st_size for p in sorted(folder.iterdir())}
    assert "11 JPEG files in 2 TFRecord files, kept in memory" in dataset.notes[0]
    assert load_dataset(folder / "a-0-of-2.tfrecord").count == 4
    pattern = load_dataset(f"{folder}/*1-of*.tfrecord", drop_gray=False)
    assert (pattern.count, pattern.gray_count) == (7, 0)
    assert load_dataset(folder, limit=5).count == 4


def test_every_epoch_has_all_images_in_a_new_order_and_resumes_exactly(dataset):
    options = {"flip": True, "shift": 2, "crop": 0.5, "aged": 0.5, "hinted": 0.5, "seed": 3}
    whole = arrays(dataset.training_batches(4, **options), 7)
    assert [len(batch[0]) for batch in whole] == [4, 4, 2, 4, 4, 2, 4]
    # Aged lightness changes the color that is read off: the order is that of clean images.
    clean = arrays(dataset.training_batches(4, seed=3), 6)
    epochs = [[n for batch in clean[i : i + 3] for n in colors(batch)] for i in (0, 3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]
    for start in (2, 3, 5):
        resumed = arrays(dataset.training_batches(4, start_step=start, **options), 7 - start)
        for one, other in zip(whole[start:], resumed, strict=True):
            assert len(one) == len(other) == 4
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)
    dropped = arrays(dataset.training_batches(4, start_step=1, drop_remainder=True, seed=3), 3)
    assert [colors(batch) for batch in dropped] == [colors(clean[i]) for i in (1, 3, 4)]
    with pytest.raises(DataError, match="10 images, fewer than one batch of 11"):
        dataset.training_batches(11, drop_remainder=True)


@pytest.mark.parametrize(("size", "crop"), [(48, 0.5), (96, 0.25), (16, 1.0)])
def test_crops_are_inside_the_image_and_of_the_right_scale(tmp_path, size, crop):
    """The color of each pixel says where in the image it was."""
    y, x = np.mgrid[:64, :100]
    image = np.stack([x * 2 + 20, y * 2 + 60, np.full_like(x, 120)], -1)
    write(tmp_path / "a.tfrecord", [jpeg(image)] * 32)
    stream = load_dataset(tmp_path, image_size=size).training_batches(32, crop=crop, flip=True)
    rgb = 255 * color.merge(*next(iter(stream))).numpy()
    inner = slice(size // 8, -size // 8)  # what lies beyond a crop's border is not interpolated
    rgb = rgb[:, inner, inner]
    red, green = rgb[..., 0].mean(1), rgb[..., 1].mean(2)  # (images, columns), (images, rows)
    fits = [np.polyfit(np.arange(line.shape[1]), line.T / 2, 1) for line in (red, green)]
    (across, _), (down, _) = fits
    sides = down * size
    np.testing.assert_allclose(np.abs(across), down, rtol=0.05)
    assert 4 < (across < 0).sum() < 28  # mirrored
    middle = np.stack([red.mean(1) / 2 - 10, green.mean(1) / 2 - 30])
    ends = np.array([[100], [64]]) - 1
    half = np.maximum(sides, 1) / 2 - 0.5
    assert (middle - half > -1.5).all() and (middle + half < ends + 1.5).all()
    if crop == 1:
        np.testing.assert_allclose(sides, 64, rtol=0.05)
        np.testing.assert_allclose(middle, np.broadcast_to(ends / 2, middle.shape), atol=1)
    else:
        assert crop * 64 - 1.5 < sides.min() < (0.2 + 0.8 * crop) * 64 < 55 < sides.max() < 66
        assert (middle.std(1) > 4).all()


def test_aging_changes_the_lightness_of_its_share_of_images_and_no_chroma(dataset):
    clean, aged = (
        arrays(dataset.training_batches(10, crop=0.5, aged=share), 12) for share in (0.0, 0.5)
    )
    changed = 0
    for one, other in zip(clean, aged, strict=True):
        np.testing.assert_array_equal(one[1], other[1])
        changed += (np.abs(one[0] - other[0]).max(axis=(1, 2, 3)) > 0).sum()
    assert 40 < changed < 75  # of 120; some aged ones have no effect at all


def test_aged_lightness_is_a_function_of_the_seed_and_blue_sensitive():
    red, blue = [230, 60, 50], [60, 110, 240]  # about as light
    scene = np.zeros((200, 32, 32, 3), np.float32)
    scene[:, :, :16], scene[:, :, 16:] = np.divide(red, 255), np.divide(blue, 255)
    clean = color.split(scene)[0].numpy()
    aged = age(scene, [1, 2]).numpy()
    assert aged.shape == clean.shape and aged.dtype == np.float32
    assert aged.min() >= 0 and aged.max() <= 100
    np.testing.assert_array_equal(aged, age(scene, [1, 2]))
    assert np.abs(aged - age(scene, [1, 3])).mean() > 1
    assert tf.function(age)(scene[:0], [1, 2]).shape == (0, 32, 32, 1)
    assert abs(clean[:, :, :16].mean() - clean[:, :, 16:].mean()) < 4
    assert aged[:, :, 16:].mean() - aged[:, :, :16].mean() > 5
    assert np.abs(aged - clean).mean() < 15  # moderate: what is in the picture stays visible


def test_hints_are_distributed_as_in_the_paper():
    revealed, palette = (x.numpy() for x in draw_hints(8_000, 64, 0.5, [4, 5]))
    assert revealed.shape == (8_000, 16, 16, 1) and palette.shape == (8_000,)
    assert {*np.unique(revealed)} == {*np.unique(palette)} == {0, 1}
    shares = revealed.mean(axis=(1, 2, 3))
    assert (shares > 0).mean() == pytest.approx(0.5 * 7 / 8, abs=0.02)
    assert palette.mean() == pytest.approx(0.5 * 0.3, abs=0.02)
    assert palette[shares > 0].mean() == pytest.approx(0.3, abs=0.03)
    assert (shares == 1).mean() == pytest.approx(0.005, abs=0.003)
    cells = 256 * shares[(shares > 0) & (shares < 1)]
    # A point has 14/3 cells on average, and there are 8 of them, less what overlaps or ends.
    assert 20 < cells.mean() < 8 * 14 / 3 and (cells == 1).mean() > 0.03
    frequency = revealed[shares < 1].mean(axis=0)[..., 0]
    assert frequency[7:9, 7:9].min() > 2 * frequency[::15, ::15].max() > 0
    assert not np.any(draw_hints(100, 64, 0.0, [4, 5])[0])


def test_a_run_trains_on_a_pattern_from_any_working_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    changes = ("data.dataset=*.tfrecord", "data.crop=0.5", "data.aged=0.5", "data.image_size=16")
    trainer = Trainer(tiny_config(*changes), tmp_path / "run")
    name = trainer.config.data.dataset
    monkeypatch.chdir(tmp_path)
    trainer.fit(load_dataset(name, image_size=16), steps=3, verbose=0)
    assert trainer.current_step == 3
    assert os.path.getsize(tmp_path / "run" / "files.json")


class TestErrors:
    def damaged(self, tmp_path, damage):
        path = write(tmp_path / "bad.tfrecord", [jpeg(plain(i)) for i in range(3)])
        path.write_bytes(damage(path.read_bytes()))
        return path

    @pytest.mark.parametrize(
        ("damage", "expected"),
        [
            (lambda data: data[:-40], r"bad.tfrecord is damaged.*record 3 "),
            (lambda data: data[:-9] + b"?" + data[-8:], r"bad.tfrecord is damaged.*record 3 "),
            (lambda _: b"no records at all", r"bad.tfrecord is damaged.*record 1 "),
            (lambda _: b"", r"bad.tfrecord .train. has no color image among its 0 records"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, damage, expected):
        with pytest.raises(DataError, match=expected) as caught:
            load_dataset(self.damaged(tmp_path, damage))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", ["example", "png", "truncated"])
    def test_a_record_that_is_no_jpeg_file_is_named(self, tmp_path, kind):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg(plain(0))]))
        record = {
            "example": tf.train.Example(
                features=tf.train.Features(feature={"image": feature})
            ).SerializeToString(),
            "png": tf.io.encode_png(np.uint8(plain(0))).numpy(),
            "truncated": jpeg(plain(0))[:-200],
        }[kind]
        write(tmp_path / "bad.tfrecord", [jpeg(plain(1)), record])
        expected = r"Record 2 of .*bad.tfrecord is not a JPEG file.*no tf.train.Example\."
        with pytest.raises(DataError, match=expected) as caught:
            load_dataset(tmp_path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400

    def test_what_records_cannot_do_is_said(self, folder, tmp_path):
        for name, split, expected in (
            (folder, "test", "training images only: use a folder of images for the test split"),
            (f"{folder}=1,photographs=1", "train", "cannot be part of a mixture"),
            (f"{folder}/b*.tfrecord", "train", r"No TFRecord file \(\*\.tfrecord\*\) matches"),
            (f"{folder}/a.tfrecord", "train", "no data set or folder named"),
        ):
            with pytest.raises(DataError, match=expected):
                load_dataset(name, split)
        write(tmp_path / "gray.tfrecord", [jpeg(np.full((9, 9, 3), 5))])
        with pytest.raises(DataError, match="no color image among its 1 records"):
            load_dataset(tmp_path)

    @pytest.mark.parametrize("option", [{"crop": 0.9}, {"aged": 0.1}, {"hinted": 0.1}])
    def test_other_data_refuse_the_options_of_records(self, option):
        with pytest.raises(DataError, match=r"data\.crop, data\.aged and data\.hinted need TFRec"):
            as_dataset(random_images()).training_batches(4, **option)

    def test_hints_need_whole_cells(self):
        with pytest.raises(ConfigError, match=r"data\.hinted needs .* multiple of 4, not 30"):
            Config.report().override(
                "data.hinted=0.5",
                "data.image_size=30",
                "generator.depth=1",
                "discriminator.depth=1",
            )
