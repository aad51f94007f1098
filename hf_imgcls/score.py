"""Scoring: the splits of a run at its end, what is served against what was scored, and any model on any data."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import DefaultDataCollator, TrainingArguments
from transformers.trainer_utils import PredictionOutput

from hf_imgcls import parity
from hf_imgcls.data import Data, load_split
from hf_imgcls.models import load_saved
from hf_imgcls.models.layout import channels_last
from hf_imgcls.processes import prepare_launch
from hf_imgcls.processors import input_size
from hf_imgcls.recipe import InputError, load_recipe
from hf_imgcls.report import split_metrics
from hf_imgcls.streaming import map_stream, readable_rows
from hf_imgcls.trainer import ImageTrainer
from hf_imgcls.transforms import EvalPictures

Outputs = dict[str, PredictionOutput]


def attach(split, transform, bad_images: str = "drop"):
    """A split whose rows come through a transform: on access, or mapped where it is a stream."""
    if isinstance(split, datasets.IterableDataset):
        return map_stream(split, transform, bad_images)
    return split.with_transform(transform)


def score_splits(trainer: ImageTrainer, splits: dict, transform: EvalPictures) -> tuple[dict[str, dict], Outputs]:
    """Score splits, each once, in full precision.

    Returns:
        Metrics by split, and by split `predictions`, logits of shape (pictures, classes), with their `label_ids`.
    """
    scores, outputs = {}, {}
    for split, rows in splits.items():
        output = trainer.score(attach(rows, transform), split)
        outputs[split] = output
        scores[split] = split_metrics(output.metrics, split, len(output.label_ids))
    return scores, outputs


def check_serving(folder: Path, data: Data, outputs: Outputs, trainer: ImageTrainer) -> dict[str, Any] | None:
    """Compare what `pipeline` answers from the saved folder with what was scored.

    The whole validation split (or test, where there is no other) when it is small, else a seeded sample that the
    verdict names; of a stream its first pictures. None where nothing was scored.
    """
    split = next((name for name in ("validation", "test") if name in outputs), None)
    if split is None:
        return None
    logits, seed = outputs[split].predictions, trainer.args.seed
    count = len(logits)
    chosen = parity.choose_rows(count, seed)
    if isinstance(data.splits[split], datasets.IterableDataset):
        chosen = np.arange(min(count, parity.MOST_PICTURES))
        rows: Iterable[dict] = parity.first_rows(readable_rows(data.splits[split]), len(chosen))
    else:
        rows = data.splits[split].select(chosen)
    labels = [trainer.model.config.id2label[i] for i in range(len(data.labels))]
    verdict = parity.compare_answers(folder, rows, logits[chosen], trainer.args.device, labels)
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
        arguments = TrainingArguments(
            folder,
            per_device_eval_batch_size=batch_size,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_pin_memory=torch.accelerator.is_available(),
        )
        with arguments.main_process_first(local=True):
            loaded = load_split(recipe.data, split, labels)
        trainer = ImageTrainer(network, arguments, data_collator=DefaultDataCollator())
        scores, _ = score_splits(trainer, loaded.splits, EvalPictures(processor, range(len(labels))))
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
