"""None of these: an image whose best class is too doubtful, by a threshold that was set on validation images."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hf_imgcls.scoring.metrics import interval
from hf_imgcls.scoring.scored import Scored

NONE_OF_THESE = "none of these"  # what such an image is predicted as
REJECTION = "none_of_these"  # the key in config.json: {"by": ..., "threshold": ...}, for a distance also "head"


class Rejection(NamedTuple):
    """What a model's settings say: an image below the threshold shows none of the classes.

    Attributes:
        by: score, the highest probability (arXiv:1610.02136), or energy, the logarithm of the sum of the logits'
            exponentials, which is that paper's with the sign turned (arXiv:2010.03759): both need the logits alone. Or
            distance, of the feature that goes into the head.
        head: name of that module.
    """

    by: str
    threshold: float
    head: str | None = None

    def confidences(self, outputs: Callable, pixels: Any) -> tuple[np.ndarray, np.ndarray]:
        """Logits, shape (images, classes), of `outputs` for `pixels`, and what is compared with the threshold."""
        logits = outputs(pixels)
        highest = logits.max(axis=1).astype(np.float64)
        energy = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
        return logits, _confidence(self.by, highest - energy, energy)

    def settings(self) -> dict[str, Any]:
        """For config.json."""
        return {key: value for key, value in self._asdict().items() if value is not None}


def read_rejection(settings: Mapping[str, Any]) -> Rejection | None:
    """The threshold in a model's settings, or None: also where another program's key has that name.

    Raises:
        ValueError: it is no number, as after a change by hand.
    """
    found = settings.get(REJECTION)
    found = found if isinstance(found, dict) else {}
    by, threshold = found.get("by"), found.get("threshold")
    head = found.get("head") if by == "distance" else None
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool) and math.isfinite(threshold)
    known = by in ("score", "energy") or (by == "distance" and isinstance(head, str))
    if known and not number:
        raise ValueError(
            f"{REJECTION} in config.json: found the threshold {str(threshold)[:40]!r}, expected a number; correct it, "
            f"or remove {REJECTION}"
        )
    return Rejection(by, float(threshold), head) if known else None


def confidences(by: str, output: Scored) -> np.ndarray:
    """What is compared with the threshold, of each image of a scored split; NaN where it has no prediction."""
    found = _confidence(by, output.top_log_probabilities, output.energies)
    return np.where(output.predictions >= 0, found, np.nan)


def _confidence(by: str, top_log_probabilities: np.ndarray, energies: np.ndarray) -> np.ndarray:
    return energies if by == "energy" else np.exp(top_log_probabilities)


def threshold_keeping(known: np.ndarray, fraction: float) -> float:
    """The highest threshold that keeps this fraction of images of the classes: half way to the next one below."""
    ordered = np.sort(known[np.isfinite(known)])[::-1]
    last = ordered[max(1, math.ceil(fraction * len(ordered) - 1e-9)) - 1]
    below = ordered[ordered < last]
    return float((last + below[0]) / 2) if len(below) else float(np.nextafter(last, -np.inf))


def threshold_between(known: np.ndarray, unknown: np.ndarray) -> float:
    """The threshold with the highest mean of the fraction of known images kept and of unknown ones rejected."""
    known, unknown = np.sort(known[np.isfinite(known)]), np.sort(unknown[np.isfinite(unknown)])
    values = np.unique(np.concatenate([known, unknown]))
    candidates = np.concatenate([[np.nextafter(values[0], -np.inf)], (values[1:] + values[:-1]) / 2])
    kept = 1 - np.searchsorted(known, candidates) / len(known)
    rejected = np.searchsorted(unknown, candidates) / len(unknown)
    return float(candidates[np.argmax(kept + rejected)])


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """The probability that a known image has a higher confidence than an unknown one; a tie counts half."""
    known, unknown = np.sort(np.nan_to_num(known, nan=-np.inf)), np.nan_to_num(unknown, nan=-np.inf)
    below, to = (np.searchsorted(known, unknown, side=side) for side in ("left", "right"))
    return float(1 - (below + to).mean() / (2 * len(known)))


def measure_rejection(values: np.ndarray, threshold: float, output: Scored) -> dict[str, Any]:
    """Coverage, and the accuracy of the images that keep their label and of the others; None of no images.

    Args:
        values: what is compared with the threshold, of each image of the split.
    """
    kept = values >= threshold
    correct = output.predictions == output.label_ids
    parts = {"accuracy": kept, "accuracy_of_rejected": ~kept}
    accuracy = {key: round(float(correct[part].mean()), 6) if part.any() else None for key, part in parts.items()}
    ends = interval(accuracy["accuracy"], int(kept.sum())) if kept.any() else None
    return {
        "images": len(output),
        "kept": int(kept.sum()),
        "coverage": round(float(kept.mean()), 6),
        **accuracy,
        "accuracy_interval_95": ends and [round(end, 6) for end in ends],
    }
