"""What is to be predicted: files, folders, patterns, addresses, a list on standard input; and reading one of them."""

import glob
import hashlib
import json
import os
import string
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import PIL.Image

from hf_imgcls.errors import InputError
from hf_imgcls.images import is_image_file, read_image, walk_folder, why_unreadable

_ADDRESS = ("http://", "https://")
_PATIENCE = 30  # seconds that a server may be silent
_LARGEST = 200_000_000  # bytes of an image from an address: what has no end must not fill the memory


def find_images(words: Iterable[str]) -> Iterator[str]:
    """The names of the images that a command line asks for, one after the other, never all at once.

    In the order of the words; of a folder first its files, then its folders, each sorted by name; of a pattern its
    matches, sorted; of a list on standard input (`-`) its lines. Folders are searched as in training: hidden files
    are passed over, and so is what is no image by name or by content. What is named itself is never passed over.

    Raises:
        InputError: there is no such file or folder, or nothing was found under a word.
    """
    for word in words:
        if word == "-":
            yield from _at_least_one(_listed(sys.stdin.buffer), "-: the list on standard input is empty")
        elif word.startswith(_ADDRESS) or os.path.isfile(word):
            yield _tidy(word)
        elif os.path.isdir(word):
            yield from _at_least_one(_in_folder(word), f"{word}: no images in this folder, nor in those below it")
        elif glob.has_magic(word):
            yield from _at_least_one(_matches(word), f"{word}: no image matches this pattern (in {Path.cwd()})")
        else:
            raise InputError(f"{word}: no such file or folder (looked in {Path.cwd()})")


def read_source(name: str) -> PIL.Image.Image:
    """An image of a file or an address, read as `pipeline` reads it.

    Raises:
        Whatever Pillow or the network raises: FileNotFoundError, OSError, ValueError, ...
    """
    if not name.startswith(_ADDRESS):
        if not os.path.isfile(name):  # a pipe or a device would be waited for
            raise FileNotFoundError(name)
        return read_image({"bytes": None, "path": name})
    # The default agent is turned away by many servers.
    request = urllib.request.Request(urllib.parse.quote(name, safe=string.punctuation), headers={"User-Agent": _AGENT})
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
        data = answer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST // 1_000_000} MB")
    return read_image({"bytes": data, "path": None})


_AGENT = "Mozilla/5.0 (compatible; hf-imgcls)"


def describe_read_error(error: Exception) -> str:
    """Why an image could not be read, in a line."""
    return "no such file" if isinstance(error, FileNotFoundError) else why_unreadable(error)


class Listed(NamedTuple):
    """How many images there are to do, how many of those asked for are done, the longest name in characters."""

    to_do: int
    done: int
    longest: int


def write_list(names: Iterable[str], done: set[int], file: TextIO) -> Listed:
    """Write the names that are still to do into a file, each once; a million names do not lie in memory.

    Args:
        done: marks (see `mark`) of what needs not be done.
    """
    listed, skipped, longest = set(), set(), 0
    for name in names:
        sign = name_hash(display_name(name))
        if sign in done:
            skipped.add(sign)
        elif sign not in listed:
            listed.add(sign)
            file.write(json.dumps(name) + "\n")
            longest = max(longest, len(display_name(name)))
    file.flush()
    return Listed(len(listed), len(skipped), longest)


def read_list(file: Path, process: int, processes: int) -> Iterator[str]:
    """One process's share of a list: every so manieth name."""
    with file.open(encoding="ascii") as lines:
        for number, line in enumerate(lines):
            if number % processes == process:
                yield json.loads(line)


def display_name(name: str) -> str:
    """A name as it is written: in one line, and text even where it is no UTF-8 (then with escapes)."""
    name = name.encode("utf-8", "backslashreplace").decode()
    return name.replace("\n", "\\n").replace("\r", "\\r")


def name_hash(name: str) -> int:
    """A name as a number of 64 bits, which takes a quarter of the memory."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _at_least_one(names: Iterator[str], otherwise: str) -> Iterator[str]:
    first = next(names, None)
    if first is None:
        raise InputError(otherwise)
    yield first
    yield from names


def _tidy(name: str) -> str:
    """./photos//1.jpg is photos/1.jpg, so that neither is done twice."""
    return name if name.startswith(_ADDRESS) else str(Path(name))


def _listed(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if os.path.isdir(name):
            yield from _in_folder(name)
        elif name:
            yield _tidy(name)


def _matches(pattern: str) -> Iterator[str]:
    for name in sorted(glob.iglob(pattern, recursive=True)):
        if not os.path.isdir(name):
            if is_image_file(name) and "__MACOSX" not in Path(name).parts:
                yield _tidy(name)
        elif "**" not in pattern:  # which finds what is in folders by itself
            yield from _in_folder(name)


def _in_folder(folder: str) -> Iterator[str]:
    """All images under a folder."""
    try:
        for place, _, files, _ in walk_folder(folder):
            paths = (os.path.join(place, name) for name in files)
            yield from map(_tidy, filter(is_image_file, paths))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
