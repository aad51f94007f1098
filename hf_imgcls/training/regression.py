"""The head as a logistic regression on cached features: solved by L-BFGS to its optimum, not trained by steps.

Kornblith and others (2019, arXiv:1805.08974) score features this way: L-BFGS from the strongest of several L2
penalties to the weakest, each starting from the solution before it.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import torch

from hf_imgcls.data import fold_of_rows
from hf_imgcls.errors import InputError
from hf_imgcls.training.solutions import Examples, Loss, Losses, Scale, Solutions

# Penalties of half the squared weights, of standardized features, beside the mean loss of an image.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
FOLDS, _FEW = 5, 200  # images below which a validation split alone cannot tell two penalties apart


@dataclasses.dataclass(frozen=True)
class Solution:
    """A solved head: weights of shape (classes, width) and bias of shape (classes,), for features as they are.

    `tried` has a row for each penalty, with the mean losses; `chosen` is the number of the row, from 1.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    tried: list[dict[str, float]]
    chosen: int


def solve(train: Examples, validation: Examples | None, classes: int, losses: Losses, seed: int) -> Solution:
    """The head whose penalty has the lowest validation loss, by `losses.choice`.

    Where validation has less than 200 images, or there is none, folds of train decide together with it. Where the best
    penalty is the strongest or the weakest of those tried, more are tried beyond it.

    Args:
        seed: of the folds.
    """
    scale = Scale(train.features)
    train = train._replace(features=scale(train.features))
    held_out = [(train, Examples(scale(validation.features), validation.labels))] if validation else []
    if sum(len(part.labels) for _, part in held_out) < _FEW:
        held_out += list(_folds(train, seed))
    if not held_out:
        raise InputError(
            "logistic_regression: no image is left to choose the penalty by: there is no validation split, and each "
            "class of train has one image alone; add images"
        )
    trying = [Solutions(part, scored, classes, losses) for part, scored in held_out]
    whole = trying[0] if validation else Solutions(train, None, classes, losses)

    penalties = list(PENALTIES)
    found = {penalty: _means(path.score(penalty) for path in trying) for penalty in penalties}
    while (best := min(found, key=found.get)) in (penalties[0], penalties[-1]) and 1e-7 < best < 1e3:
        penalty = best * 10 if best == penalties[0] else best / 10
        penalties = sorted([*penalties, penalty], reverse=True)
        found[penalty] = _means(path.score(penalty) for path in trying)
    tried = []
    for each in penalties:
        by, scored = found[each]
        chosen_by = {"selection_loss": by} if losses.choice else {}
        row = {"penalty": each, "loss": whole.train_loss(each), "eval_loss": scored, **chosen_by}
        tried.append({**row, **whole.metrics(each)})
    weight, bias = whole.solutions[best]
    return Solution(*scale.fold(weight, bias), tried, penalties.index(best) + 1)


def solve_at(train: Examples, classes: int, loss: Loss, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the head of one penalty."""
    scale = Scale(train.features)
    path = Solutions(Examples(scale(train.features), train.labels), None, classes, Losses(loss, loss))
    return scale.fold(*path.solve(penalty))


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


def _means(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The mean of the first values, and that of the second ones."""
    first, second = (sum(values) / len(values) for values in zip(*pairs, strict=True))
    return first, second
