"""Scoring: the splits of a run at its end, what is served against what was scored, and any model on any data."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import DefaultDataCollator

from hf_imgcls import parity
from hf_imgcls.arguments import training_arguments
from hf_imgcls.data import Data, load_split
from hf_imgcls.models import load_saved
from hf_imgcls.models.layout import channels_last
from hf_imgcls.processes import prepare_launch
from hf_imgcls.processors import input_size
from hf_imgcls.recipe import InputError, load_recipe
from hf_imgcls.report import split_metrics
from hf_imgcls.scored import Scored
from hf_imgcls.streaming import map_stream, readable_rows
from hf_imgcls.trainer import ImageTrainer
from hf_imgcls.transforms import EvalTransform

Outputs = dict[str, Scored]


def attach_transform(split, transform, bad_images: str = "drop"):
    """A split whose rows come through a transform: on access, or mapped where it is a stream."""
    if isinstance(split, datasets.IterableDataset):
        return map_stream(split, transform, bad_images)
    return split.with_transform(transform)


def score_splits(trainer: ImageTrainer, splits: dict, transform: EvalTransform) -> tuple[dict[str, dict], Outputs]:
    """Score splits, each once, in full precision.

    Returns:
        Metrics by split, and what was found; of the split that is compared with what is served, logits too.
    """
    scores, outputs, compared = {}, {}, served_split(splits)
    for split, rows in splits.items():
        sample = compared_rows(rows, trainer.args.seed) if split == compared else ()
        outputs[split], metrics = trainer.score(attach_transform(rows, transform), split, sample)
        scores[split] = split_metrics(metrics, split, len(outputs[split]))
    return scores, outputs


def served_split(splits: Iterable[str]) -> str | None:
    """The split whose scores are compared with what is served: validation, or test where there is no other."""
    return next((name for name in ("validation", "test") if name in splits), None)


def compared_rows(rows: datasets.Dataset | datasets.IterableDataset, seed: int) -> np.ndarray:
    """Which of them: all of a small split, else a seeded sample; of a stream its first."""
    if isinstance(rows, datasets.IterableDataset):
        return np.arange(parity.MAX_COMPARED)
    return parity.choose_rows(len(rows), seed)


def check_serving(folder: Path, data: Data, outputs: Outputs, trainer: ImageTrainer) -> dict[str, Any] | None:
    """Compare what `pipeline` answers from the saved folder with what was scored.

    The verdict names the sample where not the whole split was compared. None where nothing was scored.
    """
    split = served_split(outputs)
    if split is None:
        return None
    (chosen, logits), count, seed = outputs[split].sample, len(outputs[split]), trainer.args.seed
    if isinstance(data.splits[split], datasets.IterableDataset):
        rows: Iterable[dict] = parity.first_rows(readable_rows(data.splits[split]), len(chosen))
    else:
        rows = data.splits[split].select(chosen)
    labels = [trainer.model.config.id2label[i] for i in range(len(data.labels))]
    verdict = parity.compare_predictions(folder, rows, logits, trainer.args.device, labels)
    sample = {} if len(chosen) == count else {"sample_seed": seed, "rows": chosen.tolist()}
    return {"split": split, "of": count, **verdict, **sample}


def evaluate_classifier(
    model: str | Path, data: str, split: str | None = None, overrides: Sequence[str] = (), batch_size: int = 32
) -> dict[str, Any]:
    """Score any saved folder or Hub model on any data set, with the metrics and the reading of pictures of a run.

    Args:
        model: a folder or a Hub id.
        data: whatever `data.path` may be.
        split: a split or slice; the test split if not given.
        overrides: `data.key=value`, as behind a recipe.
        batch_size: pictures a step and device.

    Returns:
        `model`, `data`, `split`, `scores`, `fingerprint`, `bad_images`, `notes`.

    Raises:
        InputError: the model or the data is not there, or the data has a label that the model does not know.
    """
    other = next((override for override in overrides if not override.startswith("data.")), None)
    if other:
        raise InputError(f"override {other!r}: evaluate takes data.key=value only")
    sections = {"data": {"path": str(data)}, "model": {"checkpoint": str(model)}, "training": {"output_dir": "none"}}
    recipe = load_recipe(sections, overrides)
    if recipe.data.streaming:
        raise InputError("data.streaming: evaluate reads a split that it can count; leave it out")
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)  # a launcher's fp16 is for training: scores are float32
    prepare_launch()
    network, processor = load_saved(str(model))
    channels_last(network, input_size(processor))
    labels = [network.config.id2label[i] for i in range(network.config.num_labels)]
    with tempfile.TemporaryDirectory() as folder:
        own = {"eval_strategy": "no", "save_strategy": "no", "fp16": False, "bf16": False}
        arguments = training_arguments(recipe.training, output_dir=folder, per_device_eval_batch_size=batch_size, **own)
        with arguments.main_process_first(local=True):
            loaded = load_split(recipe.data, split, labels)
        trainer = ImageTrainer(network, arguments, data_collator=DefaultDataCollator())
        scores, _ = score_splits(trainer, loaded.splits, EvalTransform(processor, range(len(labels))))
    name = next(iter(scores))
    return {
        "model": str(model),
        "data": str(data),
        "split": name,
        "scores": scores[name],
        "fingerprint": loaded.fingerprints[name],
        "bad_images": [bad._asdict() for bad in loaded.bad],
        "notes": loaded.notes,
    }
