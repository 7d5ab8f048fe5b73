"""How the page looks and which function answers what, in Gradio."""

from __future__ import annotations

import html
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ...colorizer import MAX_VIVIDNESS
from ...image_files import FORMATS
from .photographs import (
    Limits,
    Models,
    Photograph,
    PhotographError,
    Settings,
    colorize_batch,
    colorize_photograph,
)

__all__ = ["build_page", "launch_options"]

_EXAMPLES = {
    "camera.png": "camera",
    "chelsea.png": "cat",
    "coffee.png": "coffee",
    "astronaut.png": "astronaut",
    "rocket.jpg": "rocket",
    "coins.png": "coins",
}
_OWN_SIZE = "the model's own"
_GRAY, _ORIGINAL = "gray", "as it was sent"
_PNG, _SAME = "PNG", "same format"
_HOUR = 3600
_REPLACED_SECONDS = 60

_ANYWHERE = """
<script>
(() => {
  const areas = "#photograph, #photographs";
  const give = (files, tries) => {
    const area = [...document.querySelectorAll(areas)].find((one) => one.offsetParent);
    if (!area || !files.length || !tries) return;
    const input = area.querySelector("input[type=file]");
    if (!input) {  // it shows a file: taken away, and asked again when the area is back
      area.querySelector(".icon-button-wrapper button")?.click();
      setTimeout(() => give(files, tries - 1), 50);
      return;
    }
    const transfer = new DataTransfer();
    files.slice(0, input.multiple ? files.length : 1).forEach((f) => transfer.items.add(f));
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const take = (event, data) => {
    const files = [...(data ? data.files : [])];
    if (!files.length) return;
    event.preventDefault();
    give(files, 40);
  };
  document.addEventListener("paste", (event) => take(event, event.clipboardData));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!event.defaultPrevented) take(event, event.dataTransfer);
  });
})();
</script>
"""
"""Files pasted or dropped anywhere on the page go to the tab's upload area."""

_CSS = """
.gradio-container > main { max-width: 1280px !important; margin: 0 auto !important; }
#title h1 { margin-bottom: 0; }
#limits { opacity: 0.7; }
#limits p { font-size: 0.85em; }
.problem {
  border-left: 4px solid #d33; padding: 0.3em 0.8em; white-space: pre-line;
  overflow-wrap: anywhere; max-height: 24em; overflow-y: auto;
}
"""


def _upload(**options: Any) -> gr.File:
    """Returns a place for files that are sent; any kind, since the content decides."""
    component = gr.File(**options)
    keep = component.async_move_resource_to_block_cache

    # Gradio would fetch whatever address a request names. Replaced in the object: of a subclass
    # it writes a stub file beside the source.
    async def keep_sent(path: str | None) -> str | None:
        if "://" in str(path or ""):
            raise gr.Error("Send the file itself, not its address.", print_exception=False)
        return await keep(path)

    component.async_move_resource_to_block_cache = keep_sent
    return component


