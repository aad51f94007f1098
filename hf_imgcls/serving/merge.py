"""Changing an output as a whole: rows of images that are read again go, parts of processes are merged into it."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.serving.output import (
    CHUNK,
    VECTOR,
    find_parts,
    has_content,
    read_lines,
    read_rows,
    row_hash,
    without_features,
)
from hf_imgcls.serving.rows import FEATURES, Row, RowWriter, as_features, tried_again


def list_file(output: Path) -> Path:
    """The list of the images that several processes predict, beside the output; a run replaces that of a killed one."""
    return output.with_name(f"{output.name}.part-list")


def drop_rows(output: Path, again: set[int], columns: list[str]) -> None:
    """Remove the rows, of an output and its parts, that know nothing of images (`name_hash`) which are read again."""
    _draft(output).unlink(missing_ok=True)  # of a run that was killed
    if not again:
        return
    for file in [output, *find_parts(output)]:
        if not any(map(is_dropped(again), read_rows(file))):
            continue
        if file.suffix.lower() == ".parquet":
            schema = schema_of(columns).with_metadata(pq.read_schema(file).metadata)
            _write_parquet(_draft(output), schema, (_without(batch, is_dropped(again)) for batch in _batches(file)))
        else:
            with _draft(output).open("wb") as lines:
                lines.writelines(line for line, row in read_lines(file) if row is None or not is_dropped(again)(row))
        _put(_draft(output), file)


def merge_parts(
    output: Path, columns: list[str], raw_csv: bool = False, about: Mapping[str, str] | None = None
) -> None:
    """Append the rows of all parts to the output, alternating as the list was distributed; remove the parts.

    A run that is killed here neither loses nor duplicates rows: the parts are removed last, and rows that the output
    has by then are left out the next time.

    Args:
        about: metadata of a Parquet file.
    """
    parts = find_parts(output)
    if not parts:
        return
    written = set(map(row_hash, read_rows(output)))
    alternating = itertools.chain.from_iterable(itertools.zip_longest(*map(read_rows, parts)))
    rows = (row for row in alternating if row and row_hash(row) not in written)
    chunks = iter(lambda: list(itertools.islice(rows, CHUNK)), [])
    if output.suffix.lower() == ".parquet":
        more = (pa.RecordBatch.from_pylist(list(map(_as_values, chunk)), schema_of(columns)) for chunk in chunks)
        schema = schema_of(columns).with_metadata(dict(about) if about else None)
        _write_parquet(_draft(output), schema, itertools.chain(_batches(output), more))
        _put(_draft(output), output)
    else:
        with RowWriter(output, columns, raw_csv) as writer:
            for chunk in chunks:
                writer.write(chunk)
    for part in parts:
        part.unlink()


def _draft(output: Path) -> Path:
    return output.with_name(f"{output.name}.part-new")


def _put(draft: Path, file: Path) -> None:
    """In the place of the file, which may be a link to one elsewhere: whole or not at all."""
    place = Path(os.path.realpath(file))
    if place.exists():
        shutil.copymode(place, draft)
    if place.parent != draft.parent.resolve():  # perhaps on another disk
        draft = Path(shutil.move(draft, place.with_name(draft.name)))
    draft.replace(place)


def is_dropped(again: set[int]) -> Callable[[Row], bool]:
    return lambda row: tried_again(row) and row_hash(row) in again


def _without(batch: pa.RecordBatch, dropped: Callable[[Row], bool]) -> pa.RecordBatch:
    rows = batch.select(without_features(batch.schema.names)).to_pylist()
    return batch.filter(pa.array([not dropped(row) for row in rows]))


def _as_values(row: Row) -> Row:
    """A row of a text file as one of Parquet."""
    return row if row.get(FEATURES) is None else {**row, FEATURES: as_features(row[FEATURES])}


def schema_of(columns: list[str]) -> pa.Schema:
    return pa.schema([(name, _type_of(name)) for name in columns])


def _type_of(column: str) -> pa.DataType:
    return VECTOR if column == FEATURES else pa.float64() if column.startswith("score_") else pa.string()


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    if has_content(file):
        yield from pq.ParquetFile(file).iter_batches(CHUNK)


def _write_parquet(draft: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    with pq.ParquetWriter(draft, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
