import json
import math

import pytest
from conftest import run_python

from pix2pix_color.config import (
    Config,
    DataConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    TrainingConfig,
    nearest,
)
from pix2pix_color.errors import ConfigError
from pix2pix_color.model_folder import absolute_paths


def test_importing_the_package_and_its_configuration_loads_no_tensorflow():
    script = """
import sys
import pix2pix_color, pix2pix_color.config, pix2pix_color.files
from pix2pix_color import Config
Config.report().override("training.steps=5")
heavy = {"tensorflow", "keras", "numpy", "skimage", "matplotlib", "PIL"} & set(sys.modules)
sys.exit(f"loaded: {sorted(heavy)}" if heavy else 0)
"""
    code, _, errors = run_python(script)
    assert code == 0, errors


def test_every_public_name_of_the_package_is_listed_and_unknown_ones_are_refused():
    import pix2pix_color

    assert pix2pix_color.Config is Config
    assert {"Config", "Trainer", "load_dataset", "rgb_to_lab"} <= set(dir(pix2pix_color))
    with pytest.raises(AttributeError, match="No pix2pix_color attribute Trainr"):
        _ = pix2pix_color.Trainr


class TestReport:
    def test_trains_for_650_epochs_of_773_steps(self):
        steps_per_epoch = -(-(50_000 - 562) // Config.report().training.batch_size)
        assert steps_per_epoch == 773
        assert Config.report().training.steps == 650 * 773 == 502_450

    def test_has_the_values_of_the_report(self):
        config = Config.report()
        assert config == Config()
        assert (config.data.dataset, config.data.image_size) == ("cifar10", 32)
        assert config.data.drop_gray and not config.data.flip and not config.data.shift
        generator, discriminator, training = (
            config.generator,
            config.discriminator,
            config.training,
        )
        assert (generator.depth, generator.filters, generator.kernel_size) == (5, 32, 4)
        assert generator.skip_levels() == (1, 2, 3, 4)
        assert (generator.normalization, generator.dropout) == ("batch", 0)
        assert generator.negative_slope == discriminator.negative_slope == 0.2
        assert (discriminator.kind, discriminator.depth, discriminator.filters) == ("patch", 3, 64)
        assert training.generator_learning_rate == 2e-4
        assert training.discriminator_learning_rate == 2.5e-5
        assert (training.batch_size, training.beta_1) == (64, 0.5)
        assert (training.l1_weight, training.adversarial_weight) == (100, 1)
        assert training.real_label == 0.9
        assert training.precision == "float32"
        assert training.learning_rate_schedule == "constant"
        off = ("warmup_steps", "weight_decay", "ema_momentum", "xla")
        assert not any(getattr(training, name) for name in off)


class TestPresets:
    def test_every_preset_is_made_by_its_name(self):
        for name in Config.presets():
            assert isinstance(Config.preset(name), Config)
        assert Config.preset("report") == Config.report()
        assert Config.preset("fast") == Config.fast()

    def test_the_fast_one_needs_no_download(self):
        assert Config.fast().data.dataset == "photographs"

    def test_an_unknown_name_suggests_the_nearest(self):
        with pytest.raises(ConfigError, match=r"'reprot'.*did you mean 'report'\?.*Valid: .*fast"):
            Config.preset("reprot")


class TestOverride:
    def test_changes_what_it_names_and_nothing_else(self):
        changed = Config.report().override("training.batch_size=128", "generator.dropout=0.5")
        expected = Config.report().to_dict()
        expected["training"]["batch_size"] = 128
        expected["generator"]["dropout"] = 0.5
        assert changed.to_dict() == expected
        assert Config.report().training.batch_size == 64

    @pytest.mark.parametrize(
        ("change", "section", "field", "value"),
        [
            ("training.steps=1_000", "training", "steps", 1000),
            ("training.steps=5e4", "training", "steps", 50_000),
            ("training.xla=True", "training", "xla", True),
            ("training.xla=no", "training", "xla", False),
            ("data.drop_gray=0", "data", "drop_gray", False),
            ("data.dataset=/a=b", "data", "dataset", "/a=b"),
            ("training.precision=mixed_bfloat16", "training", "precision", "mixed_bfloat16"),
            ("generator.skip_connections=none", "generator", "skip_connections", "none"),
        ],
    )
    def test_reads_text_as_the_type_of_the_field(self, change, section, field, value):
        found = getattr(getattr(Config.report().override(change), section), field)
        assert found == value
        assert type(found) is type(value)

    def test_is_applied_as_a_whole(self):
        # Depth 3 alone would not allow 8-pixel images with the default's discriminator of 3.
        config = Config.report().override("data.image_size=8", "generator.depth=3")
        assert (config.data.image_size, config.generator.depth) == (8, 3)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("training.batchsize=3", r"did you mean 'training.batch_size'\?"),
            ("trainign.steps=3", r"did you mean 'training.steps'\?"),
            ("steps=3", r"Unknown option 'steps'.*did you mean '[a-z]+\.steps'|Unknown option"),
            ("training.steps", "write NAME=VALUE"),
            ("training.steps=many", "training.steps='many'.*a whole number"),
            ("training.steps=2.5", "a whole number"),
            ("training.steps=inf", "a whole number"),
            ("training.beta_1=nan", "a finite number"),
            ("training.l1_weight=1e999", "a finite number"),
            ("training.xla=maybe", "true or false"),
            ("training.precision=bfloat16", r"did you mean 'mixed_bfloat16'\?"),
            ("generator.skip_connections=outer", r"did you mean 'outermost'\?"),
        ],
    )
    def test_a_mistake_is_one_line_that_says_what_to_write(self, change, message):
        with pytest.raises(ConfigError, match=message) as caught:
            Config.report().override(change)
        assert "\n" not in str(caught.value)


