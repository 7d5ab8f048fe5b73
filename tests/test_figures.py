"""The figures draw the numbers that they are given, and refuse what they cannot draw."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import pearsonr, spearmanr

from pix2pix_color import color, figures


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def history() -> dict[str, np.ndarray]:
    steps = np.arange(0, 2_000, 10)
    rng = np.random.default_rng(0)
    return {
        "step": steps,
        "generator_loss": rng.uniform(5, 10, len(steps)),
        "adversarial_loss": rng.uniform(0.5, 1, len(steps)),
        "l1_loss": rng.uniform(0.04, 0.09, len(steps)),
        "discriminator_loss": rng.uniform(1, 2, len(steps)),
        "discriminator_accuracy": rng.uniform(0, 1, len(steps)),
    }


def drawn_images(figure: Figure) -> list[np.ndarray]:
    return [image.get_array() for axes in figure.axes for image in axes.get_images()]


def line(figure: Figure, label: str, axes: int = 0):
    """Returns the line whose entry in the legend starts with `label`."""
    (found,) = [x for x in figure.axes[axes].lines if str(x.get_label()).startswith(label)]
    return found


def raw_lines(figure: Figure) -> list:
    return [x for x in figure.axes[0].lines if x.get_rasterized()]


def test_image_grid_draws_every_pixel_as_it_is():
    images = random_images(2, 3)
    figure = figures.image_grid(
        images, row_titles=["first", "second"], column_titles=["a", "b", "c"]
    )
    drawn = drawn_images(figure)
    assert len(figure.axes) == len(drawn) == 6
    np.testing.assert_array_equal(np.stack(drawn).reshape(images.shape), images)
    assert all(i.get_interpolation() == "nearest" for a in figure.axes for i in a.get_images())
    assert [a.get_ylabel() for a in figure.axes[::3]] == ["first", "second"]
    assert [a.get_title() for a in figure.axes[:3]] == ["a", "b", "c"]


def test_image_grid_takes_gray_and_float_images_and_uneven_rows():
    gray = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    figure = figures.image_grid([[gray, gray[..., 0]], [gray]], captions=[["x", "y"], ["z"]])
    first, second, third = drawn_images(figure)
    for drawn in (first, second, third):
        np.testing.assert_array_equal(drawn, gray[..., 0])
    assert figure.axes[0].get_images()[0].get_clim() == (0, 1)
    assert [a.get_xlabel() for a in figure.axes[:3]] == ["x", "y", "z"]
    dark = figures.image_grid(np.full((1, 1, 4, 4), 3, np.uint8))
    assert dark.axes[0].get_images()[0].get_clim() == (0, 255)  # is not brightened


def test_lab_planes_shows_the_three_planes_on_their_scales():
    rgb = random_images()
    drawn = [axes.get_images()[0] for axes in figures.lab_planes(rgb).axes[:4]]
    lab = np.asarray(color.rgb_to_lab(rgb))
    np.testing.assert_array_equal(drawn[0].get_array(), rgb)
    for channel in range(3):
        np.testing.assert_allclose(drawn[channel + 1].get_array(), lab[..., channel])
    assert drawn[1].get_clim() == (0, 100)
    assert drawn[2].get_clim() == drawn[3].get_clim()
    low, high = drawn[2].get_clim()
    assert low == -high and high >= np.abs(lab[..., 1:]).max()
    # Their colors: gray in the middle, green to red, blue to yellow.
    a, b = (image.cmap([0.0, 0.5, 1.0])[:, :3] for image in drawn[2:])
    assert np.ptp(a[1]) < 0.02 and np.ptp(b[1]) < 0.02
    assert a[0].argmax() == 1 and a[2].argmax() == 0
    assert b[0].argmax() == 2 and b[2].argmin() == 2


def test_chroma_histogram_counts_shares():
    ab = np.array([[10.5, -20.5]] * 3 + [[-40.5, 30.5]])
    figure = figures.chroma_histogram(ab.reshape(2, 2, 2) / color.CHROMA_SCALE)
    image = figure.axes[1].get_images()[0]
    shares, extent = image.get_array(), image.get_extent()
    assert tuple(extent) == (-100, 100, -100, 100) and shares.shape == (100, 100)
    assert shares.count() == 2  # all other bins are empty, and not drawn
    assert shares[39, 55] == 0.75 and shares[65, 29] == 0.25  # bins of 2x2 units
    mean = line(figure, "mean", 1).get_xydata()[0]
    np.testing.assert_allclose(mean, ab.mean(axis=0))


def test_heat_maps_leave_zeros_white():
    values = np.eye(4)
    figure = figures.heat_maps({"one": values, "two": 2 * values})
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert [image.count() for image in drawn_images(figure)] == [4, 4]


def test_curves_draw_the_history_on_the_axes_of_figures_4_and_5(history):
    figure = figures.loss_curves(history)
    axes = figure.axes[0]
    for name in ("generator", "discriminator"):
        drawn = line(figure, f"{name} loss")
        np.testing.assert_array_equal(drawn.get_xdata(), history["step"])
        np.testing.assert_array_equal(drawn.get_ydata(), history[f"{name}_loss"])
    assert axes.get_xlim()[0] < 0 and axes.get_xlim()[1] > figures.REPORT_STEPS == 502_450
    assert axes.get_ylim()[1] == 40
    assert axes.get_xlabel() == "iteration"
    assert line(figure, "report, step 0").get_ydata() == [38]
    figure = figures.accuracy_curve(history)
    drawn = line(figure, "accuracy").get_ydata()
    np.testing.assert_array_equal(drawn, history["discriminator_accuracy"])
    low, high = figure.axes[0].get_ylim()
    assert low < 0 and high > 1


def test_loss_curves_zoom_and_smooth(history):
    figure = figures.loss_curves(history, x_max=None, y_max=12, smooth=20, report=False)
    axes = figure.axes[0]
    assert axes.get_xlim()[1] == pytest.approx(1.02 * 1_990) and axes.get_ylim()[1] == 12
    smoothed = line(figure, "generator loss")
    assert "mean of 20 rows" in smoothed.get_label()
    assert smoothed.get_xdata()[0] == pytest.approx(history["step"][:20].mean())
    assert smoothed.get_ydata()[0] == pytest.approx(history["generator_loss"][:20].mean())
    np.testing.assert_array_equal(raw_lines(figure)[0].get_ydata(), history["generator_loss"])
    assert not axes.collections  # no band


def test_the_band_drawn_is_the_band_read_off(history):
    figure = figures.loss_curves(history)
    bands = {c.get_gid(): c for c in figure.axes[0].collections}
    assert set(bands) == {"generator_loss", "discriminator_loss"}
    steps, low, high = np.array(figures.REPORT_BANDS["generator_loss"]).T
    corners = bands["generator_loss"].get_paths()[0].vertices
    assert corners[:, 0].max() == steps.max() == figures.REPORT_STEPS
    assert corners[:, 1].min() == low.min() and corners[:, 1].max() == high.max()


@pytest.mark.parametrize(
    ("name", "start", "end", "low", "high"),
    [
        ("generator_loss", 40_000, 80_000, 5.5, 6.0),
        ("generator_loss", 140_000, 140_000, 6.0, 7.0),
        ("generator_loss", 502_450, 502_450, 7.0, 10.0),
        ("discriminator_loss", 0, 2_700, 1.39, 1.39),
        ("discriminator_loss", 140_000, 140_000, 0.8, 0.8),
        ("discriminator_loss", 502_450, 502_450, 0.6, 0.6),
        ("discriminator_accuracy", 0, 2_700, 0.5, 0.5),
        ("discriminator_accuracy", 502_450, 502_450, 0.65, 1.0),
    ],
)
def test_the_bands_hold_what_the_report_s_figures_show(name, start, end, low, high):
    steps, lower, upper = np.array(figures.REPORT_BANDS[name]).T
    assert (np.diff(steps) > 0).all() and (lower < upper).all()
    for step in (start, end):
        assert np.interp(step, steps, lower) <= low and high <= np.interp(step, steps, upper)


def test_loss_parts_weigh_l1(history):
    figure = figures.loss_parts(history, l1_weight=50)
    np.testing.assert_allclose(line(figure, "50 x L1").get_ydata(), 50 * history["l1_loss"])
    assert line(figure, "adversarial").get_ydata()[3] == history["adversarial_loss"][3]


@pytest.mark.parametrize("draw", [figures.loss_curves, figures.accuracy_curve, figures.loss_parts])
def test_curves_take_a_csv_of_one_row_and_name_a_missing_column(draw, tmp_path):
    path = tmp_path / "history.csv"
    names = "step,generator_loss,adversarial_loss,l1_loss,discriminator_loss,discriminator_accuracy"
    path.write_text(f"{names}\n0,36,0.8,0.35,1.4,0.5\n", encoding="utf-8")
    table = np.genfromtxt(path, delimiter=",", names=True)
    assert len(raw_lines(draw(table, smooth=5))) in (1, 2)
    with pytest.raises(ValueError, match="_loss|accuracy"):
        draw(table[["step"]])


# Scores ---------------------------------------------------------------------------------


PANELS = {
    "PSNR": {"model": (23.0, 22.9, 23.2), "no color": (24.0, 23.8, 24.1)},
    "FCD": {"model": (5.0, None, None)},
}


def test_score_intervals_draw_a_point_and_an_interval_for_each_predictor():
    figure = figures.score_intervals(PANELS, highlight=["model"])
    assert [axes.get_title() for axes in figure.axes] == ["PSNR", "FCD"]
    points = {x.get_gid(): x for x in figure.axes[0].lines if x.get_gid()}
    assert {name: x.get_xdata()[0] for name, x in points.items()} == {"model": 23, "no color": 24}
    assert points["model"].get_color() != points["no color"].get_color()
    bars = [x for x in figure.axes[0].lines if len(x.get_xdata()) == 2 and x.get_marker() == "None"]
    assert [list(x.get_xdata()) for x in bars] == [[22.9, 23.2], [23.8, 24.1]]
    # A predictor is on the same height in every panel; without interval there is only the point.
    (alone,) = figure.axes[1].lines
    assert alone.get_ydata()[0] == points["model"].get_ydata()[0] == 0
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["model", "no color"]


def test_score_plane_draws_each_predictor_where_its_scores_are():
    points = {"ours": (0.8, 23.0), "gray": (0.0, 24.0), "other": (0.9, 20.0)}
    figure = figures.score_plane(points, titles=("x", "y"), highlight=["gray"], named=["ours"])
    (axes,) = figure.axes
    drawn = {x.get_gid(): (x.get_xdata()[0], x.get_ydata()[0]) for x in axes.lines}
    assert drawn == points
    colors = {x.get_gid(): x.get_color() for x in axes.lines}
    assert colors["gray"] != colors["ours"] == colors["other"]
    assert [text.get_text() for text in axes.texts] == ["ours"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


def test_quality_curves_draw_every_runner_and_the_goal_of_each_score():
    curves = {"PSNR": {"a": [(1, 20.0), (10, 23.0)], "b": [(2, 24.0)]}, "fcd": {"a": [(1, 3.0)]}}
    goals = {"PSNR": (100, 23.5), "fcd": (100, 1.0)}
    figure = figures.quality_curves(curves, goals=goals, goal_title="the end")
    for axes, (score, runners) in zip(figure.axes, curves.items(), strict=True):
        assert (axes.get_title(), axes.get_xscale()) == (score, "log")
        drawn = {x.get_label(): list(zip(*x.get_data(), strict=True)) for x in axes.lines}
        assert {name: drawn[name] for name in runners} == runners
        assert drawn["the end"] == [goals[score]]


def test_psnr_scatter_counts_every_image_and_states_the_correlation():
    rng = np.random.default_rng(0)
    true = rng.normal(24, 4, 500)
    report = 30 + 0.1 * (true - 24) + rng.normal(0, 1, 500)
    figure = figures.psnr_scatter(np.append(report, np.inf), np.append(true, 20.0))
    axes = figure.axes[0]
    assert axes.collections[0].get_array().sum() == 500
    assert axes.get_title() == "500 images"
    pearson, spearman = pearsonr(true, report)[0], spearmanr(true, report)[0]
    (text,) = axes.texts
    assert text.get_text() == f"correlation: Pearson {pearson:.2f}, Spearman {spearman:.2f}"
    equal = line(figure, "equal")
    np.testing.assert_array_equal(equal.get_xdata(), equal.get_ydata())
    tied = figures.psnr_scatter([1, 1, 2, 3], [5, 6, 6, 7]).axes[0].texts[0].get_text()
    assert tied.endswith(f"{spearmanr([1, 1, 2, 3], [5, 6, 6, 7])[0]:.2f}")


def test_best_median_worst_are_in_order_and_do_not_overlap():
    scores = np.array([5.0, 1.0, 4.0, np.nan, 2.0, 6.0, 3.0, np.inf, 0.0])
    groups = figures.best_median_worst(scores, 3)
    assert {name: list(group) for name, group in groups.items()} == {
        "best": [7, 5, 0], "median": [2, 6, 4], "worst": [1, 8, 3]
    }  # fmt: skip
    lower = figures.best_median_worst(scores, 2, better="lower")
    assert list(lower["best"]) == [8, 1] and list(lower["worst"]) == [7, 3]
    for count in (1, 2, 4):
        few = figures.best_median_worst(np.arange(count))
        assert [len(group) for group in few.values()] == [1, 1, 1]
        assert few["best"][0] == count - 1 and few["worst"][0] == 0


def test_ranked_images_show_pairs_with_their_scores():
    real, fake = random_images(2, 9)
    scores = np.array([5.0, 1.0, 4.0, 9.0, 2.0, 6.0, 3.0, 8.0, 0.0])
    figure = figures.ranked_images(real, fake, scores, each=2, digits=1, title="PSNR")
    drawn = drawn_images(figure)
    order = [3, 7, 0, 2, 1, 8]
    np.testing.assert_array_equal(drawn[0:2], real[[3, 7]])
    np.testing.assert_array_equal(drawn[2:4], fake[[3, 7]])
    np.testing.assert_array_equal(drawn[8:12], np.concatenate([real[[1, 8]], fake[[1, 8]]]))
    captions = [a.get_xlabel() for a in figure.axes if a.get_xlabel()]
    assert captions == [f"{scores[i]:.1f}" for i in order]
    titles = [a.get_ylabel() for a in figure.axes[::2]]
    assert titles[::2] == ["best: real", "median: real", "worst: real"]
    assert figure.get_suptitle() == "PSNR"
    # The chosen ones alone give the same picture.
    chosen = np.sort(order)
    again = figures.ranked_images(real[chosen], fake[chosen], scores[chosen], each=2)
    for one, other in zip(drawn, drawn_images(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_wrapped_squares_are_what_is_left_of_a_square_in_8_bits():
    square, wrapped = (line.get_xydata() for line in figures.wrapped_squares().axes[0].lines)
    error = np.arange(256)
    np.testing.assert_array_equal(square, np.stack([error, error**2], axis=-1))
    np.testing.assert_array_equal(wrapped, np.stack([error, error**2 % 256], axis=-1))


def test_figures_can_be_saved_without_warnings_and_leave_nothing_with_pyplot(history, tmp_path):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, figure in enumerate(
            (
                figures.loss_curves(history, y_max=12, smooth=9),
                figures.lab_planes(random_images()),
                figures.image_grid(random_images(2, 3), row_titles=["a", "b"]),
                figures.score_intervals(PANELS),
                figures.psnr_scatter(np.arange(30.0), np.arange(30.0) % 7),
                figures.ranked_images(*random_images(2, 4), np.arange(4), title="SSIM ↑"),
            )
        ):
            path = tmp_path / f"{number}.png"
            figure.savefig(path)
            assert path.stat().st_size > 1_000
    assert pyplot.get_fignums() == before


# What cannot be drawn -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "arguments", "options"),
    [
        (figures.image_grid, [[]], {}),
        (figures.image_grid, [[[]]], {}),
        (figures.image_grid, [np.zeros((2, 1, 4, 4))], {"row_titles": ["a"]}),
        (figures.image_grid, [np.zeros((1, 2, 4, 4))], {"column_titles": ["a"]}),
        (figures.image_grid, [np.zeros((1, 2, 4, 4))], {"captions": [["a"]]}),
        (figures.lab_planes, [np.zeros((8, 8), np.uint8)], {}),
        (figures.chroma_histogram, [np.zeros((4, 3))], {}),
        (figures.heat_maps, [{}], {}),
        (figures.quality_curves, [{}], {"goals": {}, "goal_title": ""}),
        (figures.psnr_scatter, [[1, 2], [1, 2, 3]], {}),
        (figures.psnr_scatter, [[1, np.inf], [1, 2]], {}),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, arguments, options):
    with pytest.raises(ValueError):
        draw(*arguments, **options)
