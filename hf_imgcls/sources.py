"""Open whatever `data.path` names: one data set a split, with the columns it came with."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import datasets

from hf_imgcls.columns import find_columns
from hf_imgcls.folders import SPLIT_FOLDERS, scan_folder
from hf_imgcls.index import entry, load_entries
from hf_imgcls.recipe import DataSection, InputError

_BUILDERS = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet",
    ".tar": "webdataset",
}  # fmt: skip
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Source(NamedTuple):
    """Splits by name, each with the columns `image` and `label` (and `name` where the pictures are files)."""

    splits: dict[str, datasets.Dataset | datasets.IterableDataset]
    notes: list[str]


def open_source(data: DataSection) -> Source:
    """Open `data.path`: a file, a folder, or else a data set on the Hub.

    Raises:
        InputError: nothing there, not readable, the network missing, or columns in doubt.
    """
    path = Path(data.path).expanduser()
    if path.is_file():
        if path.suffix.lower() not in _BUILDERS:
            raise InputError(f"data.path: {path} is no data file; expected one of {', '.join(_BUILDERS)} or a folder")
        return _open_files({"train": [path]}, path.parent, data, [])
    if path.is_dir():
        return _open_folder(path, data)
    check_path(data)
    return _open_hub(data)


def check_path(data: DataSection) -> None:
    """What can be said of `data.path` without loading: it exists, or could be a Hub id."""
    path = Path(data.path).expanduser()
    if not path.exists() and (not _HUB_ID.fullmatch(data.path) or path.suffix.lower() in _BUILDERS):
        raise InputError(f"data.path: {data.path!r} does not exist (looked in {Path.cwd()}) and is no Hub id")


def _open_folder(path: Path, data: DataSection) -> Source:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        saved = datasets.load_from_disk(str(path))
        splits = dict(saved) if isinstance(saved, datasets.DatasetDict) else {"train": saved}
        return Source({name: _two_columns(ds, path, data) for name, ds in splits.items()}, [])
    files, notes = _data_files(path)
    if files:
        return _open_files(files, path, data, notes)
    found, notes = scan_folder(path)
    splits = {split: load_entries(entries) for split, entries in found.items()}
    return Source({split: _maybe_stream(ds, data) for split, ds in splits.items()}, notes)


def _data_files(root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Data files per split, by the names of the files and of the split folders they lie in."""
    places = [root] + [p for p in sorted(root.iterdir()) if p.name == "data" or _split_of(p.name)]
    files = [p for place in places if place.is_dir() for p in sorted(place.iterdir()) if _is_data_file(p)]
    kinds = {_BUILDERS[p.suffix.lower()] for p in files}
    if len(kinds) > 1:
        raise InputError(f"data.path: {root} holds data files of several kinds ({', '.join(sorted(kinds))}); name one")
    named: dict[str | None, list[Path]] = {}
    for file in files:
        split = _split_of(file.stem) or (_split_of(file.parent.name) if file.parent != root else None)
        named.setdefault(split, []).append(file)
    unnamed = named.pop(None, [])
    if not named:
        return ({"train": unnamed} if unnamed else {}), []
    passed = ", ".join(path.name for path in unnamed[:5])
    return named, [f"{len(unnamed)} data files without a split in their name passed over: {passed}"] if unnamed else []


def _is_data_file(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _BUILDERS and not path.name.startswith(".")


def _split_of(name: str) -> str | None:
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS), None)


def _open_files(files: dict[str, list[Path]], root: Path, data: DataSection, notes: list[str]) -> Source:
    splits = {}
    for split, paths in files.items():
        kind = _BUILDERS[paths[0].suffix.lower()]
        parts = []
        # Paths in a table are relative to the file they stand in; bytes need no such care.
        for group in [paths] if kind == "webdataset" else [[path] for path in paths]:
            loaded = _load_files(kind, group, data.streaming)
            parts.append(_two_columns(loaded, group[0].parent, data, root))
        joined = datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]
        splits[split] = joined
    return Source(splits, notes)


def _load_files(kind: str, paths: list[Path], streaming: bool):
    options = {"sep": "\t"} if paths[0].suffix.lower() == ".tsv" else {}
    try:
        return datasets.load_dataset(
            kind, data_files=[str(p.absolute()) for p in paths], split="train", streaming=streaming, **options
        )
    except Exception as error:  # pandas, pyarrow and the tar reader each raise their own kinds
        raise InputError(f"data.path: {paths[0]} cannot be read as {kind}: {_reason(error)}") from None


def _open_hub(data: DataSection) -> Source:
    try:
        loaded = datasets.load_dataset(data.path, data.name, revision=data.revision, streaming=data.streaming)
    except Exception as error:  # the hub client, fsspec and the builders raise some twenty kinds
        raise InputError(
            f"data.path: {data.path!r} is nothing in {Path.cwd()} and could not be loaded from the Hub: "
            f"{_reason(error)}"
        ) from None
    return Source({name: _two_columns(ds, None, data) for name, ds in loaded.items()}, [])


def _reason(error: Exception) -> str:
    """The first line of the innermost cause, which is the one that says something."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _two_columns(ds, base: Path | None, data: DataSection, root: Path | None = None):
    """Only `image` and `label`, under these names; files named by path become an index."""
    if ds.features is None:
        ds = ds._resolve_features()
    is_path = (lambda name: _names_files(ds, name, base)) if base else (lambda name: False)
    image, label = find_columns(ds.features, data, is_path)
    if base and _holds_paths(ds, image):
        return _maybe_stream(_index_paths(ds, image, label, base, root or base), data)
    ds = ds.select_columns([image, label]).rename_columns({image: "image", label: "label"})
    return _maybe_stream(ds.cast_column("image", datasets.Image(decode=False)), data)


def _maybe_stream(ds, data: DataSection):
    if data.streaming and isinstance(ds, datasets.Dataset):
        return ds.to_iterable_dataset(num_shards=max(1, min(16, len(ds))))
    return ds


def _head(ds, column: str, rows: int = 50) -> list:
    if isinstance(ds.features[column], datasets.Image):
        ds = ds.cast_column(column, datasets.Image(decode=False))
    values = [row[column] for row in ds.select_columns([column]).take(rows)]
    return [value for value in values if value is not None]


def _names_files(ds, column: str, base: Path) -> bool:
    values = _head(ds, column)
    return sum((base / value).is_file() for value in values) > len(values) / 2


def _holds_paths(ds, column: str) -> bool:
    """Whether the pictures are files beside the table: strings, or image values without bytes."""
    values = _head(ds, column, rows=1)
    if not values or isinstance(values[0], bytes):
        return False
    return isinstance(values[0], str) or values[0]["bytes"] is None


def _index_paths(ds, image: str, label: str, base: Path, root: Path) -> datasets.Dataset:
    if isinstance(ds.features[image], datasets.Image):
        ds = ds.cast_column(image, datasets.Image(decode=False))
    entries = []
    for row in ds.select_columns([image, label]):
        given = row[image] if isinstance(row[image], str) else (row[image] or {}).get("path")
        if given is None:
            raise InputError(f"data.image_column: a row of {base} names no picture in the column {image!r}")
        path = os.path.abspath(base / given)
        entries.append(entry(path, os.path.relpath(path, root).replace(os.sep, "/"), row[label]))
    if not entries:
        raise InputError(f"data.path: no rows in {base}")
    return load_entries(entries, ds.features[label])
