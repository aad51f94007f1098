"""Confidence intervals of metrics of several labels an image."""

import numpy as np

from hf_imgcls.scoring.sets import ScoredSets, mean_average_precision

_DRAWS, _LEAST, _WORK = 1000, 100, 30_000_000  # draws; pairs of an image and a label that are gone through for them


def bootstrap(output: ScoredSets) -> dict[str, tuple[float, float]]:
    """Percentile intervals of mAP, micro- and macro-F1 over draws of as many images, with replacement (Efron, 1979)."""
    found = draw_set_metrics(output)
    ends = {key: np.nanpercentile(values, [2.5, 97.5]) for key, values in found.items()}
    # An image that is drawn twice lies behind itself: the draws' mAP is too high, the more the rarer a label is.
    ends["map"] = (ends["map"] + mean_average_precision(output) - np.nanmedian(found["map"])).clip(0, 1)
    return {key: (float(low), float(high)) for key, (low, high) in ends.items()}


def draw_set_metrics(output: ScoredSets) -> dict[str, np.ndarray]:
    """The metrics of each draw, shape (draws,); of splits of one shape the draws are the same, so that they pair."""
    has, predicted = output.label_ids, output.predictions
    order = np.argsort(-np.where(np.isnan(output.logits), -np.inf, output.logits), axis=0, kind="stable")
    ranked = np.take_along_axis(has, order, axis=0)
    generator, count = np.random.default_rng(0), len(output)
    draws = int(np.clip(_WORK / max(has.size, 1), _LEAST, _DRAWS))
    found: dict[str, list[float]] = {"map": [], "micro_f1": [], "macro_f1": []}
    for _ in range(draws):
        times = np.bincount(generator.integers(0, count, count), minlength=count)
        right, given, images = (times @ each for each in (predicted & has, predicted, has))
        occur = images + given > 0
        found["micro_f1"].append(2 * right.sum() / max((images + given).sum(), 1))
        found["macro_f1"].append(np.mean(2 * right[occur] / (images + given)[occur]) if occur.any() else 0.0)
        drawn = times[order]
        hits = drawn * ranked
        precision = np.cumsum(hits, axis=0) / np.maximum(np.cumsum(drawn, axis=0), 1)
        known = images > 0
        found["map"].append(np.mean((hits * precision).sum(axis=0)[known] / images[known]) if known.any() else np.nan)
    return {key: np.array(values) for key, values in found.items()}
