"""The scores of several labels an image in detail: each label, and confidence intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.bootstrap import bootstrap
from hf_imgcls.scoring.metrics import Z_95, interval
from hf_imgcls.scoring.sets import THRESHOLD, ScoredSets, average_precisions, counts_of, losses_of_sets


def break_down_sets(output: ScoredSets, scores: Mapping, names: Sequence[str]) -> dict[str, Any]:
    """As `break_down` of one label an image.

    Returns:
        `intervals_95`: of a bootstrap over the images; of the loss that of a mean. `classes`, by name: `images` that
        have the label, `predictions` of it, how many are `correct`, precision, recall, F1, average precision and
        threshold.
    """
    intervals, losses = bootstrap(output), losses_of_sets(output)
    if len(losses) > 1 and np.isfinite(losses).all():
        reach = Z_95 * losses.std(ddof=1) / len(losses) ** 0.5
        intervals["loss"] = max(0.0, losses.mean() - reach), losses.mean() + reach
    return {
        "intervals_95": {key: [round(float(end), 6) for end in ends] for key, ends in intervals.items()},
        "classes": label_scores(output, names),
    }


def label_scores(output: ScoredSets, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The `classes` of a breakdown."""
    rows = zip(*counts_of(output), average_precisions(output), _thresholds(output), strict=True)
    return {name: _label(*row) for name, row in zip(names, rows, strict=True)}


def _thresholds(output: ScoredSets) -> np.ndarray:
    return np.full(output.classes, THRESHOLD) if output.thresholds is None else output.thresholds


def _label(correct, predicted, images, average_precision, threshold) -> dict[str, Any]:
    correct, predicted, images = int(correct), int(predicted), int(images)
    return {
        "images": images,
        "predictions": predicted,
        "correct": correct,
        "precision": round(correct / predicted, 6) if predicted else None,
        "recall": round(correct / images, 6) if images else None,
        "recall_interval_95": [round(end, 6) for end in interval(correct / images, images)] if images else None,
        "f1": round(2 * correct / (images + predicted), 6) if images + predicted else None,
        "average_precision": round(float(average_precision), 6) if images else None,
        "threshold": float(threshold),
    }
