"""Class folders on disk, with or without split folders, as lists of picture files."""

import os
import unicodedata
from pathlib import Path

import PIL.Image

from hf_imgcls.index import Entry, entry
from hf_imgcls.recipe import InputError

SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
# A file with one of these endings is a picture by its name: if it cannot be read it is a bad one. Any other file is
# judged by its content, and passed over if that is not a picture.
PICTURE_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".mpo",
}  # fmt: skip


class Passed:
    """What a scan has passed over, to be said in a line each."""

    def __init__(self):
        self.hidden, self.stray, self.loose, self.empty = [], [], [], []

    def notes(self) -> list[str]:
        told = [
            (self.hidden, "hidden"),
            (self.stray, "not pictures"),
            (self.loose, "outside class folders"),
            (self.empty, "empty class folders"),
        ]
        return [f"passed over, {what} ({len(names)}): {_some(names)}" for names, what in told if names]


def scan_folder(root: Path) -> tuple[dict[str, list[Entry]], list[str]]:
    """Find the pictures of a folder of class folders.

    Args:
        root: holds class folders, or split folders (train, validation, test and their usual spellings) of them.
            Pictures in sub-folders belong to the class folder they are under.

    Returns:
        Entries per split, sorted by class and name, labelled with the class folder's name (Unicode NFC), and what
        was passed over, in words.

    Raises:
        InputError: no classes, a single class, or split folders and class folders side by side.
    """
    passed = Passed()
    folders = _visible_folders(root, passed)
    splits = {name: SPLIT_FOLDERS[name.lower()] for name in folders if name.lower() in SPLIT_FOLDERS}
    if not splits:
        return {"train": _scan_classes(root, root, passed)}, passed.notes()
    for name in folders:
        if name not in splits and _pictures(root / name, root, name, Passed()):
            raise InputError(
                f"{root}: the folder {name!r} with pictures lies beside the split folder {min(splits)!r}; "
                "put it into a split folder, or take it out of here"
            )
    doubled = [name for name in splits if list(splits.values()).count(splits[name]) > 1]
    if doubled:
        raise InputError(f"{root}: the folders {' and '.join(map(repr, sorted(doubled)))} are the same split; keep one")
    _pass_loose(root, root, passed)
    found = {}
    for name, split in splits.items():
        if split != "train" and not _visible_folders(root / name, Passed()):
            passed.stray.append(f"{name}/ (no class folders in it)")
            continue
        found[split] = _scan_classes(root / name, root, passed)
    return found, passed.notes()


def _scan_classes(folder: Path, root: Path, passed: Passed) -> list[Entry]:
    entries, classes = [], set()
    for name in _visible_folders(folder, passed):
        label = unicodedata.normalize("NFC", name)
        if name.lower() in SPLIT_FOLDERS:
            raise InputError(f"{folder}: holds a folder {name!r}, which is the name of a split and no class")
        pictures = _pictures(folder / name, root, label, passed)
        if pictures:
            classes.add(label)
            entries += pictures
        else:
            passed.empty.append(_relative(folder / name, root))
    _pass_loose(folder, root, passed)
    if not classes:
        raise InputError(f"{folder}: no class folders with pictures in it; expected one folder a class")
    if len(classes) == 1 and folder == root:
        only = next(iter(classes))
        raise InputError(f"{folder}: only one class folder, {only!r}; is data.path={folder / only} meant?")
    return entries


def _pass_loose(folder: Path, root: Path, passed: Passed) -> None:
    with os.scandir(folder) as items:
        loose = [item.name for item in items if item.is_file() and not item.name.startswith(".")]
    for name in sorted(loose):
        (passed.loose if _is_picture(folder / name) else passed.stray).append(_relative(folder / name, root))


def _pictures(folder: Path, root: Path, label: str, passed: Passed) -> list[Entry]:
    """All pictures under a class folder, symbolic links followed once."""
    entries, waiting, seen = [], [str(folder)], set()
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(place) as items:
            for item in items:
                if item.name.startswith(".") or item.name == "__MACOSX":
                    passed.hidden.append(_relative(item.path, root))
                elif item.is_dir():
                    waiting.append(item.path)
                elif os.path.splitext(item.name)[1].lower() in PICTURE_SUFFIXES or _is_picture(item.path):
                    entries.append(entry(os.path.abspath(item.path), _relative(item.path, root), label))
                else:
                    passed.stray.append(_relative(item.path, root))
    return sorted(entries)


def _visible_folders(folder: Path, passed: Passed) -> list[str]:
    with os.scandir(folder) as items:
        folders = sorted(item.name for item in items if item.is_dir())
    hidden = [name for name in folders if name.startswith(".") or name == "__MACOSX"]
    passed.hidden += hidden
    return [name for name in folders if name not in hidden]


def _is_picture(path: str | Path) -> bool:
    try:
        with PIL.Image.open(path):
            return True
    except Exception:  # Pillow's plugins raise what they like on a file that is not theirs
        return False


def _relative(path: str | Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(sorted(names)[:most]) + (", ..." if len(names) > most else "")
