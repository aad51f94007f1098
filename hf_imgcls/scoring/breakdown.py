"""The scores of a split in detail: each class, what its images are predicted as, and confidence intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.class_intervals import Drawn, bootstrap_classes, macro_means
from hf_imgcls.scoring.metrics import Z_95, interval
from hf_imgcls.scoring.scored import Scored
from hf_imgcls.scoring.set_breakdown import break_down_sets
from hf_imgcls.scoring.sets import ScoredSets


def break_down(outputs: Mapping[str, Scored], scores: Mapping[str, Mapping], names: Sequence[str]) -> dict[str, dict]:
    """The scores of each split in detail, from its outputs and metrics; `names` in the order of the logits.

    Returns:
        By split, ready for JSON:
        `intervals_95`: accuracies have Wilson's; the loss that of a mean; macro-F1 that of a bootstrap over the
        images, or, where no prediction was wrong and a bootstrap has no spread, that of the accuracy.
        `macro`: mean `precision`, `recall` and `f1` of the classes, each with its interval, of the same bootstrap.
        `mean_top_score`: the mean probability of the predicted class, to be compared with the accuracy.
        `classes`: by name; precision is None where nothing was predicted as it, recall without images, and `predicted`
        counts what its images were predicted as. Recall has Wilson's interval; precision and F1 have that of the
        bootstrap, or Wilson's where there is no mistake. Of several labels an image see `break_down_sets`.
    """
    return {
        split: (break_down_sets if isinstance(output, ScoredSets) else _split)(output, scores[split], names)
        for split, output in outputs.items()
    }


def _split(output: Scored, scores: Mapping, names: Sequence[str]) -> dict[str, Any]:
    predicted, label_ids, losses = output.predictions >= 0, output.label_ids, -output.log_likelihoods
    predictions = np.where(predicted, output.predictions, len(names))
    intervals = {key: interval(scores[key], len(label_ids)) for key in ("accuracy", "top5_accuracy") if key in scores}
    pairs, counts = np.unique(np.stack([label_ids, predictions]), axis=1, return_counts=True)
    same = pairs[0] == pairs[1]
    drawn, size = bootstrap_classes(pairs, counts, len(names)), len(names) + 1
    means = macro_means(
        *(np.bincount(p, n, size) for p, n in ((pairs[0], counts), (pairs[1], counts), (pairs[0][same], counts[same])))
    )
    intervals["macro_f1"] = intervals["accuracy"] if same.all() else drawn.macro["f1"]
    if len(losses) > 1 and np.isfinite(losses).all():
        reach = Z_95 * losses.std(ddof=1) / len(losses) ** 0.5
        intervals["loss"] = max(0.0, losses.mean() - reach), losses.mean() + reach
    top = np.exp(output.top_log_probabilities[predicted])
    return {
        "intervals_95": {name: _rounded(ends) for name, ends in intervals.items()},
        "mean_top_score": round(float(top.mean()), 6) if predicted.any() else None,
        "macro": {
            key: [round(value, 6), _rounded(intervals["accuracy"] if same.all() else drawn.macro[key])]
            for key, value in means.items()
        },
        "classes": {name: _class(i, (pairs, counts), names, drawn) for i, name in enumerate(names)},
    }


def _class(i: int, kinds: tuple[np.ndarray, np.ndarray], names: Sequence[str], drawn: Drawn) -> dict[str, Any]:
    pairs, counts = kinds
    mine = pairs[0] == i
    shown = {names[j]: int(n) for j, n in zip(pairs[1, mine], counts[mine], strict=True) if j < len(names)}
    images, predicted, correct = int(counts[mine].sum()), int(counts[pairs[1] == i].sum()), shown.get(names[i], 0)
    ends = _rounded(interval(correct / images, images)) if images else None
    # Where there is no mistake a bootstrap has no spread.
    sure = interval(1.0, predicted) if predicted and predicted == correct else drawn.precision[i]
    spread = {"precision": sure, "f1": ends if images == predicted == correct else drawn.f1[i]}
    return {
        "images": images,
        "correct": correct,
        "precision": round(correct / predicted, 6) if predicted else None,
        "precision_interval_95": _rounded(spread["precision"]) if predicted else None,
        "recall": round(correct / images, 6) if images else None,
        "recall_interval_95": ends,
        "f1": round(2 * correct / (images + predicted), 6) if images + predicted else None,
        "f1_interval_95": _rounded(spread["f1"]) if images + predicted else None,
        "predicted": dict(sorted(shown.items(), key=lambda item: -item[1])),
    }


def _rounded(ends: Sequence[float] | None) -> list[float] | None:
    return ends and [round(float(end), 6) for end in ends]


def weakest_classes(classes: dict[str, dict]) -> list[str]:
    """Names of classes with images, those with the lowest recall first."""
    known = [name for name, values in classes.items() if values["images"]]
    return sorted(known, key=lambda name: (classes[name]["recall"], -classes[name]["images"]))
