"""The scores of a split in detail: each class, what its images are predicted as, and confidence intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.metrics import Z_95, interval, mean_f1
from hf_imgcls.scoring.scored import Scored

_DRAWS = 1000  # of the bootstrap: the ends of an interval are then good to about a twentieth of its width


def break_down(outputs: Mapping[str, Scored], scores: Mapping[str, Mapping], names: Sequence[str]) -> dict[str, dict]:
    """The scores of each split in detail, from its outputs and metrics; `names` in the order of the logits.

    Returns:
        By split, ready for JSON:
        `intervals_95`: accuracies have Wilson's; the loss that of a mean; macro-F1 that of a bootstrap over the
        images, or, where no prediction was wrong and a bootstrap has no spread, that of the accuracy.
        `mean_top_score`: the mean probability of the predicted class, to be compared with the accuracy.
        `classes`: by name; precision is None where nothing was predicted as it, recall without images, and `predicted`
        counts what its images were predicted as.
    """
    return {split: _split(output, scores[split], names) for split, output in outputs.items()}


def _split(output: Scored, scores: Mapping, names: Sequence[str]) -> dict[str, Any]:
    predicted, label_ids, losses = output.predictions >= 0, output.label_ids, -output.log_likelihoods
    predictions = np.where(predicted, output.predictions, len(names))
    intervals = {key: interval(scores[key], len(label_ids)) for key in ("accuracy", "top5_accuracy") if key in scores}
    pairs, counts = np.unique(np.stack([label_ids, predictions]), axis=1, return_counts=True)
    same = pairs[0] == pairs[1]
    intervals["macro_f1"] = intervals["accuracy"] if same.all() else _bootstrapped_f1(pairs, counts, len(names) + 1)
    if len(losses) > 1 and np.isfinite(losses).all():
        reach = Z_95 * losses.std(ddof=1) / len(losses) ** 0.5
        intervals["loss"] = max(0.0, losses.mean() - reach), losses.mean() + reach
    top = np.exp(output.top_log_probabilities[predicted])
    return {
        "intervals_95": {name: [round(float(end), 6) for end in ends] for name, ends in intervals.items()},
        "mean_top_score": round(float(top.mean()), 6) if predicted.any() else None,
        "classes": {name: _class(i, pairs, counts, names) for i, name in enumerate(names)},
    }


def _class(i: int, pairs: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    mine = pairs[0] == i
    shown = {names[j]: int(n) for j, n in zip(pairs[1, mine], counts[mine], strict=True) if j < len(names)}
    images, predicted, correct = int(counts[mine].sum()), int(counts[pairs[1] == i].sum()), shown.get(names[i], 0)
    return {
        "images": images,
        "correct": correct,
        "precision": round(correct / predicted, 6) if predicted else None,
        "recall": round(correct / images, 6) if images else None,
        "recall_interval_95": [round(end, 6) for end in interval(correct / images, images)] if images else None,
        "f1": round(2 * correct / (images + predicted), 6) if images + predicted else None,
        "predicted": dict(sorted(shown.items(), key=lambda item: -item[1])),
    }


def weakest_classes(classes: dict[str, dict]) -> list[str]:
    """Names of classes with images, those with the lowest recall first."""
    known = [name for name, values in classes.items() if values["images"]]
    return sorted(known, key=lambda name: (classes[name]["recall"], -classes[name]["images"]))


def _bootstrapped_f1(pairs: np.ndarray, counts: np.ndarray, size: int) -> tuple[float, float]:
    """Percentile interval of macro-F1 over draws of as many images, with replacement (Efron, 1979)."""
    same, generator, values = pairs[0] == pairs[1], np.random.default_rng(0), []
    for _ in range(_DRAWS):
        # Images with the same label and the same prediction are alike here: drawing how many of each is enough.
        drawn = generator.multinomial(counts.sum(), counts / counts.sum())
        images, predicted = (np.bincount(pairs[side], drawn, size) for side in (0, 1))
        values.append(mean_f1(images, predicted, np.bincount(pairs[0][same], drawn[same], size)))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
