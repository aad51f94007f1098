"""The plots of a run: which images and numbers are drawn, and the PNGs in its folder `plots`.

Nothing here changes the run: random numbers come from generators of its own, or their state is restored.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import torch
from torchvision.transforms import v2

from hf_imgcls.data import first_rows, naming_changed
from hf_imgcls.images import Mixing, TrainTransform, fill_with_noise, read_image
from hf_imgcls.reports.plots.drawing import FOLDER, import_plots, save
from hf_imgcls.scoring import Scored, ScoredSets, label_scores
from hf_imgcls.words import plural

_GALLERY, _AUGMENTED, _DRAWS = 16, 6, 5  # images; of them rows, and draws of each row
_BATCHES, _BATCH = 3, 6  # mixed batches, images of each
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


def draw_training_images(folder: Path, data, plans: Sequence) -> None:
    """gallery.png, augmented.png and mixed.png; the last two again for stages with another augmentation.

    A resumed run has them already.
    """
    if (folder / FOLDER / "gallery.png").is_file():
        return
    sample = choose_sample(data.splits["train"], data.labels, plans[0].images.seed)
    if not sample.rows:
        return  # a stream whose first images cannot be read: training says so
    with naming_changed(row["image"] for row in sample.rows):
        _draw_sample(folder, sample, plans)


def _draw_sample(folder: Path, sample: Sample, plans: Sequence) -> None:
    seen = []
    for plan in plans:
        augmentation = plan.stage.augmentation
        suffix = f"_stage_{plan.stage.number}" if plan.stage.number > 1 else ""
        if augmentation.train not in [other.train for other in seen]:
            draw_augmented(folder, sample, plan.images, suffix)
        if plan.mixing and augmentation not in seen:
            draw_mixed(folder, sample, plan.images, plan.mixing, suffix)
        seen.append(augmentation)
    draw_gallery(folder, sample)  # the last: it marks them as complete


def draw_results(folder: Path, stages: Sequence[Mapping], outputs: Mapping[str, Scored], names: Sequence[str]) -> None:
    """curves.png of all stages, and confusion_matrix.png of the test split, or of validation where there is none.

    Of several labels an image labels.png stands in its place.

    Args:
        stages: a record of each, with `stage` (its number), `history` and `best_step`.
        names: of the classes, in the order of the logits.
    """
    history = [entry for stage in stages for entry in stage["history"]]
    best = {stage["stage"]: stage["best_step"] for stage in stages if stage["best_step"]}
    save(import_plots("curves").curves(history, best), folder, "curves.png")
    split = next((split for split in ("test", "validation") if split in outputs), None)
    if split and isinstance(outputs[split], ScoredSets):
        draw_classes(folder, label_scores(outputs[split], names), split)
    elif split:
        draw_confusion(folder, outputs[split], names, split)


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


def draw_gallery(folder: Path, sample: Sample) -> None:
    plots = import_plots("gallery")
    save(plots.gallery([_original(row) for row in sample.rows], sample.labels), folder, "gallery.png")


def draw_augmented(folder: Path, sample: Sample, images: TrainTransform, suffix: str = "") -> None:
    """The same images after a stage's transforms, as its first epochs see them."""
    plots = import_plots("gallery")
    chosen = np.unique(np.linspace(0, len(sample.rows) - 1, _AUGMENTED).round().astype(int))
    rows = [sample.rows[i] for i in chosen]
    epochs = [_as_trained(images, rows, epoch) for epoch in range(_DRAWS)]
    if all(np.array_equal(first, other) for epoch in epochs for first, other in zip(epochs[0], epoch, strict=True)):
        epochs = epochs[:1]  # nothing random about them
    draws = list(zip(*epochs, strict=True))
    figure = plots.augmented([_original(row) for row in rows], draws, [sample.labels[i] for i in chosen])
    save(figure, folder, f"augmented{suffix}.png")


def draw_mixed(folder: Path, sample: Sample, images: TrainTransform, mixing: Mixing, suffix: str = "") -> None:
    """Batches as a stage mixes them, its mixes in turn; nothing where it has Identity alone."""
    plots = import_plots("gallery")
    generator = np.random.default_rng(images.seed)
    mixes = [mix for mix in mixing.mixes if not isinstance(mix, v2.Identity)]
    batches, fractions, titles = [], [], []
    for epoch, mix in zip(range(_BATCHES), itertools.cycle(mixes), strict=False):
        rows = [sample.rows[i] for i in generator.permutation(len(sample.rows))[:_BATCH]]
        pixels = torch.tensor(np.stack(_as_trained(images, rows, epoch))).permute(0, 3, 1, 2).float()
        mixed, soft = _mix(mix, pixels, _as_tensor([row["label"] for row in rows], len(sample.names)), 100 * epoch)
        batches.append(list(mixed.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()))
        fractions.append(soft.numpy())
        titles.append(type(mix).__name__)
    if batches:
        save(plots.mixed(batches, np.array(fractions), sample.names, titles), folder, f"mixed{suffix}.png")


def _as_tensor(labels: Sequence[int | list[int]], classes: int) -> torch.Tensor:
    if not isinstance(labels[0], list):
        return torch.tensor(labels)
    return torch.stack(
        [torch.zeros(classes).index_fill(0, torch.tensor(each, dtype=torch.int64), 1) for each in labels]
    )


def draw_confusion(folder: Path, output: Scored, names: Sequence[str], split: str) -> None:
    """confusion_matrix.png of a scored split; an image without a prediction is counted in the title only."""
    confusion = import_plots("confusion")
    predicted = output.predictions >= 0
    counts = confusion.count_confusions(output.label_ids[predicted], output.predictions[predicted], len(names))
    _save_matrix(folder, counts, names, split, int(np.sum(~predicted)))


def draw_classes(folder: Path, classes: Mapping[str, Mapping], split: str) -> None:
    """confusion_matrix.png, or of several labels an image labels.png, of the `classes` of a split's breakdown."""
    if any("threshold" in values for values in classes.values()):
        return save(import_plots("labels").label_scores(classes, split), folder, "labels.png")
    names = list(classes)
    index = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), int)
    for name, values in classes.items():
        for predicted, count in values["predicted"].items():
            counts[index[name], index[predicted]] = count
    _save_matrix(folder, counts, names, split, sum(values["images"] for values in classes.values()) - int(counts.sum()))


def _save_matrix(folder: Path, counts: np.ndarray, names: Sequence[str], split: str, missing: int) -> None:
    title = f"{split}, {plural(missing, 'image')} without a prediction" if missing else split
    save(import_plots("confusion").confusion_matrix(counts, names, title), folder, "confusion_matrix.png")


def _original(row: dict) -> np.ndarray:
    image = read_image(row["image"])
    image.thumbnail((_SIDE, _SIDE))
    return np.asarray(image)


def _as_trained(images: TrainTransform, rows: Iterable[dict], epoch: int) -> list[np.ndarray]:
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


def _mix(mix: v2.Transform, pixels: torch.Tensor, labels: torch.Tensor, seed: int):
    """A mixed batch and its soft labels; of the first draws one that can be seen, since many give a fraction near 1."""
    with torch.random.fork_rng(devices=[]):
        for turn in range(20):
            torch.default_generator.manual_seed(seed + turn)
            mixed, soft = mix(pixels, labels)
            if soft.amax(dim=1).min() < 0.95:
                break
    return mixed, soft
