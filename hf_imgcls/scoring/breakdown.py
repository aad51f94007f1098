"""What the scores of a split are made of: each class, what it is taken for, and how far the figures can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.metrics import Z_95, interval, macro_f1
from hf_imgcls.scoring.scored import Scored

_DRAWS = 1000  # of the bootstrap: the ends of an interval are then good to about a twentieth of its width


def break_down(outputs: Mapping[str, Scored], scores: Mapping[str, Mapping], names: Sequence[str]) -> dict[str, dict]:
    """Break the scores of each split down.

    Args:
        outputs: what each split was scored as.
        scores: by split its metrics, of which the shares are taken.
        names: of the classes, in the order of the logits.

    Returns:
        By split, ready for JSON:
        `intervals_95`: of every metric. Shares have Wilson's; the loss that of a mean; macro-F1 that of a bootstrap
        over the images, or, where no answer was wrong and a bootstrap knows nothing, that of the accuracy.
        `mean_top_score`: how sure the model was on average, to be read beside the accuracy.
        `classes`: by name `images`, `right`, `precision` (None where nothing was taken for it), `recall` (None
        without images) with `recall_interval_95`, `f1`, and `answers`: how many images were taken for what.
    """
    return {split: _split(output, scores[split], names) for split, output in outputs.items()}


def _split(output: Scored, scores: Mapping, names: Sequence[str]) -> dict[str, Any]:
    answered, label_ids, losses = output.answers >= 0, output.label_ids, -output.likelihoods
    answers = np.where(answered, output.answers, len(names))
    shares = {key: scores[key] for key in ("accuracy", "top5_accuracy") if key in scores}
    intervals = {key: interval(share, len(label_ids)) for key, share in shares.items()}
    all_right = np.array_equal(answers, label_ids)
    intervals["macro_f1"] = intervals["accuracy"] if all_right else _bootstrapped_f1(label_ids, answers, len(names))
    if len(losses) > 1 and np.isfinite(losses).all():
        reach = Z_95 * losses.std(ddof=1) / len(losses) ** 0.5
        intervals["loss"] = max(0.0, losses.mean() - reach), losses.mean() + reach
    return {
        "intervals_95": {name: [round(float(end), 6) for end in ends] for name, ends in intervals.items()},
        "mean_top_score": round(float(np.exp(output.surest[answered]).mean()), 6) if answered.any() else None,
        "classes": _classes(label_ids, answers, names),
    }


def _classes(label_ids: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    pairs, counts = np.unique(np.stack([label_ids, answers]), axis=1, return_counts=True)
    given = np.bincount(answers, minlength=len(names) + 1)
    found = {}
    for i, name in enumerate(names):
        mine = pairs[0] == i
        taken = {names[j]: int(n) for j, n in zip(pairs[1, mine], counts[mine], strict=True) if j < len(names)}
        images, right = int(counts[mine].sum()), taken.get(name, 0)
        found[name] = {
            "images": images,
            "right": right,
            "precision": round(right / int(given[i]), 6) if given[i] else None,
            "recall": round(right / images, 6) if images else None,
            "recall_interval_95": [round(end, 6) for end in interval(right / images, images)] if images else None,
            "f1": round(2 * right / (images + int(given[i])), 6) if images + given[i] else None,
            "answers": dict(sorted(taken.items(), key=lambda item: -item[1])),
        }
    return found


def _bootstrapped_f1(label_ids: np.ndarray, answers: np.ndarray, classes: int) -> tuple[float, float]:
    """Percentile interval of macro-F1 over draws of as many images, with replacement (Efron, 1979)."""
    pairs, counts = np.unique(np.stack([label_ids, answers]), axis=1, return_counts=True)
    same, size = pairs[0] == pairs[1], classes + 1  # the last one stands for no answer
    generator = np.random.default_rng(0)
    values = []
    for _ in range(_DRAWS):
        # Images with the same label and the same answer are alike here: drawing how many of each is enough.
        drawn = generator.multinomial(counts.sum(), counts / counts.sum())
        images, given = (np.bincount(pairs[side], drawn, size) for side in (0, 1))
        values.append(macro_f1(images, given, np.bincount(pairs[0][same], drawn[same], size)))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
