"""Data files on disk: which of a folder's files they are, for which split, and how each kind is loaded."""

import contextlib
import glob
import itertools
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import EntryNotFoundError, HTTPError, RevisionResolutionError, XetDownloadError

from hf_imgcls.data.folders import SPLIT_NAMES, split_of
from hf_imgcls.data.formats import NO_ROWS, check_tars, known_fault, separator, silent_datasets
from hf_imgcls.data.prepare import load_prepared
from hf_imgcls.data.same_classes import check_files
from hf_imgcls.errors import InputError
from hf_imgcls.images import walk_folder
from hf_imgcls.recipe import DATA_FILES
from hf_imgcls.store import raise_denied
from hf_imgcls.words import listed, plural

# What `datasets` raises where a source is missing or not what it seems: its own errors, and those of pyarrow, pandas
# and json (ValueError), of archives, of the file system, of the Hub's client and the HTTP library below it.
LOAD_ERRORS = (
    DatasetsError, pa.ArrowException, OSError, ValueError, LookupError, RuntimeError, EOFError, tarfile.TarError,
    zlib.error, HTTPError, EntryNotFoundError, RevisionResolutionError, XetDownloadError,
)  # fmt: skip
_LEFT_BY_THE_HUB = {"dataset_info.json", "dataset_infos.json"}

Rows = datasets.Dataset | datasets.IterableDataset


class SourcePart(NamedTuple):
    """Rows as they were found: the folder that paths in them start from (None on the Hub), and what to call them."""

    rows: Rows
    base: Path | None
    where: str


def find_files(root: Path) -> list[Path]:
    """Data files in a folder, its `data`, its split folders; where none is there, `metadata` files further down."""
    places = [root, *(p for p in sorted(root.iterdir()) if p.is_dir() and (p.name == "data" or split_of(p.name)))]
    files = [file for place in places for file in _tables_in(place)]
    if files:
        return files
    below = (Path(place) / name for place, _, names, _ in walk_folder(str(root)) for name in names)
    return [file for file in below if file.stem == "metadata" and file.suffix.lower() in DATA_FILES and file.is_file()]


