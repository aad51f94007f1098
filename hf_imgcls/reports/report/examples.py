"""Which images of a scored split are worth looking at: pairs that are confused, worst mistakes, least certain ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring import Scored

WORST, UNCERTAIN, PAIRS, OF_A_PAIR = 24, 12, 10, 3


def confused_pairs(output: Scored, names: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most often: `label`, `prediction`, `images`, `of` that label, `rows`.

    `rows` are the places in the split of those with the highest scores.
    """
    wrong = np.flatnonzero((output.predictions >= 0) & (output.predictions != output.label_ids))
    pairs = output.label_ids[wrong] * len(names) + output.predictions[wrong]
    kinds, counts = np.unique(pairs, return_counts=True)
    images = np.bincount(output.label_ids, minlength=len(names))
    order = np.lexsort((kinds, -counts / images[kinds // len(names)], -counts))[:PAIRS]
    found = []
    for kind, count in zip(kinds[order], counts[order], strict=True):
        label, prediction = divmod(int(kind), len(names))
        mine = wrong[pairs == kind]
        best = mine[np.argsort(-output.top_log_probabilities[mine], kind="stable")][:OF_A_PAIR]
        each = {"label": names[label], "prediction": names[prediction], "images": int(count)}
        found.append({**each, "of": int(images[label]), "rows": best.tolist()})
    return found


def worst_mistakes(output: Scored) -> list[int]:
    """Places of the images that were predicted wrongly with the lowest score of their own class."""
    wrong = np.flatnonzero((output.predictions >= 0) & (output.predictions != output.label_ids))
    return wrong[np.argsort(output.log_likelihoods[wrong], kind="stable")][:WORST].tolist()


def least_certain(output: Scored) -> list[int]:
    """Places of the images whose predictions have the lowest scores."""
    known = np.flatnonzero(output.predictions >= 0)
    return known[np.argsort(output.top_log_probabilities[known], kind="stable")][:UNCERTAIN].tolist()
