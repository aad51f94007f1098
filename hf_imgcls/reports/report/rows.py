"""A row for each image of a scored split, and which image is in which split: Parquet files for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.data import label_texts
from hf_imgcls.scoring import Scored
from hf_imgcls.words import as_json

_MOST_SCORES = 2**22  # of all classes, of a split: 17 MB in a file


def prediction_table(outputs: Mapping[str, Scored], splits: Mapping[str, datasets.Dataset], labels: Sequence[str]):
    """The images of all scored splits, in their order.

    Columns: `split`; `file` and `row` (number in the source's split), null where they are not known, as of a stream;
    `label`; `prediction` and its `score`, null of an image without a prediction; `loss`; `label_score`, that of the
    true class; `scores` of all classes, in the order of the labels in the schema's metadata, null of a split with more
    than 4 million of them.
    """
    parts = [_predictions(split, output, splits.get(split), labels) for split, output in outputs.items()]
    return pa.concat_tables(parts).replace_schema_metadata({"labels": as_json(list(labels))})


def _predictions(split: str, output: Scored, rows, labels: Sequence[str]) -> pa.Table:
    known, count = output.predictions >= 0, len(output)
    scores = pa.nulls(count, pa.list_(pa.float32()))
    if output.probabilities is not None and output.probabilities.size <= _MOST_SCORES:
        flat = pa.array(output.probabilities.astype(np.float32).ravel())
        starts = np.arange(count + 1, dtype=np.int32) * output.classes
        scores = pa.ListArray.from_arrays(pa.array(starts), flat)
    files, numbers = file_names(rows, count)
    columns = {
        "split": _words([split], np.zeros(count, int)),
        "file": files,
        "row": numbers,
        "label": _words(labels, output.label_ids),
        "prediction": _words(labels, output.predictions, known),
        "score": pa.array(np.exp(output.top_log_probabilities), pa.float32(), mask=~known),
        "label_score": pa.array(np.exp(output.log_likelihoods), pa.float32()),
        "loss": pa.array(-output.log_likelihoods, pa.float32()),
        "scores": scores,
    }
    return pa.table(columns)


def split_table(splits: Mapping[str, datasets.Dataset], labels: Sequence[str]) -> pa.Table | None:
    """Which image is in which split: `split`, `file`, `row`, `label` (several as `cat|dog`); None of a stream.

    Its images are not listed.
    """
    parts = []
    for split, rows in splits.items():
        if isinstance(rows, datasets.Dataset):
            files, numbers = file_names(rows, len(rows))
            texts = pa.array(label_texts(rows, labels), pa.string()).dictionary_encode()
            names = {"split": _words([split], np.zeros(len(rows), int)), "file": files, "row": numbers}
            parts.append(pa.table({**names, "label": texts}))
    return pa.concat_tables(parts).unify_dictionaries() if parts else None


def image_name(rows, place: int) -> str | None:
    """What a report calls an image of a split: its file, or else its row; None of a stream."""
    if not isinstance(rows, datasets.Dataset):
        return None
    if (
        "name" in rows.column_names
    ):  # a column by itself: reading a whole row, or selecting some, takes ten times as long
        return rows["name"][place]
    return rows["image"][place]["path"] or f"row {rows['row'][place]}"


def file_names(rows, count: int) -> tuple[pa.Array, pa.Array]:
    """Files and numbers of the rows of a split; nulls where they are not known."""
    if not isinstance(rows, datasets.Dataset):
        return pa.nulls(count, pa.string()), pa.nulls(count, pa.int64())
    files = pa.array(rows["name"][:], pa.string()) if "name" in rows.column_names else pa.nulls(count, pa.string())
    return files, pa.array(rows["row"][:], pa.int64())


def _words(names: Sequence[str], ids: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    indices = pa.array(ids.astype(np.int32), mask=None if known is None else ~known)
    return pa.DictionaryArray.from_arrays(
        indices, pa.array([name.encode(errors="backslashreplace").decode() for name in names])
    )


def write_rows(file: Path, rows: pa.Table) -> None:
    """A Parquet file, whole or not at all, with checksums by which damage is noticed."""
    draft = file.with_name(f"{file.name}.part")
    pq.write_table(rows, draft, write_page_checksum=True)
    draft.replace(file)
