"""Two predictions of the same images: what changed, with intervals."""

import numpy as np
import pytest
from made_run import from_logits

from hf_imgcls.scoring import compare_paired


def test_counts_and_intervals_against_what_they_are_defined_as():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    before, after = (random.normal(size=(200, 3)) + np.eye(3)[labels] for _ in range(2))
    after[5] = np.nan  # predicted as nothing
    found = compare_paired(from_logits(before, labels), from_logits(after, labels))
    right = [logits.argmax(1) == labels for logits in (before, after)]
    right[1][5] = False
    gained, lost = int((~right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())
    assert (found["to_right"], found["to_wrong"]) == (gained, lost)
    assert found["changed"] == (before.argmax(1) != after.argmax(1))[np.arange(200) != 5].sum() + 1
    assert found["accuracy"]["change"] == pytest.approx((gained - lost) / 200)
    b, c, n = gained + 0.5, lost + 0.5, 202
    reach = 1.959964 * np.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found["accuracy"]["interval_95"] == pytest.approx([(b - c) / n - reach, (b - c) / n + reach], abs=1e-5)
    assert np.isnan(found["loss"]["change"])


def test_loss_is_compared_image_by_image():
    random = np.random.default_rng(1)
    labels, before = random.integers(0, 3, 50), random.normal(size=(50, 3))
    same = compare_paired(from_logits(before, labels), from_logits(before, labels))
    assert (same["changed"], same["loss"]["interval_95"]) == (0, [0, 0])
    low, high = same["accuracy"]["interval_95"]
    assert low == -high
    assert high > 0.02, "no image of 50 changed: the difference is not known to be 0"
    after = before + np.eye(3)[labels]
    found = compare_paired(from_logits(before, labels), from_logits(after, labels))["loss"]
    losses = [np.log(np.exp(logits).sum(1)) - logits[np.arange(50), labels] for logits in (before, after)]
    changes = losses[1] - losses[0]
    assert found["change"] == pytest.approx(changes.mean(), abs=1e-5)
    half = 1.959964 * changes.std(ddof=1) / np.sqrt(50)
    assert found["interval_95"] == pytest.approx([changes.mean() - half, changes.mean() + half], abs=1e-5)
    assert np.isnan(
        compare_paired(*(from_logits(each[:1], labels[:1]) for each in (before, after)))["loss"]["interval_95"][0]
    )
