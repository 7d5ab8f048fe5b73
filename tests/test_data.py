import dataclasses
import itertools
import os
import re
import socket
import sys
import unicodedata
import urllib.request
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from conftest import as_dataset, random_images, run_python
from PIL import Image

from pix2pix_color import color
from pix2pix_color.data import ImageDataset, is_gray, load_dataset, photographs
from pix2pix_color.data.sources import _is_test
from pix2pix_color.errors import DataError, ImageFileError
from pix2pix_color.evaluation.images import FIGURE_3, digest
from pix2pix_color.image_files import read_image_file

SPLITS = ("train", "test")


def as_arrays(dataset: ImageDataset) -> np.ndarray:
    return np.concatenate(list(dataset.images.batch(1000).as_numpy_iterator()))


def save_images(folder, count=4, size=(32, 32), suffix=".png", seed=0):
    """Writes smooth random color images that survive JPEG, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for i in range(count):
        small = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        path = folder / f"image{i:03d}{suffix}"
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


def save_gray(path):
    path.parent.mkdir(exist_ok=True)
    Image.effect_noise((32, 32), 50).save(path)


def test_one_channel_of_one_pixel_makes_an_image_colored():
    gray = np.repeat(np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), 3, axis=-1)
    images = np.repeat(gray, 4, axis=0)
    for channel in range(3):
        images[1 + channel, 3, 3, channel] += 1
    assert is_gray(images).numpy().tolist() == [True, False, False, False]
    assert bool(is_gray(gray[0]))


class TestPhotographs:
    def test_are_in_one_split_only_and_counted(self):
        train, test = photographs("train"), photographs("test")
        assert (train.shape, test.shape) == ((831, 32, 32, 3), (258, 32, 32, 3))
        assert not {crop.tobytes() for crop in train} & {crop.tobytes() for crop in test}
        dataset = load_dataset("photographs", "test")
        assert dataset.count + dataset.gray_count == len(test)
        assert (dataset.name, dataset.split) == ("photographs", "test")
        assert (dataset.labels, dataset.class_names) == (None, ())
        assert "the test split is the right quarter" in dataset.notes[0]
        kept = [crop for crop in test if not bool(is_gray(crop))]
        np.testing.assert_array_equal(as_arrays(dataset), kept)

    def test_of_another_size_are_averaged_and_their_other_split_is_read_alike_but_whole(self):
        test = load_dataset("photographs", "test", image_size=16, limit=5)
        expected = photographs("test")[0].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(as_arrays(test)[0], expected, atol=0.51)
        train = test.load_split("train")
        assert (train.name, train.split, train.count > 800) == ("photographs", "train", True)
        assert train.images.element_spec.shape == (16, 16, 3)


class TestFolder:
    def test_reads_the_pixels_that_colorize_sees(self, tmp_path):
        """Kind: two readers. Orientation, 16 bits, CMYK, palettes, alpha, animations, names."""
        image = Image.fromarray(random_images(1, 32)[0])
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / "turned.jpg", exif=exif)
        image.convert("CMYK").save(tmp_path / "cmyk.jpg")
        image.save(tmp_path / "webp.WEBP", lossless=True)
        image.convert("RGBA").save(tmp_path / "alpha.png")
        image.quantize(9).save(tmp_path / "palette.bmp")
        image.save(tmp_path / "tiff inside.png", format="tiff")
        image.save(tmp_path / "two.gif", save_all=True, append_images=[image.rotate(90)])
        gray = np.linspace(9_000, 60_000, 1024, dtype=np.uint16).reshape(32, 32)
        tifffile.imwrite(tmp_path / "gray16.tif", gray)
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(
            (tmp_path / "alpha.png").read_bytes()
        )
        found = as_arrays(load_dataset(tmp_path, drop_gray=False))
        paths = [p for p in sorted(tmp_path.iterdir()) if not _is_test(tmp_path, p)]
        assert len(found) == len(paths) >= 7
        for path, pixels in zip(paths, found, strict=True):
            seen = read_image_file(path).pixels / (257 if "16" in path.name else 1)
            np.testing.assert_allclose(pixels, np.broadcast_to(seen, (32, 32, 3)), atol=0.5)

    def test_thousands_of_warnings_are_one_line(self, tmp_path):
        for path in save_images(tmp_path, 30, suffix=".jpg"):
            path.write_bytes(path.read_bytes()[:-60])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            notes = load_dataset(tmp_path).notes
        assert "warnings about image files, such as:" in notes[-1] and len(notes) == 2

    def test_is_searched_to_any_depth_in_sorted_order_and_gray_images_are_counted(self, tmp_path):
        expected = []
        for i, where in enumerate(("a", "a/b/c", "b")):
            expected += save_images(tmp_path / where, 1, seed=i)
        save_gray(tmp_path / "gray.png")
        dataset = load_dataset(tmp_path)
        assert (dataset.count, dataset.gray_count) == (3, 1)
        expected.sort(key=str)
        arrays = [np.asarray(Image.open(path)) for path in expected]
        np.testing.assert_array_equal(as_arrays(dataset), arrays)
        kept = load_dataset(tmp_path, drop_gray=False)
        assert (kept.count, kept.gray_count) == (4, 0)

    def test_a_photograph_that_is_added_moves_no_other(self, tmp_path):
        """Kind: a split that moves. The test images stay the same, and in no other split."""
        save_images(tmp_path / "sub", 25)
        before = {s: {i.tobytes() for i in as_arrays(load_dataset(tmp_path, s))} for s in SPLITS}
        assert not before["train"] & before["test"] and len(before["test"]) > 0
        save_images(tmp_path, 3, seed=1)
        for split in SPLITS:
            assert before[split] <= {i.tobytes() for i in as_arrays(load_dataset(tmp_path, split))}

    def test_the_split_of_a_name_is_the_same_everywhere(self, tmp_path):
        names = [f"image{i}.png" for i in range(40)]
        chosen = [name for name in names if _is_test(tmp_path, tmp_path / name)]
        assert chosen == ["image2.png", "image17.png", "image23.png", "image33.png"]
        composed, decomposed = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
        assert _is_test(tmp_path, tmp_path / composed) == _is_test(tmp_path, tmp_path / decomposed)

    @pytest.mark.parametrize(
        ("folders", "train", "test"),
        [
            (("train", "test"), "train", "test"),
            (("Train", "TEST"), "Train", "TEST"),
            (("train", "Validation"), "train", "Validation"),
            (("train", "valid", "test"), "train", "test"),
            (("Train", "test", "train"), "Train", "test"),
        ],
    )
    def test_folders_named_like_splits_are_the_splits(self, tmp_path, folders, train, test):
        """Kind: names of splits."""
        for i, name in enumerate(folders):
            save_images(tmp_path / name / "deep", 2 + i, seed=i)
        for split, folder in (("train", train), ("test", test)):
            dataset = load_dataset(tmp_path, split)
            assert dataset.count == 2 + folders.index(folder)
            assert f"the {split} split is the folder {folder}" in dataset.notes[0]
            assert ("not used" in dataset.notes[0]) == (len(folders) == 3)

    @pytest.mark.parametrize(
        ("folder", "missing"),
        [("train", "test"), ("test", "train"), ("a", "train and no folder test")],
    )
    def test_a_single_folder_of_a_split_is_none(self, tmp_path, folder, missing):
        """Kind: names of splits. What is missing is said, and nothing else."""
        save_images(tmp_path / folder, 12)
        dataset = load_dataset(tmp_path)
        assert f"there is no folder {missing}, so one file in ten" in dataset.notes[0]
        assert f"{dataset.count} of 12 files are in the train split" in dataset.notes[0]

    def test_what_was_left_out_is_said(self, tmp_path):
        """Kinds: two walks, left out without a word."""
        save_images(tmp_path, 20)
        linked = save_images(tmp_path.parent / "elsewhere", 1, seed=1)[0].parent
        (tmp_path / "linked").symlink_to(linked)
        for name in ("._image000.jpg", "__MACOSX/image000.jpg", ".git/a.png", "a.psd", "b.MP4"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"no image")
        dataset = load_dataset(tmp_path)
        assert f"{dataset.count} of 21 files are in the train split" in dataset.notes[0]
        assert dataset.notes[1] == "Left out, not images: 1 .psd, 1 .mp4."
        (tmp_path / "circle").symlink_to(tmp_path)
        with pytest.raises(DataError, match="circle cannot be searched"):
            load_dataset(tmp_path)

    def test_any_size_becomes_its_central_square_and_the_right_one_is_not_touched(self, tmp_path):
        wide = np.zeros((32, 96, 3), np.uint8)
        wide[:, :32], wide[:, 32:64], wide[:, 64:] = (255, 0, 0), random_images(1, 32), (0, 0, 255)
        save_images(tmp_path / "test", 1)
        Image.fromarray(wide).save(save_images(tmp_path / "train", 1)[0])
        for i, size in enumerate([(64, 48), (33, 97), (7, 5), (1, 1)]):
            save_images(tmp_path / "train" / str(i), 1, size)
        found = as_arrays(load_dataset(tmp_path))
        assert found.shape == (5, 32, 32, 3)
        assert any(np.array_equal(image, wide[:, 32:64]) for image in found)

    def test_files_are_listed_a_limit_reads_only_the_first_and_home_is_found(
        self, tmp_path, monkeypatch
    ):
        paths = save_images(tmp_path / "five", 5)
        paths[4].write_bytes(b"not read")
        monkeypatch.setenv("HOME", str(tmp_path))
        dataset = load_dataset("~/five", limit=3)
        assert (dataset.name, dataset.count) == (str(tmp_path / "five"), 3)
        assert dataset.files == {path.name: path.stat().st_size for path in paths[:3]}


class TestErrors:
    def test_only_the_files_that_cannot_be_read_are_named(self, tmp_path):
        """Kinds: the wrong one blamed, two readers: what `colorize` refuses is refused."""
        suffixes = (".png", ".jpg", ".bmp", ".gif", ".tiff", ".webp")
        good = [save_images(tmp_path / "train", 2, suffix=s)[0] for s in suffixes]
        save_images(tmp_path / "test", 1)
        bad = tmp_path / "train" / "bad.jpg"
        bad.write_bytes(b"This is not an image.")
        with pytest.raises(ImageFileError) as refused:
            read_image_file(bad)
        with pytest.raises(DataError, match=re.escape(f"{refused.value} Remove or replace")) as e:
            load_dataset(tmp_path)
        assert not any(str(path) in str(e.value) for path in good)
        for i in range(4):
            (tmp_path / "train" / f"zero{i}.png").touch()
        with pytest.raises(DataError, match=r"bad.*zero0.*zero1.*And 2 more\.") as e:
            load_dataset(tmp_path)
        assert "\n" not in str(e.value) and "zero2" not in str(e.value)

    @pytest.mark.parametrize(
        ("name", "options", "expected"),
        [
            ("cifar-10", {}, r"'cifar-10'.*did you mean 'cifar10'\?.*folder"),
            ("photographs", {"split": "trian"}, r"'trian'.*did you mean 'train'\?"),
            ("photograph=1,cifar10=1", {}, r"'photograph': did you mean 'photographs'\?"),
            ("few/image000.png", {}, "no data set or folder named 'few/image000.png'"),
            ("few", {"split": "test"}, "No image in few is in the test split: .* 0 of 3 files"),
            ("gray", {}, "no color image: 1 read"),
            ("empty", {}, r"No image in empty .*files of \.png, .*\.webp"),
        ],
    )
    def test_what_cannot_be_loaded_says_why(self, name, options, expected, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save_images(tmp_path / "few", 3)
        save_gray(tmp_path / "gray" / "a.png")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=expected):
            load_dataset(name, **options)

    def test_cifar10_that_is_not_there_says_what_to_do_at_once(self, monkeypatch, tmp_path):
        """Without a network, TFDS retries for minutes; also after an interrupted download."""
        import tensorflow_datasets as tfds

        def fail(*_, **__):
            raise OSError("no route to host")

        builder = tfds.builder("cifar10", data_dir=tmp_path)
        Path(builder.data_dir).mkdir(parents=True)
        monkeypatch.setattr(tfds, "builder", lambda _: builder)
        monkeypatch.setattr(urllib.request, "getproxies", dict)
        monkeypatch.setattr(socket, "create_connection", fail)
        monkeypatch.setattr(tfds, "load", lambda *_, **__: pytest.fail("TFDS was asked"))
        with pytest.raises(DataError, match=r"no route to host.*TFDS_DATA_DIR.*photographs"):
            load_dataset("cifar10")
        # What was downloaded before needs no network.
        (tmp_path / "downloads").mkdir()
        (tmp_path / "downloads" / "cifar.tar.gz.INFO").touch()
        monkeypatch.setattr(tfds, "load", fail)
        monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("asked"))
        with pytest.raises(DataError, match="no route to host"):
            load_dataset("cifar10")

    def test_tfds_that_cannot_be_imported_says_what_to_install(self, monkeypatch):
        class Broken:
            def find_spec(self, name, *_):
                if name == "tensorflow_datasets":  # as on Colab, not an ImportError
                    raise Exception("mismatched Protobuf Gencode/Runtime\nx")

        monkeypatch.delitem(sys.modules, "tensorflow_datasets", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
        with pytest.raises(DataError, match='pip install "tensorflow-datasets>=4.9.6"') as caught:
            load_dataset("cifar10")
        assert "\n" not in str(caught.value)


def test_tfds_is_imported_only_when_needed():
    code, _, errors = run_python(
        "import sys, conftest, pix2pix_color.data, pix2pix_color.notebook as notebook\n"
        "notebook.setup(dataset='photographs')\n"
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    assert code == 0, errors[-2000:]


def test_batches_are_all_images_in_order_in_the_ranges_of_color():
    images = random_images(10)
    lightness, chroma = map(np.concatenate, zip(*as_dataset(images).batches(4), strict=True))
    np.testing.assert_array_equal(color.to_uint8(color.merge(lightness, chroma)), images)
    assert lightness.min() >= 0 and lightness.max() <= 100


class Reader:
    """Reads which image is at each place of the training batches, and how it was moved."""

    def __init__(self, count=21, batch_size=4, weights=None, shift=0):
        images = random_images(count)
        self.dataset = dataclasses.replace(as_dataset(images), weights=weights)
        self.batch_size, self.shift, self.known = batch_size, shift, {}
        margin = [(shift, shift), (shift, shift), (0, 0)]
        for i, image in enumerate(images):
            for flipped, side in enumerate((image, image[:, ::-1])):
                padded = np.pad(side, margin, "reflect")
                for y, x in itertools.product(range(2 * shift + 1), repeat=2):
                    moved = padded[y : y + 8, x : x + 8]
                    self.known[moved.tobytes()] = (i, (flipped, y, x))

    def batches(self, steps, **options):
        stream = self.dataset.training_batches(self.batch_size, shift=self.shift, **options)
        rows = []
        for lightness, chroma in stream.take(steps):
            # Merged with the wrong chroma an image would not be among the known ones.
            rgb = color.to_uint8(color.merge(lightness, chroma)).numpy()
            rows.append([self.known[image.tobytes()] for image in rgb])
        return rows

    def epochs(self, count, **options):
        steps = self.dataset.steps_per_epoch(self.batch_size, options.get("drop_remainder", False))
        batches = self.batches(count * steps, **options)
        return [list(itertools.chain(*batches[e * steps : (e + 1) * steps])) for e in range(count)]


# 6 images contribute 14 to an epoch of 21, and 15 contribute 7.
WEIGHTS = np.repeat([2 / 6, 1 / 15], [6, 15])


@pytest.fixture(scope="module")
def reader():
    return Reader()


@pytest.fixture(scope="module")
def mixed():
    return Reader(weights=WEIGHTS)


def numbers(epoch):
    return [number for number, _ in epoch]


class TestTrainingBatches:
    def test_every_epoch_is_every_image_once_in_the_order_that_saved_runs_resume_with(self, reader):
        orders = [tuple(numbers(epoch)) for epoch in reader.epochs(4, seed=5)]
        assert all(sorted(order) == list(range(21)) for order in orders)
        assert len({*orders, tuple(range(21))}) == 5
        for number, order in enumerate(orders):
            expected = tf.random.experimental.stateless_shuffle(tf.range(21), [5, 2 * number])
            assert list(order) == expected.numpy().tolist()

    def test_the_seed_and_no_other_random_number_decides(self, reader, mixed):
        for source in (reader, mixed):
            before = source.epochs(2, seed=3, flip=True)
            tf.random.set_seed(99)
            tf.random.uniform([3])
            assert source.epochs(2, seed=3, flip=True) == before
            assert sorted(before[0]) != sorted(source.epochs(1, seed=4, flip=True)[0])

    def test_batch_sizes_and_the_remainder(self, reader):
        assert [len(b) for b in reader.batches(7)] == [4, 4, 4, 4, 4, 1, 4]
        assert [len(b) for b in reader.batches(6, drop_remainder=True)] == [4] * 6
        for epoch in reader.epochs(2, drop_remainder=True):
            assert len(set(numbers(epoch))) == len(epoch) == 20
        spec = reader.dataset.training_batches(4, drop_remainder=True).element_spec
        assert [part.shape for part in spec] == [[4, 8, 8, 1], [4, 8, 8, 2]]

    @pytest.mark.parametrize("drop_remainder", [False, True])
    def test_a_later_start_continues_the_same_stream(self, reader, mixed, drop_remainder):
        # Epochs of 6 steps (5 without the remainder): middles, last steps and boundaries.
        options = {"seed": 5, "flip": True, "drop_remainder": drop_remainder}
        shifted = Reader(shift=1)
        for source, starts in ((reader, (5, 6, 13)), (mixed, (5, 7, 15)), (shifted, (3,))):
            whole = source.batches(24, **options)
            for start in starts:
                later = source.batches(9, start_step=start, **options)
                assert later == whole[start : start + 9]

    def test_flips_mirror_lightness_and_chroma_together_half_of_the_time(self):
        reader = Reader(count=200, batch_size=50)
        plain, flipped = reader.epochs(4), reader.epochs(4, flip=True)
        assert not any(side[0] for _, side in itertools.chain(*plain))
        assert [numbers(e) for e in plain] == [numbers(e) for e in flipped]
        sides = np.array([[side[0] for _, side in sorted(epoch)] for epoch in flipped])
        # 800 fair coins: 400 within 5 standard deviations.
        assert abs(sides.sum() - 400) < 5 * np.sqrt(800) / 2
        # Every epoch throws its own: were flips cached, all rows would be the same.
        for one, other in itertools.combinations(sides, 2):
            assert 60 < (one != other).sum() < 140

    def test_shifts_move_every_image_anew_and_reflect_the_border(self):
        epochs = [dict(epoch) for epoch in Reader(200, 50, shift=2).epochs(3, flip=True)]
        moves = np.array([[epoch[i] for i in range(200)] for epoch in epochs])
        # 600 images in 25 places, each equally likely: 24 within 5 standard deviations.
        places, counts = np.unique(moves[..., 1:].reshape(-1, 2), axis=0, return_counts=True)
        assert len(places) == 25
        assert np.all(np.abs(counts - 24) < 5 * np.sqrt(24))
        for one, other in itertools.combinations(moves[..., 1:], 2):
            assert np.any(one != other, axis=1).sum() > 150

    def test_an_epoch_has_773_steps_in_the_report_and_at_least_one(self, reader):
        dataset = ImageDataset("cifar10", "train", None, 49_438, 562)
        assert dataset.steps_per_epoch(64) == 773
        assert dataset.steps_per_epoch(64, drop_remainder=True) == 772
        assert reader.dataset.steps_per_epoch(64) == 1
        with pytest.raises(DataError, match="21 images, fewer than one batch of 64"):
            reader.dataset.training_batches(64, drop_remainder=True)


class TestMixture:
    def test_has_every_image_as_often_as_its_weight_says_in_a_new_order(self, mixed):
        epochs, total = mixed.epochs(12), Counter()
        for epoch in epochs:
            used = Counter(numbers(epoch))
            total += used
            assert len(epoch) == 21
            assert {used[n] for n in range(6)} <= {2, 3}
            assert {used[n] for n in range(6, 21)} <= {0, 1}
        assert min(total.values()) > 0 and len(total) == 21
        assert len({tuple(n < 6 for n in numbers(epoch)) for epoch in epochs}) == 12  # shuffled
        flipped = mixed.epochs(4, flip=True)  # an image that is drawn twice, independently
        sides = [{side[0] for n, side in e if n == i} for e in flipped for i in range(6)]
        assert {0, 1} in sides

    def test_holds_all_images_part_by_part_whatever_the_weights(self, tmp_path):
        a, b = tmp_path / "a", tmp_path / "b"
        for i, (folder, count) in enumerate(((a, 14), (b, 30))):
            save_images(folder, count, seed=i)
        save_gray(a / "image0000 gray.png")
        dataset = load_dataset(f" {a} = 9.0 , {b}=1", "test").load_split("train")
        parts = [load_dataset(folder, "train") for folder in (a, b)]
        expected = np.concatenate([as_arrays(part) for part in parts])
        np.testing.assert_array_equal(as_arrays(dataset), expected)
        assert (dataset.name, dataset.split) == (f"{a}=9,{b}=1", "train")
        assert (dataset.count, dataset.gray_count) == (len(expected), 1)
        assert (dataset.labels, dataset.class_names) == (None, ())
        assert len(dataset.files) == sum(len(part.files) for part in parts)
        first, second = np.split(dataset.weights, [parts[0].count])
        assert first.sum() == pytest.approx(9) and second.sum() == pytest.approx(1)
        assert load_dataset(dataset.name, limit=3).count == 5  # and one that is gray

    def test_what_is_a_folder_stays_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for i, folder in enumerate(("cifar10=1,photographs=2", "tfds:cifar10", "a=b")):
            paths = save_images(tmp_path / folder, 2, seed=i)
            expected = [np.asarray(Image.open(path)) for path in paths]
            np.testing.assert_array_equal(as_arrays(load_dataset(folder)), expected)
        assert load_dataset("a=b=2,photographs=1").weights[:3].tolist()[:2] == [1, 1]

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ("photographs,cifar10=1", "photographs"),
            ("photographs=1,", ""),
            ("=1,photographs=1", "=1"),
            *((f"photographs={n},cifar10=1", f"photographs={n}") for n in ("0", "-1", "inf", "x")),
        ],
    )
    def test_what_is_none_says_why(self, text, wrong):
        with pytest.raises(DataError, match=f"'{wrong}' is not NAME=.*no folder named '{text}'"):
            load_dataset(text)


# TensorFlow Datasets ------------------------------------------------------------------------

COLORS = np.array([[200, 10, 10], [7, 7, 7], [10, 200, 10], [10, 10, 200], [90, 60, 30]])


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """Stores data sets of plain images of several sizes where TFDS finds them."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import file_utils

    folder = tmp_path_factory.mktemp("tfds")
    names = tfds.features.ClassLabel(names=["even", "odd"])

    def store(name, splits, channels=3, feature="image", labels=(0, 1)):
        def examples(count):
            for i in range(count):
                image = np.empty((8 + i, 12, channels), np.uint8)
                image[:] = COLORS[i, :channels]
                yield i, {feature: image, "label": labels[i % 2]}

        image = tfds.features.Image(shape=(None, None, channels))
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict({feature: image, "label": names}),
            split_datasets={split: list(examples(count)) for split, count in splits.items()},
            data_dir=folder,
            disable_shuffling=True,
        )

    store("plain_colors", {"train": 5, "validation": 3})
    store("plain_tests", {"train": 2, "validation": 2, "test": 4}, labels=(-1, -1))
    store("plain_gray", {"train": 3}, channels=1)
    store("plain_pictures", {"train": 2}, feature="picture")
    tfds.core.add_data_dir(folder)
    yield folder
    file_utils.clear_registered_data_dirs()


