"""Networks as they are stored in a SavedModel, with or without a dial."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from pix2pix_color.config import GeneratorConfig
from pix2pix_color.networks import build_generator
from pix2pix_color.networks.packing import PackedNetwork, require_same_network, unpack_weights

SHAPE = {"kind": "residual", "depth": 1, "filters": 4, "kernel_size": 3}


def generator(seed: int, **options) -> keras.Model:
    scale = options.pop("lightness_scale", "unit")
    model = build_generator(GeneratorConfig(**SHAPE | options), 8, lightness_scale=scale, seed=seed)
    rng = np.random.default_rng(seed)
    for variable in model.weights:  # statistics as of a trained one, above 0
        if "moving" in variable.path:
            variable.assign(rng.uniform(0.1, 1.0, variable.shape))
    return model


@pytest.fixture
def pair():
    return generator(1), generator(2)


@pytest.fixture
def lightness():
    return np.random.default_rng(0).uniform(0, 100, (2, 8, 8, 1)).astype(np.float32)


class TestPackedNetwork:
    def saved(self, tmp_path, *networks):
        tf.saved_model.save(PackedNetwork(*networks), str(tmp_path / "packed"))
        return tf.saved_model.load(str(tmp_path / "packed"))

    def test_large_kernels_come_back_as_float16_rounds_them_and_the_rest_exactly(self, tmp_path):
        pair = [generator(seed, filters=24) for seed in (1, 2)]
        loaded = self.saved(tmp_path, *pair)
        for stable, source in ((False, pair[0]), (True, pair[1])):
            network, rounded = generator(3, filters=24), 0
            unpack_weights(loaded, network, stable=stable)
            for found, original in zip(network.weights, source.weights, strict=True):
                expected = np.asarray(original)
                if expected.size >= 4_096:
                    rounded += 1
                    expected = expected.astype(np.float16).astype(np.float32)
                np.testing.assert_array_equal(found, expected)
            assert 0 < rounded < sum(len(v.shape) > 1 for v in source.weights)

    def test_frozen_weights_are_stored_once_for_both_ends(self, pair, tmp_path):
        name = "down0_block1_1_conv"
        for network in pair:
            network.get_layer(name).trainable = False
        frozen = sum(v.numpy().size for v in pair[0].get_layer(name).weights)
        total = sum(v.numpy().size for v in pair[0].weights)
        loaded = self.saved(tmp_path, *pair)
        sizes = [int(tf.size(p.vectors)) for p in (loaded.frozen, loaded.learned, loaded.stable)]
        assert sizes == [frozen, total - frozen, total - frozen]
        other = generator(4)
        other.get_layer(name).trainable = False
        unpack_weights(loaded, other, stable=True)
        for found, expected in zip(other.weights, pair[1].weights, strict=True):
            source = pair[0].get_layer(name).kernel if found.path == f"{name}/kernel" else expected
            np.testing.assert_array_equal(found, source if "kernel" in found.path else expected)

    @pytest.mark.parametrize("vividness", [0.0, 0.3, 1.0])
    def test_predicts_what_a_network_of_mixed_weights_does(self, pair, lightness, vividness):
        vivid, stable = pair
        packed = PackedNetwork(vivid, stable)
        found = packed.predict(packed.weights(tf.constant(vividness)), tf.constant(lightness))
        mixed = generator(3)
        ends = zip(stable.get_weights(), vivid.get_weights(), strict=True)
        mixed.set_weights([(1 - vividness) * one + vividness * other for one, other in ends])
        np.testing.assert_allclose(found, mixed(lightness), atol=1e-5)
        assert np.ptp(found) > 0.01

    def test_another_network_does_not_fit(self, pair, tmp_path):
        with pytest.raises(ValueError):
            unpack_weights(self.saved(tmp_path, pair[0]), generator(1, depth=2))


@pytest.mark.parametrize(
    "options", [{"filters": 8}, {"depth": 2}, {"lightness_scale": "report"}], ids=str
)
def test_networks_that_differ_in_more_than_their_weights_have_no_dial(pair, options):
    require_same_network(pair[0], generator(2, self_ensemble=True, dropout=0.1))
    with pytest.raises(ValueError, match=r"different generators cannot be mixed: \w+") as caught:
        PackedNetwork(pair[0], generator(2, **options))
    assert "\n" not in str(caught.value)
