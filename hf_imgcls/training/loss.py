"""Training loss: cross-entropy with label smoothing and class weights; and what a Python user brings to a run."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import datasets
import torch
from torch.nn.functional import cross_entropy

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import LossSection, Stage
from hf_imgcls.scoring import METRICS, can_name_a_metric, takes_probabilities


def total_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Cross-entropy summed over images; labels are ids, shape (images,), or soft, shape (images, classes).

    Smoothing is the fraction of a label that is spread over all classes (Szegedy and others, 2016, arXiv:1512.00567).
    A class weight belongs to the image's label, of a mixed image to its labels in proportion. torch's `weight` would
    also weigh what smoothing spreads: every image would then be drawn to a class of large weight.
    """
    losses = cross_entropy(
        logits if logits.dtype == torch.float64 else logits.float(), labels, label_smoothing=smoothing, reduction="none"
    )
    if weights is not None:
        losses = losses * (weights[labels] if labels.dim() == 1 else labels.float() @ weights)
    return losses.sum()


def own_loss(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """A user's own loss summed over images, whether it returns a value for each image or their mean."""
    value = loss(logits.float(), labels)
    if isinstance(value, torch.Tensor) and value.shape in ((), labels.shape):
        return value.sum() if value.dim() else value * len(labels)
    found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
    raise InputError(f"loss: returned {found} for {len(labels)} images, expected shape ({len(labels)},) or a scalar")


def class_weights(section: LossSection, split, names: Sequence[str], label_ids: Sequence[int]) -> torch.Tensor | None:
    """Weights of the classes in the order of the model's ids, shape (classes,), or None if the loss is not weighted.

    Scaled so that their mean over the training images is 1: the mean loss of an epoch is torch's weighted mean, and no
    weight changes the learning rate. torch divides by the weights of each batch, which takes a rare image's weight back
    the more, the smaller the batch is. The classes of a stream, which cannot be counted, count as equally frequent.

    Args:
        names: of the classes, in the order of the training split's labels; `label_ids` are the model's ids of them.
    """
    chosen = section.class_weights
    if chosen is None:
        return None
    streamed = isinstance(split, datasets.IterableDataset)
    counts = Counter(range(len(names)) if streamed else split["label"][:])
    if chosen == "balanced":
        if streamed:
            raise InputError('loss.class_weights: "balanced" cannot count a stream; give the weights by name')
        chosen = {names[i]: 1 / count for i, count in counts.items()}
    for name in chosen:
        if name not in names:
            raise InputError(f"loss.class_weights: the data has no class {name!r}{nearest(name, names)}")
    mean = sum(chosen.get(names[i], 1.0) * count for i, count in counts.items()) / counts.total()
    weights = torch.ones(len(names))
    weights[list(label_ids)] = torch.tensor([chosen.get(name, 1.0) / mean for name in names])
    return weights


@dataclasses.dataclass(frozen=True)
class Custom:
    """A user's own loss and metrics, which no recipe can name, and names of transforms; see `train_classifier`.

    The loss is for training alone: what is evaluated stays the cross-entropy, so that runs can be compared. Of a
    metric the larger value is the better one, unless `training.greater_is_better` is false.
    """

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    metrics: Mapping[str, Callable[..., float]] = dataclasses.field(default_factory=dict)
    transforms: tuple[str, ...] = ()

    @property
    def probabilities(self) -> bool:
        return any(map(takes_probabilities, self.metrics.values()))

    def notes(self) -> list[str]:
        """What results.json and the card say of it."""
        loss = getattr(self.loss, "__name__", type(self.loss).__name__) if self.loss else None
        brought = {"transform": self.transforms, "loss": [loss] * bool(loss), "metric": list(self.metrics)}
        named = ", ".join(f"{kind} {name}" for kind, names in brought.items() for name in names)
        return [f"from Python: {named}; the recipe alone does not repeat this run"] if named else []

    def check(self, classes: int) -> None:
        """Refuse names that are taken, and a loss that does not train."""
        for name in self.metrics:
            if not can_name_a_metric(name):
                raise InputError(f"metrics: {name!r} cannot name a metric: it is taken, or no Python identifier")
        if self.loss:
            logits = torch.zeros(2, classes, requires_grad=True)
            if not own_loss(self.loss, logits, torch.zeros(2, dtype=torch.int64)).requires_grad:
                raise InputError("loss: what it returns has no gradient")

    def check_stage(self, stage: Stage, weighted: bool) -> None:
        """Refuse what a loss of one's own would leave out."""
        found = {
            "augmentation.mix": stage.augmentation.mix,
            "loss.class_weights": weighted,
            "training.label_smoothing_factor": stage.training.label_smoothing_factor,
            "logistic_regression": stage.logistic_regression,
        }
        for key, value in found.items() if self.loss else ():
            if value:
                raise InputError(
                    f"{key}: your own loss gets hard labels, does its own weighting and trains by steps; leave it out"
                )

    def check_best_metric(self, name: str | None, classes: int) -> None:
        """Refuse a `training.metric_for_best_model` that is no metric of this run."""
        known = [key for key, metric in METRICS.items() if classes > metric.more_classes_than] + list(self.metrics)
        if name and name.removeprefix("eval_") not in known:
            raise InputError(
                f"training.metric_for_best_model: no metric {name!r}, only {', '.join(known)}{nearest(name, known)}"
            )


NO_CUSTOM = Custom()