def launch_options(folder: Path) -> dict[str, Any]:
    """Returns what belongs to the look and is given to Gradio's `launch`."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Liberation Sans", "sans-serif"]
    theme = gr.themes.Soft(
        primary_hue="rose", neutral_hue="slate", font=fonts, font_mono=["ui-monospace", "monospace"]
    ).set(
        block_title_background_fill="none",
        block_title_padding="0",
        block_title_text_color="*body_text_color",
        block_label_background_fill="*background_fill_primary",
        block_label_text_color="*body_text_color",
    )
    return {"theme": theme, "css": _CSS, "head": _ANYWHERE, "footer_links": ["api"]}


def build_page(models: Models, limits: Limits, folder: Path) -> gr.Blocks:
    """Returns the page, ready to be launched.

    Args:
        models: that a visitor may choose.
        limits: said on the page; enforced by the functions behind it, the queue and the server.
        folder: for results; the one that Gradio keeps its files in, and cleans.
    """
    with gr.Blocks(
        title="pix2pix-color",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(_HOUR // 6, _HOUR),  # looked for every ten minutes
    ) as page:
        gr.Markdown(
            "# Colors for gray photographs\n"
            "A pix2pix GAN guesses the colors; the luminance stays yours, at full size.",
            elem_id="title",
        )
        settings = _add_settings(models)
        with gr.Tabs():
            with gr.Tab("One photograph"):
                _add_photograph(settings, models, limits, folder)
            with gr.Tab("Several files"):
                _add_batch(settings, models, limits, folder)
        gr.Markdown(
            f"{', '.join(FORMATS).upper()}; at most {limits.megabytes} MB and "
            f"{limits.megapixels} megapixels a file, {limits.files} files a batch, and "
            f"{limits.queue} requests that wait. Files are deleted after an hour, and when the "
            "server stops. Nothing leaves the server.",
            elem_id="limits",
        )
    # One request at a time uses all cores already, and two would need twice the memory.
    return page.queue(max_size=limits.queue, default_concurrency_limit=1, api_open=False)


def _add_settings(models: Models) -> list[gr.components.Component]:
    """Adds what both tabs use; in the order of `_settings`."""
    colorizer = models[models.default]
    sizes = [colorizer.multiple * times for times in (1, 2, 3, 4, 6, 8, 12, 16)]
    with gr.Row(equal_height=True):
        model = gr.Dropdown(
            [(Path(name).name, name) for name in models.names],
            value=models.default,
            label="Model",
            info="that guesses the colors",
            elem_id="model",
        )
        strength = gr.Slider(
            0,
            2,
            value=1,
            step=0.05,
            label="Strength",
            info="0 is gray",
            elem_id="strength",
        )
        vividness = gr.Slider(
            0,
            MAX_VIVIDNESS,
            value=1.0 if colorizer.vividness is None else colorizer.vividness,
            step=0.05,
            label="Vividness",
            info="0 is faithful, 1 vivid",
            elem_id="vividness",
        )
        size = gr.Dropdown(
            [(_OWN_SIZE, 0), *((f"{n} pixels", n) for n in sizes)],
            value=0,
            label="Render size",
            info="shorter side of what the model sees",
            elem_id="render-size",
        )
        file_format = gr.Radio(
            [_PNG, _SAME],
            value=_PNG,
            label="Save as",
            info="the file to download",
            elem_id="save-as",
        )
    return [model, strength, vividness, size, file_format]


def _settings(
    model: str, strength: float, vividness: float, size: int, file_format: str
) -> Settings:
    size = int(size) or None
    return Settings(model, float(strength), size, file_format == _SAME, float(vividness))


def _add_photograph(settings: list, models: Models, limits: Limits, folder: Path) -> None:
    examples = _copy_examples(folder)
    previous = gr.State([])  # paths of a visitor's results
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            source = _upload(
                label="Drop, paste or choose",
                height=190,
                elem_id="photograph",
            )
            gallery = gr.Gallery(
                [(str(path), caption) for path, caption in examples],
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
                    [_GRAY, _ORIGINAL],
                    value=_GRAY,
                    label="Left of the line",
                    elem_id="left-side",
                )
                download = gr.DownloadButton(
                    "Download the result", variant="primary", interactive=False, elem_id="download"
                )

    def colorize(
        source: str | None,
        model: str,
        strength: float,
        vividness: float,
        size: int,
        file_format: str,
        left: str,
        previous: list[str],
    ) -> Iterator[tuple]:
        previous = _drop_replaced(previous)
        if source is None:
            yield None, None, "", previous
            return
        try:
            chosen = _settings(model, strength, vividness, size, file_format)
            result = colorize_photograph(source, chosen, models, limits, folder)
        except PhotographError as error:
            # Said in the page, where it stays, and to a program, which gets an error.
            yield None, None, _problem(error), previous
            raise gr.Error(str(error), duration=8, print_exception=False) from error
        before, path = result.gray if left == _GRAY else result.original, str(result.path)
        yield (before, result.colored), path, _describe(result), [*previous, path]

    colorized = gr.on(
        [source.change, left.input, *_changes(settings)],
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
        # A copy: the cleaning takes away whatever was given to a visitor. None is selected
        # afterwards, so that the same one can be chosen again.
        place = tempfile.mkdtemp(dir=folder)
        return shutil.copy(examples[event.index][0], place), gr.Gallery(selected_index=None)

    gallery.select(
        choose,
        None,
        [source, gallery],
        api_visibility="private",
        show_progress="hidden",
    )


def _add_batch(settings: list, models: Models, limits: Limits, folder: Path) -> None:
    with gr.Row():
        with gr.Column(scale=1):
            sources = _upload(
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
        size: int,
        file_format: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  how Gradio finds it
    ) -> Iterator[tuple]:
        def show(done: int, count: int, name: str) -> None:
            progress((done, count), desc=name, unit="files")

        try:
            chosen = _settings(model, strength, vividness, size, file_format)
            batch = colorize_batch(sources or [], chosen, models, limits, folder, show)
        except PhotographError as error:
            yield None, _problem(error)
            raise gr.Error(str(error).splitlines()[0], duration=8, print_exception=False) from error
        text = f"<p>{len(batch.names)} of {len(batch.names) + len(batch.failures)} colorized.</p>"
        text += _remarks(batch.notes)
        if batch.failures:
            text += _problem("\n".join(f"{name}: {reason}" for name, reason in batch.failures))
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


def _drop_replaced(results: list[str]) -> list[str]:
    """Removes a visitor's results that newer ones replaced a while ago; returns the others.

    Otherwise each move of the strength would leave a full-size file until the hour is over. The
    while is for a download that has just begun, and for programs that ask for several at once.
    """
    left = []
    for path in map(Path, results):
        if path.exists() and time.time() - path.stat().st_mtime < _REPLACED_SECONDS:
            left.append(str(path))
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
    return left


def _enable(button: gr.DownloadButton, event: Any) -> None:
    """Lets a download button be pressed after an event that gave it a file, and only then."""
    event.then(
        lambda path: gr.DownloadButton(interactive=path is not None),
        button,
        button,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _changes(settings: list) -> list:
    """Returns the events that mean a new choice."""
    # A slider's reset button is no input.
    return [s.change if isinstance(s, gr.Slider) else s.input for s in settings]


def _describe(result: Photograph) -> str:
    name, (width, height) = html.escape(result.path.name), result.size
    text = (
        f"<b>{name}</b>, {width:,} &times; {height:,} pixels, in {result.seconds:.1f} s. "
        f"The model saw {result.render_size} pixels of the shorter side."
    )
    return f"<p>{text}</p>" + _remarks(result.notes)


def _remarks(notes: list[str]) -> str:
    return "".join(f"<p>{html.escape(note)}</p>" for note in notes)


def _problem(text: object) -> str:
    return f'<div class="problem" role="alert">{html.escape(str(text))}</div>'


def _copy_examples(folder: Path) -> list[tuple[Path, str]]:
    """Copies the photographs that lie in scikit-image's wheel to where Gradio may serve them."""
    import skimage.data

    wheel, place = Path(skimage.data.__file__).parent, folder / "examples"
    place.mkdir(exist_ok=True)
    examples = []
    for name, caption in _EXAMPLES.items():
        if (wheel / name).is_file():
            examples.append((Path(shutil.copy(wheel / name, place)), caption))
    return examples
