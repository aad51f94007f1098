"""Cached features: the frozen backbone's features are computed once and stored, and the head trains on them."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import datasets
import torch
from datasets import Features, List, Value
from datasets.arrow_writer import ArrowWriter
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import DefaultDataCollator, PreTrainedModel, TrainingArguments

from hf_imgcls.data import attach_transform
from hf_imgcls.images import EvalTransform, TrainTransform
from hf_imgcls.machine import exact_float32, say
from hf_imgcls.models import (
    OwnHeadForImageClassification,
    as_bytes,
    head_dropout,
    head_module,
    in_evaluation,
    input_of_head,
)
from hf_imgcls.store import cached

# Part of every fingerprint: another number makes the features of older versions be computed anew.
FORMAT = 2


class HeadOnFeatures(nn.Module):
    """The head of a network alone, with the dropout before it: what trains on features.

    The head is the network's own, so that training it trains the network; everything else in it is frozen.
    """

    def __init__(self, model: PreTrainedModel, size: tuple[int, int]):
        super().__init__()
        self.config = model.config  # the Trainer asks it about its kind of problem
        name = head_module(model, size)
        self.dropout = nn.Dropout(head_dropout(model, name, size))
        self.head = model.get_submodule(name)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Features, shape (n, width), to `logits`, shape (n, classes); the loss is the trainer's."""
        features = self.dropout(pixel_values)
        if isinstance(self.head, nn.Conv2d):
            features = features[:, :, None, None]
        return {"logits": self.head(features).flatten(1)}


def cached_features(
    model: PreTrainedModel,
    split: datasets.Dataset,
    transform: EvalTransform | TrainTransform,
    fingerprint: str,
    arguments: TrainingArguments,
) -> datasets.Dataset:
    """The features of a split, float32 of shape (width,) as pixel_values, and labels; computed or read from the cache.

    Nothing in the transform may be random.
    """
    rows = attach_transform(split, transform)
    head = head_module(model, tuple(rows[0]["pixel_values"].shape[-2:]))
    key = _key(model, head, transform, fingerprint)

    def build(folder: Path) -> None:
        _write(folder / "rows.arrow", _compute(model.to(arguments.device), head, rows, transform, arguments))

    features, known = cached("features", key, build)
    say(f"features: {len(features)} {'read from the cache' if known else 'computed and cached'}")
    return features.with_format("torch")


def _compute(
    model: PreTrainedModel,
    head: str,
    rows: datasets.Dataset,
    transform: EvalTransform | TrainTransform,
    arguments: TrainingArguments,
) -> Iterator[dict]:
    """Batches of pixel_values, float32 of shape (images, width), and labels."""
    workers, collate = arguments.dataloader_num_workers, DefaultDataCollator()
    batches = DataLoader(rows, arguments.eval_batch_size, num_workers=workers, collate_fn=collate)
    with in_evaluation(model), exact_float32():
        for batch in tqdm(batches, "features, computed once", disable=arguments.disable_tqdm):
            pixels = batch["pixel_values"].to(arguments.device)
            if pixels.dtype == torch.uint8:
                pixels = pixels.float() * transform.scale.to(pixels.device) + transform.shift.to(pixels.device)
            features = input_of_head(model, head, pixels).float().cpu()
            yield {"pixel_values": list(features.numpy()), "labels": batch["labels"].numpy()}


def _write(file: Path, batches: Iterator[dict]) -> None:
    first = next(batches)
    columns = {"pixel_values": List(Value("float32"), length=len(first["pixel_values"][0])), "labels": Value("int64")}
    with ArrowWriter(path=str(file), features=Features(columns)) as writer:
        for batch in itertools.chain([first], batches):
            writer.write_batch(batch)
        writer.finalize()


def _key(model: PreTrainedModel, head: str, transform: EvalTransform | TrainTransform, fingerprint: str) -> str:
    """Everything that the features and their labels follow from; the head is not of it."""
    processor, config = transform.processor, model.config.to_dict()
    # Where a network came from changes nothing, nor do the settings of a custom head.
    without = {"_name_or_path", "architectures", "auto_map", "dtype", "transformers_version"}
    if isinstance(model, OwnHeadForImageClassification):
        without |= {"hidden_size", "activation", "dropout"}
    modules = [(name, type(m).__qualname__, m.extra_repr()) for name, m in model.named_modules()]
    facts = {
        "format": FORMAT,
        "versions": {name: metadata.version(name) for name in ("transformers", "torchvision", "pillow")},
        "split": fingerprint,
        "labels": transform.label_ids,
        "processor": [type(processor).__name__, processor.to_dict() if processor else None],
        "transforms": repr(transform.transform) if isinstance(transform, TrainTransform) else None,
        "config": {key: value for key, value in config.items() if key not in without},
        "head": head,
        "network": [module for module in modules if not f"{module[0]}.".startswith(f"{head}.")],
    }
    hashed = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in model.state_dict().items():
        if not name.startswith(f"{head}."):
            hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            hashed.update(as_bytes(tensor))
    return hashed.hexdigest()[:32]
