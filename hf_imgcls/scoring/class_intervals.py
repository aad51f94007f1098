"""Bootstrap intervals of precision and F1, of each class and of their means."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_DRAWS = 1000  # of the bootstrap: the ends of an interval are then good to about a twentieth of its width
_AT_ONCE = 5_000_000  # counts that are drawn at a time
_ENDS = (2.5, 97.5)

Interval = tuple[float, float]


class Drawn(NamedTuple):
    """95 % intervals; `precision` and `f1` by class, None where most draws have none of it."""

    macro: dict[str, Interval]
    precision: list[Interval | None]
    f1: list[Interval | None]


def bootstrap_classes(pairs: np.ndarray, counts: np.ndarray, classes: int) -> Drawn:
    """Percentile intervals over draws of as many images, with replacement (Efron, 1979); the same in every call.

    Args:
        pairs: label and prediction that occur together, shape (2, kinds); the id `classes` is no prediction.
        counts: images of each kind.
    """
    generator, total, drawn = np.random.default_rng(0), int(counts.sum()), []
    images, predicted, right = _sums(pairs, classes + 1)
    at_once = max(1, _AT_ONCE // (counts.size + classes))
    for first in range(0, _DRAWS, at_once):
        # Images with the same label and the same prediction are alike here: drawing how many of each is enough.
        draws = generator.multinomial(total, counts / total, min(at_once, _DRAWS - first))
        drawn.append(np.stack([_gather(draws, each) for each in (images, predicted, right)]))
    images, predicted, right = np.concatenate(drawn, axis=1).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {"precision": right / predicted, "recall": right / images, "f1": 2 * right / (images + predicted)}
    # As in scikit-learn: of the classes that occur among labels or predictions, 0 where there is nothing to divide.
    occur = images + predicted > 0
    macro = {
        key: _interval(np.where(occur, np.nan_to_num(each), 0).sum(1) / occur.sum(1)) for key, each in values.items()
    }
    by_class = {key: _intervals(values[key][:, :classes]) for key in ("precision", "f1")}
    return Drawn(macro, **by_class)


def macro_means(images: np.ndarray, predicted: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Mean precision, recall and F1 of the classes that occur, from counts of each class, each of shape (classes,)."""
    occur = images + predicted > 0
    images, predicted, right = (each[occur].astype(float) for each in (images, predicted, right))
    return {
        "precision": float(np.mean(right / np.maximum(predicted, 1))),
        "recall": float(np.mean(right / np.maximum(images, 1))),
        "f1": float(np.mean(2 * right / (images + predicted))),
    }


def _sums(pairs: np.ndarray, size: int) -> Sequence[tuple]:
    """Of which kinds the images, the predictions and the right ones of each class are the sum."""
    same = np.flatnonzero(pairs[0] == pairs[1])
    kinds = np.arange(pairs.shape[1])
    return [(size, kinds, pairs[0]), (size, kinds, pairs[1]), (size, same, pairs[0][same])]


def _gather(draws: np.ndarray, sums: tuple) -> np.ndarray:
    size, kinds, classes = sums
    found = np.zeros((len(draws), size), draws.dtype)
    order = np.argsort(classes, kind="stable")
    if order.size:
        present, starts = np.unique(classes[order], return_index=True)
        found[:, present] = np.add.reduceat(draws[:, kinds[order]], starts, axis=1)
    return found


def _interval(values: np.ndarray) -> Interval:
    low, high = np.percentile(values, _ENDS)
    return float(low), float(high)


def _intervals(values: np.ndarray) -> list[Interval | None]:
    """Of each column; draws in which the class does not occur are left out."""
    known = np.isfinite(values)
    whole = known.all(axis=0)
    ends = np.full((2, values.shape[1]), np.nan)
    if whole.any():
        ends[:, whole] = np.percentile(values[:, whole], _ENDS, axis=0)
    for column in np.flatnonzero(~whole & (known.mean(axis=0) >= 0.5)):
        ends[:, column] = np.percentile(values[known[:, column], column], _ENDS)
    return [None if np.isnan(low) else (float(low), float(high)) for low, high in ends.T]
