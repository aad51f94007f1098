"""Class folders on disk, with or without split folders, as lists of image files."""

import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

from hf_imgcls.data.formats import packed
from hf_imgcls.data.rows import Entry, entry
from hf_imgcls.errors import InputError
from hf_imgcls.images import Listing, is_image_file, list_folder, walk_folder
from hf_imgcls.store import RECIPE, SPLITS, raise_denied
from hf_imgcls.words import listed, plural

USUAL_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
SPLIT_NAMES = {name: split for split, names in USUAL_NAMES.items() for name in names}
_FILLERS = {"", "set", "data", "dataset", "image", "images", "split"}


class Skipped:
    """The names that a scan skips, for a note on each kind."""

    def __init__(self):
        self.hidden, self.stray, self.loose, self.empty, self.runs, self.merged = [], [], [], [], [], []

    def notes(self) -> list[str]:
        counted = [
            (self.hidden, plural(len(self.hidden), "hidden file")),
            (self.stray, plural(len(self.stray), "non-image file")),
            (self.loose, f"{plural(len(self.loose), 'image')} outside class folders"),
            (self.empty, f"{plural(len(self.empty), 'class folder')} without images"),
            (self.runs, plural(len(self.runs), "training run")),
        ]
        notes = [f"skipped {what}: {listed(sorted(names))}" for names, what in counted if names]
        one = "folders whose names differ by Unicode form alone are one class"
        return [*notes, f"{one}: {listed(self.merged)}"] if self.merged else notes

    def add_files(self, listing: Listing, shown: str) -> None:
        """Files that lie in no class folder."""
        self.hidden += [shown + name for name in listing.hidden]
        for name in listing.files:
            is_image = is_image_file(os.path.join(listing.place, name))
            (self.loose if is_image else self.stray).append(shown + name)


def split_of(folder: str) -> str | None:
    """The split that a folder is named for: `train`, `Val`, `training_set`, `test-images`, `train2017`."""
    words = [word for word in re.split(r"[\W\d_]+", folder.lower()) if word not in _FILLERS]
    return SPLIT_NAMES.get(words[0]) if len(words) == 1 else None


def scan_folder(root: Path) -> tuple[dict[str, list[Entry]], list[str]]:
    """The images of class folders, or of split folders (train, validation, test, usual spellings) of them.

    They come per split, sorted by class and name, labelled with the class folder they are somewhere under (Unicode
    NFC), and with what was skipped, in words.

    Raises:
        InputError: no classes, classes a level further down, or split folders and class folders side by side.
    """
    skipped = Skipped()
    try:
        return _scan(os.path.abspath(root), skipped), skipped.notes()
    except OSError as error:
        raise_denied(error)
        raise InputError(f"data.path: {error.filename} cannot be read: {error.strerror}") from None


def _scan(place: str, skipped: Skipped) -> dict[str, list[Entry]]:
    listing = list_folder(place)
    if _is_run(listing):
        raise InputError(f"data.path: {place} is the folder of a training run; name the folder of the images")
    splits = {name: split_of(name) for name in listing.folders if split_of(name)}
    if not splits:
        entries = _scan_classes(listing, "", skipped)
        _check_depth(listing, entries)
        return {"train": entries}
    _check_splits(place, splits, listing.folders, skipped)
    skipped.add_files(listing, "")
    found = {}
    for name, split in splits.items():
        inner = os.path.join(place, name)
        below = list_folder(inner)
        entries = _scan_classes(below, f"{name}/", skipped)
        if entries:
            found[split] = entries
        elif split == "train":
            raise InputError(f"{inner}: {_NO_CLASSES}{packed(below.files)}")
        else:
            skipped.empty.append(f"{name}/")
    return found


_NO_CLASSES = "no class folders with images in it; expected one folder per class"


def _check_splits(place: str, splits: dict[str, str], folders: list[str], skipped: Skipped) -> None:
    beside = Skipped()
    for name in folders:
        if name not in splits and _images(os.path.join(place, name), name, "", beside):
            raise InputError(
                f"{place}: the folder {name!r} with images lies beside the split folder {min(splits)!r}; "
                f"put it into a split folder, or take it out of here; if {min(splits)!r} is a class, rename that folder"
            )
    skipped.runs += beside.runs
    doubled = sorted(name for name in splits if list(splits.values()).count(splits[name]) > 1)
    if doubled:
        raise InputError(f"{place}: the folders {' and '.join(map(repr, doubled))} are the same split; keep one")


def _check_depth(listing: Listing, entries: list[Entry]) -> None:
    """No images, or `PetImages/Cat` and `PetImages/Dog`: classes of a folder that was not named."""
    if not entries:
        raise InputError(f"{listing.place}: {_NO_CLASSES}{packed(listing.files)}")
    only = entries[0].name.split("/")[0]
    if all(e.name.startswith(f"{only}/") and e.name.count("/") > 1 for e in entries):
        raise InputError(
            f"{listing.place}: only one class folder, {only!r}, with all images further down; "
            f"is data.path={os.path.join(listing.place, only)} meant?"
        )


def _scan_classes(listing: Listing, shown: str, skipped: Skipped) -> list[Entry]:
    """Entries of a folder of class folders, sorted by class and name; `shown` is where it lies in the data's root."""
    entries = []
    for name in listing.folders:
        if split_of(name):
            raise InputError(
                f"{listing.place}: holds a folder {name!r}, which is the name of a split and no class; "
                f"is data.path={listing.place} meant, or another name for the class?"
            )
        images = _images(os.path.join(listing.place, name), name, shown, skipped)
        if not images and f"{shown}{name}/" not in skipped.runs:
            skipped.empty.append(f"{shown}{name}/")
        entries += images
    skipped.add_files(listing, shown)
    labels = Counter(unicodedata.normalize("NFC", name) for name in listing.folders)
    skipped.merged += [f"{shown}{label}" for label, count in labels.items() if count > 1]
    return sorted(entries, key=lambda e: (e.label, e.name))


def _is_run(listing: Listing) -> bool:
    """Whether a folder is one that training left: its plots are no images to train on."""
    return RECIPE in listing.files and SPLITS in listing.files


def _images(folder: str, name: str, shown: str, skipped: Skipped) -> list[Entry]:
    """All images under a class folder of this name."""
    entries, label = [], unicodedata.normalize("NFC", name)
    for listing in walk_folder(folder):
        place, folders, files, hidden = listing
        # Strings are joined by hand: os.path.join takes longer than all else here.
        inside = f"{shown}{name}{place[len(folder) :]}/"
        if _is_run(listing):
            skipped.runs.append(inside)
            folders.clear()  # which are not walked through then
            continue
        skipped.hidden += [inside + file for file in hidden]
        for file in files:
            path = f"{place}{os.sep}{file}"
            if is_image_file(path):
                entries.append(entry(path, inside + file, label))
            else:
                skipped.stray.append(inside + file)
    return entries
