"""`make reproduce`: from the shipped model to the notebooks, figures and scores of the report.

    python -m pix2pix_color.reproduction notebooks    # runs the committed notebooks in place
    python -m pix2pix_color.reproduction scores NAME  # scores a shipped model on CIFAR-10 again
    python -m pix2pix_color.reproduction readme       # brings README.md's table up to date
    python -m pix2pix_color.reproduction export NAME  # writes a shipped SavedModel anew

Works from the root of a checkout. Nothing that is committed changes but by these.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pix2pix_color.files import verify_checksums, write_atomically, write_checksums

if TYPE_CHECKING:
    from pix2pix_color.colorizer import Colorizer

__all__ = [
    "ReproductionError",
    "choose_dataset",
    "fill_readme",
    "reproduce",
    "run_notebook",
    "scores_table",
    "update_readme",
]

NOTEBOOKS = (
    "01_dataset",
    "02_networks",
    "03_training",
    "04_image_comparison",
    "05_what_the_scores_mean",
    "06_architecture_and_hyperparameters",
    "07_ablations",
    "08_colorize_your_photos",
    "09_beyond_the_report",
)
MODEL = "report"
SCORED_IMAGES = 2_000
"""How many test images `reproduce` scores: all of them take minutes on two cores."""

_CIFAR10_HOST = ("www.cs.toronto.edu", 443)
_DOWNLOAD_SECONDS = 180
_MARKER = ".made-by-pix2pix-color"
_REPORTED = ("31.33", "0.99")  # report section 4.2, "average PSNR and SSIM values"


class ReproductionError(RuntimeError):
    """Something that `reproduce` needs is missing, or a notebook failed."""


def reproduce(folder: str | Path = "reproduced", *, checkout: str | Path = ".") -> None:
    """Reproduces the report with the shipped model, without a network, in minutes.

    Args:
        folder: made anew by every call; an existing one that `reproduce` did not make is kept.
        checkout: the root of the project.

    Raises:
        ReproductionError: not a checkout, a folder in the way, or a notebook that fails.
        ChecksumError: the shipped model is not what was shipped.
    """
    checkout, folder = Path(checkout).resolve(), Path(folder).resolve()
    start = time.monotonic()
    _require_checkout(checkout)
    model = checkout / "saved_models" / MODEL
    _say(f"[1/5] The shipped model: {verify_checksums(model)} files match their SHA-256.")
    dataset, reason = choose_dataset()
    _say_banner(dataset, reason)
    _make_anew(folder)
    settings = {
        "PIX2PIX_COLOR_DATASET": dataset,
        "PIX2PIX_COLOR_MODEL": str(model),
        "PIX2PIX_COLOR_OUTPUT": str(folder / "figures"),
    }
    _say(f"[2/5] The notebooks, on {_described(dataset)}:")
    failed = _run_notebooks(checkout / "notebooks", folder / "notebooks", settings)
    _say("[3/5] A short live training of a tiny network, on photographs (not the report's run):")
    _train_briefly(folder / "run")
    _say("[4/5] A photograph of any size:")
    colorizer = _colorize_photograph(model, folder)
    _say(f"[5/5] The scores, on {_described(dataset)}:")
    _score(colorizer, dataset, folder / "scores.md")
    _say_result(folder, time.monotonic() - start)
    if failed:
        raise ReproductionError(
            f"{len(failed)} of {len(NOTEBOOKS)} notebooks failed ({'; '.join(failed)}). See them "
            f"in {folder / 'notebooks'}."
        )


def _say(text: str) -> None:
    print(text, flush=True)


def _require_checkout(checkout: Path) -> None:
    needed = [checkout / "notebooks" / f"{name}.ipynb" for name in NOTEBOOKS]
    missing = [path for path in (*needed, checkout / "saved_models" / MODEL) if not path.exists()]
    if missing:
        raise ReproductionError(
            f"{missing[0]} is missing: run this from the root of a whole checkout."
        )


def _make_anew(folder: Path) -> None:
    if folder.exists():
        if not (folder / _MARKER).is_file():
            raise ReproductionError(
                f"{folder} exists and was not made by this command: move it, or choose another "
                "folder with --output."
            )
        shutil.rmtree(folder)
    (folder / "figures").mkdir(parents=True)
    (folder / _MARKER).touch()


def choose_dataset() -> tuple[str, str]:
    """Returns the data set to use, and why: CIFAR-10 if it can be had quickly.

    Returns:
        `"cifar10"` where TensorFlow Datasets has it already or downloads it now, else
        `"photographs"`; and the reason, for a reader.
    """
    own = os.environ.get("TFDS_DATA_DIR")
    folder = Path(own).expanduser() if own else Path.home() / "tensorflow_datasets"
    if any(folder.glob("cifar10/*/dataset_info.json")):
        return "cifar10", f"it is in {folder}"
    try:
        socket.create_connection(_CIFAR10_HOST, timeout=3).close()
    except OSError:
        return "photographs", f"CIFAR-10 is not in {folder} and there is no network to get it"
    _say(f"Downloading CIFAR-10 to {folder}, for at most {_DOWNLOAD_SECONDS} s...")
    script = "import tensorflow_datasets as t; t.builder('cifar10').download_and_prepare()"
    try:
        subprocess.run([sys.executable, "-c", script], timeout=_DOWNLOAD_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        return "photographs", f"downloading CIFAR-10 took more than {_DOWNLOAD_SECONDS} s"
    except subprocess.CalledProcessError:
        return "photographs", "CIFAR-10 could not be downloaded (the messages above say why)"
    return "cifar10", f"it was downloaded to {folder}"


def _described(dataset: str) -> str:
    return "CIFAR-10" if dataset == "cifar10" else "photographs inside scikit-image, NOT CIFAR-10"


def _say_banner(dataset: str, reason: str) -> None:
    if dataset == "cifar10":
        _say(f"Data: CIFAR-10; {reason}.")
        return
    lines = (
        f"{reason[0].upper()}{reason[1:]}.",
        "What follows uses crops of the photographs inside scikit-image instead.",
        "Its figures and scores are NOT CIFAR-10 results: compare none with the report's.",
    )
    _say("\n".join(("*" * 84, *(f"* {line}" for line in lines), "*" * 84)))


# The notebooks ------------------------------------------------------------------------------


def _run_notebooks(source: Path, destination: Path, settings: dict[str, str]) -> list[str]:
    """Runs every notebook, also after one that fails, and returns what failed and why."""
    failed = []
    for name in NOTEBOOKS:
        start = time.monotonic()
        try:
            run_notebook(
                source / f"{name}.ipynb", destination / f"{name}.ipynb", settings, _show_cell(name)
            )
            _say(f"\r  {name}: done in {time.monotonic() - start:.0f} s      ")
        except ReproductionError as error:
            failed.append(f"{name}: {error}")
            _say(f"\r  {name}: failed after {time.monotonic() - start:.0f} s      ")
    return failed


def _show_cell(name: str) -> Callable[[int, int], None]:
    def show(cell: int, count: int) -> None:
        if sys.stdout.isatty():
            print(f"\r  {name}: cell {cell} of {count} ", end="", flush=True)
        elif cell == 1:
            _say(f"  {name}: {count} cells...")

    return show


def run_notebook(
    source: Path,
    destination: Path,
    settings: dict[str, str] | None = None,
    on_cell: Callable[[int, int], None] | None = None,
) -> None:
    """Runs a notebook top to bottom in this Python, and writes it with its outputs.

    Args:
        source: the notebook; its folder is where it runs.
        destination: where the executed notebook goes, up to the failing cell if one fails;
            the same as `source` replaces it, if no cell fails.
        settings: environment variables of the notebook; those named `PIX2PIX_COLOR_...` that
            are not among them are unset.
        on_cell: called with the number of the cell that starts and the number of cells.

    Raises:
        ReproductionError: a cell failed (its message ends this one's), or Jupyter is missing.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError
    except ImportError as error:
        raise ReproductionError(
            'Running notebooks needs Jupyter: pip install "pix2pix_color[notebooks]"'
        ) from error
    notebook = nbformat.read(source, as_version=4)

    def show(cell: dict, cell_index: int) -> None:
        if on_cell is not None:
            on_cell(cell_index + 1, len(notebook.cells))

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=50"],  # a cell's own errors are in the notebook
        resources={"metadata": {"path": str(source.parent)}},
        on_cell_start=show,
    )
    failure = None
    try:
        client.execute(env=_kernel_environment(settings or {}))
    except CellExecutionError as error:
        failure = f"{error.ename}: {error.evalue}".splitlines()[0]
    except (AssertionError, DeadKernelError):
        if client.km is None:  # how nbclient ends after Ctrl-C
            raise KeyboardInterrupt from None
        failure = "its Python died, for example for want of memory"
    if failure is None or destination != source:
        write_atomically(destination, nbformat.writes(notebook) + "\n")
    if failure is not None:
        raise ReproductionError(failure)


