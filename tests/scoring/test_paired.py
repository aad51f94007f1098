"""Two predictions of the same images: what changed, with intervals."""

import numpy as np
import pytest
from made_run import from_logits

from hf_imgcls.reports.tta import describe_tta
from hf_imgcls.scoring import compare_paired
from hf_imgcls.scoring.sets import ScoredSets


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


def test_several_labels_an_image_are_compared_one_by_one():
    random = np.random.default_rng(2)
    labels, before = random.random((40, 3)) < 0.4, random.normal(size=(40, 3)).astype(np.float32)
    after = before + np.where(labels, 1, -0.5).astype(np.float32)
    thresholds = np.array([0.5, 0.4, 0.6])
    splits = [ScoredSets(logits, labels, None, thresholds) for logits in (before, after)]
    found = compare_paired(*splits)
    probabilities = [1 / (1 + np.exp(-logits.astype(float))) for logits in (before, after)]
    predicted = [each >= thresholds for each in probabilities]
    assert found["changed"] == (predicted[0] != predicted[1]).any(axis=1).sum()
    assert found["to_right"] == ((predicted[0] != labels) & (predicted[1] == labels)).sum() > found["to_wrong"]
    assert (found["of"], "accuracy" in found) == ("labels", False)
    losses = [-np.where(labels, np.log(each), np.log(1 - each)).mean(axis=1) for each in probabilities]
    assert found["loss"]["change"] == pytest.approx((losses[1] - losses[0]).mean(), abs=1e-5)
    lines = describe_tta(
        {"without": {"map": 0.1}, "compared": {**found, "to_right": 1}, "seconds": 1, "seconds_without": 1},
        {"map": 0.2},
    )
    assert lines[0] == "tta: mAP 0.1000 without, 0.2000 with"
    assert f"1 label changed to right, {found['to_wrong']} to wrong; their thresholds were set without it" in lines[1]
