"""The scores of several runs, such as folds: mean and spread, and all images that folds held out together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.metrics import interval, mean_f1, metrics_in


def spread_of(results: Sequence[Mapping[str, Any]], runs: str) -> dict[str, dict[str, dict[str, Any]]]:
    """By split and metric `mean`, `std` (of a sample: n - 1; None of one run) and the values, of results.json of each.

    Args:
        runs: the key of the values, `folds` or `seeds`.
    """
    found: dict[str, dict] = {}
    for split in results[0]["scores"]:
        scores = [each["scores"][split] for each in results]
        found[split] = {key: _spread([values[key] for values in scores], runs) for key in metrics_in(scores[0])}
    return found


def _spread(values: list[float | None], runs: str) -> dict[str, Any]:
    # In a file, what is not a number is null.
    known = np.array([np.nan if value is None else value for value in values], float)
    std = round(float(known.std(ddof=1)), 6) if len(known) > 1 else None
    return {"mean": round(float(known.mean()), 6), "std": std, runs: values}


def pool_folds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The validation images of all folds as one split, each predicted by the model that was not trained on it.

    Returns:
        `scores`, `breakdown` (classes alone) and `duplicates` as results.json has them. A metric of the user's own is
        not known of all images together.
    """
    parts = [(each["scores"]["validation"], each["breakdown"]["validation"]["classes"]) for each in results]
    names, weights = results[0]["labels"], np.array([scores["images"] for scores, _ in parts])
    images = {name: sum(classes[name]["images"] for _, classes in parts) for name in names}
    predicted = {name: _sum_counts([classes[name]["predicted"] for _, classes in parts]) for name in names}
    total = int(weights.sum())
    correct = sum(counts.get(name, 0) for name, counts in predicted.items())
    scores = {"images": total, "accuracy": round(correct / total, 6)}
    for key in ("top5_accuracy", "loss"):
        if key in parts[0][0]:
            values = [np.nan if each[key] is None else each[key] for each, _ in parts]
            scores[key] = round(float(np.average(values, weights=weights)), 6)
    scores["macro_f1"] = round(_macro_f1(images, predicted), 6)
    scores["accuracy_interval_95"] = [round(end, 6) for end in interval(correct / total, total)]
    scores["majority_baseline"] = round(max(images.values()) / total, 6)
    classes = {name: {"images": images[name], "predicted": predicted[name]} for name in names}
    return {
        "scores": {"validation": scores},
        "breakdown": {"validation": {"classes": classes}},
        "duplicates": _pool_overlaps(results),
    }


def _sum_counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    keys = dict.fromkeys(key for part in parts for key in part)
    return {key: sum(part.get(key, 0) for part in parts) for key in keys}


def _macro_f1(images: Mapping[str, int], predicted: Mapping[str, Mapping[str, int]]) -> float:
    """As `macro_f1` of one split; images without a prediction are a class of their own."""
    names = list(images)
    given = [sum(counts.get(name, 0) for counts in predicted.values()) for name in names]
    none = sum(images.values()) - sum(given)
    right = [predicted[name].get(name, 0) for name in names]
    return mean_f1(*map(np.array, ([*images.values(), 0], [*given, none], [*right, 0])))


def _pool_overlaps(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Validation images that are, byte for byte, in the part of train that their fold was trained on."""
    found, rest = [], []
    for each in results:
        own = [o for o in each.get("duplicates") or () if (o["split"], o["other"]) == ("validation", "train")]
        found += own
        rest += [own[0]["without"]] if own else [each["scores"]["validation"]]
    if not found:
        return []
    rest = [part for part in rest if part]
    count = sum(part["images"] for part in rest)
    correct = sum(part["images"] * part["accuracy"] for part in rest) / max(count, 1)
    ends = [round(end, 6) for end in interval(correct, count)] if count else []
    return [
        {
            "split": "validation",
            "other": "train",
            "images": sum(each["images"] for each in found),
            "different_labels": sum(each["different_labels"] for each in found),
            "examples": [],
            "without": {"images": count, "accuracy": round(correct, 6), "accuracy_interval_95": ends}
            if count
            else None,
        }
    ]
