"""Any source as train, validation and test: one image column, one label column, and the label names.

    open the source -> choose the splits -> name the labels -> draw the rows -> check the pictures -> fingerprint

Every step is a function of the recipe and the pictures alone, so all processes of a run arrive at the same rows.
"""

import dataclasses
from collections import Counter

import datasets
import numpy as np

from hf_imgcls.bad_images import BadPicture, check_pictures, refuse
from hf_imgcls.columns import encode_labels, label_values, name_labels
from hf_imgcls.recipe import DataSection, InputError
from hf_imgcls.sources import open_source
from hf_imgcls.splits import choose_splits, fingerprint, per_class, stratified, take_rows


@dataclasses.dataclass
class Data:
    """What a run trains on and is scored on.

    Attributes:
        splits: train, and validation and test where they exist. Columns: image (undecoded), label (ClassLabel),
            row (its number in the source's split), name (relative path; only where the pictures are files).
        labels: class names in the order of their ids.
        fingerprints: of each split, over relative names, contents and labels.
        bad: the pictures that cannot be read.
        notes: what else a person should know, a line each.
    """

    splits: dict[str, datasets.Dataset | datasets.IterableDataset]
    labels: list[str]
    fingerprints: dict[str, str] = dataclasses.field(default_factory=dict)
    bad: list[BadPicture] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def load_data(section: DataSection) -> Data:
    """Load what the recipe's `data` section names.

    Raises:
        InputError: the source, a split, a column or a label is not as the recipe says; pictures are unreadable and
            `bad_images` is "raise"; a class or the whole of train is empty.
    """
    if section.streaming:
        from hf_imgcls.streaming import load_stream

        return load_stream(section)
    source = open_source(section)
    chosen = choose_splits({name: len(ds) for name, ds in source.splits.items()}, section)
    numbered = {name: _number(ds) for name, ds in source.splits.items()}
    splits = {role: take_rows(numbered, spec, f"{role}_split") for role, spec in chosen.items() if spec}
    labels = name_labels(splits["train"], "label", section.label_names)
    data = Data({}, labels, notes=source.notes)
    for role, split in splits.items():
        encoded = _encode(split, labels, role, data, section)
        if encoded is not None:
            data.splits[role] = encoded
    _no_overlap(data.splits, chosen)
    _draw_rows(data, section)
    data.splits = {role: data.splits[role] for role in ("train", "validation", "test") if role in data.splits}
    _check(data, section)
    return data


def load_split(section: DataSection, split: str | None, labels: list[str]) -> Data:
    """One split alone, for scoring a model that knows its labels.

    Args:
        split: a split or slice of the source; if not given, its test split, else validation, else the only one.
        labels: the model's class names.

    Returns:
        Data whose `splits` has this one, under its name.
    """
    source = open_source(section)
    found = choose_splits({name: len(ds) for name, ds in source.splits.items()}, section.model_copy(update=_any(split)))
    split = split or found["test"] or found["validation"] or found["train"]
    rows = take_rows({name: _number(ds) for name, ds in source.splits.items()}, split, "split")
    data = Data({}, labels, notes=source.notes)
    encoded = _encode(rows, labels, split, data, section, owner="the model")
    if encoded is None:
        raise InputError(f"data: the split {split!r} of {section.path} has no labels to score against")
    data.splits[split] = encoded
    _draw_rows(data, section)
    _check(data, section)
    return data


def _any(split: str | None) -> dict[str, str | None]:
    return {"train_split": split, "validation_split": None, "test_split": None} if split else {}


def _number(split: datasets.Dataset) -> datasets.Dataset:
    return split.add_column("row", np.arange(len(split)))


def _encode(split, labels: list[str], role: str, data: Data, section: DataSection, owner: str = "train"):
    """The label column as ids; a held-out split without any labels is left out (None), with a note."""
    values = label_values(split, "label", section.label_names)
    missing = sum(value is None for value in values)
    if missing == len(values) and role != "train":
        data.notes.append(f"{role}: none of its {missing} pictures has a label; it is not scored")
        return None
    if missing:
        raise InputError(f"data: {missing} of {len(values)} rows of {role} have no label")
    ids = encode_labels(values, labels, role, owner)
    kept = [name for name in ("image", "row", "name") if name in split.column_names]
    return split.select_columns(kept).add_column("label", np.array(ids), feature=datasets.ClassLabel(names=labels))


def _no_overlap(splits: dict[str, datasets.Dataset], chosen: dict[str, str | None]) -> None:
    """Slices of one split must not share rows: a score on rows that were trained on is no score."""
    for held in ("validation", "test"):
        base = (chosen[held] or "").partition("[")[0]
        if held in splits and base == chosen["train"].partition("[")[0] and "+" not in chosen["train"] + chosen[held]:
            shared = len(set(splits["train"]["row"][:]) & set(splits[held]["row"][:]))
            if shared:
                raise InputError(f"data.{held}_split: {chosen[held]} shares {shared} rows with {chosen['train']}")


