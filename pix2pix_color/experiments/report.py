"""The results of a study as Markdown, as panels and as sample images; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import StudyError
from ..files import write_atomically
from .comparison import Estimate, gain_over, score_interval, seed_deviation
from .study import REPORT, SECTIONS, Study, config_hash
from .table import SAMPLES, TABLE_FILE, Results, Row, Table

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
"""The results that come with the package: a table and sample images."""

_LAST_COMMIT = "a411f1d"  # the last of this repository with every option of the published runs
_TITLES = {
    "psnr": "true PSNR (dB)",
    "ssim": "true SSIM",
    "colorfulness_ratio": "colorfulness / real",
    "fcd": "FCD",
}


def open_results(folder: str | Path = PUBLISHED) -> Results:
    """Returns the results in a folder of runs; the default are those that come with the package.

    Raises:
        StudyError: There is no table, or it is of another version.
    """
    path = Path(folder) / TABLE_FILE
    if not path.is_file():
        raise StudyError(f"{folder} has no {TABLE_FILE}: run a study first, or name its folder.")
    return Results(path)


def rows_of(study: Study, rows: Table, budget: int) -> dict[str, Table]:
    """Returns the rows of each variant that has any, whichever study ran them first.

    Rows of the study that no variant of it describes any more follow, under their own names.

    Args:
        study: the study.
        rows: of the results table.
        budget: images seen, as the study states it.
    """
    same_data = (rows["dataset"] == study.base.data.dataset) & (rows["split"] == "test")
    rows = rows[same_data & (rows["budget"] == budget)]
    found = {}
    for variant in (REPORT, *study.variants):
        same = rows["config_hash"] == config_hash(study.config(variant))
        own = rows[same & (rows["images"] == round(budget * variant.share))]
        if len(own):
            found[variant.name] = own
    shown = [run for own in found.values() for run in own["run"]]
    rest = rows[(rows["study"] == study.name) & ~rows["run"].isin(shown)]
    rest = rest[~rest["variant"].isin(list(found))]
    return found | dict(iter(rest.groupby("variant", sort=False)))


def study_table(
    study: Study,
    rows: Table,
    *,
    budget: int | None = None,
    only: Sequence[str] = tuple(_TITLES),
    heading: bool = True,
) -> str:
    """Returns a study's results as Markdown: claim, question, protocol, one row per variant.

    Args:
        study: the study.
        rows: of the results table.
        budget: only the runs of this budget; the default is each budget in turn.
        only: the scores to show.
        heading: begin with the study's title.
    """
    lines = [f"## {study.title} (section {SECTIONS[study.group]})", ""] if heading else []
    lines += [f"The report: {study.claim}", "", study.question, ""]
    parts, scores = [], [name for name in only if name in rows]
    for images in [budget] if budget else sorted(set(rows["budget"])):
        found = rows_of(study, rows, images)
        if set(found) - {REPORT.name}:
            deviation = seed_deviation(rows[rows["budget"] == images])
            parts += _budget_lines(study, found, deviation, scores)
    return "\n".join(lines + (parts or ["No run yet.", ""]))


def _budget_lines(
    study: Study, found: dict[str, Table], deviation: float | None, scores: Sequence[str]
) -> list[str]:
    titles = ["variant", "seeds", "parameters (M)", "GFLOP per image", "images"]
    titles += ["discriminator accuracy"]
    titles += [_TITLES.get(name, name.replace("_", " ")) for name in scores]
    titles += ["gain over the report, PSNR (dB)"]
    any_run = next(iter(found.values())).iloc[0]
    lines = [_protocol(any_run, deviation), "", _cells(titles), _cells(["---"] * len(titles))]
    scored = {name: own.dropna(subset=["psnr"]) for name, own in found.items()}
    report, unclear = scored.get(REPORT.name, ()), []
    for name, own in found.items():
        cells = [name, str(len(own)), *_cost_cells(own.iloc[0])]
        cells += [_mean_cell(scored[name], score) for score in scores]
        gain = ""
        if not len(scored[name]):
            gain = own["status"].iloc[0]
        elif name != REPORT.name and len(report):
            mean, low, high = gain_over(scored[name], report, deviation)
            gain = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
            unclear += [name] if low <= 0 <= high else []
        lines.append(_cells([*cells, gain]))
    lines.append("")
    if unclear:
        lines += [f"Not distinguishable from the report at this budget: {'; '.join(unclear)}.", ""]
    described = [variant.name for variant in (REPORT, *study.variants)]
    removed = [name for name in found if name not in described]
    if removed:
        lines += [
            f"Run with options that have been removed since (commit {_LAST_COMMIT} still has "
            f"them): {'; '.join(removed)}.",
            "",
        ]
    return lines


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


def study_panels(
    study: Study, rows: Table, scores: Iterable[str], *, budget: int
) -> dict[str, dict[str, Estimate]]:
    """Returns a study's scores as `figures.score_intervals` draws them.

    Args:
        study: the study.
        rows: of the results table.
        scores: columns, one panel each.
        budget: images seen.

    Returns:
        Score title to variant to (mean over its seeds, low, high), the 95 % interval for other
        test images and, where their effect is known, other seeds. Diverged runs are left out.
    """
    from ..evaluation import SCORES

    panels = {}
    for name in scores:
        scored = rows[(rows["budget"] == budget) & rows[name].notna()]
        deviation = seed_deviation(scored, name)
        panels[SCORES[name].heading] = {
            variant: score_interval(own, deviation, name)
            for variant, own in rows_of(study, scored, budget).items()
        }
    return panels


def sample_sheet(
    study: Study, folder: str | Path = PUBLISHED, *, budget: int
) -> dict[str, np.ndarray]:
    """Returns how each variant colorizes the same eight test images.

    Args:
        study: the study.
        folder: as in `open_results`.
        budget: images seen.

    Returns:
        Variant to uint8 RGB (8, size, size, 3) of its first seed, after `"real"`, the images
        themselves. A variant without images, which has diverged, is left out.
    """
    found = rows_of(study, open_results(folder).rows, budget)
    sheet = {}
    for name, runs in {"real": ["real"], **{n: own["run"] for n, own in found.items()}}.items():
        files = [Path(folder) / SAMPLES / f"{run}.png" for run in runs]
        file = next(filter(Path.is_file, files), None)
        if file is not None:
            with Image.open(file) as image:
                strip = np.asarray(image.convert("RGB"))
            sheet[name] = np.stack(np.split(strip, strip.shape[1] // strip.shape[0], axis=1))
    return sheet


def publish(folder: str | Path, destination: str | Path = PUBLISHED) -> None:
    """Adds the table and the sample images of a folder of runs to what comes with the package."""
    Results(Path(destination) / TABLE_FILE).add(open_results(folder).rows)
    for file in (Path(folder) / SAMPLES).glob("*.png"):
        write_atomically(Path(destination) / SAMPLES / file.name, file.read_bytes())
