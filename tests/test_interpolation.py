"""One generator between two."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from pix2pix_color.networks.interpolation import interpolate_generators

from pix2pix_color.config import GeneratorConfig
from pix2pix_color.export import export_saved_model
from pix2pix_color.networks import build_generator

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


@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_are_the_two(pair, lightness, end):
    mixed = interpolate_generators(*pair, float(end))
    np.testing.assert_array_equal(mixed(lightness), pair[end](lightness))


def test_the_mirror_image_is_the_affair_of_the_second(pair, lightness):
    twice = [generator(seed, self_ensemble=True) for seed in (1, 2)]
    mixed = interpolate_generators(twice[0], pair[1], 0.0)
    np.testing.assert_array_equal(mixed(lightness), pair[0](lightness))
    mixed = interpolate_generators(pair[0], twice[1], 1.0)
    np.testing.assert_array_equal(mixed(lightness), twice[1](lightness))


@pytest.mark.parametrize("vividness", [0.25, 0.9])
def test_every_weight_lies_on_the_line_through_both(pair, vividness):
    mixed = interpolate_generators(*pair, vividness)
    stable, vivid = ({v.path: v.numpy() for v in model.weights} for model in pair)
    for variable in mixed.weights:
        expected = (1 - vividness) * stable[variable.path] + vividness * vivid[variable.path]
        np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-6)


def test_it_is_a_plain_model_of_its_own(pair, lightness, tmp_path):
    before = pair[0].get_weights()
    mixed = interpolate_generators(*pair, 0.5)
    outputs = mixed(lightness)
    assert np.isfinite(outputs).all()
    mixed.save(tmp_path / "mixed.keras")
    again = keras.models.load_model(tmp_path / "mixed.keras")
    np.testing.assert_array_equal(again(lightness), outputs)
    export_saved_model(mixed, tmp_path / "saved_model")
    mixed.set_weights([0.0 * w for w in before])
    for one, other in zip(pair[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options", [{"filters": 8}, {"depth": 2}, {"lightness_scale": "report"}], ids=str
)
def test_two_shapes_cannot_be_mixed(options):
    with pytest.raises(ValueError, match=r"different shapes cannot be mixed: \w+") as caught:
        interpolate_generators(generator(1), generator(2, **options), 0.5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("vividness", [-0.1, 1.1, float("nan")])
def test_out_of_range_is_refused(pair, vividness):
    with pytest.raises(ValueError, match=r"must be from 0 to 1, not"):
        interpolate_generators(*pair, vividness)
