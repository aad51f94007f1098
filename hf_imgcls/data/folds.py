"""Cross-validation: one fold of train as the validation split, and what is computed once for all folds."""

from collections.abc import Callable
from typing import NamedTuple

import datasets
import numpy as np

from hf_imgcls.data.groups import groups_of
from hf_imgcls.data.label_arrays import read_labels
from hf_imgcls.data.partition import fold_of_rows
from hf_imgcls.data.rows import Checked, Data
from hf_imgcls.data.splits import fingerprint
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import plural

PLACE = "place"  # column with the place of a row among those of all folds


class Pool(NamedTuple):
    """The rows of all folds, and, once their images are checked, the fingerprint of those that can be read."""

    rows: datasets.Dataset
    fingerprint: str = ""


def split_folds(data: Data, section: DataSection) -> None:
    """Make one of `data.folds` of train, `data.fold` or else the first, the validation split; sets `pool`."""
    if "validation" in data.splits:
        raise InputError(
            f"data.folds: {section.path} has a validation split; data.validation_split=false leaves it out, or "
            "data.train_split takes it into the folds (train+validation)"
        )
    train, folds = data.splits["train"], section.folds
    ids, groups = read_labels(train), groups_of(train)
    found = fold_of_rows(ids, groups, folds, section.seed)
    if (filled := len(set(found[found >= 0].tolist()))) < folds:
        count, one = (len(ids), "image") if groups is None else (len(np.unique(groups)), "group")
        raise InputError(
            f"data.folds: {folds} folds, but the {plural(count, one)} of train fill only {filled}; name fewer"
        )
    number, rows = section.fold or 1, train.add_column(PLACE, np.arange(len(train)))
    data.pool = Pool(rows)
    inside = found == number - 1
    parts = {"train": rows.select(np.flatnonzero(~inside)), "validation": rows.select(np.flatnonzero(inside))}
    data.splits = {**parts, **{role: each for role, each in data.splits.items() if role != "train"}}
    how = "stratified" if groups is None else f"whole groups of column {section.group_column!r}, stratified"
    data.notes.append(
        f"validation: fold {number} of {folds} of train, {inside.sum()} images, {how}, seed {section.seed}"
    )
    if alone := int((found < 0).sum()):
        one = "image" if groups is None else "group"
        data.notes.append(f"train: {plural(alone, 'image')} in train in every fold: their classes have one {one} each")
    if "validation_fraction" in section.model_fields_set:
        data.notes.append("data.validation_fraction has no effect on the folds")


def check_pool(data: Data, checked: dict[str, Checked]) -> None:
    """Leave those of the pool that can be read, with their fingerprint: the same in every fold."""
    if data.pool is None:
        return
    parts = [(data.splits[role], checked[role]) for role in ("train", "validation")]
    places = np.concatenate([rows[PLACE][:] for rows, _ in parts])
    order = np.argsort(places)
    keys = ("files", "digests", "labels")
    found = ([value for _, part in parts for value in getattr(part, key)] for key in keys)
    columns = ([column[i] for i in order] for column in found)
    data.pool = Pool(data.pool.rows.select(places[order]), fingerprint(*columns))


def for_all_folds(data: Data, role: str, compute: Callable[[datasets.Dataset, str], datasets.Dataset]):
    """What is computed from a split's rows and fingerprint, row by row; of a fold, once from those of all folds."""
    rows = data.splits[role]
    if data.pool is None or PLACE not in rows.column_names:
        return compute(rows, data.fingerprints.get(role, ""))
    places = np.searchsorted(data.pool.rows[PLACE][:], rows[PLACE][:])
    return compute(*data.pool).select(places)
