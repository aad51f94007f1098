"""Score any saved model on any dataset."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_imgcls.data import load_split
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.machine import prepare_launch, training_arguments
from hf_imgcls.models import channels_last, load_network
from hf_imgcls.recipe import load_recipe
from hf_imgcls.training import ImageTrainer, score_splits


def evaluate_classifier(
    model: str | Path, data: str, split: str | None = None, overrides: Sequence[str] = (), batch_size: int = 32
) -> dict[str, Any]:
    """Score any saved folder or Hub model on any dataset, with the metrics and the image reading of a run.

    Args:
        data: whatever `data.path` may be.
        split: a split or slice; the test split if not given.
        overrides: `data.key=value`, as behind a recipe.
        batch_size: images per step and device.

    Returns:
        `model`, `data`, `split`, `scores`, `fingerprint`, `bad_images`, `notes`.
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
    network, processor = load_network(str(model))
    channels_last(network, input_size(processor))
    labels = [network.config.id2label[i] for i in range(network.config.num_labels)]
    with tempfile.TemporaryDirectory() as folder:
        own = {"eval_strategy": "no", "save_strategy": "no", "fp16": False, "bf16": False}
        arguments = training_arguments(recipe.training, output_dir=folder, per_device_eval_batch_size=batch_size, **own)
        with arguments.main_process_first(local=True):
            loaded = load_split(recipe.data, split, labels)
        trainer = ImageTrainer(network, arguments)
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
