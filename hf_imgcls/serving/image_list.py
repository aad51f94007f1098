"""The images to predict, from files, folders, patterns, URLs or standard input; and reading one of them."""

import contextlib
import glob
import hashlib
import http.client
import itertools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import PIL.Image

from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, Limits, has_image_name, is_image_file, read_usable, walk_folder
from hf_imgcls.serving.urls import SCHEMES, read_address, read_url
from hf_imgcls.store import is_address, list_stored, look_up, raise_denied
from hf_imgcls.words import escaped, without_secrets

# What `read_source` raises on a bad image or address.
READ_ERRORS = (*UNREADABLE, http.client.HTTPException)
_DEFAULTS = Limits()
_ESCAPE = re.compile(r"\\([tnr]|x[0-9a-f]{2}|u[0-9a-f]{4})")  # as `escaped` writes it


def find_images(words: Iterable[str]) -> Iterator[str]:
    """The names of the images that command-line arguments stand for, one at a time.

    In the order of the arguments; for a folder first its files, then its folders, sorted by name; for a pattern its
    matches, sorted; for standard input (`-`) its lines. Folders are searched as in training: hidden files, and files
    that are images neither by name nor by content, are skipped. A file named explicitly is never skipped.
    """
    for word in words:
        if word == "-":
            yield from _at_least_one(_from_lines(sys.stdin.buffer), "-: the list on standard input is empty")
        elif word.startswith(SCHEMES) or os.path.isfile(word):
            yield _normalize(word)
        elif is_address(word):
            yield from _at_address(word)
        elif os.path.isdir(word):
            yield from _at_least_one(_in_folder(word), f"{word}: no images in this folder, nor in those below it")
        elif os.path.exists(word):
            raise InputError(f"{word}: neither a file nor a folder")
        elif glob.has_magic(word):
            yield from _at_least_one(_matches(word), f"{word}: no image matches this pattern (in {Path.cwd()})")
        else:
            raise InputError(f"{word}: no such file or folder (looked in {Path.cwd()})")


def read_source(name: str, limits: Limits = _DEFAULTS) -> PIL.Image.Image:
    """An image of a file or a URL, read as `pipeline` reads it.

    Raises one of READ_ERRORS, or a ReadError where the machine cannot read it at present.
    """
    return read_usable(image_value(name), limits)


def image_value(name: str) -> dict:
    """A file or the content of an address as `datasets.Image(decode=False)` has it; raises what `read_source` does."""
    if name.startswith(SCHEMES):
        return {"bytes": read_url(name), "path": name}
    return {"bytes": read_address(name) if is_address(name) else None, "path": name}


class ListSize(NamedTuple):
    """Images to predict, images skipped because they are done, characters of the longest name."""

    to_do: int
    done: int
    longest: int


def write_list(names: Iterable[str], done: set[int], file: TextIO) -> ListSize:
    """Write the names whose `name_hash` is not done into a file, each once: a million need not fit in memory."""
    listed, skipped, longest = set(), set(), 0
    for name in names:
        hashed = name_hash(display_name(name))
        if hashed in done:
            skipped.add(hashed)
        elif hashed not in listed:
            listed.add(hashed)
            file.write(json.dumps(name) + "\n")
            longest = max(longest, len(display_name(name)))
    file.flush()
    return ListSize(len(listed), len(skipped), longest)


def read_list(file: Path | TextIO, process: int, processes: int) -> Iterator[str]:
    """The names for one process: every n-th of the list, of n processes."""
    with file.open(encoding="ascii") if isinstance(file, Path) else contextlib.nullcontext(file) as lines:
        lines.seek(0)
        yield from map(json.loads, itertools.islice(lines, process, None, processes))


def display_name(name: str) -> str:
    """A name as it is written to the output: one line, control characters and bytes that are not UTF-8 escaped.

    No two names are written alike: one that looks as if something were escaped in it has its backslashes doubled, and
    a password or signature in an address is a hash of the name, of 6 digits.
    """
    if (shown := without_secrets(name)) != name:
        name = shown.replace("***", f"***{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:6]}")
    shown = escaped(name)
    if os.sep == "/" and (shown != name or _ESCAPE.search(name)):
        shown = escaped(name.replace("\\", "\\\\"))
    return shown


def name_hash(name: str) -> int:
    """64 bits of a name's hash: a quarter of its memory in a set."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _at_least_one(names: Iterator[str], error: str) -> Iterator[str]:
    first = next(names, None)
    if first is None:
        raise InputError(error)
    yield first
    yield from names


def _normalize(name: str) -> str:
    """`./photos//1.jpg` becomes `photos/1.jpg`, so that it is not predicted twice."""
    return name if is_address(name) else str(Path(name))


def _from_lines(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if os.path.isdir(name):
            yield from _in_folder(name)
        elif is_address(name) and name.endswith("/") and not name.startswith(SCHEMES):
            yield from _below(name)
        elif name:
            yield _normalize(name)


def _at_address(address: str) -> Iterator[str]:
    """The file at an address, or the images by name in the folder there and in those below it."""
    if look_up(address):
        yield address
        return
    yield from _at_least_one(
        _below(address), f"{without_secrets(address)}: no images there, nor in the folders below it"
    )


def _below(address: str) -> Iterator[str]:
    files, folders = list_stored(address)
    yield from (file.address for file in files if has_image_name(file.name))
    for name in folders:
        yield from _below(f"{address.rstrip('/')}/{name}")


def _matches(pattern: str) -> Iterator[str]:
    for name in sorted(glob.iglob(pattern, recursive=True)):
        if not os.path.isdir(name):
            if is_image_file(name) and "__MACOSX" not in Path(name).parts:
                yield _normalize(name)
        elif "**" not in pattern:  # which descends into folders by itself
            yield from _in_folder(name)


def _in_folder(folder: str) -> Iterator[str]:
    """All images under a folder."""
    try:
        for place, _, files, _ in walk_folder(folder):
            paths = (os.path.join(place, name) for name in files)
            yield from map(_normalize, filter(is_image_file, paths))
    except OSError as error:
        raise_denied(error)
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
