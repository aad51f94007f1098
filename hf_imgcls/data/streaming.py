"""Datasets that do not fit on the disk: images are read while training, in the order they come.

Nothing can be counted, stratified or checked beforehand. A step budget and the label names must be known; unreadable
images are skipped (or refused) when they turn up, with a line each.
"""

import functools
import itertools
import math
import re
import zlib
from collections.abc import Callable

import datasets

from hf_imgcls.data.changed import naming_changed
from hf_imgcls.data.check import limits_of, verdict
from hf_imgcls.data.labels import encode_labels, label_namer, name_labels, note_alike
from hf_imgcls.data.rows import Data
from hf_imgcls.data.sources import open_source
from hf_imgcls.data.splits import Span, choose_spans, unused_limits
from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, UnusableImage, may_lose_all, open_usable, read_usable
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import clean

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
    labels = name_labels(available[spans["train"][0].split], section.label_names)
    data = Data({}, labels, notes=[*notes, *note_alike(labels), _UNKNOWN])
    for role, (span,) in spans.items():
        whole = available[span.split]
        taken = _take(whole, span, getattr(section.max_samples, role))
        rows = taken.map(_encoder(labels, role, span.start, taken.features["label"], section), with_indices=True)
        rows = rows.filter(_admission(section))
        rows = rows if taken is whole and role == "train" else _one_shard(rows)
        if role == "train":
            rows = rows.shuffle(seed=section.seed, buffer_size=section.shuffle_buffer)
        data.splits[role] = rows
    data.notes += unused_limits(section, data.splits)
    if "validation" not in data.splits:
        data.notes.append("streaming: no validation split; nothing is held out of a stream (data.validation_split)")
    return data


def attach_transform(split, transform: Callable, bad_images: str = "drop"):
    """A split whose rows come through a transform: on access, or mapped where it is a stream.

    Args:
        transform: from columns image, label, row to pixel_values and labels.
        bad_images: in a stream, "drop" skips an unreadable image with a warning, "raise" ends the run.
    """
    if isinstance(split, datasets.Dataset):
        return split.with_transform(functools.partial(_transform_checked, transform))

    def read_and_transform(rows: dict[str, list]) -> dict[str, list]:
        made = transform({key: [] for key in rows})  # its columns, also where no image of the batch can be read
        for i, image in enumerate(rows["image"]):
            try:
                one = transform({"image": [image], "label": [rows["label"][i]], "row": [_identity(image)]})
            except UNREADABLE:
                if not _skip(image, rows["row"][i], bad_images):
                    raise
                continue
            for key, values in one.items():
                made[key] += values
        return made

    return split.map(read_and_transform, batched=True, batch_size=_BATCH, remove_columns=["image", "label", "row"])


def _transform_checked(transform: Callable, rows: dict[str, list]) -> dict[str, list]:
    with naming_changed(rows["image"]):
        return transform(rows)


def first_rows(stream: datasets.IterableDataset, count: int) -> list[dict]:
    """The first rows of a stream whose images can be read: it has no others to draw from."""
    return list(itertools.islice((row for row in stream if not _skip(row["image"], row["row"], "drop")), count))


def _skip(image: dict | None, row: int, bad_images: str) -> bool:
    """Whether an image cannot be read, and a line about it."""
    reason = verdict(image)["reason"]
    return bool(reason) and _refuse(image, row, reason, bad_images)


def _refuse(image: dict | None, row: int, reason: str, bad_images: str) -> bool:
    """A line about an image that is skipped, or that ends the run; True."""
    name = (image or {}).get("path") or f"row {row}"
    if bad_images == "raise":
        raise InputError(f"data: {name} cannot be read: {reason}; data.bad_images=drop trains without it") from None
    datasets.logging.get_logger("hf_imgcls").warning(clean(f"data: {name} cannot be read: {reason}; skipped"))
    return True


def _admission(section: DataSection) -> Callable[[dict], bool]:
    """Whether a row's image is within the limits, from its header; what cannot be read is left to the reading."""
    limits = limits_of(section)

    def admit(row: dict) -> bool:
        image = row["image"]
        try:
            if _is_there(image) and may_lose_all(open_usable(image, limits)):
                read_usable(image, limits)
        except UnusableImage as error:
            return not _refuse(image, row["row"], str(error), section.bad_images)
        except UNREADABLE:
            pass
        return True

    return admit


def _is_there(image: dict | None) -> bool:
    return image is not None and (image["bytes"] is not None or image["path"] is not None)


def _identity(image: dict | None) -> int:
    """The image's own number, which seeds its augmentation: each shard counts its rows from 0."""
    if not _is_there(image):
        raise ValueError("no image in this row")
    return zlib.crc32(image["bytes"] if image["bytes"] is not None else image["path"].encode())


def _refuse_counting(section: DataSection) -> None:
    if section.cache_size:
        raise InputError("data.cache_size: a stream is read once and keeps no copies; leave it or data.streaming out")
    counting = {"samples_per_class", "test_fraction", "validation_fraction"} & section.model_fields_set
    if counting:
        raise InputError(
            f"data.{min(counting)}: needs the whole dataset, which data.streaming does not have; leave one of them out"
        )


def _encoder(labels: list[str], role: str, start: int, feature, section: DataSection) -> Callable:
    name_of = label_namer(feature, section.label_names)
    owner = "data.label_names" if section.label_names else "train"

    def encode(row: dict, number: int) -> dict:
        name = name_of(row["label"])
        if name is None:
            raise InputError(f"data: row {start + number} of {role} has no label")
        return {"image": row["image"], "label": encode_labels([name], labels, role, owner)[0], "row": start + number}

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
