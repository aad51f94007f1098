"""Small copies of images inside a page, and galleries of them."""

import base64
import io
import warnings
from collections.abc import Iterable
from typing import Any

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.errors import ReadError
from hf_imgcls.images import UNREADABLE, decode_reduced, in_memory, open_image, read_image
from hf_imgcls.reports.html.markup import Markup, tag

SIDE = 200  # pixels of the longer side, at most
_AS_JPEG = {"format": "JPEG", "quality": 80}  # some 7 KB of a photo, 30 KB of noise


def data_uri(value: dict) -> str | None:
    """A row's image, as `datasets.Image(decode=False)` delivers it, in small; None where it cannot be read any more."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            image = open_image(in_memory(value))
            if isinstance(image, JpegImageFile):
                decode_reduced(image, max(image.size) // SIDE)
            image = read_image(image)
    except (*UNREADABLE, ReadError):  # gone, or replaced by something else, while the run went on
        return None
    return as_uri(reduced(image))


def reduced(image: Image.Image, side: int = SIDE) -> Image.Image:
    """An image whose longer side has at most so many pixels."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BICUBIC)


def as_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, **_AS_JPEG)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def picture(uri: str | None, words: str, *lines: Any) -> Markup:
    """An image above lines about it; `words` is what those hear who do not see it."""
    shown = tag("img", src=uri, alt=words) if uri else tag("div", "cannot be read", class_="missing")
    return tag("figure", shown, tag("figcaption", [tag("div", line) for line in lines if line is not None]))


def gallery(pictures: Iterable[Markup]) -> Markup:
    return tag("div", list(pictures), class_="gallery")
