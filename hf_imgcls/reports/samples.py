"""Images of a run that are shown: which rows, as they are read, and as training augments and mixes them.

Nothing here changes the run: random numbers come from generators of its own, or their state is restored.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import datasets
import numpy as np
import torch
from torchvision.transforms import v2

from hf_imgcls.data import first_rows
from hf_imgcls.images import TrainTransform, fill_with_noise, read_image

_GALLERY = 16  # images
_SIDE = 320  # pixels of the longer side of an image that is shown as it is: a figure shows fewer
_STREAMED = 64  # rows of a stream to choose from


class Sample(NamedTuple):
    """Rows (image, label, row) of a split, ordered by class, and the names of all classes."""

    rows: list[dict]
    names: list[str]

    @property
    def labels(self) -> list[str]:
        return [
            ", ".join(self.names[i] for i in label) if isinstance(label := row["label"], list) else self.names[label]
            for row in self.rows
        ]


def choose_sample(split: datasets.Dataset | datasets.IterableDataset, names: Sequence[str], seed: int) -> Sample:
    """Images of as many classes as there is room for, alike for the same seed; of a stream its first rows."""
    if isinstance(split, datasets.IterableDataset):
        rows = first_rows(split, _STREAMED)
        return Sample([rows[i] for i in _spread(_first([row["label"] for row in rows]), seed)], list(names))
    return Sample(list(split.select(_spread(_first(split["label"][:]), seed))), list(names))


def _first(labels: Sequence[int | list[int]]) -> list[int]:
    """Of several labels an image the first; -1 of one without any."""
    return [(label or [-1])[0] if isinstance(label, list) else label for label in labels]


def _spread(labels: Sequence[int], seed: int) -> list[int]:
    """Indices of rows, as many of one class as of another, in the order of their labels."""
    generator = np.random.default_rng(seed)
    labels = np.asarray(labels)
    classes = generator.permutation(np.unique(labels))[:_GALLERY]
    members = [generator.permutation(np.flatnonzero(labels == label))[:_GALLERY] for label in classes]
    turns = (i for turn in itertools.zip_longest(*members) for i in turn if i is not None)
    return sorted((int(i) for i in itertools.islice(turns, _GALLERY)), key=lambda i: (labels[i], i))


def as_read(row: dict) -> np.ndarray:
    """The image of a row, made smaller, shape (height, width, 3)."""
    image = read_image(row["image"])
    image.thumbnail((_SIDE, _SIDE))
    return np.asarray(image)


def as_trained(images: TrainTransform, rows: Iterable[dict], epoch: int) -> list[np.ndarray]:
    """Rows as training sees them in an epoch, red, green, blue, shape (height, width, 3)."""
    before = int(images.epoch)
    images.epoch.fill_(epoch)
    try:
        made = images({key: [row[key] for row in rows] for key in ("image", "label", "row")})
    finally:
        images.epoch.fill_(before)
    pixels = torch.stack(made["pixel_values"])
    if "erased" in made:
        with torch.random.fork_rng(devices=[]):
            noisy = fill_with_noise(pixels * images.scale + images.shift, torch.stack(made["erased"]))
        pixels = ((noisy - images.shift) / images.scale).round().clamp(0, 255).to(torch.uint8)
    rgb = [images.channels.index(channel) for channel in range(3)]
    return list(pixels[:, rgb].permute(0, 2, 3, 1).numpy())


def mixed_batch(mix: v2.Transform, images: TrainTransform, rows: Sequence[dict], classes: int, epoch: int):
    """Rows as training mixes them in an epoch: images of shape (height, width, 3), and fractions (rows, classes)."""
    pixels = torch.tensor(np.stack(as_trained(images, rows, epoch))).permute(0, 3, 1, 2).float()
    mixed, soft = _mix(mix, pixels, _as_tensor([row["label"] for row in rows], classes), 100 * epoch)
    return list(mixed.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()), soft.numpy()


def _as_tensor(labels: Sequence[int | list[int]], classes: int) -> torch.Tensor:
    if not isinstance(labels[0], list):
        return torch.tensor(labels)
    return torch.stack(
        [torch.zeros(classes).index_fill(0, torch.tensor(each, dtype=torch.int64), 1) for each in labels]
    )


def _mix(mix: v2.Transform, pixels: torch.Tensor, labels: torch.Tensor, seed: int):
    """A mixed batch and its soft labels; of the first draws one that can be seen, since many give a fraction near 1."""
    with torch.random.fork_rng(devices=[]):
        for turn in range(20):
            torch.default_generator.manual_seed(seed + turn)
            mixed, soft = mix(pixels, labels)
            if soft.amax(dim=1).min() < 0.95:
                break
    return mixed, soft
