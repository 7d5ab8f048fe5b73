"""Brings up to date what is committed: scores, README tables, exports, notebooks.

    python -m tools.release scores [NAME...]    # score shipped models on CIFAR-10 again
    python -m tools.release export [NAME...]    # write their SavedModels again
    python -m tools.release steps RUN           # score the report's run at fixed steps
    python -m tools.release readme              # fill the README's table of scores again
    python -m tools.release notebooks           # run the committed notebooks again

Notebook 10 trains for hours, unless `notebooks/runs/report` is a link to a finished run.
Works from the root of a checkout. NAME is `report` if it is not given.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pix2pix_color.errors import Pix2PixColorError
from pix2pix_color.files import replacing, write_atomically
from pix2pix_color.startup import start_tensorflow

from .notebooks import run_notebooks

__all__ = ["ReleaseError", "fill_readme", "score_steps", "scores_table", "update_scores"]

MODEL = "report"
STEPS = (1_000, 3_000, 5_000, 10_000, 25_000, 50_000, 100_000, 140_000)
_REPORTED = ("31.33", "0.99")  # report section 4.2, "average PSNR and SSIM values"


class ReleaseError(Pix2PixColorError):
    """A notebook failed, or the README has no place for a table."""


def update_scores(checkout: str | Path = ".", model: str = MODEL) -> None:
    """Scores a shipped model on CIFAR-10 and updates its folder.

    Updates `metrics.json` (the test split), `evaluation/` (tables and figures), the model card and
    `SHA256SUMS`. The report's model is scored on both splits and also fills the README's table.

    Args:
        checkout: the root of the project.
        model: the name of the shipped model.

    Raises:
        EvaluationError: the model cannot be scored.
        DataError: CIFAR-10 is not available.
    """
    from pix2pix_color.evaluation.report import write_report
    from pix2pix_color.export import write_card

    folder = Path(checkout).resolve() / "saved_models" / model
    results = folder / "evaluation"
    test = results / "test"
    for split in ("train", "test") if model == MODEL else ("test",):
        write_report(folder, results / split, split=split, overwrite=True)
    # These megabytes are not committed: the scores of every image, and most of the images.
    kept = test / "images-by-psnr.png" if model == MODEL else None
    images = [path for path in results.rglob("images-by-*.png") if path != kept]
    for large in (*results.rglob("scores.csv"), *images):
        large.unlink()
    (test / "metrics.json").replace(folder / "metrics.json")
    (test / "samples.png").replace(folder / "samples.png")
    write_card(folder)
    if model == MODEL:
        fill_readme(Path(checkout) / "README.md", "scores", scores_table(folder / "metrics.json"))


def score_steps(
    run: str | Path, folder: str | Path, dataset: str = "cifar10", steps: Sequence[int] = STEPS
) -> None:
    """Scores a run's generator at several steps, in `by_step.csv`, and shows it in `by_step.png`.

    The table has one row per step and score of the test split, with a 95 % interval; rows of steps
    that are not scored now stay. The figure shows eight uncurated test images.

    Args:
        run: a run folder that kept its checkpoints.
        folder: the folder of the two files.
        dataset: as in `load_dataset`.
        steps: those without a checkpoint are left out.

    Raises:
        ReleaseError: there is a checkpoint of none of the steps.
        DataError: the data set is not available.
    """
    import pandas as pd

    from pix2pix_color import evaluate, load_dataset
    from pix2pix_color.evaluation.report import sample_grid
    from pix2pix_color.model_folder import ModelFolder, checkpoint_paths

    saved = {int(path.rpartition("-")[2]) for path in checkpoint_paths(Path(run))}
    steps = [step for step in steps if step in saved]
    if not steps:
        raise ReleaseError(f"{run} kept no checkpoint of a step that is to be scored.")
    generators = {f"{step:,}": ModelFolder(run).generator(step=step) for step in steps}
    size = ModelFolder(run).config.data.image_size
    images = load_dataset(dataset, "test", image_size=size)
    evaluation = evaluate(generators, images)
    rows = [
        (step, score, value, *interval)
        for step, name in zip(steps, generators, strict=True)
        for score, (value, interval) in evaluation.values[name].items()
    ]
    table = pd.DataFrame(rows, columns=["step", "score", "value", "low", "high"])
    path = Path(folder) / "by_step.csv"
    if path.is_file():
        earlier = pd.read_csv(path)
        table = pd.concat([earlier[~earlier.step.isin(steps)], table])
    table = table.sort_values("step", kind="stable")
    write_atomically(path, table.to_csv(index=False, float_format="%.6g"))
    with replacing(path.with_suffix(".png")) as temporary:
        sample_grid(generators, images).savefig(temporary, dpi=110)


def scores_table(metrics: Path) -> str:
    """Returns the README's table of reported, reproduced and true scores."""
    summary = json.loads(metrics.read_text(encoding="utf-8"))
    rows = [
        "| | PSNR (dB), report's protocol | SSIM, report's protocol | true PSNR (dB) | true SSIM |",
        "| --- | --- | --- | --- | --- |",
        f"| the report's model, as reported | {' | '.join(_REPORTED)} | not given | not given |",
    ]
    titles = {
        "model": f"this reproduction, {summary['step']:,} iterations",
        "no_color": "no color at all",
        "other_chroma": "the colors of another image",
    }
    for predictor, title in titles.items():
        score = summary["scores"][predictor]
        rows.append(
            f"| {title} | {score['report_psnr']:.2f} | {score['report_ssim']:.4f} "
            f"| {score['psnr']:.2f} | {score['ssim']:.4f} |"
        )
    data = "CIFAR-10" if summary["dataset"] == "cifar10" else summary["dataset"]
    rows += [
        "",
        f"{data}, {summary['split']} split, mean over {summary['count']:,} images, one run.",
    ]
    return "\n".join(rows)


def fill_readme(readme: Path, name: str, content: str) -> None:
    """Writes Markdown between the README's comments `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ReleaseError: the README has no such comments.
    """
    text = readme.read_text(encoding="utf-8")
    before, opening, rest = text.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not (opening and closing):
        raise ReleaseError(f"{readme} has no <!-- {name} --> ... <!-- /{name} --> to fill.")
    write_atomically(readme, f"{before}{opening}\n{content}\n\n{closing}{after}")


def _main() -> None:
    actions = ("scores", "steps", "export", "readme", "notebooks")
    parser = argparse.ArgumentParser(prog="tools.release", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=actions)
    parser.add_argument("names", metavar="NAME", nargs="*", default=[MODEL])
    options = parser.parse_args()
    models = Path("saved_models")
    if options.action == "readme":
        fill_readme(Path("README.md"), "scores", scores_table(models / MODEL / "metrics.json"))
    elif options.action == "notebooks":
        folder = Path("notebooks").resolve()
        if failed := run_notebooks(sorted(folder.glob("*.ipynb")), folder):
            raise ReleaseError("; ".join(failed))
    elif options.action == "steps":
        start_tensorflow()
        for run in options.names:
            score_steps(run, models / MODEL)
    else:
        start_tensorflow()
        from pix2pix_color.export import export_model

        for name in options.names:
            if options.action == "scores":
                update_scores(model=name)
            else:
                print(f"Exported {export_model(models / name, models / name, overwrite=True)}.")


if __name__ == "__main__":
    try:
        _main()
    except Pix2PixColorError as error:
        sys.exit(f"release: error: {error}")
