"""Heads that are solved on cached features: in a stage of a run."""

import time
from collections.abc import Mapping

import datasets
import numpy as np
import torch
from torch import nn

from hf_imgcls.machine import on_main, say
from hf_imgcls.training.loss import PLAIN, Terms, total_loss
from hf_imgcls.training.regression import solve
from hf_imgcls.training.set_loss import SetTerms
from hf_imgcls.training.solutions import Examples, Losses
from hf_imgcls.training.trainer import ImageTrainer

_CPU = torch.device("cpu")


def read_examples(features: Mapping[str, datasets.Dataset], device: torch.device) -> dict[str, Examples]:
    """Cached features by split, in memory: in float64, in which L-BFGS reaches the optimum."""
    place = solved_on(device)
    return {
        role: Examples(
            rows["pixel_values"][:].to(place, torch.float64),
            rows["labels"][:].to(place),
            np.array(rows.with_format(None)["group"][:]) if "group" in rows.column_names else None,
        )
        for role, rows in features.items()
    }


def solved_on(device: torch.device) -> torch.device:
    """Where a head is solved: on the device of a run, or on the CPU where that has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def losses_of(terms: Terms | SetTerms, smoothing: float, device: torch.device = _CPU) -> Losses:
    """The loss of training, in float64; of validation the plain one, and that of its terms, where there are any.

    A penalty is chosen by the latter: with balanced class weights, the plain loss would choose the one that is best for
    the frequent classes. `device` is that of the run.
    """
    terms = terms.to(solved_on(device)).to(torch.float64)
    plain = SetTerms() if isinstance(terms, SetTerms) else PLAIN
    weighs = terms.weights is not None or getattr(terms, "logit_adjustment", 0.0)
    return Losses(
        lambda logits, labels: total_loss(logits, labels, terms, smoothing),
        lambda logits, labels: total_loss(logits, labels, plain),
        (lambda logits, labels: total_loss(logits, labels, terms)) if weighs else None,
    )


def solve_head(trainer: ImageTrainer, features: Mapping[str, datasets.Dataset], views: int) -> float:
    """Put the solution into a trainer's head, and into its state a step for each penalty tried; returns seconds.

    Args:
        views: of each training image, one after the other.
    """
    begun, arguments = time.perf_counter(), trainer.args
    examples = read_examples(features, arguments.device)
    train = examples["train"]._replace(views=views)
    losses = losses_of(trainer.terms, arguments.label_smoothing_factor, arguments.device)
    layer = next(each for each in trainer.model.head.modules() if isinstance(each, nn.Linear | nn.Conv2d))
    solved = on_main(lambda: solve(train, examples.get("validation"), len(layer.bias), losses, arguments.seed))
    put_solution(layer, solved.weight, solved.bias)
    state, best = trainer.state, solved.tried[solved.chosen - 1]
    state.log_history = [{"step": number, **row} for number, row in enumerate(solved.tried, 1)]
    state.global_step, state.epoch = len(solved.tried), 0.0
    state.best_global_step, state.best_metric = solved.chosen, best["eval_loss"]
    chosen = f"penalty {best['penalty']:g} of {len(solved.tried)} tried, validation loss {best['eval_loss']:.4f}"
    if losses.choice:
        chosen += f", with the terms of the training loss, which choose it, {best['selection_loss']:.4f}"
    say(f"logistic regression: {chosen}")
    return round(time.perf_counter() - begun, 1)


@torch.no_grad()
def put_solution(layer: nn.Linear | nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> None:
    layer.weight.copy_(weight.reshape(layer.weight.shape))
    layer.bias.copy_(bias)
