"""What a run trains on and is scored on, lists of image files as a dataset, and what is computed from rows once."""

import dataclasses
import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import joblib
import numpy as np
import pyarrow as pa

from hf_imgcls.data.label_arrays import count_classes, read_labels
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import no_file
from hf_imgcls.store import cached


class BadImage(NamedTuple):
    """An image that cannot be read: which, of what class, where it was found, and why."""

    file: str
    label: str
    split: str
    reason: str


class Checked(NamedTuple):
    """The images of a split that can be read, in order: names, digests of their bytes, labels as text, (images,)."""

    files: list[str]
    digests: list[str]
    labels: np.ndarray


@dataclasses.dataclass
class Data:
    """What a run trains on and is scored on.

    Attributes:
        splits: train, and validation and test where they exist. Columns: image (undecoded), label (ClassLabel, or a
            list of them where an image may have several), row (its number in the source's split), name (relative path;
            only where the images are files), group (its name; only where the recipe names a column of groups).
        labels: class names in the order of their ids.
        fingerprints: of each split, over relative names, contents and labels.
        bad: the images that cannot be read.
        notes: what else a person should know, a line each.
        cache_size: shorter side of the copies that training reads instead of the images.
        overlaps: which images are there more than once, within and across splits.
        digests: of the bytes of each image, 8 bytes as a number, by split; empty for a stream.
        pool: of a cross-validation, the rows of all its folds.
        group_column: by which splits were held out.
        shared_groups: which groups are in several splits.
        files: the name of each image by split, once they are checked; empty for a stream.
        unknown: where a list, held-out images of classes that train does not have, which are refused otherwise.
        multi_label: whether an image may have several labels, or none.
    """

    splits: dict[str, datasets.Dataset | datasets.IterableDataset]
    labels: list[str]
    fingerprints: dict[str, str] = dataclasses.field(default_factory=dict)
    bad: list[BadImage] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    cache_size: int | None = None
    overlaps: list = dataclasses.field(default_factory=list)
    digests: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    pool: Any = None
    group_column: str | None = None
    shared_groups: list = dataclasses.field(default_factory=list)
    files: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    unknown: list[BadImage] | None = None
    multi_label: bool = False

    def describe_splits(self) -> dict[str, Any]:
        """The content of splits.json: labels, fingerprints and, where they can be counted, images and classes."""
        counted = {role: self.count_classes(role) for role in self.fingerprints}
        return {
            "labels": self.labels,
            "fingerprints": self.fingerprints,
            "images": {role: len(self.splits[role]) for role in counted},
            "per_class": {role: dict(zip(self.labels, counts, strict=True)) for role, counts in counted.items()},
        }

    def count_classes(self, role: str) -> list[int]:
        """Images of each class, in the order of the labels."""
        return count_classes(read_labels(self.splits[role]), len(self.labels)).tolist()


class Entry(NamedTuple):
    """One image file: where it is, its name relative to the data's root, its label as the source has it, its group."""

    path: str | None
    name: str
    label: Any
    size: int
    changed: int  # ns
    group: str | None = None


def entry(path: str, name: str, label: Any) -> Entry:
    """An entry with the file's present size and time of change; a missing file has size -1.

    The name is brought to Unicode NFC, so that a copy made on a Mac has the same fingerprints. Of the two times the
    later one counts: a file that another one was moved or unpacked onto may keep an old time of modification.
    """
    name = unicodedata.normalize("NFC", name)
    try:
        status = os.stat(path)
    except ValueError:  # a null character, or text that is no name here
        return Entry(path, name, label, -1, 0)
    except OSError as error:
        if not no_file(error, path):
            raise ReadError(f"{path}: {error.strerror}; mend that, then run the same command again") from None
        return Entry(path, name, label, -1, 0)
    return Entry(path, name, label, status.st_size, max(status.st_mtime_ns, status.st_ctime_ns))


def load_entries(entries: Iterable[Entry], label: Any = None, grouped: bool = False) -> datasets.Dataset:
    """Entries as a dataset with the columns image (bytes none, absolute path), label, name, size, changed, group.

    It loads from the cache in a second, and its fingerprint is that of its content, size and time of change of each
    image included: nothing downstream is computed again unless an image was added, removed or changed, and a changed
    or deleted image never meets a stale result.

    Args:
        label: the label column's feature; a string if not given.
        grouped: whether there is a column of groups.

    Raises:
        InputError: a file name that is not Unicode text.
    """
    paths, *others = (list(column) for column in zip(*entries, strict=True))
    try:
        for path in paths:
            (path or "").encode()
    except UnicodeEncodeError as error:
        # Names in an older encoding (a Korean or Japanese zip file, unpacked elsewhere) reach Python as surrogates.
        raise InputError(
            f"data.path: the name {error.object!a} is not UTF-8; rename it (convmv does whole folders)"
        ) from None
    text, number = datasets.Value("string"), datasets.Value("int64")
    image = datasets.Image(decode=False)
    features = datasets.Features(image=image, name=text, label=label or text, size=number, changed=number)
    features |= {"group": text} if grouped else {}
    schema = features.arrow_schema  # holds the features, names included
    no_bytes = pa.nulls(len(paths), pa.binary())
    images = pa.StructArray.from_arrays([no_bytes, pa.array(paths, pa.string())], ["bytes", "path"])
    columns = [images, *(pa.array(others[i], kind) for i, kind in enumerate(schema.types[1:]))]
    # An Arrow file, which `datasets` maps into memory; not through `load_dataset`, which takes longer than listing.
    content = pa.BufferOutputStream()
    with pa.ipc.new_stream(content, schema) as stream:
        stream.write_table(pa.table(columns, schema=schema))
    content = content.getvalue()
    key = hashlib.sha256(content).hexdigest()
    return cached("index", key, lambda folder: (folder / "rows.arrow").write_bytes(content))[0]


def map_cached(
    kind: str, key: list, rows: datasets.Dataset, function: Callable, rows_per_process: int, **options
) -> tuple[datasets.Dataset, bool]:
    """What a function makes of rows, by several processes or from the cache.

    Args:
        key: all that the result follows from, ready for JSON.
        rows_per_process: below this many, another process costs more than it saves.
        options: of `datasets.Dataset.map`.

    Returns:
        The result, and whether it was in the cache.
    """
    processes = min(joblib.cpu_count(), len(rows) // rows_per_process)

    def build(folder: Path) -> None:
        place = {"cache_file_name": str(folder / "rows.arrow"), "new_fingerprint": kind}
        try:
            rows.map(function, num_proc=processes if processes > 1 else None, **place, **options)
        except RuntimeError as error:
            if "abruptly died" not in str(error):
                raise
            raise ReadError(
                f"{options['desc']}: one of {processes} processes was killed, as a system does that is out of memory; "
                "free some, then run the same command again"
            ) from None

    return cached(kind, key, build)