def split_files(files: list[Path], root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Data files per split, by the names of the files and of the split folders that they lie in, and notes.

    All of them are train where no name tells a split.
    """
    kinds = sorted({DATA_FILES[file.suffix.lower()] for file in files})
    if len(kinds) > 1:
        raise InputError(f"data.path: {root} holds data files of several kinds ({', '.join(kinds)}); name one of them")
    named: dict[str | None, list[Path]] = {}
    for file in files:
        named.setdefault(_split_of_file(file, root), []).append(file)
    unnamed = named.pop(None, [])
    if not named:
        return ({"train": unnamed} if unnamed else {}), []
    if not unnamed:
        return named, []
    count = f"{plural(len(unnamed), 'data file')} without a split in {'its' if len(unnamed) == 1 else 'their'} name"
    return named, [f"skipped {count}: {listed(file.name for file in unnamed)}"]


def load_files(files: list[Path], streaming: bool) -> list[SourcePart]:
    """Load data files; those of one kind in one folder become one part. An InputError names what cannot be read."""
    parts = []
    for (base, _, options), group in itertools.groupby(files, key=_together):
        group = list(group)
        where = str(group[0]) if len(group) == 1 else f"{base} ({listed(file.name for file in group)})"
        parts.append(SourcePart(_load(group, where, streaming, dict(options)), base, where))
    return parts


def _together(file: Path) -> tuple[Path, str, tuple]:
    """What files that are read as one have in common: folder, ending, options of the builder."""
    suffix = file.suffix.lower()
    options = (("sep", separator(file)),) if DATA_FILES[suffix] == "csv" and file.is_file() else ()
    return file.parent, suffix, options


def _load(files: list[Path], where: str, streaming: bool, options: dict[str, str]) -> Rows:
    kind = DATA_FILES[files[0].suffix.lower()]
    paths = [glob.escape(str(path.absolute())) for path in files]  # which `datasets` takes for patterns
    mixed = (TypeError,) if streaming else ()  # a column of several types, which otherwise is an error of `datasets`
    try:
        if kind == "webdataset":
            check_tars(files)
        if kind == "parquet":
            check_files(files)
        with silent_datasets(), _elsewhere() if kind == "webdataset" else contextlib.nullcontext():
            source = {"path": kind, "data_files": paths, **options}
            if streaming:
                rows = with_features(datasets.load_dataset(**source, split="train", streaming=True))
            else:
                rows = load_prepared("train", **source)
            empty = next(iter(rows.take(1)), None) is None
    except InputError:
        raise
    except (*LOAD_ERRORS, StopIteration, *mixed) as error:  # StopIteration: an empty JSON Lines file
        fault = known_fault(error) or f"cannot be read as {kind}: {reason(error)}"
        raise InputError(f"data.path: {where} {fault}") from None
    if empty:
        raise InputError(f"data.path: {where} {NO_ROWS}")
    return rows


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """In an empty folder: `datasets` takes a file of the working directory for an image of a tar that has its name."""
    if not Path(datasets.config.HF_DATASETS_CACHE).is_absolute():
        yield
        return
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        yield


def with_features(rows: Rows) -> Rows:
    """Rows of known columns; those of a stream are known when its first rows are read.

    A column that is empty in these is one of text: of the type of nothing, `datasets` cannot read on.
    """
    if rows.features:
        return rows
    rows = rows._resolve_features()
    known = without_nulls(rows.features)
    return rows.cast(known) if known != rows.features else rows


def without_nulls(features: datasets.Features) -> datasets.Features:
    text = [name for name, each in features.items() if getattr(each, "dtype", "") == "null"]
    return datasets.Features({**features, **dict.fromkeys(text, datasets.Value("string"))})


def reason(error: Exception) -> str:
    """The innermost cause, which is the one that says something, in a line.

    Raises:
        MachineError: if that is the cause; `datasets` wraps whatever happens while it reads.
    """
    raise_denied(error)
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".removesuffix(": ")


def chain(parts: list[Rows], what: str) -> Rows:
    """Rows one after the other; an InputError that says of what, where their columns differ."""
    try:
        return datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]
    except ValueError as error:
        raise InputError(f"{what} differ in their columns: {reason(error)}") from None


def holds_paths(rows: Rows, image: str) -> bool:
    """Whether the images are files beside the table: strings, or image values with a path and none with bytes."""
    values = [value for value in head(rows, image) if not isinstance(value, bytes)]
    if any(isinstance(value, str) for value in values):
        return True
    if isinstance(rows, datasets.Dataset) and pa.types.is_struct(kind := rows.data.schema.field(image).type):
        # All of the column: the first rows may be those without an image.
        column = rows.data.column(image)
        within = {name: pc.struct_field(column, kind.get_field_index(name)) for name in ("bytes", "path")}
        return within["bytes"].null_count == len(column) and within["path"].null_count < len(column)
    return any(value["path"] is not None for value in values) and all(value["bytes"] is None for value in values)


def head(rows: Rows, column: str, count: int = 50) -> list:
    """The first values of a column, without missing ones."""
    values = [row[column] for row in rows.select_columns([column]).take(count)]
    return [value for value in values if value is not None]


def _tables_in(place: Path) -> list[Path]:
    files = [
        path
        for path in sorted(place.iterdir())
        if path.suffix.lower() in DATA_FILES
        and path.is_file()
        and not path.name.startswith(".")
        and path.name not in _LEFT_BY_THE_HUB
    ]
    return [path for path in files if path.stem == "metadata"] or files


def _split_of_file(file: Path, root: Path) -> str | None:
    words = re.split(r"[\W\d_]+", file.stem.lower())
    split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
    return split or (split_of(file.relative_to(root).parts[0]) if file.parent != root else None)
