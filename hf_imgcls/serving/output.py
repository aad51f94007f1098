"""The file that predict writes, and that a later run continues.

Text files grow by a line for each row. A Parquet file is whole only once it is closed, and several processes cannot
write one file: there each process appends to a text file beside the output (`<output>.part-0`, ...), and the end of
the run merges them.
"""

import csv
import glob
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError
from hf_imgcls.serving.image_list import name_hash
from hf_imgcls.serving.rows import Row, RowWriter, column_names, labels_per_image

FORMATS = (".csv", ".jsonl", ".parquet")
_CHUNK = 10_000  # rows in memory


class WrittenRows(NamedTuple):
    """What an output already holds: `name_hash` of its images, its models, its columns (None without rows)."""

    done: set[int]
    models: set[str]
    columns: list[str] | None


def read_written(output: Path) -> WrittenRows:
    """What an output and its parts hold; InputError if it cannot be written, or was not written by predict."""
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"--output: {output} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if output.is_dir():
        raise InputError(f"--output: {output} is a folder; name a file in it")
    if not output.parent.is_dir():
        raise InputError(f"--output: there is no folder {output.parent} (looked in {Path.cwd()})")
    if not os.access(output if output.exists() else output.parent, os.R_OK | os.W_OK):
        raise InputError(f"--output: no permission to write {output}")
    done, models, columns = set(), set(), None
    for file in [output, *find_parts(output)]:
        for row in _read_rows(file):
            if columns not in (None, list(row)):
                raise InputError(f"--output: {file} and {output} differ in their columns; name another file")
            columns = list(row)
            done.add(name_hash(row["image"]))
            models.add(row["model"])
    return WrittenRows(done, models, columns)


def check_continues(written: WrittenRows, model: str, columns: list[str], output: Path) -> None:
    """Refuse to mix models, whose names differ behind the @, or numbers of labels per image, in one output."""
    other = next((name for name in sorted(written.models) if name.split("@")[-1] != model.split("@")[-1]), None)
    if other:
        raise InputError(
            f"--output: {output} has predictions of another model ({other}, not {model}); name another file"
        )
    if written.columns not in (None, columns):
        has, now = labels_per_image(written.columns), labels_per_image(columns)
        raise InputError(
            f"--output: {output} has {has} labels per image, not {now}; use --top-k {has}, or name another file"
        )


def find_parts(output: Path) -> list[Path]:
    """The files of single processes that are not merged yet, by the number of the process."""
    found = (Path(name) for name in glob.glob(f"{glob.escape(str(output))}.part-*"))
    numbered = [path for path in found if path.name.rpartition("-")[2].isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))


def merge_parts(output: Path, columns: list[str]) -> None:
    """Append the rows of all parts to the output, alternating as the list was distributed; remove the parts.

    A run that is killed here neither loses nor duplicates rows: the parts are removed last, and rows that the output
    has by then are left out the next time.
    """
    parts = find_parts(output)
    if not parts:
        return
    written = {name_hash(row["image"]) for row in _read_rows(output)}
    alternating = itertools.chain.from_iterable(itertools.zip_longest(*map(_read_rows, parts)))
    rows = (row for row in alternating if row and name_hash(row["image"]) not in written)
    chunks = iter(lambda: list(itertools.islice(rows, _CHUNK)), [])
    if output.suffix.lower() == ".parquet":
        _append_parquet(output, columns, chunks)
    else:
        with RowWriter(output, columns) as writer:
            for chunk in chunks:
                writer.write(chunk)
    for part in parts:
        part.unlink()


def _append_parquet(output: Path, columns: list[str], chunks: Iterator[list[Row]]) -> None:
    """Rewrite the output with more rows; whole or not at all."""
    schema = pa.schema([(name, pa.float64() if name.startswith("score_") else pa.string()) for name in columns])
    draft = output.with_name(f"{output.name}.part-new")
    with pq.ParquetWriter(draft, schema) as writer:
        if _has_content(output):
            for batch in pq.ParquetFile(output).iter_batches(_CHUNK):
                writer.write_batch(batch.cast(schema))
        for chunk in chunks:
            writer.write_table(pa.Table.from_pylist(chunk, schema))
    draft.replace(output)


def _read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file, of a text file its complete lines; none where there is no file."""
    if not _has_content(file):
        return
    number = 0
    try:
        if file.suffix.lower() == ".parquet":
            table = pq.ParquetFile(file)
            _check_columns(table.schema_arrow.names, file)
            for batch in table.iter_batches(_CHUNK):
                yield from batch.to_pylist()
            return
        columns, is_csv = None, file.suffix.lower() == ".csv"
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


def _has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0
