import dataclasses
import hashlib
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
from conftest import as_dataset, random_images, run_python, tiny_config
from PIL import Image

from pix2pix_color import color
from pix2pix_color.data import ImageDataset, is_gray, load_dataset, mixture, photographs
from pix2pix_color.data.sources import SPLITS, _is_test
from pix2pix_color.errors import DataError, ImageFileError
from pix2pix_color.image_files import read_image_file


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


def test_one_channel_of_one_pixel_makes_an_image_colored():
    gray = np.repeat(np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), 3, axis=-1)
    images = np.repeat(gray, 4, axis=0)
    for channel in range(3):
        images[1 + channel, 3, 3, channel] += 1
    assert is_gray(images).numpy().tolist() == [True, False, False, False]
    assert bool(is_gray(gray[0]))


class TestPhotographs:
    def test_are_the_same_crops_every_time_and_in_one_split_only(self):
        train, test = photographs("train"), photographs("test")
        assert (train.shape, test.shape) == ((831, 32, 32, 3), (258, 32, 32, 3))
        assert not {crop.tobytes() for crop in train} & {crop.tobytes() for crop in test}
        photographs.cache_clear()
        np.testing.assert_array_equal(photographs("test"), test)

    def test_are_loaded_and_counted(self):
        dataset = load_dataset("photographs", "test")
        assert dataset.count + dataset.gray_count == len(photographs("test"))
        assert (dataset.name, dataset.split) == ("photographs", "test")
        assert (dataset.labels, dataset.class_names) == (None, ())
        kept = [crop for crop in photographs("test") if not bool(is_gray(crop))]
        np.testing.assert_array_equal(as_arrays(dataset), kept)

    def test_other_sizes_are_resized(self):
        dataset = load_dataset("photographs", "test", image_size=16, limit=8)
        expected = photographs("test")[0].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(as_arrays(dataset)[0], expected, atol=0.51)


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

    def test_a_damaged_file_is_refused_as_by_colorize(self, tmp_path):
        """Kind: two readers. What one refuses, both refuse, and what one reads, both read."""
        small = Image.fromarray(random_images(1, 16)[0])
        rng = np.random.default_rng(0)
        verdicts = Counter()
        for i in range(24):
            suffix = ("png", "jpg", "tif", "bmp", "webp", "gif")[i % 6]
            folder = tmp_path / str(i)
            for split in ("train", "test"):
                (folder / split).mkdir(parents=True)
                small.save(path := folder / split / f"x.{suffix}")
            content = bytearray(path.read_bytes())
            for place in rng.integers(0, len(content), 3):
                content[place] ^= 1 << rng.integers(8)
            (folder / "train" / path.name).write_bytes(content[: len(content) - i // 6 * 20])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    expected = read_image_file(folder / "train" / path.name).pixels
                except ImageFileError as error:
                    with pytest.raises(DataError, match=re.escape(str(error))):
                        load_dataset(folder, image_size=16)
                    verdicts["refused"] += 1
                    continue
                found = load_dataset(folder, image_size=16, drop_gray=False)
            if expected.shape == (16, 16, 3):
                np.testing.assert_array_equal(as_arrays(found)[0], expected)
                verdicts["read"] += 1
        assert min(verdicts["read"], verdicts["refused"]) >= 5

    def test_thousands_of_warnings_are_one_line(self, tmp_path):
        for path in save_images(tmp_path, 30, suffix=".jpg"):
            path.write_bytes(path.read_bytes()[:-60])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            notes = load_dataset(tmp_path).notes
        assert "warnings about image files, such as:" in notes[-1] and len(notes) == 2

    def test_is_searched_to_any_depth_in_sorted_order(self, tmp_path):
        expected = []
        for i, where in enumerate(("a", "a/b/c", "b")):
            expected += save_images(tmp_path / where, 1, seed=i)
        (tmp_path / "a" / "notes.txt").write_text("not an image")
        found = as_arrays(load_dataset(tmp_path))
        expected.sort(key=str)
        np.testing.assert_array_equal(found, [np.asarray(Image.open(p)) for p in expected])

    def test_gray_images_are_dropped_and_counted(self, tmp_path):
        save_images(tmp_path, 3)
        Image.effect_noise((32, 32), 50).save(tmp_path / "gray.png")
        Image.effect_noise((32, 32), 50).convert("RGB").save(tmp_path / "gray as rgb.png")
        dataset = load_dataset(tmp_path)
        assert (dataset.count, dataset.gray_count) == (3, 2)
        assert len(as_arrays(dataset)) == 3
        kept = load_dataset(tmp_path, drop_gray=False)
        assert (kept.count, kept.gray_count) == (5, 0)

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
            (("train", "val"), "train", "val"),
            (("TRAIN", "Validation"), "TRAIN", "Validation"),
            (("train", "valid", "test"), "train", "test"),
            (("test", "train", "in valid"), "train", "test"),
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
            assert ("valid not used" in dataset.notes[0]) == (len(folders) == 3)

    def test_two_folders_of_one_split_are_an_error(self, tmp_path):
        """Kind: names of splits; one of the two was left out without a word."""
        for name in ("Train", "train", "test"):
            save_images(tmp_path / name, 1)
        with pytest.raises(DataError, match="has both Train and train: rename one"):
            load_dataset(tmp_path)

    def test_the_split_and_what_was_left_out_are_said(self, tmp_path):
        """Kinds: two walks, left out without a word."""
        save_images(tmp_path, 20)
        (tmp_path / "linked").symlink_to(
            save_images(tmp_path.parent / "elsewhere", 1, seed=1)[0].parent
        )
        for name in ("._image000.jpg", "__MACOSX/image000.jpg", ".git/a.png", "a.psd", "b.MP4"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"no image")
        dataset = load_dataset(tmp_path)
        assert f"{dataset.count} of 21 files are in the train split" in dataset.notes[0]
        assert dataset.notes[1] == "Left out, not images: 1 .psd, 1 .mp4."
        (tmp_path / "circle").symlink_to(tmp_path)
        with pytest.raises(DataError, match="circle cannot be searched"):
            load_dataset(tmp_path)

    def test_files_that_change_change_the_fingerprint(self, tmp_path):
        paths = save_images(tmp_path, 20)
        first = load_dataset(tmp_path)
        assert first.fingerprint == load_dataset(tmp_path).fingerprint
        paths[0].rename(tmp_path / "other.png")
        assert load_dataset(tmp_path).fingerprint != first.fingerprint

    def test_any_size_becomes_a_square(self, tmp_path):
        for i, size in enumerate([(64, 48), (33, 97), (7, 5), (32, 32), (1, 1)]):
            save_images(tmp_path / "train" / str(i), 1, size)
        save_images(tmp_path / "test", 1)
        assert as_arrays(load_dataset(tmp_path)).shape == (5, 32, 32, 3)

    def test_the_center_is_kept(self, tmp_path):
        wide = np.zeros((32, 96, 3), np.uint8)
        wide[:, :32], wide[:, 32:64], wide[:, 64:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
        Image.fromarray(wide).save(tmp_path / "wide.png")
        cropped = as_arrays(load_dataset(tmp_path))[0]
        np.testing.assert_array_equal(cropped, wide[:, 32:64])

    def test_images_of_the_right_size_are_not_touched(self, tmp_path):
        Image.fromarray(random_images(1, 32)[0]).save(tmp_path / "noise.png")
        np.testing.assert_array_equal(as_arrays(load_dataset(tmp_path)), random_images(1, 32))

    def test_limit_reads_only_the_first(self, tmp_path):
        paths = save_images(tmp_path, 5)
        paths[4].write_bytes(b"not read")
        assert load_dataset(tmp_path, limit=3).count == 3


class TestErrors:
    def test_only_the_files_that_cannot_be_read_are_named(self, tmp_path):
        """Kind: the wrong one blamed."""
        suffixes = (".png", ".jpg", ".bmp", ".gif", ".tiff", ".webp")
        good = [save_images(tmp_path / "train", 2, suffix=s)[0] for s in suffixes]
        save_images(tmp_path / "test", 1)
        bad = tmp_path / "train" / "bad.jpg"
        bad.write_bytes(b"This is not an image.")
        with pytest.raises(
            DataError, match=r"bad\.jpg cannot be read: .*Remove or replace this"
        ) as e:
            load_dataset(tmp_path)
        assert not any(str(path) in str(e.value) for path in good)
        for i in range(4):
            (tmp_path / "train" / f"zero{i}.png").touch()
        with pytest.raises(DataError, match=r"bad.*zero0.*zero1.*And 2 more\..*these") as e:
            load_dataset(tmp_path)
        assert "\n" not in str(e.value) and "zero2" not in str(e.value)

    @pytest.mark.parametrize(
        ("name", "options", "expected"),
        [
            ("cifar-10", {}, r"'cifar-10'.*did you mean 'cifar10'\?.*folder"),
            ("photographs", {"split": "trian"}, r"'trian'.*did you mean 'train'\?"),
            ("photograph=1,cifar10=1", {}, r"'photograph': did you mean 'photographs'\?"),
            ("nine=1,nine/=2", {}, "'nine/' occurs twice"),
            ("nine/image000.png", {}, "is a file"),
            ("few", {"split": "test"}, "None of the 3 images in few falls into the test split"),
            ("gray", {}, "no color image: 1 read"),
            ("empty", {}, r"No image in empty: looked for \.png, .*\.webp"),
        ],
    )
    def test_what_cannot_be_loaded_says_why(self, name, options, expected, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save_images(tmp_path / "nine", 9)
        save_images(tmp_path / "few", 3)
        for folder in ("empty", "gray"):
            (tmp_path / folder).mkdir()
        Image.effect_noise((32, 32), 50).save(tmp_path / "gray" / "a.png")
        (tmp_path / "empty" / "a.txt").touch()
        with pytest.raises(DataError, match=expected):
            load_dataset(name, **options)

    def test_cifar10_that_is_not_there_says_what_to_do_at_once(self, monkeypatch, tmp_path):
        """Without a network, TFDS retries for minutes; also after an interrupted download."""
        import tensorflow_datasets as tfds

        def fail(*_, **__):
            raise OSError("no route to host\nand a long tail")

        builder = tfds.builder("cifar10", data_dir=tmp_path)
        Path(builder.data_dir).mkdir(parents=True)
        monkeypatch.setattr(tfds, "builder", lambda _: builder)
        monkeypatch.setattr(urllib.request, "getproxies", dict)
        monkeypatch.setattr(socket, "create_connection", fail)
        monkeypatch.setattr(tfds, "load", lambda *_, **__: pytest.fail("TFDS was asked"))
        with pytest.raises(DataError, match=r"no route to host.*TFDS_DATA_DIR.*photographs") as e:
            load_dataset("cifar10")
        assert "tail" not in str(e.value)
        # What was downloaded before needs no network.
        (tmp_path / "downloads").mkdir()
        (tmp_path / "downloads" / "cifar.tar.gz.INFO").touch()
        monkeypatch.setattr(tfds, "load", fail)
        monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("asked"))
        with pytest.raises(DataError, match="no route to host"):
            load_dataset("cifar10")

    @pytest.mark.parametrize(
        ("error", "package"),
        [
            (ModuleNotFoundError("No module named 'x'"), "tensorflow-datasets>=4.9.6"),
            # As on Colab, where it is not an ImportError.
            (Exception("mismatched Protobuf Gencode/Runtime\nx"), "tensorflow-metadata<1.18"),
        ],
    )
    def test_tfds_that_cannot_be_imported_says_what_to_install(self, monkeypatch, error, package):
        class Broken:
            def find_spec(self, name, *_):
                if name == "tensorflow_datasets":
                    raise error

        monkeypatch.delitem(sys.modules, "tensorflow_datasets", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
        with pytest.raises(DataError, match=f'pip install "{package}"') as caught:
            load_dataset("cifar10")
        assert "\n" not in str(caught.value)


def test_tfds_is_imported_only_when_needed():
    code, _, errors = run_python(
        "import sys, conftest, pix2pix_color.data, pix2pix_color.notebook as notebook\n"
        "notebook.setup(dataset='photographs')\n"
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    assert code == 0, errors[-2000:]


class TestBatches:
    def test_are_all_images_in_order_in_the_ranges_of_color(self):
        images = random_images(10)
        lightness, chroma = map(np.concatenate, zip(*as_dataset(images).batches(4), strict=True))
        np.testing.assert_array_equal(color.to_uint8(color.merge(lightness, chroma)), images)
        assert lightness.min() >= 0 and lightness.max() <= 100


class Reader:
    """Reads which image is at each place of the training batches, and how it was moved."""

    def __init__(self, count=21, batch_size=4, parts=(), shift=0):
        images = random_images(count)
        self.dataset = dataclasses.replace(as_dataset(images), parts=parts)
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


PARTS = ((6, 2 / 3), (15, 1 / 3))  # 6 images contribute 14 to an epoch of 21, and 15 contribute 7


@pytest.fixture(scope="module")
def reader():
    return Reader()


@pytest.fixture(scope="module")
def mixed():
    return Reader(parts=PARTS)


def numbers(epoch):
    return [number for number, _ in epoch]


class TestTrainingBatches:
    def test_every_epoch_is_every_image_once_in_a_new_order(self, reader):
        orders = [tuple(numbers(epoch)) for epoch in reader.epochs(4)]
        assert all(sorted(order) == list(range(21)) for order in orders)
        assert len({*orders, tuple(range(21))}) == 5

    def test_the_order_is_the_one_that_saved_runs_resume_with(self, reader):
        for number, epoch in enumerate(reader.epochs(2, seed=5)):
            expected = tf.random.experimental.stateless_shuffle(tf.range(21), [5, 2 * number])
            assert numbers(epoch) == expected.numpy().tolist()

    def test_the_seed_decides_the_order(self, reader):
        assert reader.epochs(2, seed=3, flip=True) == reader.epochs(2, seed=3, flip=True)
        assert reader.epochs(1, seed=3) != reader.epochs(1, seed=4)

    def test_batch_sizes_and_the_remainder(self, reader):
        assert [len(b) for b in reader.batches(7)] == [4, 4, 4, 4, 4, 1, 4]
        assert [len(b) for b in reader.batches(6, drop_remainder=True)] == [4] * 6
        for epoch in reader.epochs(2, drop_remainder=True):
            assert len(set(numbers(epoch))) == len(epoch) == 20

    def test_the_batch_size_is_static_where_the_remainder_is_dropped(self, reader):
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
        epochs = [dict(epoch) for epoch in reader.epochs(4, flip=True)]
        flipped = np.array([[epoch[i][0] for i in range(200)] for epoch in epochs])
        # 800 fair coins: 400 within 5 standard deviations.
        assert abs(flipped.sum() - 400) < 5 * np.sqrt(800) / 2
        # Every epoch throws its own: were flips cached, all rows would be the same.
        for one, other in itertools.combinations(flipped, 2):
            assert 60 < (one != other).sum() < 140

    def test_flips_are_off_by_default_and_do_not_change_the_order(self, reader):
        plain, flipped = reader.epochs(2), reader.epochs(2, flip=True)
        assert not any(flipped for _, (flipped, *_) in itertools.chain(*plain))
        assert [numbers(e) for e in plain] == [numbers(e) for e in flipped]

    def test_other_random_numbers_do_not_change_the_order(self, reader):
        before = reader.epochs(2, flip=True)
        tf.random.set_seed(99)
        tf.random.uniform([3])
        assert reader.epochs(2, flip=True) == before

    @pytest.mark.parametrize("flip", [False, True])
    def test_shifts_move_every_image_anew_and_reflect_the_border(self, flip):
        epochs = [dict(epoch) for epoch in Reader(200, 50, shift=2).epochs(3, flip=flip)]
        moves = np.array([[epoch[i] for i in range(200)] for epoch in epochs])
        assert moves[..., 0].any() == flip
        # 600 images in 25 places, each equally likely: 24 within 5 standard deviations.
        places, counts = np.unique(moves[..., 1:].reshape(-1, 2), axis=0, return_counts=True)
        assert len(places) == 25
        assert np.all(np.abs(counts - 24) < 5 * np.sqrt(24))
        for one, other in itertools.combinations(moves[..., 1:], 2):
            assert np.any(one != other, axis=1).sum() > 150

    def test_fewer_images_than_a_batch(self, reader):
        assert reader.dataset.steps_per_epoch(64) == 1
        with pytest.raises(DataError, match="21 images, fewer than one batch of 64"):
            reader.dataset.training_batches(64, drop_remainder=True)

    def test_the_report_has_773_steps_an_epoch(self):
        dataset = ImageDataset("cifar10", "train", None, 49_438, 562)
        assert dataset.steps_per_epoch(64) == 773
        assert dataset.steps_per_epoch(64, drop_remainder=True) == 772


# Mixtures -----------------------------------------------------------------------------------


class TestMixedTrainingBatches:
    def test_every_part_gives_its_share_and_uses_its_images_evenly(self, mixed):
        used = Counter(dict.fromkeys(range(21), 0))
        for epoch in mixed.epochs(7):
            drawn = numbers(epoch)
            assert (sum(n < 6 for n in drawn), sum(n >= 6 for n in drawn)) == (14, 7)
            used.update(drawn)
            # None is used again before all others of its part, over all epochs.
            for part in (range(6), range(6, 21)):
                times = [used[number] for number in part]
                assert max(times) - min(times) <= 1

    def test_a_part_comes_in_a_new_order_each_time(self):
        drawn = [mixture.draw(((6, 0.9), (15, 0.1)), 0, tf.constant(e, tf.int64)) for e in (0, 1)]
        often = np.concatenate([epoch[:19] for epoch in drawn])
        laps = [tuple(often[i : i + 6]) for i in range(0, 36, 6)]
        assert all(sorted(lap) == list(range(6)) for lap in laps)
        assert len(set(laps)) == 6
        # The parts draw independently of each other.
        halves = mixture.draw(((6, 0.5), (6, 0.5)), 0, tf.constant(0, tf.int64)).numpy()
        assert np.any(halves[:6] != halves[6:] - 6)

    def test_the_parts_are_shuffled_together_anew_each_epoch(self, mixed):
        orders = [tuple(n < 6 for n in numbers(epoch)) for epoch in mixed.epochs(4)]
        assert len(set(orders)) == 4
        for order in orders:
            changes = sum(one != other for one, other in itertools.pairwise(order))
            assert changes > 4

    def test_the_seed_decides_what_is_drawn(self, mixed):
        assert mixed.epochs(2, seed=3, flip=True) == mixed.epochs(2, seed=3, flip=True)
        one, other = (sorted(numbers(mixed.epochs(1, seed=seed)[0])) for seed in (3, 4))
        assert one != other

    def test_an_image_that_is_drawn_twice_is_flipped_anew(self, mixed):
        plain, flipped = mixed.epochs(4), mixed.epochs(4, flip=True)
        assert [numbers(e) for e in plain] == [numbers(e) for e in flipped]
        sides = [{side[0] for n, side in epoch if n == i} for epoch in flipped for i in range(6)]
        assert {0, 1} in sides

    def test_flips_and_shifts_reach_every_part(self):
        epochs = Reader(batch_size=21, parts=PARTS, shift=1).epochs(20, flip=True)
        assert all(sum(n < 6 for n in numbers(epoch)) == 14 for epoch in epochs)
        for part in (range(6), range(6, 21)):
            moves = {move for epoch in epochs for n, move in epoch if n in part}
            assert len(moves) == 18  # each of 18 is missed by 140 draws once in 3,000

    def test_a_part_that_gives_nothing_is_an_error(self):
        dataset = dataclasses.replace(as_dataset(random_images(21)), parts=((6, 0.99), (15, 0.01)))
        with pytest.raises(DataError, match=r"no image to an epoch of 21.*raise its weight"):
            dataset.training_batches(4)

    def test_a_mixture_cannot_be_cut_unnoticed(self, mixed):
        with pytest.raises(DataError, match="a mixture, which cannot be cut to 20 images"):
            dataclasses.replace(mixed.dataset, images=mixed.dataset.images.take(20), count=20)


class TestMixture:
    @pytest.mark.parametrize("total", [0, 1, 7, 100, 59_999])
    @pytest.mark.parametrize("shares", [(0.8, 0.2), (1 / 3,) * 3, (0.5, 0.25, 0.125, 0.125)])
    def test_portions_sum_up_and_are_as_near_as_can_be(self, shares, total):
        found = mixture.portions(shares, total)
        assert sum(found) == total
        assert all(abs(n - share * total) < 1 for n, share in zip(found, shares, strict=True))

    def test_holds_all_images_part_by_part_whatever_the_weights(self, tmp_path):
        for i, (folder, count) in enumerate((("a", 14), ("b", 30))):
            save_images(tmp_path / folder, count, seed=i)
        Image.effect_noise((32, 32), 50).save(tmp_path / "a" / "image0000 gray.png")
        a, b = tmp_path / "a", tmp_path / "b"
        for split in ("train", "test"):
            dataset = load_dataset(f" {a} = 9.0 , {b}=1", split)
            parts = [load_dataset(folder, split) for folder in (a, b)]
            expected = np.concatenate([as_arrays(part) for part in parts])
            np.testing.assert_array_equal(as_arrays(dataset), expected)
            assert dataset.name == f"{a}=9,{b}=1"
            assert dataset.count == len(expected)
            assert dataset.gray_count == sum(part.gray_count for part in parts)
            assert (dataset.labels, dataset.class_names) == (None, ())
            assert dataset.parts == ((parts[0].count, 0.9), (parts[1].count, 0.1))
        lightness, _ = map(np.concatenate, zip(*dataset.batches(4), strict=True))
        np.testing.assert_allclose(lightness, color.split(expected)[0], atol=1e-3)
        other = dataset.other_split("train")
        assert (other.name, other.split) == (dataset.name, "train")
        assert other.count == load_dataset(dataset.name, "train").count

    def test_a_limit_is_shared_out(self, tmp_path):
        for i, folder in enumerate("ab"):
            save_images(tmp_path / folder, 8, seed=i)
        text = f"{tmp_path / 'a'}=3,{tmp_path / 'b'}=1"
        for limit, counts in ((4, (3, 1)), (10, (8, 2)), (1, (1, 1))):
            parts = load_dataset(text, limit=limit).parts
            assert tuple(count for count, _ in parts) == counts

    def test_what_is_a_folder_stays_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for i, folder in enumerate(("cifar10=1,photographs=2", "tfds:cifar10", "a=b")):
            paths = save_images(tmp_path / folder, 2, seed=i)
            expected = [np.asarray(Image.open(path)) for path in paths]
            np.testing.assert_array_equal(as_arrays(load_dataset(folder)), expected)
        dataset = load_dataset("a=b=2,photographs=1")
        assert dataset.parts[0] == (2, 2 / 3)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("photographs=1", "'photographs' alone is not a mixture"),
            ("photographs,cifar10=1", "'photographs' is not NAME=WEIGHT"),
            ("photographs=1,", "'' is not NAME=WEIGHT"),
            ("=1,photographs=1", "'=1' is not NAME=WEIGHT"),
            ("photographs=0,cifar10=1", "weight of 'photographs' must be .* above 0, not '0'"),
            ("photographs=-1,cifar10=1", "above 0, not '-1'"),
            ("photographs=inf,cifar10=1", "above 0, not 'inf'"),
            ("photographs=nan,cifar10=1", "above 0, not 'nan'"),
            ("photographs=much,cifar10=1", "above 0, not 'much'"),
            ("photographs=,cifar10=1", "above 0, not ''"),
            ("photographs=1,photographs=2", "'photographs' occurs twice"),
            ("cifar10=1,tfds:cifar10=2", "'tfds:cifar10' occurs twice"),
        ],
    )
    def test_what_is_none_says_why(self, text, expected):
        with pytest.raises(DataError, match=f"{expected}.*NAME=WEIGHT.*no folder named '{text}'"):
            load_dataset(text)

    def test_a_configuration_names_one(self):
        name = "a/b=3,photographs=1"
        assert tiny_config(f"data.dataset={name}").data.dataset == name


# TensorFlow Datasets ------------------------------------------------------------------------

COLORS = np.array([[200, 10, 10], [7, 7, 7], [10, 200, 10], [10, 10, 200], [90, 60, 30]])


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """Stores data sets of plain images of several sizes where TFDS finds them."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import file_utils

    folder = tmp_path_factory.mktemp("tfds")
    names = tfds.features.ClassLabel(names=["even", "odd"])

    def store(name, splits, dtype=np.uint8, channels=3, feature="image", labels=(0, 1)):
        def examples(count):
            for i in range(count):
                image = np.empty((8 + i, 12, channels), dtype)
                image[:] = COLORS[i, :channels]
                yield i, {feature: image, "label": labels[i % 2]}

        image = tfds.features.Image(shape=(None, None, channels), dtype=dtype)
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
    store("plain_words", {"train": 2}, dtype=np.uint16)
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

    def test_validation_stands_in_for_a_test_split_that_is_not_there(self):
        test = load_dataset("tfds:plain_colors", "train").other_split("test")
        assert (test.split, test.count, test.gray_count) == ("test", 2, 1)
        assert load_dataset("tfds:plain_tests", "test").count == 3

    def test_secret_labels_are_none(self):
        dataset = load_dataset("tfds:plain_tests", "test")
        assert (dataset.labels, dataset.class_names) == (None, ())

    def test_one_channel_is_gray(self):
        with pytest.raises(DataError, match="no color image: 3 read, all of them gray"):
            load_dataset("tfds:plain_gray")
        images = as_arrays(load_dataset("tfds:plain_gray", drop_gray=False))
        assert images.shape == (3, 32, 32, 3)
        assert images[:, 0, 0].tolist() == [[level] * 3 for level in COLORS[:3, 0]]

    def test_is_a_part_of_a_mixture(self):
        dataset = load_dataset("tfds:plain_colors=1,photographs=1", "test")
        assert dataset.parts[0] == (2, 0.5)
        assert dataset.labels is None

    @pytest.mark.parametrize(
        ("name", "split", "expected"),
        [
            ("plain_gray", "test", "no split named test or validation; it has train"),
            ("plain_words", "train", r"uint16 of shape \(None, None, 3\); only uint8"),
            ("plain_pictures", "train", "no images in a feature named image; .*picture"),
            ("plain_color", "train", "'plain_color'.*catalog.*TFDS_DATA_DIR"),
            ("oxford_flower102", "train", r"did you mean 'tfds:oxford_flowers102'\?"),
            (
                "cifar10/nothing",
                "train",
                "cifar10/nothing is not on this machine",
            ),
            ("", "train", "could not be"),
        ],
    )
    def test_what_cannot_be_read_says_why(self, name, split, expected):
        with pytest.raises(DataError, match=expected) as caught:
            load_dataset(f"tfds:{name}", split)
        assert "\n" not in str(caught.value)


FIGURE_3 = [  # split, SHA-256 of the 3,072 RGB bytes of the real images of the report's Figure 3
    ("test", "d447964af50f67bdfe52e3928b9389b2d1cc9a881171084402491525fcc7c4a0"),
    ("test", "e1e3bda642dde1f7126a30262d64b8e133ffec09a66bbe14c7d2b126f04487d1"),
    ("train", "f31f0f328034a60d4cd41509a9483327462b450a2bb0e670ade6c16cb7febb28"),
    ("train", "190c2eab1132d0b7b1a227eb4215ed8622c562245a3eaef6b190f2c0c1efdb0a"),
]


@pytest.fixture(scope="module")
def cifar10():
    return {s: as_arrays(load_dataset("cifar10", s, drop_gray=False)) for s in ("train", "test")}


@pytest.mark.cifar10
class TestCifar10:
    def test_has_the_gray_images_that_the_report_dropped(self, cifar10):
        for split, kept, gray in (("train", 49_438, 562), ("test", 9_894, 106)):
            are_gray = is_gray(cifar10[split]).numpy()
            assert (int((~are_gray).sum()), int(are_gray.sum())) == (kept, gray)

    def test_is_the_real_one(self, cifar10):
        assert cifar10["train"].shape == (50_000, 32, 32, 3)
        assert cifar10["test"].shape == (10_000, 32, 32, 3)
        levels, mean, deviation = np.arange(256), [], []
        for channel in range(3):
            share = np.bincount(cifar10["train"][..., channel].ravel(), minlength=256)
            share = share / share.sum()
            mean.append(share @ levels)
            deviation.append(np.sqrt(share @ levels**2 - mean[-1] ** 2))
        np.testing.assert_allclose(mean, [125.307, 122.950, 113.865], atol=0.001)
        np.testing.assert_allclose(deviation, [62.993, 62.089, 66.705], atol=0.001)

    def test_holds_the_images_of_figure_3(self, cifar10):
        hashes = {
            split: {hashlib.sha256(image.tobytes()).hexdigest() for image in images}
            for split, images in cifar10.items()
        }
        for split, wanted in FIGURE_3:
            assert wanted in hashes[split]


# Labels and other splits --------------------------------------------------------------------


@pytest.mark.cifar10
def test_labels_stay_with_their_images():
    import tensorflow_datasets as tfds

    dataset = load_dataset("tfds:cifar10", "test", limit=600)
    np.testing.assert_array_equal(
        as_arrays(dataset), as_arrays(load_dataset("cifar10", "test", limit=600))
    )
    assert dataset.gray_count > 0  # or the labels could not have shifted
    expected = [
        int(example["label"])
        for example in tfds.as_numpy(tfds.load("cifar10", split="test").take(600))
        if (example["image"] != example["image"][..., :1]).any()
    ]
    np.testing.assert_array_equal(dataset.labels, expected)
    assert len(dataset.labels) == dataset.count
    assert dataset.class_names[0] == "airplane"


def test_another_split_is_read_in_the_same_way_but_whole():
    test = load_dataset("photographs", "test", image_size=16, limit=5)
    train = test.other_split("train")
    assert (train.name, train.split) == ("photographs", "train")
    assert train.images.element_spec.shape == (16, 16, 3)
    assert train.count == load_dataset("photographs", "train", image_size=16).count
    with pytest.raises(DataError, match="does not come from load_dataset"):
        as_dataset(random_images(3)).other_split("train")
