"""The results of a study as Markdown, as panels and as sample images: read, never trained."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..config import Config
from ..errors import StudyError
from ..files import replacing
from .comparison import gain_over, score_interval, seed_deviation
from .studies import REPORT, SEARCH, Study, Variant, base_config
from .table import Results, Row, config_hash, score_names

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
"""The results that come with the package: `experiments.csv`, and sample images."""

_NAMES = ("results.csv", "experiments.csv")  # of the runs' folder, and of a published one
_TITLES = {
    "psnr": "true PSNR (dB)",
    "ssim": "true SSIM",
    "colorfulness_ratio": "colorfulness / real",
}


def open_results(folder: str | Path = PUBLISHED) -> Results:
    """Returns the results table of the runs' folder, or of one that `publish` made.

    Args:
        folder: of the two; the default holds the results that come with the package.

    Raises:
        StudyError: there is none, or it is of another version.
    """
    for name in _NAMES:
        if (Path(folder) / name).is_file():
            return Results(Path(folder) / name)
    raise StudyError(f"{folder} has no {_NAMES[0]}: run a study first, or name its folder.")


def rows_of(
    study: Study, rows: Sequence[Row], budget: int, base: Config | None = None
) -> dict[str, list[Row]]:
    """Returns the rows of each variant, wherever they were first run.

    Args:
        study: the study; of `SEARCH` its trials.
        rows: of the results table.
        budget: images seen, as the study states it.
        base: what the variants change; the default is `base_config` of the rows' data set.
    """
    rows = [row for row in rows if row["budget"] == budget or study.name == SEARCH.name]
    if study.name == SEARCH.name:
        return {row["variant"]: [row] for row in rows if row["study"] == study.name}
    base = base or base_config(rows[0]["dataset"] if rows else Config.report().data.dataset)

    def matches(row: Row, variant: Variant) -> bool:
        equal_images = row["images"] == row["budget"] or not variant.changes
        return (
            row["config_hash"] == config_hash(base.override(*variant.changes))
            and row["split"] == "test"
            and equal_images == (variant.equal == "images")
        )

    return {v.name: [row for row in rows if matches(row, v)] for v in study.variants}


def study_table(
    study: Study,
    rows: Sequence[Row],
    *,
    budget: int | None = None,
    base: Config | None = None,
    only: Iterable[str] | None = None,
    heading: bool = True,
) -> str:
    """Returns a study's results as Markdown: claim, question, protocol, a row a variant.

    Args:
        study: the study.
        rows: of the results table.
        budget: only the runs of this budget; the default is each that there is, in turn.
        base: as in `rows_of`.
        only: the scores to show; the default is all but those of the report's protocol.
        heading: begin with the study's title.
    """
    lines = [f"## {study.title} (section {study.section})", ""] if heading else []
    lines += [f"The report: {study.claim}", "", study.question, ""]
    budgets = [budget] if budget else sorted({row["budget"] for row in rows})
    parts = []
    for images in budgets:
        if study.name == SEARCH.name:
            parts += _search_lines([r for r in rows if r["study"] == study.name], images)
        else:
            parts += _budget_lines(study, rows, images, base, only)
    return "\n".join(lines + (parts or ["No run yet.", ""]))


def _budget_lines(
    study: Study,
    rows: Sequence[Row],
    budget: int,
    base: Config | None,
    only: Iterable[str] | None,
) -> list[str]:
    found = rows_of(study, rows, budget, base)
    compared = [row for name, own in found.items() for row in own if name != REPORT.name]
    if not compared:
        return []
    scored = {name: [r for r in own if r.get("psnr") is not None] for name, own in found.items()}
    report = scored.get(REPORT.name, [])
    scores = _scores([row for own in scored.values() for row in own])
    scores = scores if only is None else [name for name in only if name in scores]
    deviation = seed_deviation([row for row in rows if row["budget"] == budget])
    titles = ["variant", "seeds", "parameters (M)", "GFLOP an image", "images", "seconds"]
    titles += ["discriminator accuracy"]
    titles += [_TITLES.get(name, name.replace("_", " ")) for name in scores]
    titles += ["gain over the report, PSNR (dB)"]
    lines = [_protocol(compared[0], deviation), "", _cells(titles), _cells(["---"] * len(titles))]
    unclear = []
    for name, own in found.items():
        if not own:
            continue
        cells = [name, str(len(own)), *_cost_cells(own[0])]
        cells += [_mean_cell(scored[name], score) for score in scores]
        gain = ""
        if name != REPORT.name and scored[name] and report:
            difference = gain_over(scored[name], report, deviation)
            gain = f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
            unclear += [] if difference.is_clear else [name]
        elif not scored[name]:
            gain = own[0]["status"]
        lines.append(_cells([*cells, gain]))
    lines.append("")
    if unclear:
        lines += [f"Not told apart from the report at this budget: {', '.join(unclear)}.", ""]
    return lines


def _search_lines(trials: Sequence[Row], budget: int) -> list[str]:
    trials = [row for row in trials if row["budget"] == budget]
    if not trials:
        return []
    best = sorted(trials, key=lambda row: -(row.get("psnr") or -np.inf))
    first = trials[0]
    protocol = (
        f"Budget {first['images']:,} images a trial; {first['dataset']}, {first['split']} "
        f"({first['count']:,} images), scores. Mean and 95 % interval."
    )
    lines = [protocol, "", _cells(["trial", "changes", "status", "PSNR (dB)"])]
    lines.append(_cells(["---"] * 4))
    for row in best:
        name, changes = row["variant"].removeprefix("trial "), row["changes"]
        lines.append(_cells([name, f"`{changes}`", row["status"], _mean_cell([row], "psnr")]))
    return [*lines, ""]


def _scores(rows: Sequence[Row]) -> list[str]:
    """Returns the scores to show: all but those of the report's protocol, which see no color."""
    names = dict.fromkeys(name for row in rows for name in score_names(row))
    return [name for name in names if not name.startswith("report_")]


