"""Labels that are probably wrong: those that a head, solved without these images, gives a low probability.

Ranking by -log p of out-of-sample probabilities is what finds most of them (Northcutt and others, 2021,
arXiv:1911.00068, whose library ranks so too).
"""

from typing import NamedTuple

import numpy as np
import torch

from hf_imgcls.data import fold_of_rows
from hf_imgcls.errors import InputError
from hf_imgcls.training.loss import total_loss
from hf_imgcls.training.regression import FOLDS, PENALTIES
from hf_imgcls.training.solutions import Examples, Losses, Scale, Solutions


class OutOfSample(NamedTuple):
    """Of each image the log probabilities of the classes by a head that has not seen it, and the penalty of the heads.

    An image that no fold could hold out, since it is the only one of its class, has none: not a number.
    """

    log_probabilities: np.ndarray  # shape (images, classes)
    penalty: float


def predict_out_of_sample(examples: Examples, classes: int, seed: int) -> OutOfSample:
    """Solve a head for each fold without it, at the penalty with the lowest loss of all images out of sample.

    Args:
        examples: of whole splits, with groups of which no two parts are in different folds.
    """
    labels = examples.labels.cpu().numpy()
    fold = fold_of_rows(labels, examples.groups, FOLDS, seed)
    if (fold < 0).all():
        raise InputError(
            "--labels: each class has one image alone, or nearly the same ones, so that none can be predicted by a "
            "head that has not seen it; add images"
        )
    found = {penalty: np.full((len(labels), classes), np.nan) for penalty in PENALTIES}
    for number in range(FOLDS):
        inside, outside = (torch.from_numpy(part) for part in (fold != number, fold == number))
        if not outside.any():
            continue
        scale = Scale(examples.features[inside])
        train = Examples(scale(examples.features[inside]), examples.labels[inside])
        solutions, held_out = (
            Solutions(train, None, classes, Losses(total_loss, total_loss)),
            scale(examples.features[outside]),
        )
        for penalty in PENALTIES:
            weight, bias = solutions.solve(penalty)
            logits = torch.addmm(bias, held_out, weight.T)
            found[penalty][outside.numpy()] = logits.log_softmax(1).cpu().numpy()
    losses = {penalty: np.nanmean(losses_of(each, labels)) for penalty, each in found.items()}
    best = min(losses, key=losses.get)
    return OutOfSample(found[best], best)


def losses_of(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log p of the label of each image, shape (images,)."""
    return -np.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]
