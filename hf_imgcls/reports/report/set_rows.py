"""A row for each image of several labels: what the Parquet files of a report have of it."""

import json
from collections.abc import Mapping, Sequence

import datasets
import numpy as np
import pyarrow as pa

from hf_imgcls.reports.report.rows import file_names
from hf_imgcls.scoring import ScoredSets, losses_of_sets


def set_table(outputs: Mapping[str, ScoredSets], splits: Mapping[str, datasets.Dataset], labels: Sequence[str]):
    """The images of all scored splits, in their order.

    Columns: `split`; `file` and `row`, null where they are not known; `labels` and `predictions`, lists of names;
    `loss`; `scores` of all labels, in the order of the labels in the schema's metadata.
    """
    parts = []
    for split, output in outputs.items():
        files, numbers = file_names(splits.get(split), len(output))
        columns = {
            "split": pa.array([split] * len(output)),
            "file": files,
            "row": numbers,
            "labels": _lists(output.label_ids, labels),
            "predictions": _lists(output.predictions, labels),
            "loss": pa.array(losses_of_sets(output), pa.float32()),
            "scores": pa.array(list(output.probabilities.astype(np.float32)), pa.list_(pa.float32())),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts).replace_schema_metadata({"labels": json.dumps(list(labels), ensure_ascii=False)})


def _lists(sets: np.ndarray, labels: Sequence[str]) -> pa.Array:
    return pa.array([[labels[i] for i in np.flatnonzero(row)] for row in sets], pa.list_(pa.string()))
