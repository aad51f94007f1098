"""Open whatever `data.path` names: one dataset per split, each with an image and a label column."""

import functools
import gc
import os
from pathlib import Path
from typing import NamedTuple

import datasets

from hf_imgcls.data.at_address import open_parts
from hf_imgcls.data.class_folders import find_class_folders
from hf_imgcls.data.columns import find_columns
from hf_imgcls.data.datafiles import (
    LOAD_ERRORS,
    Rows,
    SourcePart,
    chain,
    find_files,
    holds_paths,
    load_files,
    reason,
    split_files,
    with_features,
)  # fmt: skip
from hf_imgcls.data.formats import packed
from hf_imgcls.data.group_table import add_groups
from hf_imgcls.data.image_column import undecoded
from hf_imgcls.data.label_columns import merge_label_columns
from hf_imgcls.data.paths import path_columns
from hf_imgcls.data.prepare import load_prepared
from hf_imgcls.data.rows import load_entries
from hf_imgcls.data.split_column import note_split_column
from hf_imgcls.data.table_entries import by_split_folder, list_entries
from hf_imgcls.errors import InputError
from hf_imgcls.machine import use_hub
from hf_imgcls.recipe import DATA_FILES, DataSection, check_path
from hf_imgcls.store import is_address


class Source(NamedTuple):
    """Splits by name, each with the columns image and label (name where the images are files, group where one is
    named); notes; and what the labels are: `folder names`, `column "age" of metadata.csv`."""

    splits: dict[str, Rows]
    notes: list[str]
    labels: str


def open_source(data: DataSection) -> Source:
    """Open `data.path`: a file, a folder, or else a dataset on the Hub. An InputError says why that is not possible."""
    path = Path(data.path).expanduser()
    if is_address(data.path):
        parts, folder, notes = open_parts(data)
        source = _join(parts, folder, data, notes)
    elif path.is_file():
        if path.suffix.lower() not in DATA_FILES:
            hint = packed([path.name]) or f"; expected one of {', '.join(DATA_FILES)}, or a folder"
            raise InputError(f"data.path: {path} is no data file{hint}")
        source = _join({"train": load_files([path], data.streaming)}, path.parent, data, [])
    elif path.is_dir():
        source = _open_folder(path, data)
    else:
        check_path(data)
        source = _open_hub(data)
    if data.streaming:
        source = source._replace(splits={split: _stream(rows) for split, rows in source.splits.items()})
    return source._replace(notes=[f"labels: {source.labels}", *source.notes])


def _open_folder(path: Path, data: DataSection) -> Source:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _open_saved(path, data)
    files = find_files(path)
    if source := _open_classes(path, data, files):
        return source
    splits, notes = split_files(files, path)
    return _join({split: load_files(splits[split], data.streaming) for split in splits}, path, data, notes)


def _open_classes(path: Path, data: DataSection, tables: list[Path]) -> Source | None:
    collects = gc.isenabled()
    gc.disable()  # it would go through all that was ever imported, a third of the time for 25,000 files
    try:
        scanned = find_class_folders(path, data, tables)
        if scanned is None:
            return None
        found, notes = scanned
        if data.group_column:
            found, more = add_groups(found, path, data, tables)
            splits = {split: load_entries(entries, grouped=True) for split, entries in found.items()}
            return Source(splits, [*notes, more], "folder names")
        return Source({split: load_entries(entries) for split, entries in found.items()}, notes, "folder names")
    finally:
        if collects:
            gc.enable()


def _open_saved(path: Path, data: DataSection) -> Source:
    try:
        saved = datasets.load_from_disk(str(path))
    except (*LOAD_ERRORS, TypeError) as error:  # the latter where its JSON is of another form
        raise InputError(f"data.path: {path} cannot be read as a saved Dataset: {reason(error)}") from None
    splits = saved if isinstance(saved, datasets.DatasetDict) else {"train": saved}
    return _join({name: [SourcePart(rows, path, str(path))] for name, rows in splits.items()}, path, data, [])


