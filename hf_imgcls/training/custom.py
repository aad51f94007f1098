"""What a Python user brings to a run, which no recipe can name: a loss and metrics."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import Stage
from hf_imgcls.scoring import METRICS, can_name_a_metric, takes_probabilities
from hf_imgcls.training.loss import own_loss


@dataclasses.dataclass(frozen=True)
class Custom:
    """A user's own functions.

    Attributes:
        loss: of logits (images, classes) and class ids (images,); returns one value for each image, or their mean.
            In training alone: what is evaluated stays the cross-entropy, so that runs can be compared.
        metrics: by name, of predicted ids and label ids, each (images,), and of probabilities (images, classes) where
            it has a parameter of that name. Larger is better, unless `training.greater_is_better` is false.
    """

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    metrics: Mapping[str, Callable[..., float]] = dataclasses.field(default_factory=dict)

    @property
    def probabilities(self) -> bool:
        return any(map(takes_probabilities, self.metrics.values()))

    def notes(self, transforms: Sequence[str]) -> list[str]:
        """What results.json and the card say of it, and of transforms of these names."""
        loss = getattr(self.loss, "__name__", type(self.loss).__name__) if self.loss else None
        brought = {"transform": transforms, "loss": [loss] * bool(loss), "metric": list(self.metrics)}
        named = ", ".join(f"{kind} {name}" for kind, names in brought.items() for name in names)
        return [f"from Python: {named}; the recipe alone does not repeat this run"] if named else []

    def check(self, classes: int) -> None:
        """Refuse names that are taken, and a loss that does not train.

        Raises:
            InputError: names the metric, or what the loss returns.
        """
        for name in self.metrics:
            if not can_name_a_metric(name):
                raise InputError(f"metrics: {name!r} cannot name a metric: it is taken, or no Python identifier")
        if self.loss:
            logits = torch.zeros(2, classes, requires_grad=True)
            if not own_loss(self.loss, logits, torch.zeros(2, dtype=torch.int64)).requires_grad:
                raise InputError("loss: what it returns has no gradient")

    def check_stage(self, stage: Stage, weighted: bool) -> None:
        """Refuse what a loss of one's own would leave out.

        Raises:
            InputError: names the key of the recipe.
        """
        found = {
            "augmentation.mix": stage.augmentation.mix,
            "loss.class_weights": weighted,
            "training.label_smoothing_factor": stage.training.label_smoothing_factor,
        }
        for key, value in found.items() if self.loss else ():
            if value:
                raise InputError(f"{key}: your own loss gets hard labels and does its own weighting; leave it out")

    def check_best_metric(self, name: str | None, classes: int) -> None:
        """`training.metric_for_best_model` is a metric of this run.

        Raises:
            InputError: with the nearest one.
        """
        known = [key for key, metric in METRICS.items() if classes > metric.more_classes_than] + list(self.metrics)
        if name and name.removeprefix("eval_") not in known:
            raise InputError(
                f"training.metric_for_best_model: no metric {name!r}, only {', '.join(known)}{nearest(name, known)}"
            )


NO_CUSTOM = Custom()
