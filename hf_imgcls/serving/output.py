"""The file that predict or embed writes, and a later run continues: what it holds, and whether it may be continued.

Text files grow by a line for each row. A Parquet file is whole only once it is closed, and several processes cannot
write one file: there each process appends to a text file beside the output (`<output>.part-0`, ...), and the end of
the run merges them.
"""

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.serving.image_list import display_name, name_hash
from hf_imgcls.serving.rows import EMBEDDED, FEATURES, Row, column_names, labels_per_image, tried_again
from hf_imgcls.store import try_place
from hf_imgcls.words import csv_content, escaped

FORMATS = (".csv", ".jsonl", ".parquet")
CHUNK = 10_000  # rows in memory
VECTOR = pa.list_(pa.float32())  # the type of features in Parquet
csv.field_size_limit(2**31 - 1)  # a label may be long


class WrittenRows(NamedTuple):
    """What an output already holds.

    Attributes:
        done: `name_hash` of its images.
        models, columns: its models, and its columns but for features (None without rows).
        again: `name_hash` of those of which it knows nothing yet: they are read again.
    """

    done: set[int]
    models: set[str]
    columns: list[str] | None
    again: set[int]


def read_written(output: Path) -> WrittenRows:
    """What an output and its parts hold; InputError if it cannot be written, or was not written by this package."""
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"--output: {output} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if output.is_dir():
        raise InputError(f"--output: {output} is a folder; name a file in it")
    if output.exists() and not output.is_file():
        raise InputError(f"--output: {output} is no file, but a pipe or a device; name another")
    if not output.parent.is_dir():
        raise InputError(f"--output: there is no folder {output.parent} (looked in {Path.cwd()})")
    if not output.exists():
        try_place(output.parent, "--output")
    elif not os.access(output, os.R_OK | os.W_OK):
        raise MachineError(f"--output: {output}: no permission; grant the right to write it, or name another file")
    return collect_written(((str(file), read_rows(file)) for file in [output, *find_parts(output)]), output)


def collect_written(files: Iterable[tuple[str, Iterable[Row]]], output: Path | str) -> WrittenRows:
    """What the rows of the files of an output, by their names, say that it holds."""
    done, again, models, columns = set(), set(), set(), None
    for file, rows in files:
        for row in rows:
            if columns not in (None, without_features(row)):
                raise InputError(f"--output: {file} and {output} differ in their columns; name another file")
            columns = without_features(row)
            (again if tried_again(row) else done).add(row_hash(row))
            models.add(row["model"])
    return WrittenRows(done, models, columns, again - done)


def check_continues(written: WrittenRows, model: str, columns: list[str], output: Path | str) -> None:
    """Refuse to mix models, whose names differ behind the @, features, or numbers of labels, in one output."""
    if written.columns is not None and (columns == EMBEDDED) != (written.columns == without_features(EMBEDDED)):
        kinds = ("predictions", "features") if columns == EMBEDDED else ("features", "predictions")
        raise InputError(f"--output: {output} has {kinds[0]}, not {kinds[1]}; name another file")
    other = next((name for name in sorted(written.models) if name.split("@")[-1] != model.split("@")[-1]), None)
    if other:
        raise InputError(
            f"--output: {output} has {'features' if columns == EMBEDDED else 'predictions'} of another model ({other}, "
            f"not {model}); name another file"
        )
    if written.columns not in (None, without_features(columns)):
        has, now = labels_per_image(written.columns), labels_per_image(columns)
        raise InputError(
            f"--output: {output} has {has} labels per image, not {now}; use --top-k {has}, or name another file"
        )


def is_vector(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and kind.value_type == VECTOR.value_type


def without_features(columns: Iterable[str]) -> list[str]:
    """Columns that are read where only what an output has of which image is asked for."""
    return [name for name in columns if name != FEATURES]


def find_parts(output: Path) -> list[Path]:
    """The files of single processes that are not merged yet, by the number of the process."""
    found = (Path(name) for name in glob.glob(f"{glob.escape(str(output))}.part-*"))
    numbered = [path for path in found if path.name.rpartition("-")[2].isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))


def row_hash(row: Row) -> int:
    """`name_hash` of a row's image, also where an earlier version wrote its name as it was."""
    name = row["image"]
    return name_hash(name if name == escaped(name) else display_name(name))


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file, of a text file its complete lines, of Parquet without features; none without a file."""
    if file.suffix.lower() != ".parquet":
        yield from (row for _, row in read_lines(file) if row is not None)
    elif has_content(file):
        yield from parquet_rows(file, file)


def parquet_rows(source: Path | BinaryIO, file: Path | str) -> Iterator[Row]:
    """The rows of Parquet without features; `file` names it in an error."""
    try:
        table = pq.ParquetFile(source)
        _check_columns(table.schema_arrow.names, file)
        if FEATURES in table.schema_arrow.names and not is_vector(table.schema_arrow.field(FEATURES).type):
            raise ValueError("other features")
        for batch in table.iter_batches(CHUNK, columns=without_features(table.schema_arrow.names)):
            for row in batch.to_pylist():
                _check_values(row)
                yield row
    except InputError:
        raise
    except (ValueError, TypeError, pa.ArrowException):
        raise _not_ours(file, "it") from None


def read_lines(file: Path) -> Iterator[tuple[bytes, Row | None]]:
    """The complete lines of a text file, and the row that each is; None for the header of a CSV."""
    if not has_content(file):
        return
    columns, is_csv, number = None, file.suffix.lower() == ".csv", 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    _check_incomplete(line, number, is_csv)
                    return
                # A spreadsheet that saved it has put a mark before the first line.
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                found = list(map(csv_content, next(csv.reader([text])))) if is_csv else json.loads(text)
                if columns is None or not is_csv:
                    columns = list(found)
                    _check_columns(columns, file)
                row = dict(zip(columns, found, strict=True)) if is_csv else found
                if is_csv and number == 1:
                    row = None
                else:
                    _check_values(row)
                yield line, row
    except InputError:
        raise
    except (ValueError, TypeError, csv.Error):
        raise _not_ours(file, f"line {number}") from None


def _not_ours(file: Path | str, found: str) -> InputError:
    return InputError(f"--output: {file} exists, and {found} was not written by predict or embed; name another file")


def _check_values(row: Row) -> None:
    known, optional = (row["image"], row["model"]), (row["error"], row.get(FEATURES))
    if not (all(isinstance(each, str) for each in known) and all(isinstance(each, str | None) for each in optional)):
        raise ValueError("other values")


def _check_columns(columns: list[str], file: Path | str) -> None:
    expected = EMBEDDED if FEATURES in columns else column_names(labels_per_image(columns), "labels" in columns)
    if columns == ["picture", *expected[1:]]:
        raise InputError(
            f"--output: {file} was written by an earlier version, which called the column 'image' 'picture'; "
            "rename it there, or name another file"
        )
    if columns != expected:
        raise ValueError("other columns")


def _check_incomplete(line: bytes, number: int, is_csv: bool) -> None:
    """The beginning of a first line that was cut off still tells whether predict wrote it."""
    opening = b"image,label" if is_csv else b'{"image": "'
    if number == 1 and line[: len(opening)] != opening[: len(line)]:
        raise ValueError("another beginning")


def has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0
