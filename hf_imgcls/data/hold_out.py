"""What is held out of train where a source has no validation or test split, and splits made smaller."""

import datasets
import numpy as np

from hf_imgcls.data.groups import groups_of
from hf_imgcls.data.label_arrays import count_classes, read_labels
from hf_imgcls.data.long_tail import long_tail
from hf_imgcls.data.partition import hold_out_groups
from hf_imgcls.data.rows import Data
from hf_imgcls.data.splits import per_class, stratified
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import plural

_FAR = 1.25  # so many times more, or less, than was wanted is said


def hold_out(data: Data, role: str, fraction: float, section: DataSection) -> None:
    """`samples_per_class` rows of train, or else this fraction of it, at most `max_samples`; of whole groups."""
    train, each, most = data.splits["train"], *_limits(section, role)
    ids, groups = read_labels(train), groups_of(train)
    count = max(1, round(len(ids) * fraction))
    count = min(count, most or count)
    if groups is not None:
        rows, note = _whole_groups(ids, groups, each, count, section)
    elif each is not None:
        rows, note = per_class(ids, each, data.labels, section.seed, role), "stratified"
    else:
        rows, note = stratified(ids, count, section.seed, keep_one=True), "stratified"
    left = np.setdiff1d(np.arange(len(ids)), rows)
    classes = len(data.labels)
    used_up = np.flatnonzero((count_classes(ids, classes) > 0) & (count_classes(ids[left], classes) == 0))
    if used_up.size:
        name = data.labels[used_up[0]]
        raise InputError(f"data.samples_per_class.{role}: {each} requested, which leaves no {name!r} to train on")
    if len(rows) == 0:
        present = np.count_nonzero(count_classes(ids, classes))
        few = f"{plural(len(ids), 'image')} of {plural(present, 'class')} in train are too few to hold any out"
        if groups is not None:
            few = f"of {plural(len(np.unique(groups)), 'group')} in train each has all images of some class"
        without = "; data.validation_fraction=0 does without it" if role == "validation" else ""
        raise InputError(f"data.{role}_split: none is there, and {few}; add images{without}")
    if groups is not None and each is not None:
        _check_each(ids[rows], each, role, data.labels, section)
    held = limit(train.select(rows), data.labels, role, section)
    if unused := len(rows) - len(held):
        note += f" ({plural(unused, 'other image')} of them left out)"
    data.splits[role], data.splits["train"] = held, train.select(left)
    data.notes.append(f"{role}: {plural(len(held), 'image')} held out of train, {note}, seed {section.seed}")


def _whole_groups(ids, groups, each: int | None, count: int, section: DataSection) -> tuple[np.ndarray, str]:
    sizes = count_classes(ids, 0)
    wanted = sizes * count / len(ids) if each is None else np.where(sizes > 0, each, 0)
    rows = hold_out_groups(ids, groups, wanted, section.seed, at_least=each is not None)
    held, of_all = len(np.unique(groups[rows])), len(np.unique(groups))
    note = f"{held:,} of {plural(of_all, 'group')} (column {section.group_column!r}), stratified as far as groups allow"
    if each is None and not count / _FAR <= len(rows) <= count * _FAR:
        note += f" ({plural(count, 'image')} wanted)"
    return rows, note


def _check_each(ids: np.ndarray, each: int, role: str, names: list[str], section: DataSection) -> None:
    for i in np.unique(ids):
        if (found := int((ids == i).sum())) < each:
            raise InputError(
                f"data.samples_per_class.{role}: {each} requested, but the groups of {section.group_column!r} that can "
                f"be held out have only {found} of {names[i]!r}"
            )


def limit(split: datasets.Dataset, labels: list[str], role: str | None, section: DataSection) -> datasets.Dataset:
    """A split after `samples_per_class` or `max_samples`; train after `long_tail` too."""
    each, most = _limits(section, role)
    ids = read_labels(split)
    rows = None
    if each is not None:
        rows = per_class(ids, each, labels, section.seed, role)
    elif most is not None:
        rows = stratified(ids, most, section.seed)
    if rows is not None and len(rows) < len(split):
        split = split.select(rows)
    if role == "train" and section.long_tail:
        split = split.select(long_tail(np.array(split["label"][:]), section.long_tail, section.seed))
    return split


def _limits(section: DataSection, role: str | None) -> tuple[int | None, int | None]:
    return tuple(getattr(part, role) if role else None for part in (section.samples_per_class, section.max_samples))
