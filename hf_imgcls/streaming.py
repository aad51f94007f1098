"""Pictures that do not fit: read while training, in the order they come.

Nothing can be counted, stratified or checked beforehand. A step budget and the label names must be known; unreadable
pictures are passed over (or refused) when they turn up, with a line each.
"""

import re
from collections.abc import Callable

import datasets

from hf_imgcls.columns import encode_labels, label_name
from hf_imgcls.data import Data
from hf_imgcls.pictures import read_picture
from hf_imgcls.recipe import DataSection, InputError
from hf_imgcls.sources import open_source
from hf_imgcls.splits import choose_splits

_SLICE = re.compile(r"(?P<name>[^\[\]+]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?")
_BATCH = 16


def load_stream(section: DataSection) -> Data:
    """Open the splits of a source as streams, labels encoded, train shuffled through a buffer.

    Raises:
        InputError: what only a data set of known length can do, or unknown label names.
    """
    if section.samples_per_class != type(section.samples_per_class)() or section.test_fraction:
        raise InputError("data.streaming: samples_per_class and test_fraction need the whole data set; leave them out")
    source = open_source(section)
    chosen = choose_splits(dict.fromkeys(source.splits, 0), section)
    feature = source.splits[chosen["train"].partition("[")[0]].features["label"]
    labels = section.label_names or (list(feature.names) if isinstance(feature, datasets.ClassLabel) else None)
    if not labels:
        raise InputError("data.label_names: a stream does not tell its labels beforehand; name them here")
    data = Data({}, labels, notes=[*source.notes, "streaming: pictures are checked when they are read"])
    for role, instruction in chosen.items():
        if instruction:
            stream = _take(source.splits, instruction, getattr(section.max_samples, role), role)
            if role == "train":
                stream = stream.shuffle(seed=section.seed, buffer_size=section.shuffle_buffer)
            data.splits[role] = stream.map(_encoder(labels, role, stream.features["label"], section), with_indices=True)
    if "validation" not in data.splits:
        data.notes.append("streaming: no validation split; nothing is held out of a stream (data.validation_split)")
    return data


def map_stream(stream: datasets.IterableDataset, transform: Callable, bad_images: str = "drop"):
    """Attach a transform of rows to a stream; pictures that cannot be read do not reach it.

    Args:
        transform: from columns image, label, row to pixel_values and labels.
        bad_images: "drop" passes an unreadable picture over with a warning, "raise" ends the run.
    """

    def read_and_transform(rows: dict[str, list]) -> dict[str, list]:
        return transform(_readable(rows, bad_images))

    return stream.map(read_and_transform, batched=True, batch_size=_BATCH, remove_columns=["image", "label", "row"])


def readable_rows(stream: datasets.IterableDataset):
    """The rows of a stream whose pictures can be read, in order."""
    for row in stream:
        if _readable({key: [value] for key, value in row.items()}, "drop")["image"]:
            yield row


def _readable(rows: dict[str, list], bad_images: str) -> dict[str, list]:
    kept: dict[str, list] = {key: [] for key in rows}
    for i, image in enumerate(rows["image"]):
        try:
            picture = read_picture(image)
        except Exception as error:  # each of Pillow's plugins has its own way to say no
            line = f"data: {image['path'] or 'row ' + str(rows['row'][i])} cannot be read: {error}"
            if bad_images == "raise":
                raise InputError(f"{line}; data.bad_images=drop trains without it") from None
            datasets.logging.get_logger("hf_imgcls").warning(f"{line}; passed over")
            continue
        for key in rows:
            kept[key].append(picture if key == "image" else rows[key][i])
    return kept


def _encoder(labels: list[str], role: str, feature, section: DataSection) -> Callable:
    def encode(row: dict, number: int) -> dict:
        name = label_name(row["label"], feature, section.label_names)
        if name is None:
            raise InputError(f"data: row {number} of {role} has no label")
        return {"image": row["image"], "label": encode_labels([name], labels, role)[0], "row": number}

    return encode


def _take(splits: dict, instruction: str, most: int | None, role: str) -> datasets.IterableDataset:
    match = _SLICE.fullmatch(instruction)
    if match is None:
        raise InputError(f"data.{role}_split: a stream takes slices such as train[:5000], not {instruction!r}")
    stream = splits[match["name"]]
    start, stop = int(match["start"] or 0), match["stop"]
    stream = stream.skip(start) if start else stream
    counts = [n for n in (int(stop) - start if stop else None, most) if n is not None]
    return stream.take(min(counts)) if counts else stream
