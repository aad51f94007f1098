"""What predict writes: a row an image, into a CSV, JSON Lines or Parquet file that a later run goes on with.

In a text file a row is one line, written behind the others as it comes. A Parquet file is whole only when it is
closed, and several processes cannot write one file: there each has lines of its own beside the output
(`<output>.part-0`, ...), and the end of the run puts them together.
"""

import csv
import glob
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError
from hf_imgcls.serving.image_list import name_hash

Row = dict[str, Any]
FORMATS = (".csv", ".jsonl", ".parquet")
_CHUNK = 10_000  # rows in memory while files are put together


def columns(top_k: int) -> list[str]:
    """The columns of a row: the image, its best labels with their scores, why it has none, whose they are."""
    best = [f"{what}_{place}" for place in range(1, top_k + 1) for what in ("label", "score")]
    return ["image", *best, "error", "model"]


def labels_in(names: Iterable[str]) -> int:
    """How many labels a row with these columns has."""
    return (len(list(names)) - 3) // 2


class Earlier(NamedTuple):
    """What an output already holds: marks of its images, whose answers they are, columns (None without rows)."""

    done: set[int]
    models: set[str]
    columns: list[str] | None


def read_earlier(output: Path) -> Earlier:
    """What an output holds, with its parts; nothing is changed.

    Raises:
        InputError: nothing can be written there, or what is there was not written here.
    """
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"--output: {output} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if output.is_dir():
        raise InputError(f"--output: {output} is a folder; name a file in it")
    if not output.parent.is_dir():
        raise InputError(f"--output: there is no folder {output.parent} (looked in {Path.cwd()})")
    if not os.access(output if output.exists() else output.parent, os.R_OK | os.W_OK):
        raise InputError(f"--output: {output} may not be written")
    done, models, names = set(), set(), None
    for file in [output, *parts_of(output)]:
        for row in _rows(file):
            if names not in (None, list(row)):
                raise InputError(f"--output: {file} and {output} differ in their columns; name another file")
            names = list(row)
            done.add(name_hash(row["image"]))
            models.add(row["model"])
    return Earlier(done, models, names)


def check_same(earlier: Earlier, model: str, names: list[str], output: Path) -> None:
    """An output has the answers of one model, and as many of them for every image.

    Args:
        model: its name and, behind an @, what tells it apart from others of that name.

    Raises:
        InputError: says what is there.
    """
    other = next((name for name in sorted(earlier.models) if name.split("@")[-1] != model.split("@")[-1]), None)
    if other:
        raise InputError(f"--output: {output} has answers of another model ({other}, not {model}); name another file")
    if earlier.columns not in (None, names):
        has, now = labels_in(earlier.columns), labels_in(names)
        raise InputError(
            f"--output: {output} has {has} labels an image, not {now}; say --top-k {has}, or name another file"
        )


def parts_of(output: Path) -> list[Path]:
    """Rows of single processes that are not in the output yet, a file each, by the number of the process."""
    found = (Path(name) for name in glob.glob(f"{glob.escape(str(output))}.part-*"))
    numbered = [path for path in found if path.name.rpartition("-")[2].isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))


class RowWriter:
    """A text file of rows, open for more of them; a line that was torn when a run was killed is cut off."""

    def __init__(self, file: Path, names: list[str]):
        self.names, self.csv = names, _is_csv(file)
        end = 0
        if file.exists():
            with file.open("rb") as lines:
                end = sum(len(line) for line in lines if line.endswith(b"\n"))
            os.truncate(file, end)
        self.header = self.csv and not end
        self.stream = file.open("a", encoding="utf-8", newline="")

    def write(self, rows: list[Row]) -> None:
        self.stream.write(as_csv(rows, self.names, self.header) if self.csv else _as_json(rows))
        self.stream.flush()
        self.header = False

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.stream.close()


def as_csv(rows: Iterable[Row], names: list[str], header: bool) -> str:
    """Rows as lines of CSV."""
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    if header:
        table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def merge_parts(output: Path, names: list[str]) -> None:
    """Bring the rows of the parts into the output, in turn, which is the order of the list; remove the parts.

    A run that is killed here loses nothing and doubles nothing: the parts are removed last, and what of them is in
    the output by then is left out the next time.
    """
    parts = parts_of(output)
    if not parts:
        return
    there = {name_hash(row["image"]) for row in _rows(output)}
    turns = itertools.chain.from_iterable(itertools.zip_longest(*map(_rows, parts)))
    rows = (row for row in turns if row and name_hash(row["image"]) not in there)
    if output.suffix.lower() == ".parquet":
        _write_parquet(output, names, rows)
    else:
        with RowWriter(output, names) as lines:
            while chunk := list(itertools.islice(rows, _CHUNK)):
                lines.write(chunk)
    for part in parts:
        part.unlink()


def _write_parquet(output: Path, names: list[str], rows: Iterator[Row]) -> None:
    """Write what is in the output and these rows behind it; whole or not at all."""
    schema = pa.schema([(name, pa.float64() if name.startswith("score_") else pa.string()) for name in names])
    draft = output.with_name(f"{output.name}.part-new")
    with pq.ParquetWriter(draft, schema) as writer:
        if _has_content(output):
            for batch in pq.ParquetFile(output).iter_batches(_CHUNK):
                writer.write_batch(batch.cast(schema))
        while chunk := list(itertools.islice(rows, _CHUNK)):
            writer.write_table(pa.Table.from_pylist(chunk, schema))
    draft.replace(output)


def _as_json(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def _rows(file: Path) -> Iterator[Row]:
    """The rows of a file, of a text file the complete lines; none where there is no file.

    Raises:
        InputError: something in it is no row.
    """
    if not _has_content(file):
        return
    where = "it"
    try:
        if file.suffix.lower() == ".parquet":
            table = pq.ParquetFile(file)
            _check_columns(table.schema_arrow.names)
            for batch in table.iter_batches(_CHUNK):
                yield from batch.to_pylist()
            return
        names = None
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"line {number}"
                if not line.endswith(b"\n"):
                    _check_torn(line, number, _is_csv(file))
                elif not _is_csv(file):
                    row = json.loads(line)
                    _check_columns(row)
                    yield row
                elif names is None:
                    names = next(csv.reader([line.decode()]))
                    _check_columns(names)
                else:
                    yield dict(zip(names, next(csv.reader([line.decode()])), strict=True))
    except (ValueError, TypeError, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"--output: {file} is there, and {where} was not written by predict; name another file"
        ) from None


def _check_columns(names: Iterable[str]) -> None:
    if list(names) != columns(labels_in(names)):
        raise ValueError("other columns")


def _check_torn(line: bytes, number: int, is_csv: bool) -> None:
    """Part of a first line can still be told from a file of somebody else."""
    opening = b"image,label_1" if is_csv else b'{"image": "'
    if number == 1 and line[: len(opening)] != opening[: len(line)]:
        raise ValueError("another beginning")
