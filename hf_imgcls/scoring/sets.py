"""Scores of several labels an image: each label is predicted by itself, where its probability reaches its threshold."""

import dataclasses
from functools import cached_property

import numpy as np

THRESHOLD = 0.5
_FEW = 5  # images with a label, below which its threshold is that of all labels together


@dataclasses.dataclass(frozen=True)
class ScoredSets:
    """A scored split, in its order.

    Attributes:
        logits: float32, shape (images, labels); NaN of an image that cannot be scored.
        label_ids: whether the image has each label, bool, of the same shape.
        sample: rows whose logits are compared by the parity check, and these.
        thresholds: probability of each label from which it is predicted, shape (labels,).
        features: rows whose features were kept, and these, float32 of shape (rows, width).
    """

    logits: np.ndarray
    label_ids: np.ndarray
    sample: tuple[np.ndarray, np.ndarray] | None = None
    thresholds: np.ndarray | None = None
    features: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def classes(self) -> int:
        return self.logits.shape[1]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Float64, shape (images, labels)."""
        return sigmoid(self.logits.astype(np.float64))

    @cached_property
    def predictions(self) -> np.ndarray:
        """Whether each label is predicted, bool, shape (images, labels)."""
        return self.probabilities >= (THRESHOLD if self.thresholds is None else self.thresholds)

    @property
    def failed(self) -> np.ndarray:
        """Which images have no prediction, shape (images,)."""
        return np.isnan(self.logits).any(axis=1)

    def select(self, rows: np.ndarray) -> "ScoredSets":
        return ScoredSets(self.logits[rows], self.label_ids[rows], None, self.thresholds)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """In the precision of the logits, without overflow."""
    powers = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, powers) / (1 + powers)


def mean_average_precision(split: ScoredSets) -> float:
    """Mean over the labels that any image has of their average precision (as in scikit-learn)."""
    found = average_precisions(split)
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")


def average_precisions(split: ScoredSets) -> np.ndarray:
    """The mean precision at each image with the label, ranked by score; NaN of a label without images."""
    return np.array([_average_precision(*pair) for pair in zip(split.logits.T, split.label_ids.T, strict=True)])


def _average_precision(logits: np.ndarray, has: np.ndarray) -> float:
    if not has.any():
        return float("nan")
    logits = np.where(np.isnan(logits), -np.inf, logits)
    order = np.argsort(-logits, kind="stable")
    last = np.append(np.diff(logits[order]) != 0, True)  # images of equal score are one step
    right = np.cumsum(has[order])[last]
    precision = right / (np.flatnonzero(last) + 1)
    return float((np.diff(right, prepend=0) * precision).sum() / right[-1])


def micro_f1(split: ScoredSets) -> float:
    """F1 of all pairs of an image and a label together."""
    right, predicted, images = (int(each.sum()) for each in counts_of(split))
    return 2 * right / max(predicted + images, 1)


def macro_f1_of_sets(split: ScoredSets) -> float:
    """Mean of the labels' F1, over those that occur among labels or predictions."""
    right, predicted, images = counts_of(split)
    occur = images + predicted > 0
    return float(np.mean(2 * right[occur] / (images + predicted)[occur])) if occur.any() else 0.0


def counts_of(split: ScoredSets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By label: correct predictions, predictions, images that have it."""
    return (split.predictions & split.label_ids).sum(0), split.predictions.sum(0), split.label_ids.sum(0)


def losses_of_sets(split: ScoredSets) -> np.ndarray:
    """Binary cross-entropy of each image, the mean over its labels, shape (images,)."""
    logits = split.logits.astype(np.float64)
    return (np.logaddexp(0, logits) - logits * split.label_ids).mean(axis=1)


def binary_cross_entropy(split: ScoredSets) -> float:
    """Mean over all images and labels; six decimals."""
    return round(float(losses_of_sets(split).mean()), 6)


def best_thresholds(split: ScoredSets) -> np.ndarray:
    """The probability of each label from which predicting it has the highest F1, shape (labels,).

    A label that few images have takes the one threshold that has the highest micro-F1. Each lies between two scores, as
    they are served in float32, so that rounding changes no prediction.
    """
    known = split.select(~split.failed)
    served = known.probabilities.astype(np.float32).astype(float)
    together = _best_threshold(served.ravel(), known.label_ids.ravel())
    found = [
        _best_threshold(scores, has) if has.sum() >= _FEW else together
        for scores, has in zip(served.T, known.label_ids.T, strict=True)
    ]
    return np.array(found)


def _best_threshold(scores: np.ndarray, has: np.ndarray) -> float:
    if not has.any():
        return THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], np.cumsum(has[order])
    f1 = 2 * right / (np.arange(1, len(ranked) + 1) + has.sum())
    f1[:-1][np.diff(ranked) == 0] = -1  # images of equal score are predicted together
    best = int(np.argmax(f1))
    return _between(ranked[best + 1] if best + 1 < len(ranked) else 0.0, ranked[best])


def _between(low: float, high: float) -> float:
    """Half way between two scores, in six digits, or as many as it takes to lie between them."""
    rounded = (float(f"{(low + high) / 2:.{digits}g}") for digits in range(6, 18))
    return next((each for each in rounded if low < each < high), float(high))
