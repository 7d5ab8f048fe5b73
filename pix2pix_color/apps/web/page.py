"""The layout of the page and the function behind its controls, in Gradio."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import gradio as gr
import skimage.data

from ...colorizer import Colorizer
from ...errors import PhotographError
from ...image_files import FORMATS
from ...model_folder import shipped_models
from .photographs import colorize_photograph

__all__ = ["build_page"]

_WHEEL = Path(skimage.data.__file__).parent
_EXAMPLES = ("camera.png", "chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "coins.png")
_HOUR = 3600
_QUEUE = 20  # requests that may wait


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
    first = load(str(model))

    def colorize(
        source: str | None,
        model: str,
        strength: float,
        vividness: float,
        render_size: int,
        previous: list[Path],
    ) -> tuple:
        # Each change of a setting makes a file. A download of the last but one may still be on.
        for path in previous[:-2]:
            shutil.rmtree(path.parent, ignore_errors=True)
        previous = previous[-2:]
        if source is None:
            return None, None, "", previous
        colorizer = load(model)
        if colorizer.vividness not in (None, vividness):
            colorizer = colorizer.at_vividness(vividness)
        settings = {"strength": strength, "render_size": render_size or None}
        pixels = max_megapixels * 1_000_000
        try:
            path, pair, text = colorize_photograph(source, colorizer, folder, pixels, **settings)
        except PhotographError as error:
            return None, None, str(error), previous
        return pair, str(path), text, [*previous, path]

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
                slider = gr.ImageSlider(
                    label="Before and after",
                    max_height=520,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="before-after",
                )
                message = gr.Textbox(label="Result", interactive=False, elem_id="message")
                download = gr.DownloadButton(
                    "Download the result", variant="primary", elem_id="download"
                )
        gr.Markdown(
            f"{', '.join(FORMATS).upper()} files of up to {max_megabytes} MB and "
            f"{max_megapixels} megapixels. Photographs are deleted after an hour and when the "
            "server stops, and never leave the server."
        )
        gr.on(
            [component.change for component in (source, *settings)],
            colorize,
            [source, *settings, previous],
            [slider, download, message, previous],
            api_name="colorize",
            trigger_mode="always_last",
            show_progress_on=slider,
        )
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
