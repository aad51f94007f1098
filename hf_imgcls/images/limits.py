"""Which images are refused although they can be decoded: too large, too long and narrow, or nothing left of them.

The one place that decides; the page of a Space (`serving/page.py`) and the handler of an Inference Endpoint
(`publishing/handler.py`), which run without this package, repeat the numbers and `check_left`.
"""

from typing import NamedTuple

import numpy as np
import PIL.Image

from hf_imgcls.images.files import UnusableImage

_SAMPLE = 1 << 20  # pixels that are looked at
_NOTHING = "white or black throughout as 8-bit RGB, which is how pipeline reads it"
_CLIPPED = 0.01  # fraction of the pixels; below it, clipping is that of an overexposed photo


class Limits(NamedTuple):
    """The largest image that is read.

    Attributes:
        max_pixels: a few KB can decode to gigabytes. The default is the number from which Pillow warns.
        max_aspect_ratio: longer side / shorter side. A processor that resizes the shorter side to 224 makes
            224 * 224 * ratio pixels, whatever the image had: 5 million at the default.
    """

    max_pixels: int = 89_478_485
    max_aspect_ratio: float = 100.0


def allow_pixels(limits: Limits) -> None:
    """Let Pillow open what the limits allow: by itself it refuses images of twice its MAX_IMAGE_PIXELS."""
    most = PIL.Image.MAX_IMAGE_PIXELS
    if most is not None and limits.max_pixels > 2 * most:
        PIL.Image.MAX_IMAGE_PIXELS = limits.max_pixels


def check_size(size: tuple[int, int], limits: Limits) -> None:
    """An UnusableImage where an image of this width and height exceeds a limit."""
    width, height = size
    if width * height > limits.max_pixels:
        raise UnusableImage(f"{width}x{height} pixels, more than max_pixels={limits.max_pixels}")
    if max(size) > limits.max_aspect_ratio * min(size):
        ratio = f"{max(size) / max(1, min(size)):,.0f}"
        raise UnusableImage(
            f"{width}x{height} pixels: one side is {ratio} times the other, more than "
            f"max_aspect_ratio={limits.max_aspect_ratio:g}"
        )


def loses_depth(image: PIL.Image.Image) -> bool:
    """Whether the conversion to RGB clips the image's values to 0 to 255."""
    return image.mode.startswith("I") or image.mode == "F"


def check_left(image: PIL.Image.Image, rgb: PIL.Image.Image) -> None:
    """An UnusableImage where the conversion to RGB left too little of an image: deep, or drawn in its alpha channel.

    A thousandth of the pixels may differ: a dead pixel of a sensor is no image.
    """
    if loses_depth(image):
        values = _sample(image)
        low, high = (f"{end:,.6g}" for end in (values.min(), values.max()))
        what = f"its values, {low} to {high}, are clipped to 0 to 255; scale them to 8 bits"
    elif image.has_transparency_data:
        values = _sample(image.convert("RGBA").getchannel("A"))
        what = "what it shows is in its alpha channel; put it on a background"
    else:
        return
    left = _sample(rgb)
    darkest, lightest = np.quantile(left, [0.001, 0.999])
    if (lightest <= 1 or darkest >= 254) and len(np.unique(values)) > len(np.unique(left)):
        raise UnusableImage(f"{_NOTHING}: {what}")
    clipped = np.mean((values < 0) | (values > 255))
    if clipped > _CLIPPED:
        raise UnusableImage(f"white or black in {100 * clipped:.0f} % of its pixels, as pipeline reads it: {what}")


def _sample(image: PIL.Image.Image) -> np.ndarray:
    """Values of an image, shape (pixels, bands), evenly spread; not a number counts as 0, as in the conversion."""
    values = np.asarray(image).reshape(image.width * image.height, -1)
    return np.nan_to_num(values[:: -(-len(values) // _SAMPLE)])
