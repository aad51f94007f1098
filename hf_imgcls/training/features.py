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
from tqdm.auto import tqdm
from transformers import PreTrainedModel, TrainingArguments

from hf_imgcls.data import attach_transform
from hf_imgcls.images import EvalTransform, TrainTransform
from hf_imgcls.machine import say
from hf_imgcls.models import (
    OwnHeadForImageClassification,
    as_bytes,
    head_dropout,
    head_module,
    is_multi_label,
)
from hf_imgcls.store import cached
from hf_imgcls.training.extraction import extract_features, features_precision

# Part of every fingerprint: another number makes the features of older versions be computed anew.
FORMAT = 3


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

    Nothing in the transform may be random, but for one that draws a view.
    """
    rows = attach_transform(split, transform)
    head = head_module(model, tuple(rows[0]["pixel_values"].shape[-2:]))
    others = {"split": fingerprint, "precision": features_precision(arguments)}
    key = _key(model, head, transform, others | ({"several labels": True} if is_multi_label(model.config) else {}))

    def build(folder: Path) -> None:
        computed = extract_features(model.to(arguments.device), head, rows, transform, arguments)
        with tqdm(total=len(rows), desc="features, computed once", disable=arguments.disable_tqdm) as bar:
            _write(folder / "rows.arrow", computed, bar)

    features, known = cached("features", key, build)
    say(f"features: {len(features)} {'read from the cache' if known else 'computed and cached'}")
    if "group" in split.column_names:  # beside what a batch has: for folds of them
        features = features.add_column("group", split["group"][:])
    return features.with_format("torch", columns=["pixel_values", "labels"])


def _write(file: Path, batches: Iterator[dict], bar: tqdm) -> None:
    first = next(batches)
    several = first["labels"].ndim == 2  # labels an image: whether it has each
    labels = List(Value("float32"), length=first["labels"].shape[1]) if several else Value("int64")
    columns = {"pixel_values": List(Value("float32"), length=len(first["pixel_values"][0])), "labels": labels}
    with ArrowWriter(path=str(file), features=Features(columns)) as writer:
        for batch in itertools.chain([first], batches):
            found = list(batch["labels"]) if several else batch["labels"]
            writer.write_batch({"pixel_values": list(batch["pixel_values"]), "labels": found})
            bar.update(len(batch["labels"]))
        writer.finalize()


def _key(model: PreTrainedModel, head: str, transform: EvalTransform | TrainTransform, others: dict) -> str:
    """Everything that the features and their labels follow from, with `others`; the head is not of it."""
    processor, config = transform.processor, model.config.to_dict()
    # Where a network came from changes nothing, nor do the settings of a custom head.
    without = {"_name_or_path", "architectures", "auto_map", "dtype", "transformers_version"}
    without.add("use_cache")  # of text; a Trainer sets it
    if isinstance(model, OwnHeadForImageClassification):
        without |= {"hidden_size", "activation", "dropout"}
    modules = [(name, type(m).__qualname__, m.extra_repr()) for name, m in model.named_modules()]
    facts = {
        "format": FORMAT,
        "versions": {name: metadata.version(name) for name in ("transformers", "torchvision", "pillow")},
        **others,
        "labels": transform.label_ids,
        "processor": [type(processor).__name__, processor.to_dict() if processor else None],
        "transforms": repr(transform.transform) if isinstance(transform, TrainTransform) else None,
        "view": _drawn(transform),
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


def _drawn(transform: EvalTransform | TrainTransform) -> list | None:
    """What a view is drawn from, beside the row."""
    if not isinstance(transform, TrainTransform) or transform.view is None:
        return None
    return [transform.seed, transform.view, transform.specs]
