"""The results of a study as Markdown, as panels and as sample images; nothing is trained."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..config import Config
from ..errors import StudyError
from ..files import replacing
from .comparison import gain_over, score_interval, seed_deviation
from .studies import SEARCH
from .study import LAST_COMMIT, REPORT, Study, base_config, config_hash
from .table import Results, Row, Table, score_names

__all__ = [
    "PUBLISHED",
    "open_results",
    "publish",
    "rows_of",
    "sample_sheet",
    "study_panels",
    "study_table",
]

PUBLISHED = Path(__file__).with_name("published")
"""The results that come with the package: `experiments.csv` and sample images."""

_NAMES = ("results.csv", "experiments.csv")  # in the runs' folder, in a published one
_TITLES = {
    "psnr": "true PSNR (dB)",
    "ssim": "true SSIM",
    "colorfulness_ratio": "colorfulness / real",
    "fcd": "FCD",
}


def open_results(folder: str | Path = PUBLISHED) -> Results:
    """Returns the results table of the runs' folder, or of one written by `publish`.

    Args:
        folder: either of them; the default contains the results that come with the package.

    Raises:
        StudyError: There is no table, or it is of another version.
    """
    for name in _NAMES:
        if (Path(folder) / name).is_file():
            return Results(Path(folder) / name)
    raise StudyError(f"{folder} has no {_NAMES[0]}: run a study first, or name its folder.")


def rows_of(study: Study, rows: Table, budget: int, base: Config | None = None) -> dict[str, Table]:
    """Returns the rows of each variant that has any, whichever study ran them first.

    Args:
        study: the study; for `SEARCH` its trials, whatever their budget.
        rows: of the results table.
        budget: images seen, as the study states it.
        base: what the variants change; the default is `base_config` of the rows' data set.
    """
    if study.name == SEARCH.name:
        trials = rows[rows["study"] == study.name]
        return dict(iter(trials.groupby("variant", sort=False)))
    rows = rows[(rows["budget"] == budget) & (rows["split"] == "test")]
    base = base or base_config(*rows["dataset"].head(1))
    found = {}
    for variant in study.variants:
        identity = variant.retired or config_hash(base.override(*variant.changes))
        own = rows[rows["config_hash"] == identity]
        if variant.changes:
            own = own[(own["images"] == own["budget"]) == (variant.equal == "images")]
        if len(own):
            found[variant.name] = own
    return found


def study_table(
    study: Study,
    rows: Table,
    *,
    budget: int | None = None,
    base: Config | None = None,
    only: Iterable[str] | None = None,
    heading: bool = True,
) -> str:
    """Returns a study's results as Markdown: claim, question, protocol, one row per variant.

    Args:
        study: the study.
        rows: of the results table.
        budget: only the runs of this budget; the default is each budget in turn.
        base: as in `rows_of`.
        only: the scores to show; the default is all but those of the report's protocol.
        heading: begin with the study's title.
    """
    lines = [f"## {study.title} (section {study.section})", ""] if heading else []
    lines += [f"The report: {study.claim}", "", study.question, ""]
    parts = []
    for images in [budget] if budget else sorted(set(rows["budget"])):
        if study.name == SEARCH.name:
            trials = rows[(rows["study"] == study.name) & (rows["budget"] == images)]
            parts += _search_lines(trials)
        else:
            parts += _budget_lines(study, rows[rows["budget"] == images], images, base, only)
    return "\n".join(lines + (parts or ["No run yet.", ""]))


def _budget_lines(
    study: Study, rows: Table, budget: int, base: Config | None, only: Iterable[str] | None
) -> list[str]:
    found = rows_of(study, rows, budget, base)
    compared = [name for name in found if name != REPORT.name]
    if not compared:
        return []
    scored = {name: own.dropna(subset=["psnr"]) for name, own in found.items()}
    report = scored.get(REPORT.name, ())
    # The scores of the report's protocol do not see color.
    scores = [name for name in score_names(rows) if not name.startswith("report_")]
    scores = scores if only is None else [name for name in only if name in scores]
    deviation = seed_deviation(rows)
    titles = ["variant", "seeds", "parameters (M)", "GFLOP per image", "images", "seconds"]
    titles += ["discriminator accuracy"]
    titles += [_TITLES.get(name, name.replace("_", " ")) for name in scores]
    titles += ["gain over the report, PSNR (dB)"]
    first = found[compared[0]].iloc[0]
    lines = [_protocol(first, deviation), "", _cells(titles), _cells(["---"] * len(titles))]
    unclear = []
    for name, own in found.items():
        cells = [name, str(len(own)), *_cost_cells(own.iloc[0])]
        cells += [_mean_cell(scored[name], score) for score in scores]
        gain = ""
        if not len(scored[name]):
            gain = own["status"].iloc[0]
        elif name != REPORT.name and len(report):
            difference = gain_over(scored[name], report, deviation)
            gain = f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
            unclear += [] if difference.is_clear else [name]
        lines.append(_cells([*cells, gain]))
    lines.append("")
    if unclear:
        lines += [f"Not distinguishable from the report at this budget: {'; '.join(unclear)}.", ""]
    retired = [v.name for v in study.variants if v.retired and v.name in found]
    if retired:
        lines += [
            f"Run with options that have been removed since (commit {LAST_COMMIT} still has "
            f"them): {'; '.join(retired)}.",
            "",
        ]
    return lines


def _search_lines(trials: Table) -> list[str]:
    if not len(trials):
        return []
    first = trials.iloc[0]
    lines = [
        f"Budget {first['images']:,} images per trial; scored on {first['count']:,} images of "
        f"{first['dataset']}, {first['split']}. Mean and 95 % interval.",
        "",
        _cells(["trial", "changes", "status", "PSNR (dB)"]),
        _cells(["---"] * 4),
    ]
    best = trials.sort_values("psnr", ascending=False, kind="stable")
    for index, row in best.iterrows():
        name, changes = row["variant"].removeprefix("trial "), row["changes"]
        score = _mean_cell(best.loc[[index]], "psnr")
        lines.append(_cells([name, f"`{changes}`", row["status"], score]))
    return [*lines, ""]


def _protocol(row: Row, deviation: float | None) -> str:
    text = (
        f"Budget {row['budget']:,} images per variant; scored on {row['count']:,} images of "
        f"{row['dataset']}, {row['split']} split. Means over the seeds, [95 % interval]."
    )
    if deviation is None:
        return f"{text} The gain's interval counts the choice of test images, not the seed."
    return (
        f"{text} Another seed alone changes the PSNR by {deviation:.2f} dB (standard deviation); "
        "the gain's interval counts this and the choice of test images."
    )


def _cost_cells(row: Row) -> list[str]:
    parameters = (row["generator_parameters"] + row["discriminator_parameters"]) / 1e6
    # Without an adversarial loss the discriminator is neither trained nor used.
    idle = np.isnan(row["discriminator_accuracy"]) or not row["discriminator_loss"]
    return [
        f"{parameters:.2f}",
        f"{row['gflop_per_image']:.2f}",
        f"{row['images']:,}",
        f"{row['seconds']:.0f}",
        "" if idle else f"{row['discriminator_accuracy']:.2f}",
    ]


def _mean_cell(rows: Table, name: str) -> str:
    ends = rows[[name, f"{name}_low", f"{name}_high"]].dropna(subset=[name])
    if not len(ends):
        return ""
    digits = 2 if "psnr" in name else 3
    mean, *interval = (f"{value:.{digits}f}" for value in ends.mean(skipna=False))
    return mean if "nan" in interval else f"{mean} [{', '.join(interval)}]"


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sample_file(folder: Path, run: str) -> Path:
    published = folder / "samples" / f"{run}.png"
    return published if published.is_file() else folder / run / "samples.png"


def study_panels(
    study: Study,
    rows: Table,
    scores: Iterable[str],
    *,
    budget: int,
    base: Config | None = None,
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Returns a study's scores as `figures.score_intervals` draws them.

    Args:
        study: the study.
        rows: of the results table.
        scores: columns, one panel each.
        budget: images seen.
        base: as in `rows_of`.

    Returns:
        Score title to variant to (mean over its seeds, low, high), the 95 % interval for other
        test images and, where their effect is known, other seeds. Diverged runs are left out.
    """
    from ..evaluation import SCORES

    found = rows_of(study, rows, budget, base)
    same_budget = rows[rows["budget"] == budget]
    panels = {}
    for name in scores:
        scored = {variant: own.dropna(subset=[name]) for variant, own in found.items()}
        deviation = seed_deviation(same_budget, name)
        panels[SCORES[name].heading] = {
            variant: score_interval(own, deviation, name)
            for variant, own in scored.items()
            if len(own)
        }
    return panels


