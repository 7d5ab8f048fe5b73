import hashlib
import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import as_dataset, random_images
from PIL import Image

from pix2pix_color import color
from pix2pix_color.data import DataError, ImageDataset, is_gray, load_dataset, photographs


def as_arrays(dataset: ImageDataset) -> np.ndarray:
    return np.concatenate(list(dataset.images.batch(1000).as_numpy_iterator()))


def save_images(folder, count=4, size=(32, 32), suffix=".png", seed=0):
    """Writes smooth random colour images that survive JPEG, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for i in range(count):
        small = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        path = folder / f"image{i:03d}{suffix}"
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


class TestIsGray:
    def test_one_coloured_pixel_makes_an_image_coloured(self):
        gray = np.repeat(np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), 3, axis=-1)
        almost = gray.copy()
        almost[0, 3, 3, 2] += 1
        assert is_gray(np.concatenate([gray, almost])).numpy().tolist() == [True, False]
        assert bool(is_gray(gray[0]))

    def test_each_channel_counts(self):
        for channel in range(3):
            image = np.zeros((2, 2, 3), np.uint8)
            image[0, 0, channel] = 1
            assert not bool(is_gray(image))


class TestPhotographs:
    def test_are_the_same_crops_every_time(self):
        for split, count in (("train", 831), ("test", 258)):
            crops = photographs(split)
            assert crops.dtype == np.uint8 and crops.shape[1:] == (32, 32, 3)
            assert len(crops) == count
            photographs.cache_clear()
            np.testing.assert_array_equal(photographs(split), crops)

    def test_no_crop_is_in_both_splits(self):
        train, test = ({crop.tobytes() for crop in photographs(s)} for s in ("train", "test"))
        assert not train & test

    def test_are_loaded_and_counted(self):
        dataset = load_dataset("photographs", "test")
        assert dataset.count + dataset.gray_count == len(photographs("test"))
        assert (dataset.name, dataset.split) == ("photographs", "test")
        kept = [crop for crop in photographs("test") if not bool(is_gray(crop))]
        np.testing.assert_array_equal(as_arrays(dataset), kept)

    def test_other_sizes_are_resized(self):
        dataset = load_dataset("photographs", "test", image_size=16, limit=8)
        expected = photographs("test")[0].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(as_arrays(dataset)[0], expected, atol=0.51)


class TestFolder:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".tif", ".webp", ".JPG", ".jpeg"])
    def test_reads_what_pillow_reads(self, tmp_path, suffix):
        paths = save_images(tmp_path, 3, suffix=suffix)
        found = as_arrays(load_dataset(tmp_path))
        expected = np.stack([np.asarray(Image.open(p).convert("RGB")) for p in paths])
        assert found.shape == (3, 32, 32, 3)
        # Two JPEG decoders may differ by a few levels.
        assert np.abs(found.astype(int) - expected).max() <= (8 if "j" in suffix.lower() else 0)

    def test_reads_gif_and_only_its_first_frame(self, tmp_path):
        colours = [(255, 0, 0), (0, 0, 255)]
        first, second = (Image.new("RGB", (32, 32), c) for c in colours)
        first.save(tmp_path / "two.gif", save_all=True, append_images=[second])
        np.testing.assert_array_equal(as_arrays(load_dataset(tmp_path))[0, 0, 0], colours[0])

    def test_reads_palettes_and_drops_transparency(self, tmp_path):
        image = Image.new("RGBA", (32, 32), (10, 200, 30, 128))
        image.save(tmp_path / "a.png")
        image.save(tmp_path / "b.bmp")
        for suffix in ("bmp", "gif", "png", "tiff"):
            image.convert("RGB").quantize(4).save(tmp_path / f"palette.{suffix}")
        found = as_arrays(load_dataset(tmp_path))
        np.testing.assert_array_equal(found[:, 5, 5], [[10, 200, 30]] * 6)

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

    def test_only_gray_images_are_an_error(self, tmp_path):
        Image.effect_noise((32, 32), 50).save(tmp_path / "gray.png")
        with pytest.raises(DataError, match="no colour image: 1 read"):
            load_dataset(tmp_path)

    def test_every_tenth_file_is_the_test_split(self, tmp_path):
        save_images(tmp_path, 25)
        train, test = (as_arrays(load_dataset(tmp_path, split)) for split in ("train", "test"))
        assert (len(train), len(test)) == (23, 2)
        assert not {i.tobytes() for i in train} & {i.tobytes() for i in test}

    def test_too_few_files_for_a_test_split_are_an_error(self, tmp_path):
        save_images(tmp_path, 9)
        with pytest.raises(DataError, match="9 images: too few for a test split"):
            load_dataset(tmp_path, "test")

    def test_train_and_test_subfolders_are_the_splits(self, tmp_path):
        save_images(tmp_path / "train" / "deep", 3)
        save_images(tmp_path / "test", 2, seed=1)
        save_images(tmp_path / "other", 4, seed=2)
        assert load_dataset(tmp_path, "train").count == 3
        assert load_dataset(tmp_path, "test").count == 2

    @pytest.mark.parametrize("size", [(64, 48), (33, 97), (7, 5), (32, 32), (1, 1)])
    def test_any_size_becomes_a_square(self, tmp_path, size):
        save_images(tmp_path, 1, size)
        for fit in ("crop", "resize"):
            assert as_arrays(load_dataset(tmp_path, fit=fit)).shape == (1, 32, 32, 3)

    def test_crop_keeps_the_centre_and_resize_keeps_all(self, tmp_path):
        wide = np.zeros((32, 96, 3), np.uint8)
        wide[:, :32], wide[:, 32:64], wide[:, 64:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
        Image.fromarray(wide).save(tmp_path / "wide.png")
        cropped = as_arrays(load_dataset(tmp_path, fit="crop"))[0]
        np.testing.assert_array_equal(cropped, wide[:, 32:64])
        resized = as_arrays(load_dataset(tmp_path, fit="resize"))[0]
        np.testing.assert_array_equal(resized[0, [0, 16, 31]], wide[0, [0, 48, 95]])

    def test_images_of_the_right_size_are_not_touched(self, tmp_path):
        Image.fromarray(random_images(1, 32)[0]).save(tmp_path / "noise.png")
        np.testing.assert_array_equal(as_arrays(load_dataset(tmp_path)), random_images(1, 32))

    def test_limit_reads_only_the_first(self, tmp_path):
        paths = save_images(tmp_path, 5)
        paths[4].write_bytes(b"not read")
        assert load_dataset(tmp_path, limit=3).count == 3


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def replace_by_text(path):
    path.write_text("This is not an image.")


class TestErrors:
    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tiff", ".webp"])
    @pytest.mark.parametrize("damage", [truncate, empty, replace_by_text])
    def test_a_file_that_cannot_be_read_is_named(self, tmp_path, suffix, damage):
        save_images(tmp_path, 3)
        bad = save_images(tmp_path / "bad", 1, (64, 64), suffix=suffix)[0]
        damage(bad)
        with pytest.raises(DataError, match="Cannot read") as caught:
            load_dataset(tmp_path)
        assert str(bad) in str(caught.value)
        assert "image001.png" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_file_that_only_another_program_can_read_is_named_too(self, tmp_path):
        # Pillow looks at the content and would find nothing wrong.
        Image.new("RGB", (32, 32), (1, 2, 3)).save(tmp_path / "a.png", format="tiff")
        with pytest.raises(DataError, match=r"Cannot read .*a\.png"):
            load_dataset(tmp_path)

    def test_many_unreadable_files_are_counted(self, tmp_path):
        for i in range(5):
            (tmp_path / f"{i}.png").touch()
        with pytest.raises(DataError, match=r"0\.png.*2\.png.* and 2 more"):
            load_dataset(tmp_path)

    def test_a_folder_without_images(self, tmp_path):
        (tmp_path / "a.txt").touch()
        with pytest.raises(DataError, match=r"No image in .*looked for \.bmp, .*\.webp"):
            load_dataset(tmp_path)

    def test_an_unknown_name_suggests_the_nearest(self):
        with pytest.raises(DataError, match=r"'cifar-10'.*did you mean 'cifar10'\?.*folder"):
            load_dataset("cifar-10")

    def test_a_file_is_not_a_data_set(self, tmp_path):
        (tmp_path / "a.png").touch()
        with pytest.raises(DataError, match="is a file"):
            load_dataset(tmp_path / "a.png")

    def test_an_unknown_split_or_fit(self):
        with pytest.raises(DataError, match=r"'trian'.*did you mean 'train'\?"):
            load_dataset("photographs", "trian")
        with pytest.raises(DataError, match=r"'cropped'.*did you mean 'crop'\?"):
            load_dataset("photographs", fit="cropped")

    def test_cifar10_that_is_not_there_says_what_to_do(self, monkeypatch):
        import tensorflow_datasets as tfds

        def fail(*_, **__):
            raise ConnectionError("no route to host\nand a long tail")

        monkeypatch.setattr(tfds, "load", fail)
        with pytest.raises(DataError, match=r"no route to host.*TFDS_DATA_DIR.*photographs") as e:
            load_dataset("cifar10")
        assert "tail" not in str(e.value)


class TestBatches:
    def test_are_all_images_in_order_in_the_ranges_of_color(self):
        images = random_images(10)
        lightness, chroma = map(np.concatenate, zip(*as_dataset(images).batches(4), strict=True))
        np.testing.assert_array_equal(color.to_uint8(color.merge(lightness, chroma)), images)
        assert lightness.min() >= 0 and lightness.max() <= 100


class Reader:
    """Reads which image, and which way round, is at each place of the training batches."""

    def __init__(self, count=21, batch_size=4):
        self.images = random_images(count)
        self.dataset, self.batch_size = as_dataset(self.images), batch_size
        self.known = {}
        for i, image in enumerate(self.images):
            self.known[image.tobytes()] = (i, False)
            self.known[image[:, ::-1].tobytes()] = (i, True)

    def batches(self, steps, **options):
        stream = self.dataset.training_batches(self.batch_size, **options)
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


@pytest.fixture(scope="module")
def reader():
    return Reader()


def numbers(epoch):
    return [number for number, _ in epoch]


class TestTrainingBatches:
    def test_every_epoch_is_every_image_once(self, reader):
        for epoch in reader.epochs(3):
            assert sorted(numbers(epoch)) == list(range(21))

    def test_no_two_epochs_have_the_same_order(self, reader):
        orders = [tuple(numbers(epoch)) for epoch in reader.epochs(4)]
        assert len(set(orders)) == 4
        assert tuple(range(21)) not in orders

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
    @pytest.mark.parametrize("start", [1, 4, 5, 6, 7, 11, 12, 15])
    def test_a_later_start_continues_the_same_stream(self, reader, start, drop_remainder):
        # Epochs of 6 steps (5 without the remainder): middles, last steps and boundaries.
        options = {"seed": 5, "flip": True, "drop_remainder": drop_remainder}
        whole = reader.batches(start + 9, **options)
        assert reader.batches(9, start_step=start, **options) == whole[start:]

    def test_flips_mirror_lightness_and_chroma_together_half_of_the_time(self):
        reader = Reader(count=200, batch_size=50)
        epochs = [dict(epoch) for epoch in reader.epochs(4, flip=True)]
        flipped = np.array([[epoch[i] for i in range(200)] for epoch in epochs])
        # 800 fair coins: 400 within 5 standard deviations.
        assert abs(flipped.sum() - 400) < 5 * np.sqrt(800) / 2
        # Every epoch throws its own: were flips cached, all rows would be the same.
        for one, other in itertools.combinations(flipped, 2):
            assert 60 < (one != other).sum() < 140

    def test_nothing_is_flipped_unless_asked(self, reader):
        assert not any(flipped for _, flipped in itertools.chain(*reader.epochs(2)))

    def test_flips_do_not_change_the_order(self, reader):
        plain, flipped = reader.epochs(2), reader.epochs(2, flip=True)
        assert [numbers(e) for e in plain] == [numbers(e) for e in flipped]

    def test_other_random_numbers_do_not_change_the_order(self, reader):
        before = reader.epochs(2, flip=True)
        tf.random.set_seed(99)
        tf.random.uniform([3])
        assert reader.epochs(2, flip=True) == before

    @pytest.mark.parametrize("flip", [False, True])
    def test_shifts_move_every_image_anew_and_mirror_what_comes_in(self, flip):
        count, shift, size = 200, 2, 8
        images = random_images(count)
        known = {}
        for i, image in enumerate(images):
            for side in (image, image[:, ::-1]) if flip else (image,):
                padded = np.pad(side, [(shift, shift), (shift, shift), (0, 0)], "reflect")
                for y, x in itertools.product(range(2 * shift + 1), repeat=2):
                    known[padded[y : y + size, x : x + size].tobytes()] = (i, y, x)
        batches = as_dataset(images).training_batches(50, flip=flip, shift=shift).take(12)
        rgb = [color.to_uint8(color.merge(*batch)).numpy() for batch in batches]
        seen = np.array([known[image.tobytes()] for image in np.concatenate(rgb)])
        # 600 images in 25 places, each equally likely: 24 within 5 standard deviations.
        places, counts = np.unique(seen[:, 1:], axis=0, return_counts=True)
        assert len(places) == 25
        assert np.all(np.abs(counts - 24) < 5 * np.sqrt(24))
        epochs = seen.reshape(3, count, 3)
        assert all(sorted(epoch[:, 0]) == list(range(count)) for epoch in epochs)
        moves = [epoch[np.argsort(epoch[:, 0]), 1:] for epoch in epochs]
        for one, other in itertools.combinations(moves, 2):
            assert np.any(one != other, axis=1).sum() > 150

    def test_shifts_go_on_after_a_later_start(self, reader):
        def stream(steps, **options):
            batches = reader.dataset.training_batches(4, seed=5, **options).take(steps)
            return [lightness.numpy() for lightness, _ in batches]

        shifted = stream(8, shift=1)
        for start in (3, 6):
            for one, other in zip(
                stream(8 - start, start_step=start, shift=1), shifted[start:], strict=True
            ):
                np.testing.assert_array_equal(one, other)

    def test_fewer_images_than_a_batch(self, reader):
        assert reader.dataset.steps_per_epoch(64) == 1
        with pytest.raises(DataError, match="21 images, fewer than one batch of 64"):
            reader.dataset.training_batches(64, drop_remainder=True)

    def test_the_report_has_773_steps_an_epoch(self):
        dataset = ImageDataset("cifar10", "train", None, 49_438, 562)
        assert dataset.steps_per_epoch(64) == 773
        assert dataset.steps_per_epoch(64, drop_remainder=True) == 772


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
        dataset = load_dataset("cifar10", "test")
        assert (dataset.count, dataset.gray_count) == (9_894, 106)

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

    dataset = load_dataset("cifar10", "test", limit=600)
    assert dataset.gray_count > 0  # or the labels could not have shifted
    expected = [
        int(example["label"])
        for example in tfds.as_numpy(tfds.load("cifar10", split="test").take(600))
        if (example["image"] != example["image"][..., :1]).any()
    ]
    np.testing.assert_array_equal(dataset.labels, expected)
    assert len(dataset.labels) == dataset.count
    assert dataset.class_names[0] == "airplane"


def test_other_data_have_no_labels():
    dataset = load_dataset("photographs", "test", limit=5)
    assert dataset.labels is None
    assert dataset.class_names == ()


def test_another_split_is_read_in_the_same_way_but_whole():
    test = load_dataset("photographs", "test", image_size=16, limit=5)
    train = test.other_split("train")
    assert (train.name, train.split) == ("photographs", "train")
    assert train.images.element_spec.shape == (16, 16, 3)
    assert train.count == load_dataset("photographs", "train", image_size=16).count
    with pytest.raises(DataError, match="not read by load_dataset"):
        as_dataset(random_images(3)).other_split("train")
