"""Class folders, or tables beside them: which of the two a folder's labels come from."""

import re
from pathlib import Path

from hf_imgcls.data.columns import find_columns, is_image
from hf_imgcls.data.datafiles import SourcePart, load_files
from hf_imgcls.data.folders import scan_folder
from hf_imgcls.data.rows import Entry
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed

# Words of folders that hold a table's images: `images` beside `masks`, `HAM10000_images_part_1` beside `_part_2`.
_PLACES = {
    "archive", "batch", "chunk", "dir", "file", "files", "folder", "image", "images", "img", "imgs", "jpeg", "jpg",
    "mask", "masks", "part", "photo", "photos", "picture", "pictures", "png", "raw", "shard", "thumbnail", "thumbnails",
}  # fmt: skip


def find_class_folders(path: Path, data: DataSection, tables: list[Path]):
    """The images of class folders per split, and notes; None where the labels are in the tables.

    Class folders win over tables of labels beside them, unless `data.label_column` names a column. Data files that
    hold the images themselves win.

    Raises:
        InputError: there is neither, or the recipe names columns of tables that there are not.
    """
    if tables and data.label_column:
        return None
    try:
        found, notes = scan_folder(path)
    except InputError:
        if tables:
            return None
        raise
    if tables and not _are_classes(found):
        return None
    shown, parts = [], []
    for table in tables:
        part = _open_table(table)
        parts += [part] if part else []
        shown.append(f"{table.relative_to(path)}{_columns_of(part)}")
    if any(_holds_images(part, data) for part in parts):
        return None
    if not data.group_column:
        _refuse_columns(path, data, shown)
    beside = f"not read: {listed(shown)}; data.label_column chooses a column" if shown else ""
    beside = "" if data.group_column else beside
    return found, [*notes, *([beside] if beside else [])]


def _are_classes(found: dict[str, list[Entry]]) -> bool:
    """Whether folders beside a table are classes: two at least, and not all named as places of images or parts."""
    names = {entry.label for entries in found.values() for entry in entries}
    words = [re.findall(r"[^\W\d_]+", name.lower()) for name in names]
    places = all(set(each) and _PLACES.issuperset(each) for each in words)
    parts = len(set(map(tuple, words))) == 1 and not _PLACES.isdisjoint(words[0])
    return len(names) > 1 and not places and not parts


def _open_table(table: Path) -> SourcePart | None:
    """A data file without its rows; None where it cannot be read."""
    try:
        return load_files([table], streaming=True)[0]
    except InputError:
        return None


def _columns_of(part: SourcePart | None) -> str:
    return f" ({listed(part.rows.features)})" if part else ""


def _holds_images(part: SourcePart, data: DataSection) -> bool:
    """Whether it is a dataset by itself: images, not paths of them, and labels."""
    try:
        image, _ = find_columns(part.rows.features, data, part.where, lambda column: False)
    except InputError:
        return False
    return is_image(part.rows.features[image])


def _refuse_columns(path: Path, data: DataSection, tables: list[str]) -> None:
    """The names of class folders are the labels: an InputError where the recipe names a column."""
    key = "label_column" if data.label_column else "image_column" if data.image_column else None
    named = getattr(data, key) if key else None
    if key and tables:
        raise InputError(
            f"data.{key}: the labels of {path} are the names of its folders; leave it out, or name a label column of "
            f"{listed(tables, 2)} as data.label_column"
        )
    if key:
        raise InputError(
            f"data.{key}: {path} has class folders, whose names are the labels, and no table with a column "
            f"{listed(named) if isinstance(named, list) else repr(named)} (metadata.csv); leave it out"
        )
