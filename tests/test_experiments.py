"""The studies as data, the runs they need, what these cost, and the table of their results."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import pytest
from conftest import run_python, tiny_config

from pix2pix_color.apps.cli import experiment
from pix2pix_color.config import Config
from pix2pix_color.errors import StudyError, UsageError
from pix2pix_color.experiments.comparison import gain_over, paired_gain, seed_deviation
from pix2pix_color.experiments.cost import cost_of, flops_per_image
from pix2pix_color.experiments.jobs import plan
from pix2pix_color.experiments.report import PUBLISHED, open_results, rows_of, study_table
from pix2pix_color.experiments.studies import (
    DIRECTIONS,
    SEARCH,
    STUDIES,
    find_studies,
    find_variants,
)
from pix2pix_color.experiments.study import (
    BUDGET,
    LAST_COMMIT,
    REPORT,
    Study,
    Variant,
    base_config,
    config_hash,
)
from pix2pix_color.experiments.table import COLUMNS, Results, as_table


def study(*variants: Variant, name: str = "mine") -> Study:
    return Study(name, "mine", "Mine", "4.2.1", "A claim.", "A question?", (REPORT, *variants))


PRESETS = {"faithful": "stable", "lively": "vivid"}


class TestStudies:
    def test_every_one_says_what_the_report_does_and_starts_from_it(self):
        assert len({s.name for s in STUDIES}) == len(STUDIES)
        for s in STUDIES:
            assert s.section in ("4.2.1", "4.2.2", "4.2.4")
            assert s.claim.endswith((".", '."'))
            assert "?" in s.question
            assert s.variants[0] is REPORT
            assert all(v.changes for v in s.variants[1:])

    def test_the_directions_change_a_preset_in_one_way_each_and_build(self):
        jobs = plan(DIRECTIONS, base_config(), BUDGET, seeds=[0])
        assert all(s.section == "5.3" and s.variants[0] is REPORT for s in DIRECTIONS)
        # Each variant is its own run: no change is without effect on the configuration.
        run = [v for s in DIRECTIONS for v in s.variants[1:] if not v.retired]
        assert [j.variant for j in jobs] == ["report", *(v.name for v in run)]
        first = {s.name: s.variants[1] for s in DIRECTIONS}
        generator = Config.vivid().generator
        generators = {
            "faithful": dataclasses.replace(generator, guide="", dropout=0.1),
            "lively": dataclasses.replace(generator, guide="classifier"),
        }
        for s, preset in ((s, getattr(Config, p)()) for s, p in PRESETS.items()):
            config = next(j.config for j in jobs if j.variant == first[s].name)
            assert config.generator == generators[s]
            # Both with a discriminator of 16 filters; that of vivid has twice as many.
            assert config.discriminator == dataclasses.replace(preset.discriminator, filters=16)
            assert config.training.rgb_weight == preset.training.rgb_weight
            assert config.training.adversarial_loss == preset.training.adversarial_loss

    def test_listing_them_loads_no_heavy_library_and_reports_need_no_tensorflow(self):
        script = (
            "import sys; from pix2pix_color.apps.cli import experiment;"
            "assert not {'tensorflow', 'numpy', 'pandas'} & set(sys.modules);"
            "from pix2pix_color.experiments import STUDIES, open_results, study_table;"
            "study_table(STUDIES[0], open_results().rows);"
            "assert 'tensorflow' not in sys.modules"
        )
        code, _, errors = run_python(script)
        assert code == 0, errors

    def test_are_found_by_name_by_group_and_all_in_order(self):
        assert [s.name for s in find_studies(["l1-weight", "ablations"])] == [
            "l1-weight",
            "ablations",
        ]
        assert {s.group for s in find_studies(["discriminator"])} == {"discriminator"}
        assert find_studies(["all"]) == (*STUDIES, SEARCH, *DIRECTIONS)
        assert find_studies(["beyond"]) == DIRECTIONS

    def test_an_unknown_name_suggests_the_nearest(self):
        with pytest.raises(StudyError, match="did you mean 'ablations'"):
            find_studies(["ablation"])
        with pytest.raises(StudyError, match="did you mean 'depth 2'"):
            find_variants(find_studies(["generator-depth"])[0], ["deph 2"])

    def test_a_part_keeps_the_baseline(self):
        part = find_variants(find_studies(["generator-depth"])[0], ["depth 3"])
        assert [v.name for v in part.variants] == ["report", "depth 3"]


class TestPlan:
    base = tiny_config("data.dataset=photographs")

    def test_the_whole_set_fits_the_evening_and_every_network_builds(self):
        jobs = plan(STUDIES, base_config(), BUDGET)
        assert len(jobs) + 16 <= 75
        assert [j.seed for j in jobs] == sorted(j.seed for j in jobs)
        assert jobs[0].variant == "report"
        # The report's run costs three minutes on two cores: grid and search take half a night.
        assert sum(j.tflop for j in jobs) / jobs[0].tflop < 64

    def test_a_run_that_several_studies_share_is_planned_once(self):
        jobs = plan(
            [
                study(Variant("a", ("training.l1_weight=1",)), name="one"),
                study(Variant("b", ("training.l1_weight=1.0",)), name="two"),
            ],
            self.base,
            80,
        )
        assert [(j.study, j.variant, j.seed) for j in jobs] == [
            ("one", "report", 0),
            ("one", "a", 0),
            ("one", "report", 1),
        ]

    def test_spends_the_budget_in_images_or_in_operations(self):
        wide = ("discriminator.filters=8",)
        jobs = plan(
            [study(Variant("wide", wide), Variant("equal", wide, equal="flops"))],
            self.base,
            8_000,
            seeds=[5],
        )
        report, images, flops = jobs
        assert all(j.seed == 5 for j in jobs)
        assert report.config.training.steps == images.config.training.steps == 1_000
        assert flops.tflop == pytest.approx(report.tflop, rel=0.01)
        assert flops.images < images.images == report.images == 8_000
        assert flops.config_hash == images.config_hash
        assert flops.run != images.run
        big = plan([study(Variant("big", ("training.batch_size=32",)))], self.base, 8_000, [0])[1]
        assert big.config.training.steps == 250

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("generator.deph=3", r"variant 'wrong'.*did you mean 'generator.depth'"),
            ("generator.depth=4", "variant 'wrong'.*multiple of 16"),
            ("discriminator.depth=4", "variant 'wrong'.*multiple of 16"),
            ("training.steps=3", "training.steps is set by the runner"),
            ("training.seed=3", "training.seed is set by the runner"),
        ],
    )
    def test_a_variant_that_cannot_be_run_is_refused_by_name(self, change, message):
        with pytest.raises(StudyError, match=message):
            plan([study(Variant("wrong", (change,)))], self.base, 80)

    def test_two_variants_of_one_name_are_refused(self):
        with pytest.raises(StudyError, match="two variants of the same name"):
            plan([study(Variant("a", ("data.flip=1",)), Variant("a"))], self.base, 80)


class TestConfigHash:
    def test_ignores_seed_length_and_logging_and_nothing_else(self):
        report = config_hash(Config.report())
        for name, value in (("seed", 3), ("steps", 9), ("log_every", 2), ("sample_every", 0)):
            assert config_hash(Config.report().override(f"training.{name}={value}")) == report
        for change in ("training.beta_1=0.4", "data.flip=true", "generator.skip_connections=none"):
            assert config_hash(Config.report().override(change)) != report


class TestCost:
    def test_equals_a_count_by_hand(self):
        config = Config.report().override(
            "data.image_size=4", "generator.depth=1", "generator.filters=2",
            "discriminator.depth=1", "discriminator.filters=2",
        )  # fmt: skip
        # Kernel weights times the 2x2 pixels of the smaller side of each convolution, twice.
        generator = 2 * 4 * (16 * 1 * 2) + 2 * 4 * (16 * 2 * 2)
        discriminator = 2 * 4 * (16 * 3 * 2) + 2 * 4 * (16 * 2 * 4) + 2 * 4 * (16 * 4 * 1)
        cost = cost_of(config)
        assert (cost.generator_flops, cost.discriminator_flops) == (generator, discriminator)
        assert flops_per_image(config) == 3 * generator + 7 * discriminator
        alone = config.override("training.adversarial_weight=0")
        assert flops_per_image(alone) == 3 * generator
        cnn = cost_of(config.override("discriminator.kind=cnn")).discriminator_flops
        assert cnn == 2 * 4 * (16 * 3 * 2) + 2 * (2 * 2 * 2)

    def test_the_perceptual_loss_adds_its_passes(self):
        report = Config.report()
        plain = flops_per_image(report)
        seen = flops_per_image(report.override("training.perceptual_weight=1")) - plain
        # The classifier's convolutions: 31x31, 15x15, 7x7 and 3x3 pixels; and the last layer.
        stages = ((961, 32 * 64), (225, 64 * 64), (225, 64 * 128), (49, 128 * 128),
                  (49, 128 * 256), (9, 256 * 256))  # fmt: skip
        products = 961 * 4 * 3 * 32 + sum(9 * n * k for n, k in stages) + 2560
        assert seen == 3 * 2 * products

    def test_the_better_presets(self):
        stable, vivid = Config.stable(), Config.vivid()
        # Its 256 features enter 128 maps; the guide itself does not learn: once forward.
        generator = 3 * (114_130_944 + 2 * 256 * 128) + 139_899_648
        assert flops_per_image(stable) == generator
        assert flops_per_image(vivid) == generator + 7 * 26_083_328
        cost = cost_of(vivid)
        assert (cost.generator_parameters, cost.discriminator_parameters) == (2_968_914, 694_722)

    def test_the_reports_step(self):
        cost = cost_of(Config.report())
        assert cost.generator_parameters == 6_268_610
        assert cost.discriminator_parameters == 2_768_577
        assert flops_per_image(Config.report()) / 1e9 == pytest.approx(0.86, abs=0.005)


def row(**values) -> dict:
    """Returns a row of the table, complete except for what does not matter."""
    defaults = dict.fromkeys(COLUMNS) | {
        "table_version": 1, "package_version": "0", "study": "s", "variant": "v", "seed": 0,
        "changes": "", "config_hash": "00", "run": "r", "status": "done", "dataset": "d",
        "split": "test", "limit": 9, "count": 9, "budget": 100, "images": 100, "device": "CPU",
    }  # fmt: skip
    return defaults | values


class TestTable:
    def test_reads_what_it_wrote_and_replaces_the_same_run(self, tmp_path):
        results = Results(tmp_path / "results.csv")
        results.add(row(config_hash="1e5", psnr=20.5, psnr_low=None, seconds=3.0))
        results.add(row(config_hash="1e5", seed=1, variant="2", ssim=0.5))
        results.add(row(config_hash="1e5", psnr=21.0, psnr_low=20.25))
        first, second = Results(tmp_path / "results.csv").records()
        assert [first["psnr"], second["psnr"]] == [21.0, None]
        assert (first["config_hash"], first["psnr_low"]) == ("1e5", 20.25)
        assert (second["variant"], second["changes"], second["ssim"]) == ("2", "", 0.5)

    def test_writes_the_published_table_byte_for_byte(self, tmp_path):
        results = open_results()
        results.write(tmp_path / "results.csv")
        assert (tmp_path / "results.csv").read_bytes() == results.path.read_bytes()
        assert results.path == PUBLISHED / "experiments.csv"

    def test_two_runners_do_not_lose_each_others_rows(self, tmp_path):
        one, other = (Results(tmp_path / "results.csv") for _ in range(2))
        one.add(row(seed=0))
        other.add(row(seed=1))
        one.add(row(seed=2))
        assert list(Results(tmp_path / "results.csv").rows["seed"]) == [0, 1, 2]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("study,variant\na,b\n", "is not a results table"),
            ("", "is not a results table"),
            ('"', "is not a results table"),
            ("table_version,package_version\n2,9.1\n", r"version 2 .* reads version 1.*\(9\.1\)"),
            ("table_version,study\n1,a\n", "is damaged: it lacks the columns package_version"),
        ],
    )
    def test_another_versions_or_no_table_is_refused(self, tmp_path, text, message):
        (tmp_path / "results.csv").write_text(text)
        with pytest.raises(StudyError, match=message):
            Results(tmp_path / "results.csv")

    def test_a_damaged_number_is_refused(self, tmp_path):
        results = Results(tmp_path / "results.csv")
        results.add(row())
        path = tmp_path / "results.csv"
        path.write_text(path.read_text().replace(",100,", ",1o0,", 1))
        with pytest.raises(StudyError, match="is damaged.*1o0"):
            Results(path)


class TestComparison:
    def test_a_paired_gain_is_as_sure_as_its_differences(self):
        rng = np.random.default_rng(0)
        easy = rng.normal(20, 5, 400)  # images differ by much, the gain by little
        gains = rng.normal(0.5, 0.1, 400)
        mean, low, high = paired_gain(easy + gains, easy)
        assert mean == pytest.approx(gains.mean())
        assert high - low == pytest.approx(2 * 1.96 * gains.std(ddof=1) / 20)

    def test_an_infinite_score_is_left_out(self):
        assert paired_gain([1.0, np.inf, 3.0], [0.0, 5.0, 2.0])[0] == 1.0

    def test_the_seed_deviation_is_found_from_many_pairs(self):
        rng = np.random.default_rng(0)
        rows = [
            row(config_hash=str(v), seed=s, psnr=20 + v + rng.normal(0, 0.3))
            for v in range(2_000)
            for s in range(2)
        ]
        assert seed_deviation(as_table(rows)) == pytest.approx(0.3, rel=0.1)
        for r in rows[:200]:  # a few unstable variants do not hide the rest
            r["psnr"] += rng.normal(0, 10)
        assert seed_deviation(as_table(rows)) == pytest.approx(0.3, rel=0.2)
        assert seed_deviation(as_table(rows[::2])) is None

    def test_a_gain_counts_images_and_seeds(self):
        report = [row(psnr=p, psnr_low=p - 1, psnr_high=p + 1) for p in (20.0, 20.2)]
        own = [row(psnr=21.0, psnr_low=20, psnr_high=22, psnr_gain_low=0.6, psnr_gain_high=1.2)]
        gain = gain_over(as_table(own), as_table(report), 0.2)
        assert gain.mean == pytest.approx(0.9)
        seeds = 1.96 * np.sqrt(0.2**2 + 0.2**2 / 2)
        assert gain.high - gain.mean == pytest.approx(np.hypot(0.3, seeds))
        assert gain.is_clear
        del own[0]["psnr_gain_low"]  # without pairs the images weigh as two samples
        assert not gain_over(as_table(own), as_table(report), None).is_clear


class TestPublished:
    def test_every_row_belongs_to_a_study(self):
        rows = open_results().rows
        shown = {
            run
            for s in find_studies(["all"])
            for budget in set(rows["budget"])
            for own in rows_of(s, rows, budget).values()
            for run in own["run"]
        }
        assert shown == set(rows["run"])

    def test_rows_of_removed_options_are_shown_with_the_commit_that_had_them(self):
        rows = open_results().rows
        retired = [(s, v) for s in DIRECTIONS for v in s.variants if v.retired]
        assert {v.name for _, v in retired} == {
            "L2 alone", "attention at 8x8", "relativistic", "R1", "augmentation",
        }  # fmt: skip
        texts = {s.name: study_table(s, rows, budget=BUDGET) for s in DIRECTIONS}
        for s, v in retired:
            (own,) = rows[rows["config_hash"] == v.retired].to_dict("records")
            line, note = f"| {v.name} | 1 |", f"commit {LAST_COMMIT} still has them"
            assert own["study"] == s.name
            assert line in texts[s.name]
            assert f"{own['psnr']:.2f} [" in texts[s.name].partition(line)[2].partition("\n")[0]
            assert v.name in texts[s.name].partition(note)[2]


class TestCommand:
    def options(self, *words) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        experiment.add_arguments(parser)
        return parser.parse_args([str(word) for word in words])

    def run(self, *words) -> int:
        return experiment.run(self.options(*words))

    def test_list_shows_every_study_with_its_claim(self, capsys):
        assert self.run("list") == 0
        shown = capsys.readouterr().out
        for s in (*STUDIES, SEARCH, *DIRECTIONS):
            assert s.name in shown
            assert s.claim in shown

    def test_dry_run_says_what_it_costs_and_trains_nothing(self, capsys, tmp_path):
        words = ("--dry-run", "--budget", "6_400", "--folder", tmp_path / "runs")
        assert self.run("run", "generator-width", *words) == 0
        shown = capsys.readouterr().out
        gflop = flops_per_image(base_config().override("generator.filters=64")) / 1e9
        line = f"width x2, seed 0: 6,400 images, 100 steps, {gflop:.2f} GFLOP per image"
        assert line in shown
        assert "4 runs" in shown
        assert not (tmp_path / "runs").exists()

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("runn", "all"), "did you mean 'run'"),
            (("run",), "needs the name of a study"),
            (("run", "skip-conections"), "did you mean 'skip-connections'"),
            (("report", "all", "--variant", "depth 2"), "--variant needs"),
        ],
    )
    def test_a_mistake_is_one_line(self, words, message):
        with pytest.raises(UsageError, match=message):
            self.run(*words)

    def test_a_report_without_results_says_so(self, tmp_path):
        with pytest.raises(StudyError, match="run a study first"):
            self.run("report", "all", "--folder", tmp_path)

    @pytest.mark.parametrize("option", ["--budget", "--images"])
    @pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
    def test_counts_are_positive_whole_numbers(self, option, value, capsys):
        with pytest.raises(SystemExit):
            self.options("run", "all", option, value)
        assert "positive whole number" in capsys.readouterr().err
