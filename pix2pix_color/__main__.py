"""Lets `python -m pix2pix_color` be the command `pix2pix-color`."""

import sys

from .apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
