"""What of a source is packed into shards: its splits, labels and readable images, and which rows are in which shard."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow.compute as pc

from hf_imgcls.data.check import check_images, limits_of
from hf_imgcls.data.folders import SPLIT_NAMES, USUAL_NAMES
from hf_imgcls.data.labels import check_values, encode_labels, label_values, name_labels, note_alike
from hf_imgcls.data.rows import BadImage
from hf_imgcls.data.sources import open_source
from hf_imgcls.data.splits import choose_splits, split_names
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection


class Packed(NamedTuple):
    """A split that is packed: its rows, and of each the class's number (-1: none), name, image digest and group.

    Attributes:
        good: numbers of the rows whose images can be read.
        sizes: bytes of each row's image.
    """

    split: str
    rows: datasets.Dataset
    ids: list[int]
    names: list[str]
    digests: list[str]
    good: list[int]
    sizes: np.ndarray
    groups: list


class Shard(NamedTuple):
    """A file that is written: its name, the rows of it, and a hash of what they are."""

    name: str
    part: Packed
    rows: list[int]
    key: str


class Packing(NamedTuple):
    """All that is packed, the class names by number, what is skipped, and notes."""

    parts: list[Packed]
    labels: list[str]
    bad: list[BadImage]
    notes: list[str]


def open_packing(data: DataSection) -> Packing:
    """Read every image of a source's splits, and name the labels as training does.

    Raises:
        InputError: what `open_source` raises, or a label that train does not have.
    """
    available, notes, origin = open_source(data)
    chosen = choose_splits(available, data)
    train, names = available[split_names(chosen["train"])[0]], _name_splits(available, chosen)
    notes = [*notes, *check_values(train, origin, data)]
    labels = name_labels(train, data.label_names)
    parts, bad = [], []
    for name, rows in available.items():
        if name not in names:
            notes = [*notes, f"the split {name} is left out: {_why_left_out(name)}"]
            continue
        part, more = _part(names[name], rows, labels, data)
        parts.append(part)
        bad += more
    if "train" not in names.values():
        raise InputError(f"data.train_split: pack writes whole splits, found {data.train_split!r}; name one of them")
    parts.sort(key=lambda part: list(USUAL_NAMES).index(part.split))
    return Packing(parts, labels, bad, [*notes, *note_alike(labels)])


def _name_splits(available: Collection[str], chosen: Mapping[str, str | None]) -> dict[str, str]:
    """What each split is called that is packed: as the recipe uses it where it names the whole split, else as usual.

    Slices of a split are the recipe's own affair, also of shards: the split is packed whole.
    """
    names = {spec: role for role, spec in chosen.items() if spec in available}
    for name in available:
        usual = SPLIT_NAMES.get(name)
        if usual and name not in names and usual not in names.values():
            names[name] = usual
    return names


def _why_left_out(name: str) -> str:
    usual = SPLIT_NAMES.get(name)
    return f"another one is {usual}" if usual else "it is none of train, validation and test"


def _part(split: str, rows: datasets.Dataset, labels: list[str], data: DataSection) -> tuple[Packed, list[BadImage]]:
    texts = label_values(rows, data.label_names, labels)
    ids = encode_labels(texts, labels, split, "data.label_names" if data.label_names else "train")
    verdicts = check_images(rows, split, limits_of(data))
    reasons, files = verdicts["reason"][:], verdicts["file"][:]
    names = rows["name"][:] if "name" in rows.column_names else files
    shown = [name or f"row {row}" for row, name in enumerate(names)]
    bad = [BadImage(shown[row], texts[row] or "", split, why) for row, why in enumerate(reasons) if why]
    good = [row for row, why in enumerate(reasons) if not why]
    if not good:
        raise InputError(
            f"data: none of the {len(rows)} images of {split} can be read; the first, {bad[0].file}: {bad[0].reason}"
        )
    groups = rows["group"][:] if "group" in rows.column_names else [None] * len(rows)
    return Packed(split, rows, ids, names, verdicts["digest"][:], good, _sizes(rows), groups), bad


def _sizes(rows: datasets.Dataset) -> np.ndarray:
    if "size" in rows.column_names:
        return np.array(rows["size"][:])
    images = rows.with_format("arrow")["image"][:]
    lengths = pc.binary_length(pc.struct_field(images, "bytes"))
    return np.array(pc.fill_null(lengths, 0))


def plan_shards(part: Packed, ending: str, most: int) -> list[Shard]:
    """The shards of a split: rows in their order, each of `most` bytes of images or of one image that is larger."""
    groups, size = [[]], 0
    for row in part.good:
        if groups[-1] and size + part.sizes[row] > most:
            groups.append([])
            size = 0
        groups[-1].append(row)
        size += part.sizes[row]
    return [
        Shard(f"{part.split}-{i:05d}-of-{len(groups):05d}.{ending}", part, rows, _key(part, rows))
        for i, rows in enumerate(groups)
    ]


def _key(part: Packed, rows: list[int]) -> str:
    content = [[part.names[row], part.ids[row], part.digests[row], part.groups[row]] for row in rows]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:32]
