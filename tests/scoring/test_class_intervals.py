"""Bootstrap intervals of precision and F1, against one that draws images."""

import numpy as np
import pytest

from hf_imgcls.scoring import class_intervals
from hf_imgcls.scoring.class_intervals import bootstrap_classes, macro_means

PAIRS = np.array([[0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 3]])  # of three classes; 3: without a prediction
COUNTS = np.array([40, 10, 30, 20, 45, 5])


def test_intervals_are_those_of_drawn_images():
    generator, found = np.random.default_rng(1), []
    labels, predicted = np.repeat(PAIRS, COUNTS, axis=1)
    for _ in range(1000):
        rows = generator.integers(0, len(labels), len(labels))
        y, p = labels[rows], predicted[rows]
        precision = np.mean(y[p == 1] == 1)
        f1 = [2 * np.sum((y == k) & (p == k)) / max(np.sum(y == k) + np.sum(p == k), 1) for k in range(4)]
        found.append((precision, f1[1], np.sum(f1) / (3 + (p == 3).any())))
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    drawn = bootstrap_classes(PAIRS, COUNTS, 3)
    for number, ends in enumerate((drawn.precision[1], drawn.f1[1], drawn.macro["f1"])):
        assert ends == pytest.approx((low[number], high[number]), abs=0.02)


def test_draws_in_parts_are_the_same_draws(monkeypatch):
    whole = bootstrap_classes(PAIRS, COUNTS, 3)
    monkeypatch.setattr(class_intervals, "_AT_ONCE", 70)
    assert bootstrap_classes(PAIRS, COUNTS, 3) == whole


def test_a_class_that_does_not_occur_has_no_interval():
    drawn = bootstrap_classes(np.array([[0, 1], [0, 0]]), np.array([5, 5]), 3)
    assert (drawn.precision[1], drawn.precision[2], drawn.f1[2]) == (None, None, None)
    assert drawn.f1[1] == (0.0, 0.0)


def test_means_are_over_the_classes_that_occur():
    images, predicted, right = np.array([[4, 2, 0, 0], [3, 2, 1, 0], [3, 1, 0, 0]])
    found = macro_means(images, predicted, right)
    assert found == pytest.approx({"precision": 1.5 / 3, "recall": 1.25 / 3, "f1": (6 / 7 + 1 / 2) / 3})