def _protocol(row: Row, deviation: float | None) -> str:
    text = (
        f"Budget {row['budget']:,} images a variant; {row['dataset']}, {row['split']} split, "
        f"{row['count']:,} images score. Means over the seeds, [95 % interval]."
    )
    if deviation is None:
        return f"{text} Gains: for other test images; what another seed would change is unknown."
    return (
        f"{text} Another seed alone moves the PSNR by {deviation:.2f} dB (standard deviation); "
        "the gain's interval counts this and the choice of test images."
    )


def _cost_cells(row: Row) -> list[str]:
    parameters = (row["generator_parameters"] + row["discriminator_parameters"]) / 1e6
    gflop = f"{row['gflop_per_image']:.2f}"
    cells = [f"{parameters:.2f}", gflop, f"{row['images']:,}", f"{row['seconds'] or 0:.0f}"]
    # Without an adversarial loss there is no discriminator to be right or wrong.
    accuracy = row["discriminator_accuracy"] if row["discriminator_loss"] else None
    return [*cells, "" if accuracy is None else f"{accuracy:.2f}"]


def _mean_cell(rows: Sequence[Row], name: str) -> str:
    rows = [row for row in rows if row.get(name) is not None]
    if not rows:
        return ""
    known = all(row.get(f"{name}_low") is not None for row in rows)
    columns = (name, f"{name}_low", f"{name}_high") if known else (name,)
    digits = 2 if "psnr" in name else 3
    mean, *interval = (f"{np.mean([row[c] for row in rows]):.{digits}f}" for c in columns)
    return f"{mean} [{', '.join(interval)}]" if interval else mean


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sample_file(folder: Path, run: str) -> Path:
    published = folder / "samples" / f"{run}.png"
    return published if published.is_file() else folder / run / "samples.png"


def study_panels(
    study: Study,
    rows: Sequence[Row],
    scores: Iterable[str],
    *,
    budget: int,
    base: Config | None = None,
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Returns a study's scores as `figures.score_intervals` draws them.

    Args:
        study: the study.
        rows: of the results table.
        scores: columns, a panel each.
        budget: images seen.
        base: as in `rows_of`.

    Returns:
        Score title to variant to (mean over its seeds, low, high): the 95 % interval for other
        test images and, as far as it is known, other seeds. What has diverged is left out.
    """
    from ..evaluation import SCORES

    found = rows_of(study, rows, budget, base)
    same_budget = [row for row in rows if row["budget"] == budget]
    panels = {}
    for name in scores:
        scored = {v: [r for r in own if r.get(name) is not None] for v, own in found.items()}
        deviation = seed_deviation(same_budget, name)
        panels[SCORES[name].heading] = {
            variant: score_interval(own, deviation, name) for variant, own in scored.items() if own
        }
    return panels


def sample_sheet(
    study: Study, folder: str | Path = PUBLISHED, *, budget: int, base: Config | None = None
) -> dict[str, np.ndarray]:
    """Returns what each variant makes of the same eight test images.

    Args:
        study: the study.
        folder: as in `open_results`.
        budget: images seen.
        base: as in `rows_of`.

    Returns:
        Variant to uint8 (8, size, size, 3), each variant's first seed; first `"real"`, the
        images themselves. A variant without images, having diverged, is left out.
    """
    folder = Path(folder)
    sheet = {}
    real = folder / "samples" / "real.png"
    real = real if real.is_file() else folder / "real.png"
    if real.is_file():
        sheet["real"] = _read_strip(real)
    for name, rows in rows_of(study, open_results(folder).rows, budget, base).items():
        file = next((f for r in rows if (f := _sample_file(folder, r["run"])).is_file()), None)
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

    Of each variant's runs the first seed's images are taken, and none of the search's trials.

    Returns:
        The number of sample files.
    """
    folder, destination = Path(folder), Path(destination)
    results = open_results(folder)
    results.write(destination / _NAMES[1])
    first: dict[tuple, Row] = {}
    for row in sorted(results.rows, key=lambda row: row["seed"]):
        if row["study"] != SEARCH.name:
            first.setdefault((row["config_hash"], row["images"]), row)
    files = {f"{row['run']}.png": _sample_file(folder, row["run"]) for row in first.values()}
    copied = 0
    with replacing(destination / "samples") as samples:
        samples.mkdir()
        for name, file in {"real.png": folder / "real.png", **files}.items():
            if file.is_file():
                shutil.copyfile(file, samples / name)
                copied += 1
    return copied
