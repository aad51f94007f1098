"""Several predictions of the same images against the first: intervals and p-values against what they are defined as."""

import numpy as np
import pytest
from made_run import from_logits
from scipy.stats import binomtest
from scored_run import drawn, set_logits
from sklearn.metrics import average_precision_score, f1_score

from hf_imgcls.scoring.comparison import compare_splits
from hf_imgcls.scoring.paired import correct_for_several, exact_p_value
from hf_imgcls.scoring.sets import ScoredSets


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (0, 6), (5, 5), (12, 3), (40, 61), (5100, 4900)])
def test_mcnemar_is_the_exact_binomial_test(gained, lost):
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert exact_p_value(gained, lost) == pytest.approx(expected, rel=1e-6)
    assert exact_p_value(gained, lost) == exact_p_value(lost, gained)


def test_p_values_are_corrected_by_holms_steps():
    assert correct_for_several([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_for_several([0.5, 0.9]) == [1.0, 1.0]
    assert correct_for_several([0.2]) == [0.2]


def test_each_split_is_compared_with_the_first():
    labels = np.random.default_rng(0).integers(0, 7, 300)
    outputs = [from_logits(drawn(seed, labels, strength), labels) for seed, strength in ((1, 1.2), (2, 1.3), (3, 3.0))]
    near, far = compare_splits(outputs)
    rights = [output.predictions == labels for output in outputs]
    for output, right, found in zip(outputs[1:], rights[1:], (near, far), strict=True):
        assert found["p_value"] == exact_p_value((~rights[0] & right).sum(), (rights[0] & ~right).sum())
        assert found["both_right"] == (rights[0] & right).sum()
        change = f1_score(labels, output.predictions, average="macro") - f1_score(
            labels, outputs[0].predictions, average="macro"
        )
        assert found["macro_f1"]["change"] == pytest.approx(change, abs=1e-6)
        low, high = found["macro_f1"]["interval_95"]
        assert low < change < high
        fives = [(o.ranked == labels[:, None]).any(axis=1) for o in (outputs[0], output)]
        assert found["top5_accuracy"]["change"] == pytest.approx(fives[1].mean() - fives[0].mean(), abs=1e-6)
    assert far["p_corrected"] == pytest.approx(2 * far["p_value"])
    assert near["p_corrected"] == near["p_value"] > 0.05
    assert far["macro_f1"]["interval_95"][0] > 0 > near["macro_f1"]["interval_95"][0]


def test_the_draws_of_both_sides_are_the_same_images():
    labels = np.random.default_rng(0).integers(0, 7, 200)
    logits = drawn(1, labels, 1.0)
    (same,) = compare_splits([from_logits(logits, labels)] * 2)
    assert same["macro_f1"] == {"change": 0.0, "interval_95": None}
    assert (same["changed"], same["p_value"], same["p_corrected"]) == (0, 1.0, 1.0)
    logits = logits.copy()
    place = int(np.flatnonzero(logits.argmax(1) != labels)[0])
    logits[place] = 5 * np.eye(7)[labels[place]]
    (one,) = compare_splits([from_logits(drawn(1, labels, 1.0), labels), from_logits(logits, labels)])
    assert one["to_right"] == 1
    # Of 200 images one is mended: unpaired, either side alone would vary by 0.07.
    assert 0 <= one["macro_f1"]["interval_95"][0] < one["macro_f1"]["interval_95"][1] < 0.03


def test_several_labels_an_image(monkeypatch):
    monkeypatch.setattr("hf_imgcls.scoring.bootstrap._DRAWS", 200)
    has = np.random.default_rng(0).random((80, 4)) < 0.3
    first, other = (ScoredSets(set_logits(seed, has).astype(np.float32), has) for seed in (1, 2))
    better = ScoredSets((other.logits + np.where(has, 1, -1)).astype(np.float32), has)
    found = compare_splits([first, other, better])
    changes = [
        average_precision_score(has, split.logits) - average_precision_score(has, first.logits)
        for split in (other, better)
    ]
    assert [each["map"]["change"] for each in found] == pytest.approx(changes, abs=1e-5)
    assert found[1]["map"]["interval_95"][0] > 0
    assert (
        found[0]["micro_f1"]["interval_95"][0] < found[0]["micro_f1"]["change"] < found[0]["micro_f1"]["interval_95"][1]
    )
    assert "p_value" not in found[0]
