"""The layout of the page and the function behind its controls, in Gradio."""

from __future__ import annotations

import functools
import os
import re
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import skimage.data

from ...colorizer import Colorizer
from ...errors import ColorizerError, ImageFileError, PhotographError
from ...hints import Hints, PreparedImage
from ...image_files import FORMATS
from ...model_folder import shipped_models
from .photographs import colorize_photograph, marked, open_photograph

__all__ = ["build_page"]

_WHEEL = Path(skimage.data.__file__).parent
_EXAMPLES = ("camera.png", "chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "coins.png")
_HOUR = 3600
_QUEUE = 20  # requests that may wait
_OPEN = 4  # photographs that stay in memory, encoded, for their next hint

Given = tuple[str | None, Hints]
"""A visitor's hints, and the photograph that they are for."""


def build_page(
    model: str | Path, folder: Path, max_megabytes: int = 50, max_megapixels: int = 50
) -> gr.Blocks:
    """Returns the page, ready to be launched.

    Args:
        model: name or path of the model that is chosen at first, beside the shipped ones.
        folder: for results; it must be Gradio's folder for temporary files.
        max_megabytes: stated on the page; the server refuses larger files.
        max_megapixels: larger photographs are refused.

    Raises:
        ModelError, ChecksumError: the model cannot be loaded.
    """
    load = functools.cache(Colorizer.load)
    first, pixels = load(str(model)), max_megapixels * 1_000_000

    def tuned(model: str, vividness: float) -> Colorizer:
        colorizer = load(model)
        if colorizer.vividness in (None, vividness):
            return colorizer
        return colorizer.at_vividness(vividness)

    @functools.lru_cache(_OPEN)
    def opened(
        source: str, model: str, vividness: float, render_size: int
    ) -> tuple[PreparedImage, np.ndarray]:
        return open_photograph(source, tuned(model, vividness), pixels, render_size or None)

    def show(source: str | None, *settings: Any) -> tuple:
        """Colors the preview on which hints are given, long before the file is made."""
        model, strength, vividness, render_size, given = settings
        if source is None or not load(model).takes_hints:
            return None, None
        hints = _hints_of(given, source)
        try:
            prepared, preview = opened(source, model, vividness, render_size)
            rgb = prepared.color(preview, hints, strength)
        except (ImageFileError, ColorizerError):  # which `colorize` will explain
            return None, None
        return marked(rgb, hints, prepared.size), None

    def add(
        source: str,
        model: str,
        vividness: float,
        render_size: int,
        color: str,
        given: Given,
        click: gr.SelectData,
    ) -> Given:
        prepared, preview = opened(source, model, vividness, render_size)
        (height, width), (x, y) = prepared.size, click.index
        x = (2 * int(x) + 1) * width // (2 * preview.shape[1])
        y = (2 * int(y) + 1) * height // (2 * preview.shape[0])
        points = _hints_of(given, source).points
        return source, Hints((*points, (x, y, _hexadecimal(color))), (width, height))

    def undo(source: str, given: Given) -> Given:
        hints = _hints_of(given, source)
        return source, Hints(hints.points[:-1], hints.size)

    def read(file: str, given: Given, source: str | None, *settings: Any) -> tuple:
        try:
            hints = Hints.read(file)
            if source is not None:
                prepared, _ = opened(source, *settings)
                hints.grid(*prepared.size, prepared.lightness.shape[:2])
        except (ImageFileError, ColorizerError) as error:
            return given, str(error).replace(f"{Path(file).parent}{os.sep}", "")
        return (source, hints), gr.skip()

    def colorize(
        source: str | None,
        model: str,
        strength: float,
        vividness: float,
        render_size: int,
        given: Given,
        previous: list[Path],
    ) -> tuple:
        # Each change of a setting makes a file. A download of the last but one may still be on.
        for path in previous[:-2]:
            shutil.rmtree(path.parent, ignore_errors=True)
        previous = previous[-2:]
        if source is None:
            return None, None, "", None, previous
        colorizer = tuned(model, vividness)
        hints = _hints_of(given, source) if colorizer.takes_hints else Hints()
        settings = {"strength": strength, "render_size": render_size or None, "hints": hints}
        try:
            path, pair, text = colorize_photograph(source, colorizer, folder, pixels, **settings)
        except PhotographError as error:
            return None, None, str(error), None, previous
        saved = None
        if hints.points:
            saved = path.with_name(f"{Path(source).stem}-hints.json")
            saved.write_text(hints.to_json())
        return pair, str(path), text, saved, [*previous, path]

    gr.set_static_paths(_WHEEL)
    with gr.Blocks(
        title="pix2pix-color",
        fill_width=True,
        delete_cache=(_HOUR // 6, _HOUR),  # checked every ten minutes
    ) as page:
        gr.Markdown(
            "# Colorize black-and-white photographs\n"
            "A pix2pix GAN predicts plausible colors. The luminance and the size of your "
            "photograph stay as they are."
        )
        settings = _add_settings(first)
        previous = gr.State([])  # paths of a visitor's results
        given = gr.State((None, Hints()))
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                # Any file is accepted, since its content decides whether it is a photograph.
                source = gr.File(label="Drop or choose", height=190, elem_id="photograph")
                examples = gr.Dataset(
                    label="Examples",
                    components=["image"],
                    samples=[[str(_WHEEL / name)] for name in _EXAMPLES],
                    elem_id="examples",
                )
            with gr.Column(scale=5, min_width=400):
                with gr.Tabs():
                    with gr.Tab("Before and after"):
                        slider = gr.ImageSlider(
                            show_label=False,
                            max_height=520,
                            interactive=False,
                            buttons=["fullscreen"],
                            elem_id="before-after",
                        )
                    with gr.Tab("Color hints", visible=first.takes_hints) as tab:
                        picture, color, *buttons = _add_hints()
                message = gr.Textbox(label="Result", interactive=False, elem_id="message")
                download = gr.DownloadButton(
                    "Download the result", variant="primary", elem_id="download"
                )
        gr.Markdown(
            f"{', '.join(FORMATS).upper()} files of up to {max_megabytes} MB and "
            f"{max_megapixels} megapixels. Photographs are deleted after an hour and when the "
            "server stops, and never leave the server."
        )
        undo_button, clear_button, save_button, load_button = buttons
        private = {"api_visibility": "private", "show_progress": "hidden"}
        gr.on(
            [component.change for component in (source, *settings, given)],
            show,
            [source, *settings, given],
            [picture, download],
            trigger_mode="always_last",
            **private,
        ).then(
            colorize,
            [source, *settings, given, previous],
            [slider, download, message, save_button, previous],
            api_name="colorize",
            trigger_mode="always_last",
            show_progress_on=slider,
        )
        model, _, vividness, render_size = settings
        opens = [source, model, vividness, render_size]
        picture.select(add, [*opens, color, given], given, trigger_mode="multiple", **private)
        undo_button.click(undo, [source, given], given, trigger_mode="multiple", **private)
        clear_button.click(lambda: (None, Hints()), None, given, **private)
        load_button.upload(read, [load_button, given, *opens], [given, message], **private)
        model.change(lambda name: gr.Tab(visible=load(name).takes_hints), model, tab, **private)
        examples.click(lambda sample: sample[0], examples, source, api_visibility="private")
    # One request already uses all cores, and a second would double the memory.
    return page.queue(max_size=_QUEUE, default_concurrency_limit=1, api_open=False)


def _add_settings(model: Colorizer) -> list[gr.components.Component]:
    """Adds the settings and returns them: model, strength, vividness, render size."""
    names = dict.fromkeys([model.name, *shipped_models()])
    sizes = [model.multiple * times for times in (1, 2, 3, 4, 6, 8, 12, 16)]
    vividness = 1.0 if model.vividness is None else model.vividness
    with gr.Row(equal_height=True):
        return [
            gr.Dropdown(
                [(Path(name).name, name) for name in names],
                value=model.name,
                label="Model",
                elem_id="model",
            ),
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
        ]


def _add_hints() -> list[gr.components.Component]:
    """Adds the picture and the controls of hints: color, undo, clear, save, load."""
    with gr.Row(equal_height=True):
        color = gr.ColorPicker("#1f4fa0", label="Color", min_width=90, elem_id="hint-color")
        options = {"size": "md", "min_width": 90}
        controls = [
            gr.Button("Undo", elem_id="hint-undo", **options),
            gr.Button("Clear", elem_id="hint-clear", **options),
            gr.DownloadButton("Save hints", elem_id="hint-save", **options),
            gr.UploadButton("Load hints", file_types=[".json"], elem_id="hint-load", **options),
        ]
    picture = gr.Image(
        label="Choose a color and click where it belongs",
        format="jpeg",  # a tenth of the time of the others
        height=460,
        interactive=False,
        buttons=["fullscreen"],
        elem_id="hint-picture",
    )
    return [picture, color, *controls]


def _hints_of(given: Given, source: str) -> Hints:
    """Returns the hints for a photograph; those for another are void."""
    return given[1] if given[0] == source else Hints()


def _hexadecimal(color: str) -> str:
    """Returns a color of Gradio's picker, "rgba(31.2, 79, 160, 1)" or already "#1f4fa0"."""
    if not color.startswith("rgb"):
        return color
    parts = re.findall(r"[\d.]+", color)[:3]
    return "#" + "".join(f"{min(round(float(part)), 255):02x}" for part in parts)
