"""Which files are images, and how they are read: in training and scoring exactly as `pipeline` reads them."""

import contextlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import PIL.Image
import transformers
from transformers.image_utils import load_image

# What `open_image` and `read_image` raise on a file that is no image or a damaged one. Found by damaging files of 28
# formats 300,000 times under Pillow 12: each plugin raises what its parser happens to meet. MemoryError is not one.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, RuntimeError, struct.error, zlib.error,
    PIL.Image.DecompressionBombError,
)  # fmt: skip
# A file with one of these endings is an image by its name: if it cannot be read it is a bad one. Any other file is
# judged by its content, and skipped if that is not an image.
_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".mpo",
}  # fmt: skip


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    """Some damaged files make Pillow (and nothing but it belongs inside) raise what would be a bug anywhere else."""
    try:
        yield
    except (TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def reader_version() -> str:
    """What the pixels of an image depend on beside its bytes; part of every cache key."""
    return f"pillow {PIL.__version__}, transformers {transformers.__version__}"


def open_image(value: dict) -> PIL.Image.Image:
    """Open one row's image, as `datasets.Image(decode=False)` delivers it, without decoding it; raises UNREADABLE."""
    source = value["path"] if value["bytes"] is None else io.BytesIO(value["bytes"])
    with _pillow_errors():
        return PIL.Image.open(source)


def read_image(value: dict | PIL.Image.Image) -> PIL.Image.Image:
    """Read one row's image in full: first frame, EXIF orientation applied, converted to RGB. Raises UNREADABLE.

    The work is `transformers.image_utils.load_image`, the function that the pipeline itself calls, so the two
    cannot come apart. What its conversion loses (16-bit grey is clipped, the alpha channel dropped) is lost in serving
    too; the check of the images counts such images.
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


class Listing(NamedTuple):
    """A folder and the names in it, each list sorted: the order in which a file system lists them is its own."""

    place: str
    folders: list[str]
    files: list[str]
    hidden: list[str]  # files and folders that are skipped: dotfiles, and what archives made on a Mac bring along


def list_folder(place: str) -> Listing:
    listing = Listing(place, [], [], [])
    with os.scandir(place) as items:
        for item in items:
            if item.name.startswith(".") or item.name == "__MACOSX":
                listing.hidden.append(item.name)
            else:  # `item.is_dir` raises on a link to itself, and does not ask the disk about a file
                is_folder = os.path.isdir(item.path) if item.is_symlink() else item.is_dir()
                (listing.folders if is_folder else listing.files).append(item.name)
    for names in listing[1:]:
        names.sort()
    return listing


def walk_folder(folder: str) -> Iterator[Listing]:
    """A folder and all folders below it; links are followed, each folder once, and none that leads back up."""
    home, waiting, seen = os.path.realpath(folder), [folder], set()
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if real in seen or home.startswith(os.path.join(real, "")):
            continue
        seen.add(real)
        listing = list_folder(place)
        yield listing
        waiting += [os.path.join(place, name) for name in reversed(listing.folders)]


def is_image_file(path: str) -> bool:
    """Whether a file is an image by its name, or else by what Pillow makes of its header."""
    if path[path.rfind(".") :].lower() in _SUFFIXES:  # a tenth of the time of os.path.splitext
        return True
    if not os.path.isfile(path):  # a pipe or a device would be waited for
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_image({"bytes": None, "path": path}).close()
    except UNREADABLE:
        return False
    return True
