"""A classifier with test-time augmentation (TTA): the mean of its scores over several views of each image."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from hf_imgcls.images import VIEWS, Views, describe_views
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.words import plural, times


class Tally(NamedTuple):
    """What TTA has changed and cost: images, those with another best label; seconds of the network with and without."""

    images: int = 0
    changed: int = 0
    seconds: float = 0.0
    seconds_without: float = 0.0


class ClassifierOfViews:
    """As a Classifier; `tally` counts what the views change."""

    def __init__(self, classifier: Classifier, kinds: Sequence[str]):
        self.classifier, self.kinds, self.tally = classifier, tuple(kinds), Tally()
        self.name = f"{classifier.name}-tta-{'-'.join(kinds)}"
        self.labels, self.top, self.thresholds = classifier.labels, classifier.top, classifier.thresholds
        self.process = Views(classifier.processor, kinds)
        self.by_processes = False  # which hand over one image at a time, not its views; and the network is slower here

    def scores(self, pixels: list[list[torch.Tensor]]) -> np.ndarray:
        """Mean scores, shape (images, classes), of the views of each image."""
        return self.judge(pixels)[0]

    def judge(self, pixels: list[list[torch.Tensor]]) -> tuple[np.ndarray, np.ndarray]:
        """Mean scores, and whether images show none of the classes, which is decided without TTA, as its threshold was
        set."""
        begun = time.perf_counter()
        first, rejected = self.classifier.judge([views[0] for views in pixels])
        found, alone = [first], time.perf_counter() - begun
        found += [self.classifier.scores([views[n] for views in pixels]) for n in range(1, VIEWS[self.kinds][0])]
        mean = np.mean(found, axis=0)
        changed = int((found[0].argmax(axis=1) != mean.argmax(axis=1)).sum())
        now = (len(pixels), changed, time.perf_counter() - begun, alone)
        self.tally = Tally(*(before + more for before, more in zip(self.tally, now, strict=True)))
        return mean, rejected


def describe_tally(kinds: Sequence[str], tally: Tally) -> str:
    """What TTA has changed and cost, in a line."""
    changed = f"best label changed for {tally.changed:,} of {plural(tally.images, 'image')}"
    cost = f"the network took {times(tally.seconds, tally.seconds_without)}"
    return f"tta: scores are the mean over {describe_views(kinds)}; {changed}; {cost}"
