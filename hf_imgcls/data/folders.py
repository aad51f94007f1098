"""Class folders on disk, with or without split folders, as lists of image files."""

import os
import re
import unicodedata
import warnings
from pathlib import Path

import PIL.Image

from hf_imgcls.data.index import Entry, entry
from hf_imgcls.errors import InputError
from hf_imgcls.images import IMAGE_SUFFIXES
from hf_imgcls.words import listed

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_File = tuple[str, str]  # its name and its path
_FILLERS = {"", "set", "data", "dataset", "image", "images", "split"}


class Passed:
    """What a scan has passed over, to be said in a line each."""

    def __init__(self):
        self.hidden, self.stray, self.loose, self.empty = [], [], [], []

    def notes(self) -> list[str]:
        told = [
            (self.hidden, "hidden"),
            (self.stray, "not images"),
            (self.loose, "outside class folders"),
            (self.empty, "without images in class folders"),
        ]
        return [f"passed over, {what} ({len(names)}): {listed(sorted(names))}" for names, what in told if names]


def split_of(folder: str) -> str | None:
    """The split that a folder is named for: `train`, `Val`, `training_set`, `test-images`, `train2017`."""
    words = [word for word in re.split(r"[\W\d_]+", folder.lower()) if word not in _FILLERS]
    return SPLIT_NAMES.get(words[0]) if len(words) == 1 else None


def scan_folder(root: Path) -> tuple[dict[str, list[Entry]], list[str]]:
    """Find the images of a folder of class folders.

    Args:
        root: holds class folders, or split folders (train, validation, test and their usual spellings) of them.
            Images in sub-folders belong to the class folder they are under.

    Returns:
        Entries per split, sorted by class and name, labelled with the class folder's name (Unicode NFC), and what
        was passed over, in words.

    Raises:
        InputError: no classes, classes a level further down, or split folders and class folders side by side.
    """
    passed, place = Passed(), os.path.abspath(root)
    folders, files = _list(place, "", passed)
    splits = {name: split_of(name) for name in folders if split_of(name)}
    if not splits:
        entries = _scan_classes(place, "", (folders, files), passed)
        _check_depth(place, entries)
        return {"train": entries}, passed.notes()
    _check_splits(place, splits, folders)
    _pass_files("", files, passed)
    found = {}
    for name, split in splits.items():
        inner = os.path.join(place, name)
        entries = _scan_classes(inner, f"{name}/", _list(inner, f"{name}/", passed), passed)
        if entries:
            found[split] = entries
        elif split == "train":
            raise InputError(f"{inner}: {_NO_CLASSES}")
        else:
            passed.empty.append(f"{name}/")
    return found, passed.notes()


_NO_CLASSES = "no class folders with images in it; expected one folder a class"


def _check_splits(place: str, splits: dict[str, str], folders: list[str]) -> None:
    for name in folders:
        if name not in splits and _images(os.path.join(place, name), f"{name}/", name, Passed()):
            raise InputError(
                f"{place}: the folder {name!r} with images lies beside the split folder {min(splits)!r}; "
                "put it into a split folder, or take it out of here"
            )
    doubled = sorted(name for name in splits if list(splits.values()).count(splits[name]) > 1)
    if doubled:
        raise InputError(f"{place}: the folders {' and '.join(map(repr, doubled))} are the same split; keep one")


def _check_depth(place: str, entries: list[Entry]) -> None:
    """No images, or `PetImages/Cat` and `PetImages/Dog`: classes of a folder that was not named."""
    if not entries:
        raise InputError(f"{place}: {_NO_CLASSES}")
    only = entries[0].name.split("/")[0]
    if all(e.name.startswith(f"{only}/") and e.name.count("/") > 1 for e in entries):
        raise InputError(
            f"{place}: only one class folder, {only!r}, with all images further down; "
            f"is data.path={os.path.join(place, only)} meant?"
        )


def _scan_classes(place: str, shown: str, listing: tuple[list[str], list[_File]], passed: Passed) -> list[Entry]:
    entries, (folders, files) = [], listing
    for name in folders:
        if split_of(name):
            raise InputError(
                f"{place}: holds a folder {name!r}, which is the name of a split and no class; "
                f"is data.path={place} meant, or another name for the class?"
            )
        label = unicodedata.normalize("NFC", name)
        images = _images(os.path.join(place, name), f"{shown}{name}/", label, passed)
        if not images:
            passed.empty.append(f"{shown}{name}/")
        entries += images
    _pass_files(shown, files, passed)
    return sorted(entries, key=lambda e: (e.label, e.name))


def _pass_files(shown: str, files: list[_File], passed: Passed) -> None:
    for name, path in files:
        (passed.loose if _is_image(path) else passed.stray).append(shown + name)


def _images(folder: str, shown: str, label: str, passed: Passed) -> list[Entry]:
    """All images under a class folder; links are followed, each folder once, and none that leads back up."""
    home = os.path.realpath(folder)
    entries, waiting, seen = [], [(folder, shown)], set()
    while waiting:
        place, shown = waiting.pop()
        real = os.path.realpath(place)
        if real in seen or home.startswith(os.path.join(real, "")):
            continue
        seen.add(real)
        folders, files = _list(place, shown, passed)
        waiting += [(os.path.join(place, name), f"{shown}{name}/") for name in reversed(folders)]
        for name, path in files:
            if name[name.rfind(".") :].lower() in IMAGE_SUFFIXES or _is_image(path):
                entries.append(entry(path, shown + name, label))
            else:
                passed.stray.append(shown + name)
    return entries


def _list(place: str, shown: str, passed: Passed) -> tuple[list[str], list[_File]]:
    """The folders, by name, and the files in a folder, sorted: the order of a listing is the file system's."""
    folders, files = [], []
    try:
        with os.scandir(place) as items:
            for item in items:
                if item.name.startswith(".") or item.name == "__MACOSX":
                    passed.hidden.append(shown + item.name)
                elif _is_folder(item):
                    folders.append(item.name)
                else:
                    files.append((item.name, item.path))
    except OSError as error:
        raise InputError(f"data.path: {place} cannot be read: {error.strerror}") from None
    return sorted(folders), sorted(files)


def _is_folder(item: os.DirEntry) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def _is_image(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PIL.Image.open(path).close()
        return True
    except Exception:  # Pillow's plugins raise what they like on a file that is not theirs
        return False
