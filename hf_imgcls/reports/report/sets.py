"""What report.json says of a split whose images have several labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_imgcls.reports.report.examples import UNCERTAIN, WORST
from hf_imgcls.reports.report.rows import image_name
from hf_imgcls.scoring import THRESHOLD, ScoredSets, losses_of_sets, reliability_of

NO_LABEL = "no label"


def content_of_sets(output: ScoredSets, rows, names: Sequence[str]) -> dict[str, Any]:
    """Calibration of the scores of all labels together, worst mistakes, and images with scores next to a threshold."""
    known = ~output.failed
    losses, predictions = losses_of_sets(output), output.predictions
    wrong = np.flatnonzero(known & (predictions != output.label_ids).any(axis=1))
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:WORST]
    thresholds = THRESHOLD if output.thresholds is None else output.thresholds
    distances = np.abs(output.probabilities - thresholds).min(axis=1)
    nearest = np.flatnonzero(known)
    nearest = nearest[np.argsort(distances[nearest], kind="stable")][:UNCERTAIN]

    def describe(places: np.ndarray) -> list[dict[str, Any]]:
        return [
            {
                "place": int(place),
                "file": image_name(rows, int(place)),
                "label": _joined(output.label_ids[place], names),
                "prediction": _joined(predictions[place], names),
                "loss": round(float(losses[place]), 6),
            }
            for place in places
        ]

    return {
        "calibration": reliability_of(output.probabilities[known].ravel(), output.label_ids[known].ravel()),
        "worst_mistakes": describe(worst),
        "least_certain": describe(nearest),
    }


def _joined(has: np.ndarray, names: Sequence[str]) -> str:
    return ", ".join(names[i] for i in np.flatnonzero(has)) or NO_LABEL
