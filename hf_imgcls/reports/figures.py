"""The plots of a run: what is drawn, and the PNGs in its folder `plots`."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torchvision.transforms import v2

from hf_imgcls.data import naming_changed
from hf_imgcls.images import Mixing, TrainTransform
from hf_imgcls.reports.plots.drawing import FOLDER, import_plots, save
from hf_imgcls.reports.samples import Sample, as_read, as_trained, choose_sample, mixed_batch
from hf_imgcls.scoring import Scored, ScoredSets, label_scores
from hf_imgcls.words import plural

_AUGMENTED, _DRAWS = 6, 5  # rows of a sample, and draws of each row
_BATCHES, _BATCH = 3, 6  # mixed batches, images of each


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


def draw_gallery(folder: Path, sample: Sample) -> None:
    plots = import_plots("gallery")
    save(plots.gallery([as_read(row) for row in sample.rows], sample.labels), folder, "gallery.png")


def draw_augmented(folder: Path, sample: Sample, images: TrainTransform, suffix: str = "") -> None:
    """The same images after a stage's transforms, as its first epochs see them."""
    plots = import_plots("gallery")
    chosen = np.unique(np.linspace(0, len(sample.rows) - 1, _AUGMENTED).round().astype(int))
    rows = [sample.rows[i] for i in chosen]
    epochs = [as_trained(images, rows, epoch) for epoch in range(_DRAWS)]
    if all(np.array_equal(first, other) for epoch in epochs for first, other in zip(epochs[0], epoch, strict=True)):
        epochs = epochs[:1]  # nothing random about them
    draws = list(zip(*epochs, strict=True))
    figure = plots.augmented([as_read(row) for row in rows], draws, [sample.labels[i] for i in chosen])
    save(figure, folder, f"augmented{suffix}.png")


def draw_mixed(folder: Path, sample: Sample, images: TrainTransform, mixing: Mixing, suffix: str = "") -> None:
    """Batches as a stage mixes them, its mixes in turn; nothing where it has Identity alone."""
    plots = import_plots("gallery")
    generator = np.random.default_rng(images.seed)
    mixes = [mix for mix in mixing.mixes if not isinstance(mix, v2.Identity)]
    batches, fractions, titles = [], [], []
    for epoch, mix in zip(range(_BATCHES), itertools.cycle(mixes), strict=False):
        rows = [sample.rows[i] for i in generator.permutation(len(sample.rows))[:_BATCH]]
        mixed, soft = mixed_batch(mix, images, rows, len(sample.names), epoch)
        batches.append(mixed)
        fractions.append(soft)
        titles.append(type(mix).__name__)
    if batches:
        save(plots.mixed(batches, np.array(fractions), sample.names, titles), folder, f"mixed{suffix}.png")


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
