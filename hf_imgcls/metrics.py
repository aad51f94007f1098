"""Accuracy, top-5 accuracy and macro-F1 as `evaluate` metrics that need no network, and the loss beside them."""

import math

import datasets
import evaluate
import numpy as np
from sklearn.metrics import f1_score

_Z = 1.959963984540054  # 97.5 % point of the normal distribution


class _RankedMetric(evaluate.Metric):
    """A metric on ranked classes: `predictions` are a row's best classes, best first; `references` its label."""

    def _info(self) -> evaluate.MetricInfo:
        features = {
            "predictions": datasets.Sequence(datasets.Value("int64")),
            "references": datasets.Value("int64"),
        }
        return evaluate.MetricInfo(description=type(self).__doc__, citation="", features=datasets.Features(features))


class Accuracy(_RankedMetric):
    """Share of pictures whose best class is their label."""

    def _compute(self, predictions, references) -> dict[str, float]:
        hits = [ranked[0] == label for ranked, label in zip(predictions, references, strict=True)]
        return {"accuracy": float(np.mean(hits))}


class Top5Accuracy(_RankedMetric):
    """Share of pictures whose label is among their five best classes."""

    def _compute(self, predictions, references) -> dict[str, float]:
        hits = [label in ranked[:5] for ranked, label in zip(predictions, references, strict=True)]
        return {"top5_accuracy": float(np.mean(hits))}


class MacroF1(_RankedMetric):
    """Mean of the classes' F1, over the classes that occur among labels or predictions (scikit-learn's rule)."""

    def _compute(self, predictions, references) -> dict[str, float]:
        best = [ranked[0] for ranked in predictions]
        return {"macro_f1": float(f1_score(references, best, average="macro", zero_division=0.0))}


def compute_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """All metrics of a split.

    Args:
        logits: shape (pictures, classes).
        labels: class ids, shape (pictures,).

    Returns:
        accuracy, macro_f1, top5_accuracy (with more than five classes), and loss: the mean cross-entropy over
        pictures, computed here from all of them, so that it depends neither on batches nor on processes. A network
        that has diverged to NaN is right about nothing.
    """
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    ranked[np.isnan(logits).any(axis=1)] = -1
    metrics = [Accuracy(keep_in_memory=True), MacroF1(keep_in_memory=True)]
    if logits.shape[1] > 5:
        metrics.append(Top5Accuracy(keep_in_memory=True))
    values = {}
    for metric in metrics:
        values.update(metric.compute(predictions=ranked.tolist(), references=labels.tolist()))
    return {**values, "loss": cross_entropy(logits, labels)}


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood in double precision, to six decimals."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    likelihood = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))
    return round(float(-likelihood.mean()), 6)


def interval(share: float, count: int) -> tuple[float, float]:
    """95 % confidence interval of a share of `count` pictures (Wilson, 1927)."""
    middle = share + _Z**2 / (2 * count)
    reach = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
