"""Training loss: cross-entropy on hard or soft labels, with label smoothing and class weights; or the user's own."""

from collections import Counter
from collections.abc import Callable, Sequence

import datasets
import torch
from torch.nn.functional import cross_entropy

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import LossSection


def total_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Cross-entropy summed over images, a scalar.

    Args:
        logits: shape (images, classes).
        labels: class ids, shape (images,), or soft labels, shape (images, classes).
        weights: of each class, shape (classes,).
        smoothing: the fraction of every label that is spread evenly over all classes (Szegedy and others, 2016,
            arXiv:1512.00567).
    """
    weights = None if weights is None else weights.to(logits.device)
    return cross_entropy(logits.float(), labels, weight=weights, label_smoothing=smoothing, reduction="sum")


def own_loss(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """A user's own loss summed over images, a scalar, whether it returns a value for each image or their mean.

    Raises:
        InputError: it returns neither.
    """
    value = loss(logits.float(), labels)
    if isinstance(value, torch.Tensor) and value.shape in ((), labels.shape):
        return value.sum() if value.dim() else value * len(labels)
    found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
    raise InputError(f"loss: returned {found} for {len(labels)} images, expected shape ({len(labels)},) or a scalar")


def class_weights(section: LossSection, split, names: Sequence[str], label_ids: Sequence[int]) -> torch.Tensor | None:
    """Weights of the classes in the order of the model's ids, shape (classes,), or None if the loss is not weighted.

    Args:
        split: the training split, with a column `label`.
        names: of the classes, in the data's order.
        label_ids: the model's id of each.

    Raises:
        InputError: a name that is not a class, or "balanced" for a stream, which cannot be counted.
    """
    chosen = section.class_weights
    if chosen is None:
        return None
    if chosen == "balanced":
        chosen = _balanced(split, names)
    for name in chosen:
        if name not in names:
            raise InputError(f"loss.class_weights: the data has no class {name!r}{nearest(name, names)}")
    weights = torch.ones(len(names))
    for name, label_id in zip(names, label_ids, strict=True):
        weights[label_id] = chosen.get(name, 1.0)
    return weights


def _balanced(split, names: Sequence[str]) -> dict[str, float]:
    if isinstance(split, datasets.IterableDataset):
        raise InputError('loss.class_weights: "balanced" cannot count a stream; give the weights by name')
    counts = Counter(split["label"][:])
    return {names[i]: len(split) / (len(counts) * count) for i, count in counts.items()}
