"""What a smaller graph of the same model costs: accuracy, or predictions that differ."""

from typing import Any

import numpy as np

from hf_imgcls.scoring import choose_rows, interval
from hf_imgcls.serving.export.check import row_batches
from hf_imgcls.serving.export.images import CheckImages
from hf_imgcls.serving.inference import Classifier


def measure_int8(exported: Classifier, quantized: Classifier, images: CheckImages) -> dict[str, Any]:
    """The accuracy of both on all images, with 95 % intervals, and the number of different predictions."""
    logits: dict[str, list[np.ndarray]] = {"float32": [], "int8": []}
    everything = np.arange(len(images.rows))
    for _, (pixels,) in row_batches(images.rows, everything, [exported.processor], "accuracy in float32 and int8"):
        logits["float32"].append(exported.logits(pixels).numpy())
        logits["int8"].append(quantized.logits(pixels).numpy())
    whole = {precision: np.concatenate(parts) for precision, parts in logits.items()}
    # NaN logits count as wrong.
    best = {key: np.where(np.isnan(each).any(axis=1), -1, each.argmax(axis=1)) for key, each in whole.items()}
    accuracy = {key: float(np.mean(each == images.labels)) for key, each in best.items()}
    return {
        "split": images.split,
        "images": len(images.rows),
        "accuracy": {key: round(value, 6) for key, value in accuracy.items()},
        "accuracy_interval_95": {
            key: [round(end, 6) for end in interval(value, len(images.rows))] for key, value in accuracy.items()
        },
        "different_predictions": int((best["float32"] != best["int8"]).sum()),
    }


def describe_accuracy(int8: dict[str, Any]) -> dict[str, str]:
    """By precision, `0.9000 (95 % interval 0.7438 to 0.9654)`."""
    return {
        precision: f"{int8['accuracy'][precision]:.4f} (95 % interval {low:.4f} to {high:.4f})"
        for precision, (low, high) in int8["accuracy_interval_95"].items()
    }


def measure_agreement(exported: Classifier, other: Classifier, images: CheckImages, seed: int = 42) -> dict[str, Any]:
    """On how many of at most 500 images an export and another one of the same model predict the same, as a fraction.

    Of several labels an image, the same are all that are predicted.
    """
    chosen, same, largest = choose_rows(len(images.rows), seed), 0, 0.0
    for _, (pixels,) in row_batches(images.rows, chosen, [exported.processor], "agreement of the smaller graph"):
        one, two = (each.to_scores(each.logits(pixels).numpy()) for each in (exported, other))
        if exported.thresholds is None:
            same += int((one.argmax(axis=1) == two.argmax(axis=1)).sum())
        else:
            same += int(((one >= exported.thresholds) == (two >= exported.thresholds)).all(axis=1).sum())
        largest = np.maximum(largest, np.abs(one - two).max())  # NaN stays
    return {"images": len(chosen), "agreement": same / len(chosen), "max_difference": float(largest)}
