"""Imbalanced classes: how often epochs show images of each class, and what the loss makes of it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import datasets
import numpy as np
import torch

from hf_imgcls.data import Data
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import LossSection
from hf_imgcls.training.loss import Terms
from hf_imgcls.training.set_loss import SetTerms, set_terms


def loss_terms(section: LossSection, balance: float | None, data: Data, label_ids: Sequence[int]) -> Terms | SetTerms:
    """What a stage's loss has beside cross-entropy, by the images of each class that its epochs show.

    Args:
        balance: the stage's `sampling.balance`.
        label_ids: the model's ids of the classes, in the order of `data.labels`.
    """
    train, names = data.splits["train"], data.labels
    if data.multi_label:
        return set_terms(section, train, names, label_ids)
    shares = None
    if section.logit_adjustment:
        if isinstance(train, datasets.IterableDataset):
            raise InputError("loss.logit_adjustment: cannot count a stream; leave it out")
        shares = class_shares(shown_images(train["label"][:], balance), len(names), label_ids)
    weights = class_weights(section, train, names, label_ids, balance)
    return Terms(weights, shares, section.logit_adjustment or 0.0, section.focal_gamma or 0.0)


def shown_images(labels: Sequence[int], balance: float | None) -> dict[int, float]:
    """Images of each class that an epoch of all of them shows: n of it by n to the power of 1 - balance."""
    counts = Counter(labels)
    drawn = {i: count ** (1 - (balance or 0.0)) for i, count in counts.items()}
    scale = counts.total() / sum(drawn.values())
    return {i: scale * count for i, count in drawn.items()}


def class_shares(counts: Mapping[int, float], classes: int, label_ids: Sequence[int]) -> torch.Tensor:
    """Shares of the classes in the order of the model's ids, shape (classes,); one without images counts as of one."""
    shares = torch.empty(classes)
    shares[list(label_ids)] = torch.tensor([float(counts.get(i, 1)) for i in range(classes)])
    return shares / shares.sum()


def class_weights(
    section: LossSection, split, names: Sequence[str], label_ids: Sequence[int], balance: float | None = None
) -> torch.Tensor | None:
    """Weights of the classes in the order of the model's ids, shape (classes,), or None if the loss is not weighted.

    Scaled so that their mean over the images that are shown is 1: the mean loss of an epoch is torch's weighted mean,
    and no weight changes the learning rate. torch divides by the weights of each batch, which takes a rare image's
    weight back the more, the smaller the batch is. The classes of a stream, which cannot be counted, count as equally
    frequent.

    Args:
        names: of the classes, in the order of the training split's labels; `label_ids` are the model's ids of them.
    """
    chosen = section.class_weights
    if chosen is None:
        return None
    streamed = isinstance(split, datasets.IterableDataset)
    counts = dict.fromkeys(range(len(names)), 1) if streamed else shown_images(split["label"][:], balance)
    if chosen == "balanced":
        if streamed:
            raise InputError('loss.class_weights: "balanced" cannot count a stream; give the weights by name')
        chosen = {names[i]: 1 / count for i, count in counts.items()}
    for name in chosen:
        if name not in names:
            raise InputError(f"loss.class_weights: the data has no class {name!r}{nearest(name, names)}")
    mean = sum(chosen.get(names[i], 1.0) * count for i, count in counts.items()) / sum(counts.values())
    weights = torch.ones(len(names))
    weights[list(label_ids)] = torch.tensor([chosen.get(name, 1.0) / mean for name in names])
    return weights


def draw_balanced(labels: np.ndarray, count: int, balance: float, random: np.random.Generator) -> np.ndarray:
    """Rows of an epoch of `count` images whose classes are balanced, in a drawn order.

    Every class gets its number of images to within one, not by chance. All images of a class come before one of them
    comes again.
    """
    shown = shown_images(labels.tolist(), balance)
    classes, exact = np.array(list(shown)), np.array(list(shown.values())) * count / len(labels)
    counts, left = np.floor(exact).astype(int), np.mod(exact, 1)
    more = count - counts.sum()
    if more:
        counts[random.choice(len(classes), more, replace=False, p=left / left.sum())] += 1
    drawn = []
    for label, number in zip(classes, counts, strict=True):
        rows = random.permutation(np.flatnonzero(labels == label))
        drawn += [np.tile(rows, number // len(rows)), rows[: number % len(rows)]]
    return random.permutation(np.concatenate(drawn))
