"""What every peer shares: the photos of a split, and the line of JSON that a peer ends with.

Needs numpy and scikit-learn alone, so that it runs in the environment of each peer.
"""

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, f1_score


class Task(NamedTuple):
    """What a peer is asked, as its arguments: `folder` has train, validation and test, `work` is empty."""

    folder: Path
    weights: Path
    minutes: float
    work: Path
    begun: float

    @classmethod
    def read(cls) -> "Task":
        folder, weights, minutes, work = sys.argv[1:]
        return cls(Path(folder), Path(weights), float(minutes), Path(work), time.monotonic())

    @property
    def left(self) -> float:
        """Seconds of the budget; the imports of the libraries count, the scoring of the test images does not."""
        return 60 * self.minutes - (time.monotonic() - self.begun)

    def photos(self, split: str) -> tuple[list[str], list[str]]:
        """Paths and class names."""
        paths = sorted(path for path in (self.folder / split).glob("*/*") if path.is_file())
        return [str(path) for path in paths], [path.parent.name for path in paths]

    def report(self, predicted: list[str], images: int, seconds: float, note: str) -> None:
        """Print the line of JSON.

        Args:
            predicted: a class name for each photo of test, in the order of `photos`.
            images: trained on, each as often as it was seen.
            seconds: in which they were.
        """
        _, labels = self.photos("test")
        result = {
            "accuracy": accuracy_score(labels, predicted),
            "macro_f1": f1_score(labels, predicted, average="macro"),
            "images": images,
            "images_per_second": images / seconds if seconds else None,
            "fit_seconds": seconds,
            "note": note,
        }
        print(json.dumps(result, default=float), flush=True)


def names(logits: np.ndarray, labels: list[str]) -> list[str]:
    return [labels[number] for number in np.asarray(logits).argmax(-1)]
