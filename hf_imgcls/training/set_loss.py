"""Training loss of several labels an image: binary cross-entropy, smoothed, weighted, focal or asymmetric."""

import dataclasses
from collections.abc import Sequence

import datasets
import torch
from torch.nn.functional import logsigmoid

from hf_imgcls.data import count_classes, read_labels
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import LossSection


@dataclasses.dataclass(frozen=True)
class SetTerms:
    """What the loss has beside binary cross-entropy.

    Attributes:
        weights: of each label where an image has it, shape (labels,).
        gamma_positive, gamma_negative: focusing of labels that an image has, and of those that it has not.
        margin: probability below which a label that an image has not counts nothing.
    """

    weights: torch.Tensor | None = None
    gamma_positive: float = 0.0
    gamma_negative: float = 0.0
    margin: float = 0.0

    def to(self, *place) -> "SetTerms":
        """The same on a device, or of another type."""
        return self if self.weights is None else dataclasses.replace(self, weights=self.weights.to(*place))


def set_loss(logits: torch.Tensor, labels: torch.Tensor, terms: SetTerms, smoothing: float = 0.0) -> torch.Tensor:
    """Summed over images and labels; `labels` of shape (images, labels), 0 and 1, or between where they are mixed.

    Each label has a loss where the image has it and one where it has not, of which a mixed or smoothed one has both in
    proportion. Smoothing draws each towards one half. Focal: Lin and others, 2017 (arXiv:1708.02002); asymmetric:
    Ridnik and others, 2021 (arXiv:2009.14119).
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    labels = labels.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    positive, negative = -logsigmoid(logits), -logsigmoid(-logits)
    if terms.margin:  # the probability is lowered by it, not below 0
        lowered = (logits.sigmoid() - terms.margin).clamp(min=0)
        negative = -torch.log1p(-lowered)
    if terms.gamma_positive:
        positive = positive * _power((-logits).sigmoid(), terms.gamma_positive)
    if terms.gamma_negative:
        negative = negative * _power(lowered if terms.margin else logits.sigmoid(), terms.gamma_negative)
    if terms.weights is not None:
        positive = positive * terms.weights
    return (labels * positive + (1 - labels) * negative).sum()


def _power(probability: torch.Tensor, gamma: float) -> torch.Tensor:
    """Not of 0, where a power below 1 has no gradient."""
    return probability.clamp(min=torch.finfo(probability.dtype).tiny ** 0.5) ** gamma


def set_terms(section: LossSection, split, names: Sequence[str], label_ids: Sequence[int]) -> SetTerms:
    """Of a recipe's `loss`; weights in the order of the model's ids.

    Args:
        names: of the labels, in the order of the training split's; `label_ids` are the model's ids of them.
    """
    weights = _weights(section, split, names, label_ids)
    if section.asymmetric:
        how = section.asymmetric
        return SetTerms(weights, how.gamma_positive, how.gamma_negative, how.margin)
    gamma = section.focal_gamma or 0.0
    return SetTerms(weights, gamma, gamma)


def _weights(section: LossSection, split, names: Sequence[str], label_ids: Sequence[int]) -> torch.Tensor | None:
    chosen = section.class_weights
    if chosen is None:
        return None
    if chosen == "balanced":
        if isinstance(split, datasets.IterableDataset):
            raise InputError('loss.class_weights: "balanced" cannot count a stream; give the weights by name')
        counts = count_classes(read_labels(split), len(names)).tolist()
        chosen = {name: (len(split) - count) / count for name, count in zip(names, counts, strict=True) if count}
        chosen = {name: weight for name, weight in chosen.items() if weight > 0}
    for name in chosen:
        if name not in names:
            raise InputError(f"loss.class_weights: the data has no class {name!r}{nearest(name, names)}")
    weights = torch.ones(len(names))
    weights[list(label_ids)] = torch.tensor([chosen.get(name, 1.0) for name in names])
    return weights
