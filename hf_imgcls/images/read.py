"""Which files are images, and how they are read: in training and scoring exactly as `pipeline` reads them."""

import contextlib
import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import PIL.Image
import transformers
from transformers.image_utils import load_image

from hf_imgcls.images.files import UnusableImage, naming_faults, open_file, read_bytes
from hf_imgcls.images.limits import Limits, allow_pixels, check_left, check_size, loses_depth
from hf_imgcls.words import one_line

# What `open_image` and `read_image` raise on a file that is no image or a damaged one. Found by damaging files of 28
# formats 300,000 times under Pillow 12: each plugin raises what its parser meets. A ReadError is none of them.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, RuntimeError, struct.error, zlib.error,
    PIL.Image.DecompressionBombError,
)  # fmt: skip
# Of those, what EXIF data cause that are written anew when the image is turned, although its pixels are sound.
_EXIF_ERRORS = (struct.error, ArithmeticError, LookupError, TypeError, ValueError)
# A file with one of these endings is an image by its name: if it cannot be read it is a bad one. Any other file is
# judged by its content, and skipped if that is not an image.
_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".mpo",
}  # fmt: skip
# How a phone's photo begins: its length, and the brand of what is in it.
_HEIC = re.compile(rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)


@contextlib.contextmanager
def _pillow_errors(path: str | None = None) -> Iterator[None]:
    """Some damaged files make Pillow (and nothing but it belongs inside) raise what would be a bug anywhere else."""
    try:
        with naming_faults(path):
            yield
    except (TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    except PIL.Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise UnusableImage(f"{pixels[0] if pixels else 'too many'} pixels, more than max_pixels allows") from None


def reader_version() -> str:
    """What the pixels of an image depend on beside its bytes; part of every cache key."""
    return f"pillow {PIL.__version__}, transformers {transformers.__version__}"


def open_image(value: dict, formats: Sequence[str] | None = None) -> PIL.Image.Image:
    """Open one row's image, as `datasets.Image(decode=False)` delivers it, without decoding it; raises UNREADABLE.

    Args:
        formats: those of Pillow that it may have; None: any.
    """
    source = open_file(value["path"]) if value["bytes"] is None else io.BytesIO(value["bytes"])
    try:
        with _pillow_errors(value["path"]):
            return PIL.Image.open(source, formats=formats)
    except PIL.UnidentifiedImageError:
        with source, naming_faults(value["path"]):
            source.seek(0)
            if _HEIC.match(source.read(12)):
                raise UnusableImage("HEIC, which neither Pillow nor pipeline reads; save it as JPEG") from None
        raise
    except BaseException:
        source.close()
        raise


def read_image(value: dict | PIL.Image.Image) -> PIL.Image.Image:
    """Read one row's image in full: first frame, EXIF orientation applied, converted to RGB. Raises UNREADABLE.

    The work is `transformers.image_utils.load_image`, the function that the pipeline itself calls, so the two
    cannot come apart. What its conversion loses (16-bit grey is clipped, the alpha channel dropped) is lost in serving
    too; the check of the images counts such images.
    """
    path = value["path"] if isinstance(value, dict) else None
    image = open_image(in_memory(value)) if isinstance(value, dict) else value
    with _pillow_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # palettes with transparency, corrupt EXIF: read all the same
        image.load()
        try:
            return load_image(image)
        except _EXIF_ERRORS as error:
            if "exif" not in image.info:
                raise
            raise UnusableImage(f"damaged EXIF data ({error}), with which pipeline fails too; remove them") from None


def in_memory(value: dict) -> dict:
    """A row's image with its bytes: what decoding then raises is about them, and never about the file."""
    return value if value["bytes"] is not None else {**value, "bytes": read_bytes(value["path"])}


def read_usable(value: dict, limits: Limits) -> PIL.Image.Image:
    """Read one row's image in full where it is within the limits and something is left of it; raises UNREADABLE."""
    value = in_memory(value)
    opened = open_usable(value, limits)
    rgb = read_image(value)
    check_left(opened, rgb)
    return rgb


def open_usable(value: dict, limits: Limits) -> PIL.Image.Image:
    """Open one row's image without decoding it where its size is within the limits; raises UNREADABLE."""
    allow_pixels(limits)
    image = open_image(value)
    check_size(image.size, limits)
    return image


def may_lose_all(image: PIL.Image.Image) -> bool:
    """Whether something may be left of an opened image or not, which `read_usable` finds out."""
    return loses_depth(image) or image.has_transparency_data


def why_unreadable(error: Exception) -> str:
    """What Pillow says about an image, in a line."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not an image, or its header is broken"
    if isinstance(error, UnusableImage):
        return one_line(str(error))
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(f"{type(error).__name__}: {text}").removesuffix(":")


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


def has_image_name(path: str) -> bool:
    return path[path.rfind(".") :].lower() in _SUFFIXES  # a tenth of the time of os.path.splitext


def is_image_file(path: str) -> bool:
    """Whether a file is an image by its name, or else by what Pillow makes of its header."""
    if has_image_name(path):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_image({"bytes": None, "path": path}).close()
    except UNREADABLE:
        return False
    return True
