"""Which of the compared networks are trained: the best one, one that may be as good, two that are better together."""

import math
from collections.abc import Sequence

import torch

from hf_imgcls.training.candidates import Candidate, losses_of_labels

_Z_95 = 1.96


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the lowest validation loss; a smaller one where the difference is within chance.

    That is where the mean difference of the two losses of an image is less than 1.96 standard errors.
    """
    best = min(candidates, key=lambda each: each.loss)
    return min((each for each in candidates if _is_as_good(each, best)), key=lambda each: each.parameters)


def _is_as_good(candidate: Candidate, best: Candidate) -> bool:
    difference = candidate.losses - best.losses
    if len(difference) < 2:
        return candidate is best
    return float(difference.mean()) <= _Z_95 * float(difference.std()) / math.sqrt(len(difference))


def choose_rival(candidates: Sequence[Candidate], chosen: Candidate) -> Candidate | None:
    """Of the other networks that are not shown to be worse than the best one, that with the lowest validation loss.

    Which network gains more where all of its weights train, the heads do not tell.
    """
    best = min(candidates, key=lambda each: each.loss)
    others = [each for each in candidates if each is not chosen and _is_as_good(each, best)]
    return min(others, key=lambda each: each.loss, default=None)


def choose_partner(candidates: Sequence[Candidate], chosen: Candidate) -> Candidate | None:
    """The network whose mean probabilities with the chosen one's have the lowest validation loss, where that is lower
    than the loss of each of the two.
    """
    losses = {}
    for each in candidates:
        if each is not chosen and each.stock and chosen.stock:
            mean = torch.logaddexp(each.log_likelihoods, chosen.log_likelihoods) - math.log(2)
            losses[each.checkpoint] = float(losses_of_labels(mean, chosen.labels).mean())
    others = [each for each in candidates if each.checkpoint in losses]
    partner = min(others, key=lambda each: losses[each.checkpoint], default=None)
    better = partner and losses[partner.checkpoint] < min(chosen.loss, partner.loss)
    return partner if better else None