def _open_hub(data: DataSection) -> Source:
    missing = "" if use_hub() else "; the network is missing, only what is cached can be used"
    try:
        source = {"path": data.path, "name": data.name, "revision": data.revision}
        loaded = datasets.load_dataset(**source, streaming=True) if data.streaming else load_prepared(None, **source)
        parts = {split: [SourcePart(with_features(rows), None, data.path)] for split, rows in loaded.items()}
    except LOAD_ERRORS as error:
        raise InputError(
            f"data.path: {data.path!r} is nothing in {Path.cwd()} and could not be loaded from the Hub: "
            f"{reason(error)}{missing}"
        ) from None
    return _join(parts, None, data, [])


def _join(parts: dict[str, list[SourcePart]], root: Path | None, data: DataSection, notes: list[str]) -> Source:
    """The parts of each split as one dataset, with the columns of train under the names `image`, `label`, `group`."""
    if isinstance(data.label_column, list):
        parts, data = merge_label_columns(parts, data)
    first, *others = sorted(parts, key=lambda name: name != "train")
    columns = _columns(parts[first][0], data)
    found: dict[str, list[Rows]] = {}
    for split in (first, *others):
        for part in parts[split]:
            own = columns
            missing = [name for name in columns if name and name not in part.rows.features]
            if missing and split == first:
                raise InputError(f"data.path: {part.where} has no column {missing[0]!r}, but other files of {split} do")
            if missing == [columns.group]:
                notes = [*notes, f"{split}: {part.where} has no column {missing[0]!r}: its groups are not known"]
                own = columns._replace(group=None)
            elif missing:  # such as the test.csv of a competition
                notes = [*notes, f"{split}: {part.where} has no column {missing[0]!r}; it is not scored"]
                continue
            for name, rows in _own_columns(part, own, root, alone=not others).items():
                found.setdefault(name or split, []).append(rows)
    splits = {split: chain(rows, f"data.path: the files of {split}") for split, rows in found.items()}
    where = _shown(parts[first][0], root)
    if len(splits) == 1:
        notes = [*notes, *note_split_column(parts[first][0], columns, where)]
    return Source(splits, notes, f'column "{columns.label}" of {where}')


def _shown(part: SourcePart, root: Path | None) -> str:
    """Where a part is, from the data's root on: the file, or the files."""
    inner = part.where.removeprefix(str(root)).lstrip("/\\ ") if root else part.where
    return inner or Path(part.where).name


class _Columns(NamedTuple):
    image: str
    label: str
    group: str | None


def _columns(part: SourcePart, data: DataSection) -> _Columns:
    if {"data", "model", "training"} <= part.rows.features.keys():
        raise InputError(f"data.path: {part.where} is a recipe, which hf-imgcls train takes; name its images")
    # They are read only where no column holds images.
    paths = functools.cache(lambda: path_columns(part))
    image, label = find_columns(part.rows.features, data, part.where, lambda column: column in paths())
    if part.base is not None and os.path.isfile(os.path.join(part.base, image)):
        raise InputError(f"data.path: {part.where} begins with an image, {image}; its first line must name the columns")
    return _Columns(image, label, data.group_column)


def _own_columns(part: SourcePart, columns: _Columns, root: Path | None, alone: bool) -> dict[str | None, Rows]:
    """Those columns, per split folder if nothing else tells the split; images named by path become an index."""
    image, label, group = columns
    rows = part.rows.select_columns([name for name in columns if name])
    if isinstance(rows.features[image], datasets.Image):
        rows = rows.cast_column(image, undecoded(rows))
    if part.base is not None and holds_paths(rows, image):
        entries = list_entries(rows, columns, part.base, root)
        found = by_split_folder(entries) if alone else {None: entries}
        return {split: load_entries(each, rows.features[label], bool(group)) for split, each in found.items()}
    if isinstance(rows, datasets.IterableDataset) and isinstance(rows.features[image], dict):
        # An image with neither bytes nor a path, which the cast of a stream refuses, is none.
        rows = rows.map(
            lambda row: {image: row[image] if any((row[image] or {}).values()) else None}, features=rows.features
        )
    # A stream refuses to rename a column to the name that it has.
    names = {old: new for old, new in zip(columns, ("image", "label", "group"), strict=True) if old and old != new}
    return {None: rows.rename_columns(names).cast_column("image", undecoded(rows))}


def _stream(rows: Rows) -> datasets.IterableDataset:
    if isinstance(rows, datasets.IterableDataset):
        return rows
    return rows.select_columns(["image", "label"]).to_iterable_dataset(num_shards=max(1, min(16, len(rows))))
