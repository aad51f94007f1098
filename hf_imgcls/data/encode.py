"""A split of a source with its labels as ids, the names of its images, and images of classes that train lacks."""

import os

import datasets
import numpy as np
import pyarrow.compute

from hf_imgcls.data.groups import group_names
from hf_imgcls.data.label_sets import encode_sets, read_sets
from hf_imgcls.data.labels import encode_labels, label_values
from hf_imgcls.data.rows import BadImage, Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import plural


def encode_split(split: datasets.Dataset, data: Data, role: str, section: DataSection, owner: str) -> None:
    """Add a split to the data, its labels as ids; a held-out split without any labels is left out, with a note."""
    if section.multi_label:
        values, _ = read_sets(split, section, data.labels)
        values = values if any(values) else [None] * len(values)
    else:
        values = label_values(split, section.label_names, data.labels)
    if data.unknown is not None and role != "train":
        split, values = _set_aside(split, values, data, role)
    missing = sum(value is None for value in values)
    if missing == len(values) and role != "train":
        data.notes.append(f"{role}: none of its {missing} images has a label; it is not scored")
        return
    if missing:
        row = values.index(None)
        raise InputError(
            f"data: {missing} of {len(values)} rows of {role} of {section.path} have no label (first: row {row}); "
            "give them one, or take them out (of a CSV, None, NA, null and nan are no labels)"
        )
    feature = datasets.ClassLabel(names=data.labels)
    if section.multi_label:
        ids, feature = encode_sets(values, data.labels, role, owner), datasets.List(feature)
        if none := sum(not each for each in ids):
            data.notes.append(f"{role}: {none:,} of {plural(len(ids), 'image')} have none of the labels")
    else:
        ids = np.array(encode_labels(values, data.labels, role, owner))
    columns = [name for name in ("image", "row", "name") if name in split.column_names]
    encoded = split.select_columns(columns).add_column("label", ids, feature=feature)
    groups = group_names(split, role, data, section)
    data.splits[role] = encoded.add_column("group", groups) if groups else encoded


def _set_aside(rows: datasets.Dataset, values: list, data: Data, role: str) -> tuple[datasets.Dataset, list]:
    """Rows and labels but those of classes that train does not have, which go to `data.unknown`."""
    known = {None, *data.labels}
    left = [i for i, value in enumerate(values) if value in known]
    if len(left) == len(values):
        return rows, values
    data.unknown += [
        BadImage(name, value, role, "label unknown to train")
        for name, value in zip(names_of(rows), values, strict=True)
        if value not in known
    ]
    return rows.select(left), [values[i] for i in left]


def names_of(rows: datasets.Dataset) -> list[str]:
    """The name of each image as a run lists it: its path below the data's root, that beside its bytes, or its row."""
    if "name" in rows.column_names:
        names = rows["name"][:]
    else:
        names = []
        for batch in rows.select_columns(["image"]).with_format("arrow").iter(1000):
            paths = pyarrow.compute.struct_field(batch["image"], "path").to_pylist()
            names += [os.path.basename(path) if path and os.path.isabs(path) else path for path in paths]
    numbers = rows["row"][:] if "row" in rows.column_names else range(len(names))
    return [name or f"row {number}" for name, number in zip(names, numbers, strict=True)]
