"""Several labels an image as a table has them: one column of 0 and 1 for each label."""

from collections.abc import Sequence

import datasets
import numpy as np

from hf_imgcls.data.datafiles import SourcePart
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed, one_line

_MERGED = "labels of several columns"
_YES, _NO = {1, "1", "true", "True", "yes"}, {0, "0", "false", "False", "no"}


def merge_label_columns(
    parts: dict[str, list[SourcePart]], data: DataSection
) -> tuple[dict[str, list[SourcePart]], DataSection]:
    """The parts of each split with the columns of `data.label_column` as one, of lists, and the section that names it.

    A part that lacks them, such as the test.csv of a competition, stays as it is.

    Raises:
        InputError: train lacks a column, or a value is neither 0 nor 1.
    """
    if not data.multi_label:
        raise InputError("data.label_column: a list of columns is for a model of several labels an image; name one")
    chosen = list(dict.fromkeys(data.label_column))
    for part in parts.get("train", next(iter(parts.values()))):
        if missing := [name for name in chosen if name not in part.rows.features]:
            raise InputError(
                f"data.label_column: {part.where} has no column {missing[0]!r}, it has {listed(part.rows.features)}"
                f"{nearest(missing[0], part.rows.features)}"
            )
    merged = {split: [_merge(part, chosen) for part in found] for split, found in parts.items()}
    return merged, data.model_copy(update={"label_column": _MERGED})


def _merge(part: SourcePart, columns: Sequence[str]) -> SourcePart:
    rows = part.rows
    if not set(columns) <= set(rows.features):
        return part
    for name in columns:
        if not isinstance(rows.features[name], datasets.Value | datasets.ClassLabel):
            raise InputError(f"data.label_column: {name!r} of {part.where} holds no single value a row")
    feature = datasets.List(datasets.ClassLabel(names=columns))
    if isinstance(rows, datasets.IterableDataset):
        kept = {name: each for name, each in rows.features.items() if name not in columns}

        def merge(row: dict) -> dict:
            no = _no({row[name] for name in columns})
            return {_MERGED: [i for i, name in enumerate(columns) if _has([row[name]], name, part.where, no)[0]]}

        features = datasets.Features({**kept, _MERGED: feature})
        return part._replace(rows=rows.map(merge, remove_columns=columns, features=features))
    values = {name: rows[name][:] for name in columns}
    no = _no({value for column in values.values() for value in column})
    table = np.stack([_has(column, name, part.where, no) for name, column in values.items()], axis=1)
    sets = [np.flatnonzero(row).tolist() for row in table]
    return part._replace(rows=rows.remove_columns(columns).add_column(_MERGED, sets, feature=feature))


def _no(values: set) -> set:
    """What means no: -1 beside 1, as CelebA has them; beside 0 it means another thing, such as "uncertain"."""
    return _NO if {0, "0"} & values else {*_NO, -1, "-1"}


def _has(values: list, name: str, where: str, no: set) -> np.ndarray:
    """Whether each value is 1."""
    for row, value in enumerate(values):
        if value not in _YES and value not in no:
            raise InputError(
                f"data.label_column: {name!r} of {where} has {one_line(str(value), 30)} in row {row}, expected 0 and 1 "
                "alone; decide what it is to be, or take the row out"
            )
    return np.array([value in _YES for value in values], bool)