class TestInvalidValues:
    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda: DataConfig(shift=32), "data.shift"),
            (lambda: DataConfig(color_space="hsv"), "data.color_space"),
            (lambda: DataConfig(lightness_scale="units"), "data.lightness_scale"),
            (lambda: GeneratorConfig(filters=4000), "generator.max_filters limits them"),
            (lambda: GeneratorConfig(downsampling="poling"), "generator.downsampling"),
            (lambda: GeneratorConfig(skip_connections="some"), "generator.skip_connections"),
            (lambda: DiscriminatorConfig(kind="cnn", depth=0), "discriminator.depth"),
            (lambda: DiscriminatorConfig(kind="patches"), "discriminator.kind"),
            (lambda: DiscriminatorConfig(max_filters=32), "discriminator.max_filters"),
            (lambda: DiscriminatorConfig(normalization="layer"), "discriminator.normalization"),
            (lambda: TrainingConfig(precision="float16"), "training.precision"),
            (
                lambda: TrainingConfig(l1_weight=0, adversarial_weight=0),
                "training.l1_weight and training.adversarial_weight",
            ),
        ],
    )
    def test_is_refused_by_name_however_the_object_is_made(self, make, name):
        with pytest.raises(ConfigError, match=name):
            make()

    @pytest.mark.parametrize("section", ["data", "generator", "discriminator", "training"])
    def test_every_number_has_a_range_that_is_checked_at_once(self, section):
        """Values past the one-line rule: no number is too large to refuse."""
        fields = Config.report().to_dict()[section]
        numbers = [n for n, v in fields.items() if type(v) in (int, float)]
        for field in numbers:
            for value in (-1, 10**39, 10**301, math.nan):
                config = type(getattr(Config.report(), section))
                with pytest.raises(ConfigError, match=f"{section}.{field} must be from ") as e:
                    config(**{field: value})
                assert "\n" not in str(e.value)

    def test_a_whole_number_is_not_rounded(self):
        """A value that passes through a float loses its last digits."""
        assert Config.report().override("training.steps=99999999991").training.steps == 99999999991
        with pytest.raises(ConfigError, match="not 9007199254740993"):
            Config.report().override("training.seed=9007199254740993")

    @pytest.mark.parametrize("size", [16, 33, 48])
    def test_an_image_that_cannot_be_halved_so_often_is_refused(self, size):
        with pytest.raises(ConfigError, match=f"depth 5 .* multiple of 32, not {size}"):
            Config(data=DataConfig(image_size=size))

    def test_a_discriminator_that_its_builder_would_refuse_is_refused_here(self):
        shallow = GeneratorConfig(depth=3)
        with pytest.raises(ConfigError, match="too deep for images of 32 pixels: at most 5"):
            Config(discriminator=DiscriminatorConfig(depth=6))
        with pytest.raises(ConfigError, match="too deep for images of 24 pixels: at most 3"):
            Config(DataConfig(image_size=24), shallow, DiscriminatorConfig(depth=4))
        Config(DataConfig(image_size=24), shallow, DiscriminatorConfig(depth=3))