def _kernel_environment(settings: dict[str, str]) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIX2PIX_COLOR_")}
    environment.pop("MPLBACKEND", None)  # figures must show in the notebook
    # The kernel must be this Python's, with the programs that were installed beside it.
    environment["JUPYTER_PREFER_ENV_PATH"] = "1"
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join((programs, environment.get("PATH", "")))
    return {**environment, **settings}


# The rest -----------------------------------------------------------------------------------


def _train_briefly(folder: Path) -> None:
    from pix2pix_color.config import Config
    from pix2pix_color.data import load_dataset
    from pix2pix_color.training import Trainer

    config = Config.fast()
    trainer = Trainer(config, folder)
    images = load_dataset(config.data.dataset, "train", image_size=config.data.image_size)
    scores = trainer.fit(images)
    trainer.inference_generator().save(folder / "generator.keras")
    _say(
        f"  {trainer.current_step} steps; generator loss {scores['generator_loss']:.2f} at the end"
    )


def _colorize_photograph(model: Path, folder: Path) -> Colorizer:
    import skimage.data
    from PIL import Image

    from pix2pix_color.colorizer import Colorizer

    gray = folder / "gray.png"
    Image.fromarray(skimage.data.coffee()).convert("L").save(gray)
    colorizer = Colorizer.load(model)
    colorizer.colorize_file(gray, folder / "colorized.png")
    _say(f"  {gray} -> {folder / 'colorized.png'}")
    return colorizer


