"""The head as a logistic regression on cached features: solved by L-BFGS to its optimum, not trained by steps.

Kornblith and others (2019, arXiv:1805.08974) score features this way: L-BFGS from the strongest of several L2
penalties to the weakest, each starting from the solution before it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from hf_imgcls.data import fold_of_rows
from hf_imgcls.scoring import compute_metrics, scored_logits

# Penalties of half the squared weights, of standardized features, beside the mean loss of an image.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
FOLDS, _FEW = 5, 200  # images below which a validation split alone cannot tell two penalties apart
_STEPS, _GRADIENT = 1000, 1e-6  # of L-BFGS

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of logits and label ids, summed over images


class Examples(NamedTuple):
    """Features, float64 of shape (rows, width), label ids, shape (rows,), and, where they are known, groups of images.

    Of several labels an image, labels are whether it has each, shape (rows, labels): a regression for each of them.

    With several views, the rows are those of all images in their first view, which is evaluated, then in the second...
    """

    features: torch.Tensor
    labels: torch.Tensor
    groups: np.ndarray | None = None
    views: int = 1


@dataclasses.dataclass(frozen=True)
class Solution:
    """A solved head: weights of shape (classes, width) and bias of shape (classes,), for features as they are.

    `tried` has a row for each penalty, with the mean losses; `chosen` is the number of the row, from 1.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    tried: list[dict[str, float]]
    chosen: int


def solve(train: Examples, validation: Examples | None, classes: int, losses: tuple[Loss, Loss], seed: int) -> Solution:
    """The head whose penalty has the lowest validation loss.

    Where validation has less than 200 images, or there is none, folds of train decide together with it. Where the best
    penalty is the strongest or the weakest of those tried, more are tried beyond it.

    Args:
        losses: of training (with weights and smoothing) and of validation.
        seed: of the folds.
    """
    scale = Scale(train.features)
    train = train._replace(features=scale(train.features))
    held_out = [(train, Examples(scale(validation.features), validation.labels))] if validation else []
    if sum(len(part.labels) for _, part in held_out) < _FEW:
        held_out += list(_folds(train, seed))
    trying = [Solutions(part, scored, classes, losses) for part, scored in held_out]
    whole = trying[0] if validation else Solutions(train, None, classes, losses)

    penalties = list(PENALTIES)
    found = {penalty: _mean([path.score(penalty) for path in trying]) for penalty in penalties}
    while (best := min(found, key=found.get)) in (penalties[0], penalties[-1]) and 1e-7 < best < 1e3:
        penalty = best * 10 if best == penalties[0] else best / 10
        penalties = sorted([*penalties, penalty], reverse=True)
        found[penalty] = _mean([path.score(penalty) for path in trying])
    tried = [{"penalty": p, "loss": whole.train_loss(p), "eval_loss": found[p], **whole.metrics(p)} for p in penalties]
    weight, bias = whole.solutions[best]
    return Solution(*scale.fold(weight, bias), tried, penalties.index(best) + 1)


def solve_at(train: Examples, classes: int, loss: Loss, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the head of one penalty."""
    scale = Scale(train.features)
    path = Solutions(Examples(scale(train.features), train.labels), None, classes, (loss, loss))
    return scale.fold(*path.solve(penalty))


class Scale:
    """Features standardized by the mean and deviation of those that are trained on."""

    def __init__(self, features: torch.Tensor):
        self.mean = features.mean(0)
        deviation = features.std(0, correction=0)
        self.deviation = torch.where(deviation > 1e-12 * self.mean.abs().clamp(min=1), deviation, 1)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) / self.deviation

    def fold(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias for features that are not standardized, with the same logits."""
        weight = weight / self.deviation
        return weight, bias - weight @ self.mean


class Solutions:
    """Solutions for one set of examples, each found from the one of the nearest penalty before."""

    def __init__(self, train: Examples, scored: Examples | None, classes: int, losses: tuple[Loss, Loss]):
        self.train, self.scored, self.losses = train, scored, losses
        shape = (classes, train.features.shape[1])
        self.start = (train.features.new_zeros(shape), train.features.new_zeros(classes))
        self.solutions: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}

    def score(self, penalty: float) -> float:
        """The mean loss of an image that is scored."""
        weight, bias = self.solve(penalty)
        return _mean_loss(self.losses[1], self.scored, weight, bias)

    def train_loss(self, penalty: float) -> float:
        weight, bias = self.solve(penalty)
        return _mean_loss(self.losses[0], self.train, weight, bias)

    def metrics(self, penalty: float) -> dict[str, float]:
        """Those of the validation images but their loss, where there are any."""
        if self.scored is None:
            return {}
        weight, bias = self.solve(penalty)
        logits = torch.addmm(bias, self.scored.features, weight.T)
        found = compute_metrics(scored_logits(logits, self.scored.labels))
        return {f"eval_{key}": value for key, value in found.items() if key != "loss"}

    def solve(self, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
        if penalty not in self.solutions:
            nearest = min(self.solutions, key=lambda other: abs(other - penalty), default=None)
            start = self.start if nearest is None else self.solutions[nearest]
            self.solutions[penalty] = _minimize(start, lambda w, b: self._objective(w, b, penalty))
        return self.solutions[penalty]

    def _objective(self, weight: torch.Tensor, bias: torch.Tensor, penalty: float) -> torch.Tensor:
        logits = torch.addmm(bias, self.train.features, weight.T)
        return self.losses[0](logits, self.train.labels) / len(logits) + penalty / 2 * weight.square().sum()


def _minimize(start: tuple[torch.Tensor, torch.Tensor], objective: Callable) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = (tensor.clone().requires_grad_() for tensor in start)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        tolerance_grad=_GRADIENT,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = objective(weight, bias)
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach(), bias.detach()


@torch.no_grad()
def _mean_loss(loss: Loss, examples: Examples, weight: torch.Tensor, bias: torch.Tensor) -> float:
    return float(loss(torch.addmm(bias, examples.features, weight.T), examples.labels)) / examples.labels.numel()


def _folds(examples: Examples, seed: int) -> Iterator[tuple[Examples, Examples]]:
    """Training part and scored part of each fold, every class spread over the folds as evenly as it can be.

    All views of an image are in one part, and it is scored in the first.
    """
    count = len(examples.labels) // examples.views
    labels, groups = examples.labels[:count].cpu().numpy(), examples.groups
    labels = labels > 0 if labels.ndim == 2 else labels
    of_rows = fold_of_rows(labels, groups if groups is None else groups[:count], FOLDS, seed)
    if (of_rows < 0).all():  # where each class has one group alone, images are held out
        of_rows = fold_of_rows(labels, None, FOLDS, seed)
    fold = torch.from_numpy(of_rows).repeat(examples.views)
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        outside[count:] = False
        if outside.any():
            yield tuple(Examples(examples.features[part], examples.labels[part]) for part in (inside, outside))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