class TestSkipLevels:
    @pytest.mark.parametrize(
        ("chosen", "levels"),
        [
            ("all", (1, 2, 3)),
            ("none", ()),
            ("innermost", (3,)),
            ("outermost", (1,)),
        ],
    )
    def test_are_named_from_the_finest_to_the_coarsest(self, chosen, levels):
        assert GeneratorConfig(depth=4, skip_connections=chosen).skip_levels() == levels

    def test_a_generator_of_depth_one_has_none(self):
        for chosen in ("all", "none", "innermost", "outermost"):
            assert GeneratorConfig(depth=1, skip_connections=chosen).skip_levels() == ()


class TestJson:
    @pytest.mark.parametrize(
        "changes",
        [
            (),
            (
                "generator.skip_connections=outermost",
                "training.xla=true",
                "training.weight_decay=0.5",
            ),
        ],
    )
    def test_round_trip_is_exact(self, changes):
        config = Config.fast().override(*changes)
        again = Config.from_json(config.to_json())
        assert again == config
        assert hash(again) == hash(config)

    def test_lists_every_field(self):
        values = json.loads(Config.report().to_json())
        assert sorted(values) == ["data", "discriminator", "generator", "training"]
        assert values["training"]["l1_weight"] == 100
        assert len(values["training"]) == len(TrainingConfig.__dataclass_fields__)

    def test_a_missing_field_has_its_default(self):
        assert Config.from_json('{"training": {"steps": 7}}').training.steps == 7
        assert Config.from_json("{}") == Config()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "not valid JSON"),
            ('{"training": {"seed": ' + 5_000 * "9" + "}}", "not valid JSON"),
            ("[1]", "not a JSON object"),
            ('{"trainig": {}}', r"did you mean 'training'\?"),
            ('{"training": 3}', "training"),
            ('{"training": {"step": 3}}', r"did you mean 'steps'\?"),
            ('{"training": {"steps": null}}', "a whole number"),
            ('{"training": {"steps": true}}', "a whole number"),
            ('{"data": {"dataset": 3}}', "give text"),
            ('{"generator": {"skip_connections": {}}}', "is not valid"),
        ],
    )
    def test_a_mistake_says_where(self, text, message):
        with pytest.raises(ConfigError, match=message):
            Config.from_json(text)


def test_a_run_of_an_earlier_version_is_read_unless_it_used_what_is_gone():
    fields = {
        "training": {"l2_weight": 0.0, "r1_every": 16, "steps": 7},
        "generator": {"blocks": 1},
    }
    assert Config.from_dict(fields) == Config.report().override("training.steps=7")
    with pytest.raises(ConfigError, match=r"training.l2_weight=5.0 is no longer available"):
        Config.from_dict({"training": {"l2_weight": 5.0}})


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        Config.report().training.steps = 3


def test_nearest_lists_all_names_even_without_a_close_one():
    assert nearest("zzz", ["b", "a"]) == "Valid: a, b."
    assert nearest("trian", ["train", "test"]) == "did you mean 'train'? Valid: test, train."


def test_folders_become_absolute_and_names_stay(tmp_path, monkeypatch):
    """A path that holds in one working folder only: `~`, mixtures, models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("my photos", "stable"):
        (tmp_path / name).mkdir()
    config = Config.stable().override(
        "data.dataset=~/my photos=2, my photos/../stable=1,cifar10=4",
        "training.initial_generator=my photos",
    )
    found = absolute_paths(config)
    assert found.data.dataset == f"{tmp_path}/my photos=2,{tmp_path}/stable=1,cifar10=4"
    assert found.training.initial_generator == f"{tmp_path}/my photos"
    assert absolute_paths(found) == found
    for dataset in ("photographs", "~/nowhere", "tfds:mnist", "a=1,b"):
        config = Config.vivid().override(f"data.dataset={dataset}")
        assert absolute_paths(config) == config  # the shipped model stays, not the folder `stable`
