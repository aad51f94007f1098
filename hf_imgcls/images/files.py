"""Which files are images, and the walk through a folder that finds them: the same in training and in prediction."""

import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from hf_imgcls.images.read import UNREADABLE, open_image

# A file with one of these endings is an image by its name: if it cannot be read it is a bad one. Any other file is
# judged by its content, and skipped if that is not an image.
_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".mpo",
}  # fmt: skip


class Listing(NamedTuple):
    """A folder and the names in it, each list sorted: the order in which a file system lists them is its own."""

    place: str
    folders: list[str]
    files: list[str]
    hidden: list[str]  # files and folders that are skipped: dotfiles, and what archives made on a Mac bring along


def list_folder(place: str) -> Listing:
    """The names in a folder.

    Raises:
        OSError: it cannot be read.
    """
    listing = Listing(place, [], [], [])
    with os.scandir(place) as items:
        for item in items:
            if item.name.startswith(".") or item.name == "__MACOSX":
                listing.hidden.append(item.name)
            else:
                (listing.folders if _is_folder(item) else listing.files).append(item.name)
    for names in listing[1:]:
        names.sort()
    return listing


def walk_folder(folder: str) -> Iterator[Listing]:
    """A folder and all folders below it; links are followed, each folder once, and none that leads back up.

    Raises:
        OSError: one of them cannot be read.
    """
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


def _is_folder(item: os.DirEntry) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False
