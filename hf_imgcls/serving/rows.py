"""One row for each predicted image, as CSV, JSON Lines or Parquet: writing rows, and reading those of a file."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError

Row = dict[str, Any]
CHUNK = 10_000  # rows of a Parquet file in memory


def column_names(top_k: int) -> list[str]:
    """The columns of a row: the image, its best labels with their scores, the error if there is none, the model."""
    best = [f"{what}_{place}" for place in range(1, top_k + 1) for what in ("label", "score")]
    return ["image", *best, "error", "model"]


def labels_per_image(columns: Iterable[str]) -> int:
    """The number of labels in a row with these columns."""
    return (len(list(columns)) - 3) // 2


class RowWriter(contextlib.AbstractContextManager):
    """Appends rows to a text file; an incomplete last line, of a run that was killed, is cut off first."""

    def __init__(self, file: Path, columns: list[str]):
        self.columns, self.csv = columns, has_suffix(file, ".csv")
        end = 0
        if file.exists():
            with file.open("rb") as lines:
                end = sum(len(line) for line in lines if line.endswith(b"\n"))
            os.truncate(file, end)
        self.header = self.csv and not end
        self.stream = file.open("a", encoding="utf-8", newline="")

    def write(self, rows: list[Row]) -> None:
        if self.csv:
            self.stream.write(format_csv(rows, self.columns, self.header))
        else:
            self.stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self.stream.flush()
        self.header = False

    def __exit__(self, *error) -> None:
        self.stream.close()


def format_csv(rows: Iterable[Row], columns: list[str], header: bool) -> str:
    """Rows as lines of CSV."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    if header:
        table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file, of a text file its complete lines; none where there is no file.

    Raises:
        InputError: the file was not written by predict.
    """
    if not has_content(file):
        return
    number = 0
    try:
        if has_suffix(file, ".parquet"):
            table = pq.ParquetFile(file)
            _check_columns(table.schema_arrow.names, file)
            for batch in table.iter_batches(CHUNK):
                yield from batch.to_pylist()
            return
        columns, is_csv = None, has_suffix(file, ".csv")
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    _check_incomplete(line, number, is_csv)
                    return
                row = next(csv.reader([line.decode()])) if is_csv else json.loads(line)
                if columns is None or not is_csv:
                    columns = list(row)
                    _check_columns(columns, file)
                if not is_csv:
                    yield row
                elif number > 1:
                    yield dict(zip(columns, row, strict=True))
    except InputError:
        raise
    except (ValueError, TypeError, csv.Error, pa.ArrowException):
        found = f"line {number}" if number else "it"
        raise InputError(
            f"--output: {file} exists, and {found} was not written by predict; name another file"
        ) from None


def _check_columns(columns: list[str], file: Path) -> None:
    expected = column_names(labels_per_image(columns))
    if columns == ["picture", *expected[1:]]:
        raise InputError(
            f"--output: {file} was written by an earlier version, which called the column 'image' 'picture'; "
            "rename it there, or name another file"
        )
    if columns != expected:
        raise ValueError("other columns")


def _check_incomplete(line: bytes, number: int, is_csv: bool) -> None:
    """The beginning of a first line that was cut off still tells whether predict wrote it."""
    opening = b"image,label_1" if is_csv else b'{"image": "'
    if number == 1 and line[: len(opening)] != opening[: len(line)]:
        raise ValueError("another beginning")


def has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def has_suffix(file: Path, suffix: str) -> bool:
    return file.suffix.lower() == suffix
