"""Thresholds of none of these: what they keep, and that prediction and evaluation compute the same number."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hf_imgcls.scoring import (
    Rejection,
    auroc,
    confidences,
    measure_rejection,
    read_rejection,
    scored_logits,
    threshold_between,
    threshold_keeping,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 7, 20, 341])
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9, 0.95, 1.0])
def test_the_threshold_keeps_as_few_images_as_it_may(count, fraction):
    known = RANDOM.random(count)
    kept = (known >= threshold_keeping(known, fraction)).sum()
    assert kept == max(1, int(np.ceil(round(fraction * count, 6))))


def test_equal_confidences_are_kept_together():
    assert (np.ones(20) >= threshold_keeping(np.ones(20), 0.95)).all()
    known = np.array([3.0, 2.0, 2.0, 2.0, 1.0, np.nan])
    assert (known >= threshold_keeping(known, 0.4)).tolist() == [True] * 4 + [False] * 2


def test_the_threshold_between_two_sets_is_the_best_of_all():
    known, unknown = RANDOM.normal(1, 1, 60), RANDOM.normal(0, 1, 40)
    truth = np.arange(100) < 60

    def balanced(threshold: float) -> float:
        return balanced_accuracy_score(truth, np.concatenate([known, unknown]) >= threshold)

    best = max(balanced(threshold) for threshold in np.concatenate([known, unknown]))
    assert balanced(threshold_between(known, unknown)) == pytest.approx(best)
    assert threshold_between(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.5


def test_the_area_under_the_curve_is_scikit_learns_with_ties():
    known, unknown = RANDOM.integers(2, 9, 50).astype(float), RANDOM.integers(0, 7, 30).astype(float)
    expected = roc_auc_score([1] * 50 + [0] * 30, np.concatenate([known, unknown]))
    assert auroc(known, unknown) == pytest.approx(expected)


@pytest.mark.parametrize("by", ["score", "energy"])
def test_prediction_and_evaluation_compare_the_same_number(by):
    logits = torch.from_numpy(RANDOM.normal(0, 6, (50, 4))).float()
    logits[7] = torch.nan
    output = scored_logits(logits, torch.from_numpy(RANDOM.integers(0, 4, 50)))
    expected = logits.double().logsumexp(1) if by == "energy" else logits.double().softmax(1).amax(1)
    found = confidences(by, output)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9)
    threshold = threshold_keeping(found, 0.6)
    same, predicted = Rejection(by, threshold).confidences(lambda pixels: pixels.numpy(), logits)
    np.testing.assert_array_equal(same, logits.numpy())
    np.testing.assert_allclose(predicted, found, rtol=1e-9)
    measured, kept = measure_rejection(found, threshold, output), found >= threshold
    assert measured["kept"] == kept.sum() == 30
    assert measured["accuracy"] == pytest.approx((output.predictions == output.label_ids)[kept].mean(), abs=1e-6)


@pytest.mark.parametrize("found", [None, 1, {}, {"by": "x", "threshold": 1}, {"by": "distance", "threshold": 1}])
def test_a_key_of_another_program_is_no_threshold(found):
    assert read_rejection({"none_of_these": found}) is None
    assert read_rejection({"none_of_these": {"by": "score", "threshold": 1}}) == Rejection("score", 1.0)


@pytest.mark.parametrize("found", [{}, {"threshold": "0.5"}, {"threshold": None}, {"threshold": float("nan")}])
def test_a_threshold_that_was_written_wrongly_is_refused(found):
    with pytest.raises(ValueError, match=r"none_of_these in config\.json: found the threshold .*, expected a number"):
        read_rejection({"none_of_these": {"by": "energy", **found}})