def _score(colorizer: Colorizer, dataset: str, path: Path) -> None:
    from pix2pix_color.data import load_dataset
    from pix2pix_color.evaluation import evaluate

    size = colorizer.generator.input_shape[1]
    images = load_dataset(dataset, "test", image_size=size, limit=SCORED_IMAGES)
    evaluation = evaluate(colorizer.generator, images)
    said = (
        f"Model `{MODEL}`, {_trained_steps(colorizer.folder)}; {evaluation.count:,} images of the "
        f"test split: its first {SCORED_IMAGES:,} at most, without gray ones. The true scores "
        "judge the colors. The report's own protocol cannot see them: it gives an image without "
        "any color as much."
    )
    head = f"# Scores on {_described(dataset)}"
    write_atomically(path, f"{head}\n\n{said}\n\n{evaluation.table()}")
    _say(f"{said}\n\n{evaluation.table(short=True)}")


def _trained_steps(folder: Path) -> str:
    metrics = folder / "metrics.json"
    steps = json.loads(metrics.read_text(encoding="utf-8")).get("step") if metrics.is_file() else 0
    return f"trained for {steps:,} iterations" if steps else "iterations not recorded"


def _say_result(folder: Path, seconds: float) -> None:
    _say(
        f"Done in {seconds:.0f} s. Look at:\n"
        f"  {folder / 'figures'}: the figures\n"
        f"  {folder / 'notebooks'}: the executed notebooks\n"
        f"  {folder / 'scores.md'}: the table of scores\n"
        f"  {folder / 'colorized.png'}: a photograph, colorized from {folder / 'gray.png'}\n"
        f"  {folder / 'run'}: the short training run"
    )