def sample_sheet(
    study: Study, folder: str | Path = PUBLISHED, *, budget: int, base: Config | None = None
) -> dict[str, np.ndarray]:
    """Returns how each variant colorizes the same eight test images.

    Args:
        study: the study.
        folder: as in `open_results`.
        budget: images seen.
        base: as in `rows_of`.

    Returns:
        Variant to uint8 RGB (8, size, size, 3) of its first seed, after `"real"`, the images
        themselves. A variant without images, which has diverged, is left out.
    """
    folder = Path(folder)
    sheet = {}
    real = folder / "samples" / "real.png"
    real = real if real.is_file() else folder / "real.png"
    if real.is_file():
        sheet["real"] = _read_strip(real)
    for name, rows in rows_of(study, open_results(folder).rows, budget, base).items():
        file = next((f for run in rows["run"] if (f := _sample_file(folder, run)).is_file()), None)
        if file is not None:
            sheet[name] = _read_strip(file)
    return sheet


def _read_strip(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        strip = np.asarray(image.convert("RGB"))
    return np.stack(np.split(strip, strip.shape[1] // strip.shape[0], axis=1))


def publish(folder: str | Path, destination: str | Path = PUBLISHED) -> int:
    """Copies the table, as `experiments.csv`, and sample images to a small folder.

    Of each variant the images of the first seed are copied; those of the search's trials are not.

    Returns:
        The number of sample files.
    """
    folder, destination = Path(folder), Path(destination)
    results = open_results(folder)
    results.write(destination / _NAMES[1])
    rows = results.rows[results.rows["study"] != SEARCH.name]
    first = rows.sort_values("seed", kind="stable").drop_duplicates(["config_hash", "images"])
    files = {f"{run}.png": _sample_file(folder, run) for run in first["run"]}
    copied = 0
    with replacing(destination / "samples") as samples:
        samples.mkdir()
        for name, file in {"real.png": folder / "real.png", **files}.items():
            if file.is_file():
                shutil.copyfile(file, samples / name)
                copied += 1
    return copied
