"""The web page of `pix2pix-color demo`, which colorizes a photograph in a browser.

`photographs` does the work without Gradio, `page` lays out the page, `server` serves it. Gradio
comes with the extra `[demo]`; importing this package does not load it.
"""

from .server import demo

__all__ = ["demo"]
