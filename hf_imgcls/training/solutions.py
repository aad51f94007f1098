"""Heads that are solved by L-BFGS on standardized features, for one penalty after the other."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from hf_imgcls.scoring import compute_metrics, scored_logits

_STEPS, _GRADIENT = 1000, 1e-6  # of L-BFGS

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of logits and label ids, summed over images


class Losses(NamedTuple):
    """What is minimized, and what is measured on images that are not solved on.

    Attributes:
        train: with class weights, logit adjustment and smoothing.
        scored: as it is reported, without all of them.
        choice: by which the penalty is chosen; `scored` if None.
    """

    train: Loss
    scored: Loss
    choice: Loss | None = None


class Examples(NamedTuple):
    """Features, float64 of shape (rows, width), label ids, shape (rows,), and, where they are known, groups of images.

    Of several labels an image, labels are whether it has each, shape (rows, labels): a regression for each of them.

    With several views, the rows are those of all images in their first view, which is evaluated, then in the second...
    """

    features: torch.Tensor
    labels: torch.Tensor
    groups: np.ndarray | None = None
    views: int = 1


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

    def __init__(self, train: Examples, scored: Examples | None, classes: int, losses: Losses):
        self.train, self.scored, self.losses = train, scored, losses
        shape = (classes, train.features.shape[1])
        self.start = (train.features.new_zeros(shape), train.features.new_zeros(classes))
        self.solutions: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}

    def score(self, penalty: float) -> tuple[float, float]:
        """The mean loss of an image that is scored: by which penalties are compared, and as it is reported."""
        solution = self.solve(penalty)
        scored = _mean_loss(self.losses.scored, self.scored, *solution)
        choice = self.losses.choice
        return _mean_loss(choice, self.scored, *solution) if choice else scored, scored

    def train_loss(self, penalty: float) -> float:
        weight, bias = self.solve(penalty)
        return _mean_loss(self.losses.train, self.train, weight, bias)

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
        return self.losses.train(logits, self.train.labels) / len(logits) + penalty / 2 * weight.square().sum()


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
