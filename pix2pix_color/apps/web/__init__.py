"""The web page `pix2pix-color demo`: colorizes photographs in a browser, without a network.

`photographs` does the work and knows no page, `page` lays it out with Gradio, `server` serves
it. Gradio comes with the extra `[demo]` and is imported when the page starts.
"""

from .server import demo

__all__ = ["demo"]
