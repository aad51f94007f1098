"""What a run trains on and is scored on, and what is computed from its rows once."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import joblib

from hf_imgcls.store import cached_rows


class BadImage(NamedTuple):
    """An image that cannot be read: which, of what class, where it was found, and why."""

    file: str
    label: str
    split: str
    reason: str


@dataclasses.dataclass
class Data:
    """What a run trains on and is scored on.

    Attributes:
        splits: train, and validation and test where they exist. Columns: image (undecoded), label (ClassLabel),
            row (its number in the source's split), name (relative path; only where the images are files).
        labels: class names in the order of their ids.
        fingerprints: of each split, over relative names, contents and labels.
        bad: the images that cannot be read.
        notes: what else a person should know, a line each.
        cache_size: shorter side of the copies that training reads instead of the images.
    """

    splits: dict[str, datasets.Dataset | datasets.IterableDataset]
    labels: list[str]
    fingerprints: dict[str, str] = dataclasses.field(default_factory=dict)
    bad: list[BadImage] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    cache_size: int | None = None

    def describe_splits(self) -> dict[str, Any]:
        """The content of splits.json: labels, fingerprints and, where they can be counted, images and classes."""
        counted = {role: split for role, split in self.splits.items() if role in self.fingerprints}
        classes = {role: Counter(split["label"][:]) for role, split in counted.items()}
        return {
            "labels": self.labels,
            "fingerprints": self.fingerprints,
            "images": {role: len(split) for role, split in counted.items()},
            "per_class": {
                role: {name: counts[i] for i, name in enumerate(self.labels)} for role, counts in classes.items()
            },
        }


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
    hashed = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    processes = min(joblib.cpu_count(), len(rows) // rows_per_process)

    def build(folder: Path) -> None:
        place = {"cache_file_name": str(folder / "rows.arrow"), "new_fingerprint": hashed}
        rows.map(function, num_proc=processes if processes > 1 else None, **place, **options)

    return cached_rows(kind, hashed, build)