# What is committed: scores, model card, README --------------------------------------------


def update_scores(checkout: str | Path = ".", model: str = MODEL) -> None:
    """Scores a shipped model on CIFAR-10 and brings its folder up to date.

    In its folder: `metrics.json` (the test split), `evaluation/` (tables and figures), the model
    card, `SHA256SUMS`. The reproduction is scored on both splits, side by side, and fills the
    README's table too.

    Args:
        checkout: the root of the project.
        model: the name of the shipped model.

    Raises:
        ReproductionError: scoring failed.
    """
    from pix2pix_color.config import Config
    from pix2pix_color.export import model_card

    folder = Path(checkout).resolve() / "saved_models" / model
    reproduced = model == MODEL
    made = folder / "evaluation"
    test = made / "test"
    place = ["both", "-o", str(made)] if reproduced else ["test", "-o", str(test)]
    command = ["evaluate", "--model", str(folder), "--split", *place]
    finished = subprocess.run([sys.executable, "-m", "pix2pix_color", *command, "--overwrite"])
    if finished.returncode:
        raise ReproductionError("The shipped model could not be scored (see above).")
    # Megabytes that the command makes anew: every image's scores, the train split's images.
    images = (made / "train" if reproduced else made).rglob("images-by-*.png")
    for large in (*made.rglob("scores.csv"), *images):
        large.unlink()
    (test / "metrics.json").replace(folder / "metrics.json")
    (test / "samples.png").replace(folder / "samples.png")
    config = Config.from_json((folder / "config.json").read_text(encoding="utf-8"))
    write_atomically(folder / "README.md", model_card(folder, model, config))
    write_checksums(folder)
    if reproduced:
        update_readme(Path(checkout) / "README.md", folder / "metrics.json")


def scores_table(metrics: Path) -> str:
    """Returns the README's table: reported, reproduced and true, from a `metrics.json`."""
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


def update_readme(readme: Path = Path("README.md"), metrics: Path | None = None) -> None:
    """Writes the table of a `metrics.json` between the README's two `scores` comments.

    Raises:
        ReproductionError: the README has no such comments.
    """
    metrics = metrics or Path("saved_models") / MODEL / "metrics.json"
    fill_readme(readme, "scores", lambda: scores_table(metrics))


def fill_readme(readme: Path, name: str, content: Callable[[], str]) -> None:
    """Writes Markdown, made once its place is found, between the README's comments of a name.

    Raises:
        ReproductionError: the README has no such comments.
    """
    text = readme.read_text(encoding="utf-8")
    before, opening, rest = text.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not (opening and closing):
        raise ReproductionError(f"{readme} has no <!-- {name} --> ... <!-- /{name} --> to fill.")
    write_atomically(readme, f"{before}{opening}\n{content()}\n\n{closing}{after}")


def _main(arguments: Sequence[str]) -> int:
    action, *names = arguments or [""]
    if [action, *names] == ["readme"]:
        update_readme()
        return 0
    if action == "scores":
        for name in names or [MODEL]:
            update_scores(model=name)
        return 0
    if action == "export":
        from pix2pix_color.export import refresh_export

        for name in names or [MODEL]:
            _say(f"Exported {refresh_export(Path('saved_models') / name)}.")
        return 0
    if list(arguments) == ["notebooks"]:
        for path in sorted(Path("notebooks").resolve().glob("*.ipynb")):
            start = time.monotonic()
            run_notebook(path, path, {}, _show_cell(path.stem))
            _say(f"\r  {path.stem}: done in {time.monotonic() - start:.0f} s      ")
        return 0
    print(
        "usage: python -m pix2pix_color.reproduction notebooks|readme|scores [NAME...]|"
        "export [NAME...]",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