@pytest.mark.usefixtures("tfds_folder")
class TestTfds:
    def test_images_of_any_size_are_read_with_their_labels(self):
        dataset = load_dataset("tfds:plain_colors", image_size=8)
        expected = np.broadcast_to(COLORS[[0, 2, 3, 4], None, None], (4, 8, 8, 3))
        np.testing.assert_array_equal(as_arrays(dataset), expected)
        assert (dataset.name, dataset.split) == ("tfds:plain_colors", "train")
        assert (dataset.count, dataset.gray_count) == (4, 1)
        assert dataset.labels.tolist() == [0, 0, 1, 0]
        assert dataset.class_names == ("even", "odd")
        assert load_dataset("tfds:plain_colors", limit=3).labels.tolist() == [0, 0]

    def test_validation_stands_in_for_a_missing_test_split_and_secret_labels_are_none(self):
        test = load_dataset("tfds:plain_colors", "train").load_split("test")
        assert (test.split, test.count, test.gray_count) == ("test", 2, 1)
        assert "the test split is the split validation" in test.notes[0]
        secret = load_dataset("tfds:plain_tests", "test")
        assert (secret.count, secret.labels, secret.class_names) == (3, None, ())

    def test_one_channel_is_gray(self):
        with pytest.raises(DataError, match="no color image: 3 read, all of them gray"):
            load_dataset("tfds:plain_gray")
        images = as_arrays(load_dataset("tfds:plain_gray", drop_gray=False))
        assert images.shape == (3, 32, 32, 3)
        assert images[:, 0, 0].tolist() == [[level] * 3 for level in COLORS[:3, 0]]

    @pytest.mark.parametrize(
        ("name", "split", "expected"),
        [
            ("plain_gray", "test", "no split named test or validation; it has train"),
            ("plain_pictures", "train", "no uint8 images .* feature named image; .*picture"),
            ("plain_color", "train", "plain_color is not on this machine.*TFDS_DATA_DIR"),
        ],
    )
    def test_what_cannot_be_read_says_why(self, name, split, expected):
        with pytest.raises(DataError, match=expected) as caught:
            load_dataset(f"tfds:{name}", split)
        assert "\n" not in str(caught.value)


@pytest.mark.cifar10
def test_cifar10_has_the_gray_images_that_the_report_dropped_and_those_of_its_figure_3():
    for split, gray in (("train", 562), ("test", 106)):
        images = as_arrays(load_dataset("cifar10", split, drop_gray=False))
        assert int(is_gray(images).numpy().sum()) == gray
        wanted = {image.sha256 for image in FIGURE_3 if image.split == split}
        assert wanted <= set(map(digest, images))
