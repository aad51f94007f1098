"""The reading rule: an image is read in training and scoring exactly as `pipeline` reads it when it serves."""

import io
import warnings

import PIL.Image
from transformers.image_utils import load_image


def open_image(value: dict) -> PIL.Image.Image:
    """Open one row's image without decoding it.

    Args:
        value: `{"bytes": ..., "path": ...}` as `datasets.Image(decode=False)` delivers it; bytes win.

    Raises:
        Whatever Pillow raises on a file that is no image: OSError, ValueError, DecompressionBombError, ...
    """
    data, path = value["bytes"], value["path"]
    return PIL.Image.open(path if data is None else io.BytesIO(data))


def read_image(value: dict | PIL.Image.Image) -> PIL.Image.Image:
    """Read one row's image in full: first frame, EXIF orientation applied, converted to RGB.

    The work is `transformers.image_utils.load_image`, the function that the pipeline itself calls, so the two
    cannot come apart. What its conversion spoils (16-bit grey is clipped, transparency dropped) is spoilt in
    serving too; `bad_images` counts such images.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # palettes with transparency, corrupt EXIF: read all the same
        return load_image(open_image(value) if isinstance(value, dict) else value)


def why_unreadable(error: Exception) -> str:
    """What Pillow says about an image, in a line."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not an image, or its header is broken"
    text = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".removesuffix(": ")
