"""How TensorFlow Serving runs a shipped folder: the text that lies in it."""

from __future__ import annotations

import re

from .saved_model import MAX_PIXELS

__all__ = ["serving_guide"]


def serving_guide(name: str, multiple: int, *, dial: bool = False) -> str:
    """Returns the Markdown text that says how TensorFlow Serving runs a folder's SavedModel.

    Args:
        name: of the folder; the served model gets it too, in letters that a URL can hold.
        multiple: of which render sizes are multiples.
        dial: whether the model has one, from faithful to vivid.
    """
    safe = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)
    text = _GUIDE.replace("@NAME@", safe).replace("@SIZE@", str(multiple))
    return text.replace("@PIXELS@", f"{MAX_PIXELS:,}") + (_DIAL if dial else "")


_GUIDE = r"""# Serving `@NAME@` with TensorFlow Serving

From this folder:

```sh
docker run --rm -p 8501:8501 -e MODEL_NAME=@NAME@ \
  --mount type=bind,source="$PWD/saved_model",target=/models/@NAME@/1 tensorflow/serving
```

An image file (PNG, JPEG, BMP, GIF or WebP, any size) in, a PNG file out:

```sh
printf '{"signature_name": "from_bytes", "instances": [{"b64": "%s"}]}' \
  "$(base64 < gray.png | tr -d '\n')" |
  curl --silent --show-error --data @- http://localhost:8501/v1/models/@NAME@:predict |
  python3 -c 'import base64, json, sys; answer = json.load(sys.stdin)
sys.stdout.buffer.write(base64.b64decode(answer["predictions"][0]["b64"]))' > color.png
```

Many images go into one request; the answer is `{"predictions": [{"b64": "..."}, ...]}`, in their
order. By columns they are asked for as follows and answered by `{"outputs": [{"b64": "..."}, ...]}`:

```json
{"signature_name": "from_bytes",
 "inputs": {"image_bytes": [{"b64": "..."}, {"b64": "..."}]}}
```

Pixels, uint8, gray or RGB, images of one size, with a render size and a strength:

```json
{"signature_name": "colorize",
 "inputs": {"images": [[[[30], [90]], [[150], [210]]]], "render_size": @SIZE@, "strength": 0.8}}
```

| signature | in | out |
| --- | --- | --- |
| `serving_default` | `images` | `rgb` |
| `colorize` | `images`, `render_size` (shorter side of what the network sees, a multiple of @SIZE@), `strength` (0 gray, 1 the model's colors) | `rgb` |
| `from_bytes` | `image_bytes` | `png_bytes` |
| `chroma` | `lightness`, 0-100, sides multiples of @SIZE@ | `chroma`, (a, b) / 128 |

`from_bytes` keeps the transparency of a PNG. It ignores EXIF orientation, takes 8-bit BMP as gray,
and refuses images of more than @PIXELS@ pixels; a pixel takes about 100 bytes of memory while it
is colored. An image that cannot be read fails its whole request, and the answer says why.
"""  # noqa: E501  a Markdown row is one line

_DIAL = """
`colorize` and `chroma` also take `vividness`, from 0, the most faithful colors, to 1, the most
believable ones.
"""
