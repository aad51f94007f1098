"""Scores of several labels an image, against scikit-learn, and the thresholds that validation sets."""

import evaluate
import numpy as np
import pytest
from sklearn import metrics

from hf_imgcls.scoring.as_evaluate import evaluate_metrics
from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.metrics import better_than_majority, compute_metrics, metrics_of, set_metrics
from hf_imgcls.scoring.paired import compare_paired
from hf_imgcls.scoring.parts import score_part
from hf_imgcls.scoring.sets import ScoredSets, average_precisions, best_thresholds, sigmoid


def made(images=200, labels=4, seed=0, signal=1.5):
    random = np.random.default_rng(seed)
    has = random.random((images, labels)) < np.linspace(0.5, 0.05, labels)
    logits = random.normal(size=has.shape) + signal * has - 1
    return ScoredSets(np.round(logits, 1).astype(np.float32), has)  # rounded: scores that are equal


def test_metrics_are_those_of_scikit_learn():
    split = made()
    found, predicted = compute_metrics(split), split.probabilities >= 0.5
    aps = [metrics.average_precision_score(split.label_ids[:, i], split.logits[:, i]) for i in range(4)]
    assert found == {
        "map": pytest.approx(np.mean(aps)),
        "micro_f1": pytest.approx(metrics.f1_score(split.label_ids, predicted, average="micro")),
        "macro_f1": pytest.approx(metrics.f1_score(split.label_ids, predicted, average="macro")),
        "loss": pytest.approx(metrics.log_loss(split.label_ids.ravel(), split.probabilities.ravel()), abs=1e-5),
    }


def test_they_are_metrics_of_evaluate_too():
    split = made()
    combined = evaluate.combine(evaluate_metrics(multi_label=True))
    found = combined.compute(predictions=split.logits.tolist(), references=split.label_ids.tolist())
    assert found == pytest.approx(compute_metrics(split), abs=1e-6)


def test_one_label_and_several_have_metrics_of_their_own():
    assert list(metrics_of(9, multi_label=True)) == ["map", "micro_f1", "macro_f1", "loss"]
    assert "map" not in metrics_of(9, multi_label=False)


def test_each_label_has_the_threshold_of_highest_f1():
    split = made()
    thresholds = best_thresholds(split)
    for i, threshold in enumerate(thresholds):
        scores, has = split.probabilities[:, i], split.label_ids[:, i]
        best = max(metrics.f1_score(has, scores >= each) for each in np.unique(scores))
        assert metrics.f1_score(has, scores >= threshold) == pytest.approx(best)
        assert np.abs(scores - threshold).min() > 1e-4  # between two scores
    few = ScoredSets(split.logits, split.label_ids & (np.arange(200)[:, None] < [200, 200, 200, 4]))
    assert best_thresholds(few)[3] != thresholds[3]  # of too few images: that of all labels together


def test_a_threshold_between_scores_near_one_is_not_rounded_to_one():
    logits = np.array([[18]] * 6 + [[15.5]] * 6, np.float32)
    split = ScoredSets(logits, np.arange(12)[:, None] < 6)
    (threshold,) = best_thresholds(split)
    assert (split.probabilities >= threshold).tolist() == split.label_ids.tolist()
    assert (sigmoid(logits) >= threshold).tolist() == split.label_ids.tolist()  # as it is served


def test_an_image_without_a_prediction_counts_as_wrong():
    logits = np.array([[2, -2], [np.nan, 1], [-3, 3]], np.float32)
    split = ScoredSets(logits, np.array([[1, 0], [1, 1], [0, 1]], bool))
    assert split.failed.tolist() == [False, True, False]
    assert average_precisions(split)[0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isfinite(best_thresholds(split)).all()


def test_intervals_hold_the_metric_and_scores_are_compared_with_random_ones():
    good, none = made(), made(signal=0)
    scores = {"test": set_metrics(good)}
    measured = break_down({"test": good}, scores, list("abcd"))["test"]
    for key, (low, high) in measured["intervals_95"].items():
        assert low < scores["test"][key] < high
    assert measured["intervals_95"]["map"] == scores["test"]["map_interval_95"]
    assert better_than_majority(scores["test"])
    assert not better_than_majority(set_metrics(none))
    assert measured["classes"]["a"]["images"] == int(good.label_ids[:, 0].sum())


def test_part_of_a_split_and_two_predictions_of_it():
    split = made()
    rows = np.arange(200) < 50
    assert score_part(split, rows)["map"] == pytest.approx(set_metrics(split.select(rows))["map"])
    assert score_part(split, np.zeros(200, bool)) is None
    other = ScoredSets(-split.logits, split.label_ids)
    found = compare_paired(split, other)
    assert found["to_wrong"] > found["to_right"]
    assert found["loss"]["change"] > 0


def test_sigmoids_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
