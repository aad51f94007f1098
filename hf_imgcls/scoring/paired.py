"""Two predictions of the same images, compared image by image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.metrics import Z_95
from hf_imgcls.scoring.scored import Scored
from hf_imgcls.scoring.sets import ScoredSets, losses_of_sets


def compare_paired(before: Scored | ScoredSets, after: Scored | ScoredSets) -> dict[str, Any]:
    """What changes from one prediction of a split to another one of the same rows.

    Returns:
        `changed`, images that are predicted otherwise; `to_right` and `to_wrong`, how many `of` the images, or of the
        labels where an image may have several; and by metric the difference with its 95 % interval: of `loss` that of a
        mean, of `accuracy` that of paired proportions (Agresti and Min, 2005).
    """
    sets, count = isinstance(before, ScoredSets), len(before)
    rights = [split.predictions == split.label_ids for split in (before, after)]
    to_right, to_wrong = (int((~old & new).sum()) for old, new in (rights, rights[::-1]))
    changed = (before.predictions != after.predictions).reshape(count, -1).any(axis=1)
    losses = _losses(after) - _losses(before)
    mean, reach = float(losses.mean()), Z_95 * float(losses.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    found = {"changed": int(changed.sum()), "of": "labels" if sets else "images", "to_right": to_right}
    found |= {"to_wrong": to_wrong, "loss": _change(mean, mean, reach)}
    return found if sets else {**found, "accuracy": change_of_proportion(to_right, to_wrong, count)}


def exact_p_value(to_right: int, to_wrong: int) -> float:
    """McNemar's exact test, two-sided: how probable so uneven counts are where either way is as probable."""
    to_right, to_wrong = int(to_right), int(to_wrong)  # which have no largest value
    changed, term, total = to_right + to_wrong, 1, 1
    for k in range(min(to_right, to_wrong)):
        term = term * (changed - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / 2**changed)


def correct_for_several(p_values: Sequence[float]) -> list[float]:
    """P-values of as many tests as there are, so that one wrong "different" among all stays as rare (Holm, 1979)."""
    highest, found = 0.0, {}
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = highest
    return [found[place] for place in range(len(p_values))]


def _losses(split: Scored | ScoredSets) -> np.ndarray:
    """Of each image, shape (images,)."""
    return losses_of_sets(split) if isinstance(split, ScoredSets) else -split.log_likelihoods


def change_of_proportion(to_right: int, to_wrong: int, count: int) -> dict[str, Any]:
    """The difference of two proportions of `count` images, and its 95 % interval (Agresti and Min, 2005)."""
    # Half an image is added to each of the four counts: where nothing changed, the interval still has a width.
    total, difference = count + 2, to_right - to_wrong
    reach = Z_95 * math.sqrt(to_right + to_wrong + 1 - difference**2 / total) / total
    return _change(difference / count, difference / total, reach)


def _change(change: float, middle: float, reach: float) -> dict[str, Any]:
    ends = [middle - reach, middle + reach]
    return {"change": round(change, 6), "interval_95": [round(float(end), 6) for end in np.clip(ends, -1e9, 1e9)]}
