"""Training loss: cross-entropy, smoothed, weighted, focal, adjusted; and what a Python user brings to a run."""

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch.nn.functional import cross_entropy

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import Stage
from hf_imgcls.scoring import can_name_a_metric, metrics_of, takes_probabilities
from hf_imgcls.training.set_loss import SetTerms, set_loss


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a training loss has beside cross-entropy; `balance.loss_terms` makes them of a recipe.

    Attributes:
        weights: of the classes, shape (classes,).
        shares: of the classes among the training images, shape (classes,), for `logit_adjustment`.
    """

    weights: torch.Tensor | None = None
    shares: torch.Tensor | None = None
    logit_adjustment: float = 0.0
    focal_gamma: float = 0.0

    def to(self, *place) -> "Terms":
        """The same on a device, or of another type."""
        moved = {key: getattr(self, key) for key in ("weights", "shares")}
        moved = {key: each.to(*place) for key, each in moved.items() if each is not None}
        return dataclasses.replace(self, **moved)


PLAIN = Terms()


def total_loss(
    logits: torch.Tensor, labels: torch.Tensor, terms: Terms = PLAIN, smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy summed over images; labels are ids, shape (images,), or soft, shape (images, classes).

    Smoothing is the fraction of a label that is spread over all classes (Szegedy and others, 2016, arXiv:1512.00567).
    A class weight belongs to the image's label, of a mixed image to its labels in proportion. torch's `weight` would
    also weigh what smoothing spreads: every image would then be drawn to a class of large weight.

    Logit adjustment (Menon and others, 2021, arXiv:2007.07314) adds the logarithm of the classes' shares to the logits.
    Smoothing spreads by the same shares then, which is evenly in the logits as they are served; spread evenly here,
    each image would be drawn to the rarest class.
    """
    if isinstance(terms, SetTerms):
        return set_loss(logits, labels, terms, smoothing)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if terms.logit_adjustment:
        added = terms.logit_adjustment * terms.shares.log()
        logits = logits + added
        losses = _each(logits, labels, terms)
        if smoothing:
            spread = cross_entropy(logits, added.softmax(0).expand_as(logits), reduction="none")
            losses = (1 - smoothing) * losses + smoothing * spread
    else:
        losses = _each(logits, labels, terms, smoothing)
    if terms.weights is not None:
        losses = losses * (terms.weights[labels] if labels.dim() == 1 else labels.float() @ terms.weights)
    return losses.sum()


def _each(logits: torch.Tensor, labels: torch.Tensor, terms: Terms, smoothing: float = 0.0) -> torch.Tensor:
    """Losses of the images, shape (images,): cross-entropy, or focal loss (Lin and others, 2017, arXiv:1708.02002).

    The focal loss of a mixed image is that of its labels in proportion, as its cross-entropy is.
    """
    if not terms.focal_gamma:
        return cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    likelihoods = logits.log_softmax(1)
    # Not 0, where a power below 1 has no gradient.
    missed = (-likelihoods.expm1()).clamp(min=torch.finfo(logits.dtype).tiny ** 0.5)
    losses = -likelihoods * missed**terms.focal_gamma
    return losses.gather(1, labels[:, None])[:, 0] if labels.dim() == 1 else (labels * losses).sum(1)


def own_loss(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """A user's own loss summed over labels, whether it returns a value for each image or their mean."""
    value, each = loss(logits.float(), labels), labels.numel() // len(labels)
    if isinstance(value, torch.Tensor) and value.shape in ((), labels.shape[:1]):
        return each * (value.sum() if value.dim() else value * len(labels))
    found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
    raise InputError(f"loss: returned {found} for {len(labels)} images, expected shape ({len(labels)},) or a scalar")


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

    def check(self, classes: int, multi_label: bool = False) -> None:
        """Refuse names that are taken, and a loss that does not train."""
        for name in self.metrics:
            if not can_name_a_metric(name):
                raise InputError(f"metrics: {name!r} cannot name a metric: it is taken, or no Python identifier")
        if self.loss:
            logits = torch.zeros(2, classes, requires_grad=True)
            labels = torch.zeros(2, classes) if multi_label else torch.zeros(2, dtype=torch.int64)
            if not own_loss(self.loss, logits, labels).requires_grad:
                raise InputError("loss: what it returns has no gradient")

    def check_stage(self, stage: Stage, terms: Terms | SetTerms) -> None:
        """Refuse what a loss of one's own would leave out."""
        found = {
            "augmentation.mix": stage.augmentation.mix,
            "loss.class_weights": terms.weights is not None,
            "loss": terms != type(terms)(weights=terms.weights),
            "training.label_smoothing_factor": stage.training.label_smoothing_factor,
            "logistic_regression": stage.logistic_regression,
        }
        for key, value in found.items() if self.loss else ():
            if value:
                raise InputError(
                    f"{key}: your own loss gets hard labels, does its own weighting and trains by steps; leave it out"
                )

    def check_best_metric(self, name: str | None, classes: int, multi_label: bool = False) -> None:
        """Refuse a `training.metric_for_best_model` that is no metric of this run."""
        known = [*metrics_of(classes, multi_label), *self.metrics]
        if name and name.removeprefix("eval_") not in known:
            raise InputError(
                f"training.metric_for_best_model: no metric {name!r}, only {', '.join(known)}{nearest(name, known)}"
            )


NO_CUSTOM = Custom()
