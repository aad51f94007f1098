"""What a run trains on and is scored on."""

import dataclasses

import datasets

from hf_imgcls.data.check import BadImage


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
