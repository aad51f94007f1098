"""Accuracy, top-5 accuracy and macro-F1 as `evaluate` metrics that need no network, and the loss beside them."""

import math
from typing import Any

import datasets
import evaluate
import numpy as np

from hf_imgcls.scoring.scored import BEST, Scored

Z_95 = 1.959963984540054  # 97.5 % point of the normal distribution


class _RankedMetric(evaluate.Metric):
    """A metric on ranked classes: `predictions` are a row's best classes, best first; `references` its label."""

    def _info(self) -> evaluate.MetricInfo:
        features = {
            "predictions": datasets.Sequence(datasets.Value("int64")),
            "references": datasets.Value("int64"),
        }
        return evaluate.MetricInfo(description=type(self).__doc__, citation="", features=datasets.Features(features))


class Accuracy(_RankedMetric):
    """Share of images whose best class is their label."""

    def _compute(self, predictions, references) -> dict[str, float]:
        return {"accuracy": float(np.mean(np.array(predictions)[:, 0] == references))}


class Top5Accuracy(_RankedMetric):
    """Share of images whose label is among their five best classes."""

    def _compute(self, predictions, references) -> dict[str, float]:
        hits = np.array(predictions)[:, :5] == np.array(references)[:, None]
        return {"top5_accuracy": float(np.mean(hits.any(axis=1)))}


class MacroF1(_RankedMetric):
    """Mean of the classes' F1, over the classes that occur among labels or predictions (as scikit-learn has it)."""

    def _compute(self, predictions, references) -> dict[str, float]:
        # Classes by their place among those that occur: -1 stands for no answer, and is taken for a class of its own.
        both = np.unique([*references, *np.array(predictions)[:, 0]], return_inverse=True)[1]
        labels, given = np.split(both, [len(references)])
        counts = [np.bincount(ids, minlength=both.max() + 1) for ids in (labels, given, labels[labels == given])]
        return {"macro_f1": macro_f1(*counts)}


def macro_f1(images: np.ndarray, given: np.ndarray, right: np.ndarray) -> float:
    """Mean F1 of the classes that occur, from their images, answers and right answers, each of shape (classes,)."""
    occur = images + given > 0
    return float(np.mean(2 * right[occur] / (images + given)[occur]))


def compute_metrics(split: Scored) -> dict[str, float]:
    """All metrics of a scored split.

    Returns:
        accuracy, macro_f1, top5_accuracy (with more than five classes), and loss: the mean cross-entropy over
        images, computed here from all of them, so that it depends neither on batches nor on processes, to six
        decimals. A network that has diverged to NaN is right about nothing.
    """
    metrics = [Accuracy(), MacroF1(), *([Top5Accuracy()] if split.classes > BEST else [])]
    values: dict[str, float] = {}
    for metric in metrics:
        # Not `compute`, which writes every image's row to a table first: 17 s for 200,000, and this 0.2.
        values.update(metric._compute(predictions=split.ranked, references=split.label_ids))
    return {**values, "loss": round(float(-split.likelihoods.mean()), 6)}


def interval(share: float, count: int) -> tuple[float, float]:
    """95 % confidence interval of a share of `count` images (Wilson, 1927)."""
    middle = share + Z_95**2 / (2 * count)
    reach = Z_95 * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    scale = 1 + Z_95**2 / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def split_metrics(metrics: dict[str, float], split: str, images: int) -> dict[str, Any]:
    """A split's metrics without their prefix, rounded to six decimals, with the interval of the accuracy."""
    plain = {key.removeprefix(f"{split}_"): value for key, value in metrics.items()}
    wanted = [key for key in ("accuracy", "top5_accuracy", "macro_f1", "loss") if key in plain]
    low, high = interval(plain["accuracy"], images)
    return {
        "images": images,
        **{key: round(plain[key], 6) for key in wanted},
        "accuracy_interval_95": [round(low, 6), round(high, 6)],
    }
