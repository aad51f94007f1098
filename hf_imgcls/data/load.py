"""Any source as train, validation and test: one image column, one label column, and the label names.

    open the source -> take the splits -> name and encode the labels -> hold out what is missing -> limit the rows
    -> check the images -> fingerprint -> find those that are there more than once

Every step is a function of the recipe and the images alone, so all processes of a run arrive at the same rows.
"""

from hf_imgcls.data.check import check_split, limits_of, refuse_bad_images
from hf_imgcls.data.drop_near import drop_near
from hf_imgcls.data.duplicates import compare_splits
from hf_imgcls.data.encode import encode_split
from hf_imgcls.data.folds import check_pool, split_folds
from hf_imgcls.data.groups import compare_groups
from hf_imgcls.data.hold_out import hold_out, limit
from hf_imgcls.data.label_arrays import read_labels
from hf_imgcls.data.label_sets import check_sets, name_sets, read_sets
from hf_imgcls.data.labels import check_values, name_labels, note_alike
from hf_imgcls.data.long_tail import describe_long_tail
from hf_imgcls.data.relabel import relabel
from hf_imgcls.data.rows import BadImage, Data
from hf_imgcls.data.sources import open_source
from hf_imgcls.data.splits import (
    choose_spans,
    read_spans,
    role_of,
    scored_split,
    take_rows,
    unused_limits,
)
from hf_imgcls.data.streaming import load_stream
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed


def load_data(section: DataSection, unknown: list[BadImage] | None = None) -> Data:
    """Load what the recipe's `data` section names.

    Args:
        unknown: takes the held-out images of classes that train does not have; without it they are refused.

    Raises:
        InputError: the source, a split, a column or a label is not as in the recipe; images are unreadable and
            `bad_images` is "raise"; train is empty or of one class.
    """
    if section.streaming:
        return load_stream(section)
    data = find_rows(section, unknown)
    _check_images(data, section)
    for role in data.splits:
        missing = [name for name, count in zip(data.labels, data.count_classes(role), strict=True) if not count]
        if missing:
            data.notes.append(
                f"{role}: no images of {len(missing):,} of {len(data.labels):,} classes: {listed(missing)}"
            )
    _refuse_one_class(data)
    return data


def find_rows(section: DataSection, unknown: list[BadImage] | None = None) -> Data:
    """The rows of each split before any image is read: bad ones are among them, and there are no fingerprints."""
    available, notes, origin = open_source(section)
    lengths = {name: len(split) for name, split in available.items()}
    spans = choose_spans(available, section, lambda spec, key: read_spans(spec, lengths, key))
    splits = {role: take_rows(available, spans[role], f"data.{role}_split") for role in spans}
    if section.multi_label:
        found, more = read_sets(splits["train"], section, section.label_names or ())
        check_sets(found, origin)
        notes += more
        labels = name_sets(splits["train"], found, section)
    else:
        for span in spans["train"]:
            notes += check_values(available[span.split], origin, section)
        labels = name_labels(splits["train"], section.label_names)
    notes += note_alike(labels)
    data = Data({}, labels, notes=notes, cache_size=section.cache_size, group_column=section.group_column)
    data.unknown, data.multi_label = unknown, section.multi_label
    for role, split in splits.items():
        encode_split(split, data, role, section, "data.label_names" if section.label_names else "train")
    _hold_out_test(data, section)
    if section.folds:
        data.splits = {role: limit(rows, labels, role, section) for role, rows in data.splits.items()}
        _note_long_tail(data, section)
        split_folds(data, section)
    else:
        _hold_out_validation(data, section)
        ordered = [role for role in ("train", "validation", "test") if role in data.splits]
        data.splits = {role: limit(data.splits[role], labels, role, section) for role in ordered}
        _note_long_tail(data, section)
    data.notes += unused_limits(section, data.splits)
    relabel(data, section, available)
    _refuse_one_class(data)
    return data


def _note_long_tail(data: Data, section: DataSection) -> None:
    if section.long_tail:
        train = data.splits["train"]
        data.notes.append(describe_long_tail(train, data.labels, section.long_tail, section.seed))


def _hold_out_test(data: Data, section: DataSection) -> None:
    limited = section.max_samples.test or section.samples_per_class.test
    if "test" in data.splits or not (section.test_fraction or (limited and section.test_split is not False)):
        return
    fraction = section.test_fraction or section.validation_fraction
    if not fraction and not section.samples_per_class.test:
        raise InputError(
            "data.max_samples.test: there is no test split, and data.validation_fraction, by which one would be held "
            "out, is 0; set data.test_fraction, or leave it out"
        )
    hold_out(data, "test", fraction, section)


def _hold_out_validation(data: Data, section: DataSection) -> None:
    if "validation" in data.splits:
        return
    if section.validation_fraction or section.samples_per_class.validation:
        hold_out(data, "validation", section.validation_fraction, section)
    else:
        data.notes.append(
            "validation: none (data.validation_fraction is 0): nothing is evaluated while training, and the last "
            "checkpoint is selected"
        )


def load_split(section: DataSection, split: str | None, labels: list[str]) -> Data:
    """One split or slice alone, under its name, for scoring a model that knows its labels.

    If none is named it is the source's test split, else validation, else the only one.
    """
    available, notes, _ = open_source(section)
    split, why = scored_split(available, section, split)
    spans = read_spans(split, {name: len(rows) for name, rows in available.items()}, "split")
    data = Data({}, labels, notes=[*notes, f"scored split: {split} ({why})"], multi_label=section.multi_label)
    encode_split(take_rows(available, spans, "split"), data, split, section, owner="the model")
    if split not in data.splits:
        raise InputError(f"data: the split {split!r} of {section.path} has no labels to score against")
    role = role_of(split, section)
    data.splits[split] = limit(data.splits[split], labels, role, section)
    data.notes += unused_limits(section, [role])
    relabel(data, section, available)
    _check_images(data, section)
    return data


def _refuse_one_class(data: Data) -> None:
    labels = read_labels(data.splits["train"])
    if labels.ndim == 2:
        if (labels == labels[0]).all():
            raise InputError("data: all images of train have the same labels; a classifier needs others beside them")
    elif len(present := set(labels.tolist())) == 1:
        only = data.labels[min(present)]
        raise InputError(f"data: train has images of one class only, {only!r}; a classifier needs two")


def _check_images(data: Data, section: DataSection) -> None:
    """Read every image, drop or refuse the bad ones, and find those whose bytes are there more than once."""
    limits = limits_of(section)
    checked = {role: check_split(data, role, limits) for role in data.splits}
    if section.bad_images == "raise":
        refuse_bad_images(data.bad)
    check_pool(data, checked)
    if section.duplicates == "drop_near_from_train":
        drop_near(data, checked)
    compare_splits(data, checked, section.duplicates != "keep")
    compare_groups(data)
    data.files = {role: list(each.files) for role, each in checked.items()}
