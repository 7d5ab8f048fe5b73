"""Grayscale image colorization with a pix2pix GAN, in TensorFlow and Keras.

`import pix2pix_color` is cheap: each name of `__init__.pyi` is imported when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