def _draw_rows(data: Data, section: DataSection) -> None:
    """Hold out what does not exist, then limit each split; all seeded by `data.seed`."""
    for role, fraction in (("test", section.test_fraction), ("validation", section.validation_fraction)):
        wanted = fraction or getattr(section.max_samples, role) or getattr(section.samples_per_class, role)
        if "train" in data.splits and role not in data.splits and wanted:
            _hold_out(data, role, fraction, section)
    for role, split in data.splits.items():
        rows = _limited(split, data.labels, role, section)
        if rows is not None and len(rows) < len(split):
            data.splits[role] = split.select(rows)


def _hold_out(data: Data, role: str, fraction: float | None, section: DataSection) -> None:
    train = data.splits["train"]
    ids = np.array(train["label"][:])
    rows = _limited(train, data.labels, role, section, keep_one=True)
    if rows is None:
        rows = stratified(ids, round(len(ids) * fraction), section.seed, keep_one=True)
    if len(rows) == 0:
        raise InputError(f"data.{role}_fraction: {len(ids)} pictures of train are too few to hold any out for {role}")
    data.splits[role] = train.select(rows)
    data.splits["train"] = train.select(np.setdiff1d(np.arange(len(ids)), rows))
    data.notes.append(f"{role}: {len(rows)} pictures held out of train, stratified, seed {section.seed}")


def _limited(split, labels: list[str], role: str, section: DataSection, keep_one: bool = False) -> np.ndarray | None:
    """The rows of a split that the recipe's limits leave, or None if it sets none."""
    each, most = getattr(section.samples_per_class, role, None), getattr(section.max_samples, role, None)
    ids = np.array(split["label"][:])
    if each is not None:
        return per_class(ids, each, labels, section.seed, role)
    if most is not None and (most < len(ids) or keep_one):
        return stratified(ids, most, section.seed, keep_one)
    return None


def _check(data: Data, section: DataSection) -> None:
    """Read every picture, drop or refuse the bad ones, and take the fingerprints."""
    digests: dict[str, str] = {}
    for role, split in data.splits.items():
        verdicts = check_pictures(split, role)
        reasons, digest = verdicts["reason"][:], verdicts["digest"][:]
        files = _file_names(split, role)
        names = [data.labels[i] for i in split["label"][:]]
        for i, reason in enumerate(reasons):
            if reason:
                data.bad.append(BadPicture(files[i], names[i], role, reason))
        good = [i for i, reason in enumerate(reasons) if not reason]
        if not good:
            raise InputError(f"data: none of the {len(reasons)} pictures of {role} can be read; first: {reasons[0]}")
        data.splits[role] = split if len(good) == len(reasons) else split.select(good)
        data.fingerprints[role] = fingerprint(*([column[i] for i in good] for column in (files, digest, names)))
        _note_spoilt(Counter(verdicts["spoilt"][:]), role, data)
        _note_repeats({digest[i] for i in good}, role, digests, data)
    if section.bad_images == "raise":
        refuse(data.bad)
    _note_missing_classes(data)


def _file_names(split: datasets.Dataset, role: str) -> list[str]:
    """What a report calls each picture: its relative path, or its row in the source."""
    if "name" in split.column_names:
        return split["name"][:]
    paths = [image["path"] for image in split.select_columns(["image"]).with_format(None)["image"]]
    return [path or f"row {row}" for path, row in zip(paths, split["row"][:], strict=True)]


def _note_spoilt(spoilt: Counter, role: str, data: Data) -> None:
    for what in ("transparency", "high bit depth"):
        if spoilt[what]:
            data.notes.append(f"{role}: {spoilt[what]} pictures lose their {what} when they are converted to RGB")


def _note_repeats(found: set[str], role: str, digests: dict[str, str], data: Data) -> None:
    """The same bytes in two splits: a score on a picture that was trained on."""
    repeated = Counter(digests[d] for d in found if d in digests)
    for other, count in repeated.items():
        data.notes.append(f"{role}: {count} pictures are also in {other}, byte for byte")
    digests.update((d, role) for d in found if d not in digests)


def _note_missing_classes(data: Data) -> None:
    if "train" not in data.splits:
        return
    present = set(data.splits["train"]["label"][:])
    missing = [name for i, name in enumerate(data.labels) if i not in present]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        data.notes.append(f"train: no pictures of {len(missing)} of {len(data.labels)} classes: {shown}")
    if len(present) < 2:
        raise InputError(f"data: train has pictures of {len(present)} class only; a classifier needs two")
