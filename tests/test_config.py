import json
import math

import pytest
from conftest import run_python

from pix2pix_color.config import (
    PRESETS,
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


def test_the_report_has_its_values():
    config = Config.report()
    assert config == Config()
    generator, discriminator, training = config.generator, config.discriminator, config.training
    assert (config.data.dataset, config.data.image_size) == ("cifar10", 32)
    assert config.data.drop_gray and not config.data.flip and not config.data.shift
    assert (generator.depth, generator.filters, generator.kernel_size) == (5, 32, 4)
    assert generator.skip_levels() == (1, 2, 3, 4)
    assert (generator.normalization, generator.dropout) == ("batch", 0)
    assert (discriminator.kind, discriminator.depth, discriminator.filters) == ("patch", 3, 64)
    assert training.generator_learning_rate == 2e-4
    assert training.discriminator_learning_rate == 2.5e-5
    assert (training.batch_size, training.beta_1) == (64, 0.5)
    assert (training.l1_weight, training.adversarial_weight) == (100, 1)
    assert (training.real_label, training.precision) == (0.9, "auto")
    assert training.learning_rate_schedule == "constant"
    off = ("warmup_steps", "weight_decay", "ema_momentum", "xla")
    assert not any(getattr(training, name) for name in off)
    steps_per_epoch = -(-(50_000 - 562) // training.batch_size)
    assert training.steps == 650 * steps_per_epoch == 650 * 773 == 502_450


def test_every_preset_is_made_by_its_name():
    assert [Config.preset(name) for name in PRESETS] == [
        Config.report(),
        Config.stable(),
        Config.vivid(),
        Config.photo_stable(),
        Config.fast(),
    ]
    assert Config.fast().data.dataset == "photographs"  # needs no download
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
        ("change", "value"),
        [
            ("training.steps=1_000", 1000),
            ("training.steps=5e4", 50_000),
            ("training.steps=99999999991", 99_999_999_991),  # not rounded through a float
            ("training.l1_weight=5", 5.0),
            ("training.xla=True", True),
            ("training.xla=no", False),
            ("data.drop_gray=0", False),
            ("data.dataset=/a=b", "/a=b"),
            ("generator.skip_connections=none", "none"),
        ],
    )
    def test_reads_text_as_the_type_of_the_option(self, change, value):
        section, name = change.partition("=")[0].split(".")
        found = getattr(getattr(Config.report().override(change), section), name)
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("training.batchsize=3", r"did you mean 'training.batch_size'\?"),
            ("trainign.steps=3", r"did you mean 'training.steps'\?"),
            ("steps=3", "Unknown option 'steps"),
            ("training.steps", "write NAME=VALUE"),
            ("training.steps=many", "training.steps='many'.*a whole number"),
            ("training.steps=2.5", "a whole number"),
            ("training.steps=inf", "a whole number"),
            ("training.beta_1=half", "a number"),
            ("training.beta_1=nan", "from 0 to 0.999999, not nan"),
            ("training.l1_weight=1e999", r"from 0 to 1e\+38, not inf"),
            ("training.seed=9007199254740993", "not 9007199254740993"),
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
            (lambda: GeneratorConfig(filters=4000), "generator.max_filters limits them"),
            (lambda: DiscriminatorConfig(kind="cnn", depth=0), "discriminator.depth"),
            (lambda: TrainingConfig(l1_weight=0, adversarial_weight=0), "training.l1_weight"),
            (lambda: TrainingConfig(steps=True), "training.steps"),
            (
                lambda: TrainingConfig(feature_matching_weight=1, adversarial_weight=0),
                "training.feature_matching_weight needs training.adv",
            ),
            (lambda: Config(DataConfig(image_size=48)), "generator of depth 5 .* of 32, not 48"),
            (
                lambda: Config(discriminator=DiscriminatorConfig(depth=6)),
                "discriminator of depth 6 .* multiple of 64, not 32",
            ),
        ],
    )
    def test_is_refused_by_name_however_the_object_is_made(self, make, name):
        with pytest.raises(ConfigError, match=name):
            make()

    @pytest.mark.parametrize("section", ["data", "generator", "discriminator", "training"])
    def test_every_number_has_a_range_that_is_checked_at_once(self, section):
        """Values past the one-line rule: no number is too large to refuse."""
        for name, value in Config.report().to_dict()[section].items():
            for bad in (-1, 10**39, 10**301, math.nan) if type(value) in (int, float) else ():
                expected = rf"{section}\.{name}(=nan| must be from)"
                with pytest.raises(ConfigError, match=expected) as caught:
                    type(getattr(Config(), section))(**{name: bad})
                assert "\n" not in str(caught.value)


def test_skip_levels_are_named_from_the_finest_to_the_coarsest():
    levels = {"all": (1, 2, 3), "none": (), "innermost": (3,), "outermost": (1,)}
    for chosen, expected in levels.items():
        assert GeneratorConfig(depth=4, skip_connections=chosen).skip_levels() == expected
        assert GeneratorConfig(depth=1, skip_connections=chosen).skip_levels() == ()


class TestJson:
    def test_round_trip_is_exact(self):
        for config in (Config.stable(), Config.fast().override("training.weight_decay=0.5")):
            again = Config.from_json(config.to_json())
            assert again == config
            assert hash(again) == hash(config)

    def test_lists_every_field_and_a_missing_one_has_its_default(self):
        values = json.loads(Config.report().to_json())
        assert sorted(values) == ["data", "discriminator", "generator", "training"]
        assert len(values["training"]) == len(TrainingConfig.__dataclass_fields__)
        assert Config.from_json('{"training": {"steps": 7}}').training.steps == 7
        assert Config.from_json("{}") == Config()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "not valid JSON"),
            ('{"training": {"seed": ' + 5_000 * "9" + "}}", "not valid JSON"),
            ("[1]", "not a JSON object"),
            ('{"training": 3}', "training=3"),
            ('{"training": {"step": 3}}', r"did you mean 'training.steps'\?"),
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
    fields = {"training": {"steps": 7}, "data": {"fit": "crop"}}
    assert Config.from_dict(fields) == Config.report().override("training.steps=7")
    with pytest.raises(ConfigError, match=r"data.fit=stretch is no longer available"):
        Config.from_dict({"data": {"fit": "stretch"}})


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
    (tmp_path / "stable" / "a.tfrecord").touch()
    for dataset in ("stable/*.tfrecord", "my photos/../stable/a.tfrecord"):
        found = absolute_paths(config.override(f"data.dataset={dataset}"))
        assert found.data.dataset == f"{tmp_path}/stable/{dataset.rpartition('/')[2]}"
        assert absolute_paths(found) == found
    for dataset in ("photographs", "~/nowhere", "tfds:mnist", "a=1,b"):
        config = Config.vivid().override(f"data.dataset={dataset}")
        assert absolute_paths(config) == config  # the shipped model stays, not the folder `stable`
