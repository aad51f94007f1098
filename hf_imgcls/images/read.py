"""The reading rule: an image is read in training and scoring exactly as `pipeline` reads it when it serves."""

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator

import PIL.Image
import transformers
from transformers.image_utils import load_image

# What `open_image` and `read_image` raise on a file that is no image or a damaged one. Found by damaging files of 28
# formats 300,000 times under Pillow 12: each plugin raises what its parser happens to meet. MemoryError is not one.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, RuntimeError, struct.error, zlib.error,
    PIL.Image.DecompressionBombError,
)  # fmt: skip


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    """Some damaged files make Pillow itself raise what would be a bug anywhere else: as ValueError they are told apart.

    Only calls of Pillow and of transformers' reader belong inside.
    """
    try:
        yield
    except (TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def reader_version() -> str:
    """What the pixels of an image depend on beside its bytes; part of every cache key."""
    return f"pillow {PIL.__version__}, transformers {transformers.__version__}"


def open_image(value: dict) -> PIL.Image.Image:
    """Open one row's image without decoding it.

    Args:
        value: `{"bytes": ..., "path": ...}` as `datasets.Image(decode=False)` delivers it; bytes win.

    Raises:
        UNREADABLE: it is missing, no image, or its header is damaged.
    """
    source = value["path"] if value["bytes"] is None else io.BytesIO(value["bytes"])
    with _pillow_errors():
        return PIL.Image.open(source)


def read_image(value: dict | PIL.Image.Image) -> PIL.Image.Image:
    """Read one row's image in full: first frame, EXIF orientation applied, converted to RGB.

    The work is `transformers.image_utils.load_image`, the function that the pipeline itself calls, so the two
    cannot come apart. What its conversion loses (16-bit grey is clipped, the alpha channel dropped) is lost in serving
    too; the check of the images counts such images.

    Raises:
        UNREADABLE: it is missing, no image, or damaged.
    """
    image = open_image(value) if isinstance(value, dict) else value
    with _pillow_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # palettes with transparency, corrupt EXIF: read all the same
        return load_image(image)


def why_unreadable(error: Exception) -> str:
    """What Pillow says about an image, in a line."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not an image, or its header is broken"
    text = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".removesuffix(": ")
