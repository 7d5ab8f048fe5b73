"""The studies as data, the runs they need, what these cost, and the table of their results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import run_python, tiny_config

from pix2pix_color.apps.cli import main
from pix2pix_color.config import Config
from pix2pix_color.errors import StudyError
from pix2pix_color.experiments.comparison import gain_over, paired_gain, seed_deviation
from pix2pix_color.experiments.cost import cost_of, flops_per_image
from pix2pix_color.experiments.jobs import plan
from pix2pix_color.experiments.report import PUBLISHED, open_results, rows_of, study_table
from pix2pix_color.experiments.studies import DIRECTIONS, STUDIES, find_studies
from pix2pix_color.experiments.study import SECTIONS, Study, Variant, base_config, config_hash
from pix2pix_color.experiments.table import COLUMNS, Results, as_table

ALL = (*STUDIES, *DIRECTIONS)
TINY = tiny_config("data.dataset=photographs")


def study(*variants: Variant) -> Study:
    claims = "Mine", "A claim.", "A question?"
    return Study("mine", "generator", *claims, variants, budget=8_000, base=TINY)


class TestStudies:
    def test_every_one_says_what_the_report_does_and_asks_a_question(self):
        assert len({s.name for s in ALL}) == len(ALL)
        for s in ALL:
            assert s.group in SECTIONS
            assert s.claim.endswith((".", '."'))
            assert "?" in s.question
            names = [v.name for v in s.variants]
            assert len({*names, "report"}) == len(names) + 1

    def test_every_change_has_an_effect(self):
        for s in ALL:
            runs = {(config_hash(s.config(v)), v.share) for v in s.variants}
            assert len(runs) == len(s.variants)
            assert (config_hash(base_config()), 1.0) not in runs

    def test_the_directions_start_from_a_preset(self):
        vivid = Config.vivid().generator
        expected = {
            "faithful": (Config.stable(), dataclasses.replace(vivid, guide="", dropout=0.1)),
            "lively": (Config.vivid(), dataclasses.replace(vivid, guide="classifier")),
        }
        for s in DIRECTIONS:
            config, (preset, generator) = s.config(s.variants[0]), expected[s.name]
            assert config.generator == generator
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
        names = ["ablations", "l1-weight"]
        assert [s.name for s in find_studies(names)] == names[::-1]
        assert find_studies(["all"]) == ALL
        assert find_studies(["beyond"]) == DIRECTIONS
        with pytest.raises(StudyError, match="did you mean 'ablations'"):
            find_studies(["ablation"])

    def test_a_hash_ignores_seed_length_and_logging_and_nothing_else(self):
        report = config_hash(Config.report())
        for name, value in (("seed", 3), ("steps", 9), ("log_every", 2), ("sample_every", 0)):
            assert config_hash(Config.report().override(f"training.{name}={value}")) == report
        for change in ("training.beta_1=0.4", "data.flip=true", "generator.skip_connections=none"):
            assert config_hash(Config.report().override(change)) != report


class TestPlan:
    def test_every_network_builds_and_the_baseline_comes_first(self):
        jobs = plan(ALL)
        assert len(jobs) == len({job.run for job in jobs})
        assert [j.seed for j in jobs] == sorted(j.seed for j in jobs)
        assert jobs[0].variant.name == "report"
        assert (jobs[0].images, jobs[0].config.training.steps) == (25_600, 400)

    def test_spends_the_budget_or_a_share_of_it_in_images(self):
        change = ("training.batch_size=32",)
        variants = Variant("all", change, seeds=(5,)), Variant("half", change, (6,), share=0.5)
        *_, whole, half = plan([study(*variants)])
        assert (whole.seed, whole.images, whole.config.training.steps) == (5, 8_000, 250)
        assert (half.seed, half.images, half.config.training.steps) == (6, 4_000, 125)

    def test_equal_flops_are_equal(self):
        (width,) = find_studies(["discriminator-width"])
        equal = [v for v in width.variants if "equal FLOPs" in v.name]
        assert len(equal) == 2
        for variant in equal:
            share = flops_per_image(base_config()) / flops_per_image(width.config(variant))
            assert variant.share == pytest.approx(share, rel=1e-4)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("generator.deph=3", r"variant 'wrong'.*did you mean 'generator.depth'"),
            ("generator.depth=4", "variant 'wrong'.*multiple of 16"),
            ("discriminator.depth=4", "variant 'wrong'.*multiple of 16"),
        ],
    )
    def test_a_variant_that_cannot_be_run_is_refused_by_name(self, change, message):
        with pytest.raises(StudyError, match=message):
            plan([study(Variant("wrong", (change,)))])


class TestCost:
    def test_equals_a_count_by_hand(self):
        config = Config.report().override(
            "data.image_size=4", "generator.depth=1", "generator.filters=2",
            "discriminator.depth=1", "discriminator.filters=2",
        )  # fmt: skip
        # Kernel weights times the 2x2 pixels of the smaller side of each convolution, twice.
        generator = 2 * 4 * (16 * 1 * 2) + 2 * 4 * (16 * 2 * 2)
        discriminator = 2 * 4 * (16 * 3 * 2) + 2 * 4 * (16 * 2 * 4) + 2 * 4 * (16 * 4 * 1)
        assert [cost.flops for cost in cost_of(config)] == [generator, discriminator]
        assert flops_per_image(config) == 3 * generator + 7 * discriminator
        alone = config.override("training.adversarial_weight=0")
        assert flops_per_image(alone) == 3 * generator
        _, cnn = cost_of(config.override("discriminator.kind=cnn"))
        assert cnn.flops == 2 * 4 * (16 * 3 * 2) + 2 * (2 * 2 * 2)

    def test_the_perceptual_loss_adds_its_passes(self):
        report = Config.report()
        plain = flops_per_image(report)
        seen = flops_per_image(report.override("training.perceptual_weight=1")) - plain
        # The classifier's convolutions: 31x31, 15x15, 7x7 and 3x3 pixels; and the last layer.
        stages = ((961, 32 * 64), (225, 64 * 64), (225, 64 * 128), (49, 128 * 128),
                  (49, 128 * 256), (9, 256 * 256))  # fmt: skip
        products = 961 * 4 * 3 * 32 + sum(9 * n * k for n, k in stages) + 2560
        assert seen == 3 * 2 * products

    def test_the_presets(self):
        report, stable, vivid = Config.report(), Config.stable(), Config.vivid()
        assert [cost.parameters for cost in cost_of(report)] == [6_268_610, 2_768_577]
        assert flops_per_image(report) / 1e9 == pytest.approx(0.86, abs=0.005)
        # Its 256 features enter 128 maps; the guide itself does not learn: once forward.
        generator = 3 * (114_130_944 + 2 * 256 * 128) + 139_899_648
        assert flops_per_image(stable) == generator
        assert flops_per_image(vivid) == generator + 7 * 26_083_328
        assert [cost.parameters for cost in cost_of(vivid)] == [2_968_914, 694_722]


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
        results = Results(tmp_path / "table.csv")
        results.add([row(run="1", config_hash="1e5", psnr=20.5, psnr_low=None)])
        results.add([row(run="2", variant="2", ssim=0.5)])
        results.add([row(run="1", config_hash="1e5", psnr=21.0, psnr_low=20.1234567)])
        second, first = Results(tmp_path / "table.csv").rows.to_dict("records")
        assert (first["config_hash"], first["psnr"], first["psnr_low"]) == ("1e5", 21.0, 20.1235)
        assert (second["variant"], second["changes"], second["ssim"]) == ("2", "", 0.5)
        assert np.isnan(second["psnr"])

    def test_writes_the_published_table_byte_for_byte(self, tmp_path):
        results = open_results()
        results.path = tmp_path / "table.csv"
        results.write()
        assert results.path.read_bytes() == (PUBLISHED / "experiments.csv").read_bytes()

    def test_two_runners_do_not_lose_each_others_rows(self, tmp_path):
        one, other = (Results(tmp_path / "table.csv") for _ in range(2))
        for number, results in enumerate((one, other, one)):
            results.add([row(run=str(number))])
        assert list(Results(tmp_path / "table.csv").rows["run"]) == ["0", "1", "2"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("study,variant\na,b\n", "is not a results table.*lacks the columns table_version"),
            ("", "is not a results table"),
            ('"', "is not a results table"),
            (f"{','.join(COLUMNS)}\n2{',' * (len(COLUMNS) - 1)}\n", "version 1.*has version 2"),
            (f"{','.join(COLUMNS)}\n1,,,,1o0{',' * (len(COLUMNS) - 5)}\n", "is damaged.*1o0"),
        ],
    )
    def test_another_versions_damaged_or_no_table_is_refused(self, tmp_path, text, message):
        (tmp_path / "table.csv").write_text(text)
        with pytest.raises(StudyError, match=message):
            Results(tmp_path / "table.csv")


class TestComparison:
    def test_a_paired_gain_is_as_sure_as_its_differences(self):
        rng = np.random.default_rng(0)
        easy = rng.normal(20, 5, 400)  # images differ by much, the gain by little
        gains = rng.normal(0.5, 0.1, 400)
        mean, low, high = paired_gain(easy + gains, easy)
        assert mean == pytest.approx(gains.mean())
        assert high - low == pytest.approx(2 * 1.96 * gains.std(ddof=1) / 20)
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
        mean, low, high = gain_over(as_table(own), as_table(report), 0.2)
        assert mean == pytest.approx(0.9)
        seeds = 1.96 * np.sqrt(0.2**2 + 0.2**2 / 2)
        assert high - mean == pytest.approx(np.hypot(0.3, seeds))
        assert low > 0
        del own[0]["psnr_gain_low"]  # without pairs the images weigh as two samples
        _, low, high = gain_over(as_table(own), as_table(report), None)
        assert low < 0 < high


class TestPublished:
    def test_every_row_but_those_of_the_search_belongs_to_a_study(self):
        rows = open_results().rows
        shown = {
            run
            for s in ALL
            for budget in set(rows["budget"])
            for own in rows_of(s, rows, budget).values()
            for run in own["run"]
        }
        assert shown == set(rows[rows["study"] != "search"]["run"])

    def test_rows_of_removed_options_are_shown_with_the_commit_that_had_them(self):
        rows = open_results().rows
        removed = {
            "faithful": ["L2 alone", "attention at 8x8"],
            "lively": ["relativistic", "R1", "augmentation"],
        }
        for s in ALL:
            text = study_table(s, rows, budget=25_600)
            _, _, note = text.partition("still has them): ")
            names = removed.get(s.name, [])
            assert note.strip() == (f"{'; '.join(names)}." if names else "")
            for name in names:
                (psnr,) = rows[(rows["study"] == s.name) & (rows["variant"] == name)]["psnr"]
                line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
                assert f"{psnr:.2f} [" in line


class TestCommand:
    def test_list_shows_every_study_with_its_claim(self, capsys):
        assert main(["experiment", "list"]) == 0
        shown = capsys.readouterr().out
        for s in ALL:
            assert s.name in shown
            assert s.claim in shown

    def test_report_shows_a_folder(self, capsys):
        assert main(["experiment", "report", "ablations", "--folder", str(PUBLISHED)]) == 0
        shown = capsys.readouterr().out
        assert "## What each component contributes (section 4.2.4)" in shown
        assert "Budget 25,600" in shown and "Budget 76,800" in shown

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("runn", "all"), "did you mean 'run'"),
            (("run",), "needs the name of a study"),
            (("run", "skip-conections"), "did you mean 'skip-connections'"),
            (("report", "all", "--folder", "no-such-folder"), "run a study first"),
            (("run", "all", "--budget", "0"), "whole number from 1"),
        ],
    )
    def test_a_mistake_is_one_line(self, words, message, capsys):
        assert main(["experiment", *words]) == 2
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1
