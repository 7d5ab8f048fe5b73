"""The layout of the page and the functions behind its controls, in Gradio."""

from __future__ import annotations

import html
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import skimage.data

from ...errors import PhotographError
from ...image_files import FORMATS
from .photographs import Limits, Models, Settings, colorize_batch, colorize_photograph

__all__ = ["LOOK", "build_page"]

_EXAMPLES = {
    "camera.png": "camera",
    "chelsea.png": "cat",
    "coffee.png": "coffee",
    "astronaut.png": "astronaut",
    "rocket.jpg": "rocket",
    "coins.png": "coins",
}
_HOUR = 3600
_REPLACED_SECONDS = 60

LOOK: dict[str, Any] = {
    "theme": gr.themes.Default(
        primary_hue="rose",
        neutral_hue="slate",
        # Gradio's own fonts would come from the network.
        font=["system-ui", "-apple-system", "Segoe UI", "Liberation Sans", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ),
    "css_paths": Path(__file__).with_name("page.css"),
    "head": f"<script>{Path(__file__).with_name('page.js').read_text()}</script>",
    "footer_links": ["api"],
}
"""Arguments of Gradio's `launch` that concern the look."""


def build_page(models: Models, limits: Limits, folder: Path) -> gr.Blocks:
    """Returns the page, ready to be launched.

    Args:
        models: the models that a visitor may choose from.
        limits: stated on the page and enforced by the functions behind it and by the queue.
        folder: for results; it must be Gradio's folder for temporary files.
    """
    with gr.Blocks(
        title="pix2pix-color",
        fill_width=True,
        delete_cache=(_HOUR // 6, _HOUR),  # checked every ten minutes
    ) as page:
        gr.Markdown(
            "# Colorize black-and-white photographs\n"
            "A pix2pix GAN predicts plausible colors. The luminance and the size of your "
            "photograph stay as they are.",
            elem_id="title",
        )
        settings = _add_settings(models)
        with gr.Tabs():
            with gr.Tab("One photograph"):
                _add_photograph(settings, models, limits, folder)
            with gr.Tab("Several photographs"):
                _add_batch(settings, models, limits, folder)
        gr.Markdown(
            f"{', '.join(FORMATS).upper()} files of up to {limits.megabytes} MB and "
            f"{limits.megapixels} megapixels, up to {limits.files} per batch; up to "
            f"{limits.queue} requests may wait. Photographs are deleted after an hour and when "
            "the server stops, and never leave the server.",
            elem_id="limits",
        )
    # One request already uses all cores, and a second would double the memory.
    return page.queue(max_size=limits.queue, default_concurrency_limit=1, api_open=False)


def _add_settings(models: Models) -> list[gr.components.Component]:
    """Adds the settings of both tabs and returns them in the order of `Settings`."""
    colorizer = models[models.default]
    names = [(Path(name).name, name) for name in models.names]
    vividness = 1.0 if colorizer.vividness is None else colorizer.vividness
    sizes = [colorizer.multiple * times for times in (1, 2, 3, 4, 6, 8, 12, 16)]
    with gr.Row(equal_height=True):
        return [
            gr.Dropdown(names, value=models.default, label="Model", elem_id="model"),
            gr.Slider(0, 2, 1, step=0.05, label="Strength", info="0 is gray", elem_id="strength"),
            gr.Slider(
                *(0, 1, vividness),
                step=0.05,
                label="Vividness",
                info="1 is vivid",
                elem_id="vividness",
            ),
            gr.Dropdown(
                [("Automatic", 0), *((f"{size} pixels", size) for size in sizes)],
                value=0,
                label="Render size",
                info="What the model sees",
                elem_id="render-size",
            ),
            gr.Checkbox(label="Keep the file format", info="PNG otherwise", min_width=200),
        ]


def _add_photograph(settings: list, models: Models, limits: Limits, folder: Path) -> None:
    examples = _copy_examples(folder)
    previous = gr.State([])  # paths of a visitor's results
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            # Any file is accepted, since its content decides whether it is a photograph.
            source = gr.File(label="Drop, paste or choose", height=190, elem_id="photograph")
            gallery = gr.Gallery(
                examples,
                label="Examples",
                columns=2,
                height="auto",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="examples",
            )
        with gr.Column(scale=5, min_width=400):
            slider = gr.ImageSlider(
                label="Before and after",
                type="numpy",
                max_height=520,
                interactive=False,
                buttons=["fullscreen"],
                elem_id="before-after",
            )
            message = gr.HTML(elem_id="message")
            with gr.Row(equal_height=True):
                left = gr.Radio(
                    ["Gray", "Original"], value="Gray", label="Left side", elem_id="left-side"
                )
                download = gr.DownloadButton(
                    "Download the result", variant="primary", interactive=False, elem_id="download"
                )

    def colorize(
        source: str | None,
        model: str,
        strength: float,
        vividness: float,
        render_size: int,
        keep_format: bool,
        left: str,
        previous: list[str],
    ) -> Iterator[tuple]:
        previous = _remove_replaced(previous)
        if source is None:
            yield None, None, "", previous
            return
        try:
            chosen = Settings(model, strength, vividness, render_size, keep_format)
            result = colorize_photograph(source, chosen, models, limits, folder)
        except PhotographError as error:
            # The page keeps the message, and a program gets an error.
            yield None, None, _problem(error), previous
            raise gr.Error(str(error), duration=8, print_exception=False) from error
        name, (width, height) = html.escape(result.path.name), result.size
        text = (
            f"<p><b>{name}</b>, {width:,} &times; {height:,} pixels, colorized in "
            f"{result.seconds:.1f} s at a render size of {result.render_size} pixels.</p>"
        )
        pair = (result.gray if left == "Gray" else result.original, result.colored)
        path = str(result.path)
        yield pair, path, text + _remarks(result.notes), [*previous, path]

    # Resetting a slider is a change but no input.
    changes = [s.change if isinstance(s, gr.Slider) else s.input for s in settings]
    colorized = gr.on(
        [source.change, left.input, *changes],
        colorize,
        [source, *settings, left, previous],
        [slider, download, message, previous],
        api_name="colorize",
        concurrency_id="colorize",
        trigger_mode="always_last",
        show_progress_on=slider,
    )
    _enable(download, colorized)

    def choose(event: gr.SelectData) -> tuple[str, gr.Gallery]:
        # A copy, because the hourly cleaning removes whatever a visitor was given. The selection
        # is cleared so that the same example can be chosen again.
        place = tempfile.mkdtemp(dir=folder)
        return shutil.copy(examples[event.index][0], place), gr.Gallery(selected_index=None)

    gallery.select(
        choose, None, [source, gallery], api_visibility="private", show_progress="hidden"
    )


def _add_batch(settings: list, models: Models, limits: Limits, folder: Path) -> None:
    with gr.Row():
        with gr.Column(scale=1):
            sources = gr.File(
                file_count="multiple",
                label=f"Up to {limits.files} photographs",
                height=320,
                elem_id="photographs",
            )
            start = gr.Button("Colorize all", variant="primary", elem_id="colorize-all")
        with gr.Column(scale=1):
            message = gr.HTML(elem_id="batch-message")
            download = gr.DownloadButton("Download the ZIP", interactive=False, elem_id="zip")

    def colorize(
        sources: list[str] | None,
        model: str,
        strength: float,
        vividness: float,
        render_size: int,
        keep_format: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  how Gradio finds it
    ) -> Iterator[tuple]:
        def show(done: int, count: int, name: str) -> None:
            progress((done, count), desc=name, unit="files")

        try:
            chosen = Settings(model, strength, vividness, render_size, keep_format)
            batch = colorize_batch(sources or [], chosen, models, limits, folder, show)
        except PhotographError as error:
            yield None, _problem(error)
            raise gr.Error(str(error).splitlines()[0], duration=8, print_exception=False) from error
        count = len(batch.names) + len(batch.failures)
        text = f"<p>{len(batch.names)} of {count} photographs colorized.</p>"
        text += _remarks(batch.notes)
        if batch.failures:
            text += _problem("\n".join(batch.failures))
        yield str(batch.path), text

    colorized = start.click(
        colorize,
        [sources, *settings],
        [download, message],
        api_name="batch",
        concurrency_id="colorize",
        show_progress_on=message,
    )
    _enable(download, colorized)


def _enable(button: gr.DownloadButton, event: Any) -> None:
    """Enables a download button while it has a file."""
    event.then(
        lambda path: gr.DownloadButton(interactive=path is not None),
        button,
        button,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _remove_replaced(results: list[str]) -> list[str]:
    """Removes a visitor's results that were replaced a minute ago; returns the others.

    Without this, each change of a setting would keep a full-size file for an hour. The minute is
    for a download that has just begun and for programs that send several requests at once.
    """
    kept = []
    for path in map(Path, results):
        if path.exists() and time.time() - path.stat().st_mtime < _REPLACED_SECONDS:
            kept.append(str(path))
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
    return kept


def _remarks(notes: list[str]) -> str:
    return "".join(f"<p>{html.escape(note)}</p>" for note in notes)


def _problem(text: object) -> str:
    return f'<div class="problem" role="alert">{html.escape(str(text))}</div>'


def _copy_examples(folder: Path) -> list[tuple[Path, str]]:
    """Copies photographs from scikit-image's wheel to where Gradio may serve them."""
    wheel, place = Path(skimage.data.__file__).parent, folder / "examples"
    place.mkdir(exist_ok=True)
    return [
        (Path(shutil.copy(wheel / name, place)), caption)
        for name, caption in _EXAMPLES.items()
        if (wheel / name).is_file()
    ]
