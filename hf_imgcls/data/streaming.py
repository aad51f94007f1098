"""Datasets that do not fit on the disk: images are read while training, in the order they come.

Nothing can be counted, stratified or checked beforehand. A step budget and the label names must be known; unreadable
images are skipped (or refused) when they turn up, with a line each.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import datasets

from hf_imgcls.data.changed import naming_changed
from hf_imgcls.data.check import limits_of
from hf_imgcls.data.datafiles import find_files
from hf_imgcls.data.label_sets import encode_sets, set_of_row
from hf_imgcls.data.labels import encode_labels, label_namer, name_labels, note_alike
from hf_imgcls.data.rows import Data
from hf_imgcls.data.sources import open_source
from hf_imgcls.data.splits import Span, choose_spans, unused_limits
from hf_imgcls.data.stream_rows import StreamRows, is_there, note_files, refuse, skip
from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, UnusableImage, may_lose_all, open_usable, read_usable
from hf_imgcls.recipe import DataSection

_SLICE = re.compile(r"(?P<name>[^\[\]+]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?")
_BATCH = 16
_UNKNOWN = "streaming: images are checked when they are read; whether train has some of the others too is not known"


def load_stream(section: DataSection) -> Data:
    """Open the splits of a source as streams, labels encoded, train shuffled through a buffer.

    Raises:
        InputError: what needs a dataset of known length, or unknown label names.
    """
    _refuse_counting(section)
    available, notes, _ = open_source(section)
    spans = choose_spans(available, section, lambda spec, key: [_span(spec, key)])
    labels = _names(available[spans["train"][0].split], section)
    files = _data_files(Path(section.path).expanduser())
    data = Data({}, labels, notes=[*notes, *note_alike(labels), _UNKNOWN], multi_label=section.multi_label)
    for role, (span,) in spans.items():
        whole = available[span.split]
        taken = _take(whole, span, getattr(section.max_samples, role))
        rows = taken.map(_encoder(labels, role, span.start, taken.features["label"], section), with_indices=True)
        rows = rows.filter(_admission(section))
        rows = rows if taken is whole and role == "train" else _one_shard(rows)
        if role == "train":
            rows = rows.shuffle(seed=section.seed, buffer_size=section.shuffle_buffer)
        note_files(rows, files)
        data.splits[role] = rows
    data.notes += unused_limits(section, data.splits)
    if "validation" not in data.splits:
        data.notes.append("streaming: no validation split; nothing is held out of a stream (data.validation_split)")
    return data


def _names(rows: datasets.IterableDataset, section: DataSection) -> list[str]:
    inner = getattr(rows.features["label"], "feature", None)  # of a list of labels
    if section.multi_label and isinstance(inner, datasets.ClassLabel) and not section.label_names:
        return list(inner.names)
    return name_labels(rows, section.label_names)


def attach_transform(split, transform: Callable, bad_images: str = "drop"):
    """A split whose rows come through a transform, on access, or while it is read where it is a stream.

    Args:
        transform: from columns image, label, row to pixel_values and labels.
        bad_images: in a stream, "drop" skips an unreadable image with a warning, "raise" ends the run.
    """
    if isinstance(split, datasets.Dataset):
        return split.with_transform(functools.partial(_transform_checked, transform))
    return StreamRows(split, transform, bad_images)


def _transform_checked(transform: Callable, rows: dict[str, list]) -> dict[str, list]:
    with naming_changed(rows["image"]):
        return transform(rows)


def first_rows(stream: datasets.IterableDataset, count: int) -> list[dict]:
    """The first rows of a stream whose images can be read: it has no others to draw from."""
    return list(itertools.islice((row for row in stream if not skip(row["image"], row["row"], "drop")), count))


def _admission(section: DataSection) -> Callable[[dict], bool]:
    """Whether a row's image is within the limits, from its header; what cannot be read is left to the reading."""
    limits = limits_of(section)

    def admit(row: dict) -> bool:
        image = row["image"]
        try:
            if is_there(image) and may_lose_all(open_usable(image, limits)):
                read_usable(image, limits)
        except UnusableImage as error:
            return not refuse(image, row["row"], str(error), section.bad_images)
        except UNREADABLE:
            pass
        return True

    return admit


def _refuse_counting(section: DataSection) -> None:
    if section.cache_size:
        raise InputError("data.cache_size: a stream is read once and keeps no copies; leave it or data.streaming out")
    counting = {"samples_per_class", "test_fraction", "validation_fraction", "long_tail"} & section.model_fields_set
    if counting:
        raise InputError(
            f"data.{min(counting)}: needs the whole dataset, which data.streaming does not have; leave one of them out"
        )


def _data_files(path: Path) -> list[Path]:
    """The data files that a stream reads again with every pass; none where it comes from the Hub."""
    return [path] if path.is_file() else find_files(path) if path.is_dir() else []


def _encoder(labels: list[str], role: str, start: int, feature, section: DataSection) -> Callable:
    owner = "data.label_names" if section.label_names else "train"
    read = set_of_row(feature, section, labels) if section.multi_label else label_namer(feature, section.label_names)
    ids = encode_sets if section.multi_label else encode_labels

    def encode(row: dict, number: int) -> dict:
        found = read(row["label"])
        if found is None:
            raise InputError(f"data: row {start + number} of {role} has no label")
        return {"image": row["image"], "label": ids([found], labels, role, owner)[0], "row": start + number}

    return encode


def _span(instruction: str, key: str) -> Span:
    match = _SLICE.fullmatch(instruction)
    if match is None:
        raise InputError(f"{key}: a stream takes slices such as train[:5000], not {instruction!r}")
    span = Span(match["name"], int(match["start"] or 0), int(match["stop"]) if match["stop"] else math.inf)
    if span.stop <= span.start:
        raise InputError(f"{key}: {instruction!r} holds no rows")
    return span


def _take(rows: datasets.IterableDataset, span: Span, most: int | None) -> datasets.IterableDataset:
    rows = rows.skip(span.start) if span.start else rows
    count = min(span.stop - span.start, most or math.inf)
    return rows if count == math.inf else rows.take(int(count))


def _one_shard(rows: datasets.IterableDataset) -> datasets.IterableDataset:
    """One shard, read by one worker in order.

    Skip and take are divided among workers, each of which counts in shards of its own: slices would hold other rows
    than without workers, and could meet. The parity check compares predictions in the order of the rows.
    """
    return datasets.IterableDataset.from_generator(_rows_in_order, gen_kwargs={"rows": rows})


def _rows_in_order(rows: datasets.IterableDataset):
    for batch in rows.iter(_BATCH):  # plain iteration in a worker hands out that worker's shards alone
        yield from (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))
