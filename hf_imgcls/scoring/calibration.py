"""Whether a model's scores are as high as its predictions are right, and the temperature that brings them closer."""

import dataclasses
from typing import Any

import numpy as np

from hf_imgcls.scoring.scored import Scored

BINS = 15
_RANGE = (0.05, 20.0)  # temperatures
_STEPS = 50  # of Newton's method, which needs about six
_FITTED = 2_000_000  # scores that a temperature is fitted on, at most: 2,000 images of 1,000 classes


def reliability(split: Scored) -> dict[str, Any]:
    """The expected calibration error of a split (Naeini et al., 2015) and the bins of its reliability diagram.

    Images without a prediction are left out.

    Returns:
        `error`: the mean distance of accuracy and score over bins of equal width, weighted by their images; None
        without any prediction. `bins`: those with images, `low`, `high`, `images`, `score` (mean) and `accuracy`.
    """
    known = split.predictions >= 0
    right = split.predictions == split.label_ids
    return reliability_of(np.exp(split.top_log_probabilities[known]), right[known])


def reliability_of(scores: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    """The same of any scores, and whether what they are scores of is so, each of shape (count,)."""
    places = np.clip(np.ceil(scores * BINS).astype(int) - 1, 0, BINS - 1)  # (low, high]
    counts, sums, rights = (np.bincount(places, w, BINS) for w in (None, scores, correct))
    bins = [
        {
            "low": round(i / BINS, 6),
            "high": round((i + 1) / BINS, 6),
            "images": int(counts[i]),
            "score": round(float(sums[i] / counts[i]), 6),
            "accuracy": round(float(rights[i] / counts[i]), 6),
        }
        for i in np.flatnonzero(counts)
    ]
    error = round(float(np.abs(sums - rights).sum() / counts.sum()), 6) if bins else None
    return {"error": error, "bins": bins}


def fit_temperature(split: Scored) -> float | None:
    """The temperature that the logits of a split are to be divided by (Guo et al., 2017): that of the lowest loss.

    Of a split without the scores of all classes on the images whose logits were kept. None where there is none: an
    image has no scores, or no prediction is wrong, so that the loss falls without end as the temperature does.
    """
    if split.probabilities is None:
        rows, logs = split.sample or (np.zeros(0, int), None)
    else:
        rows = np.random.default_rng(0).permutation(len(split))[: max(_FITTED // split.classes, 500)]
        logs = _logarithms(split.probabilities[rows])
    right = split.predictions[rows] == split.label_ids[rows]
    if (split.predictions[rows] < 0).any() or right.all():  # as of no rows
        return None
    logs = np.asarray(logs, np.float64)
    own = logs[np.arange(len(rows)), split.label_ids[rows]]
    low, high = (1 / end for end in reversed(_RANGE))
    factor = 1.0  # of the logits, in which the loss is convex
    for _ in range(_STEPS):
        powers = np.exp(factor * (logs - logs.max(axis=1, keepdims=True)))
        powers /= powers.sum(axis=1, keepdims=True)
        mean = (powers * logs).sum(axis=1)
        slope, bend = float((mean - own).mean()), float(((powers * logs**2).sum(axis=1) - mean**2).mean())
        # At most by a factor of two at a time: far from the minimum the loss is nearly straight.
        target = np.clip(factor - slope / max(bend, 1e-12), factor / 2, 2 * factor)
        before, factor = factor, float(np.clip(target, low, high))
        if abs(factor - before) < 1e-9 * factor:
            break
    return 1 / factor


def at_temperature(split: Scored, temperature: float) -> Scored:
    """A scored split as it is with logits divided by a temperature; needs its `probabilities`."""
    logs = _logarithms(split.probabilities) / temperature
    highest = logs.max(axis=1)
    logs -= highest[:, None]
    totals = np.log(np.exp(logs).sum(axis=1))
    logs -= totals[:, None]
    return dataclasses.replace(
        split,
        log_likelihoods=logs[np.arange(len(split)), split.label_ids],
        top_log_probabilities=logs.max(axis=1),
        sample=split.sample and (split.sample[0], split.sample[1] / np.float32(temperature)),
        probabilities=np.exp(logs),
        energies=None if split.energies is None else split.energies / temperature + highest + totals,
    )


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
