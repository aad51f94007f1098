"""Per-class metrics, confusions and intervals of a scored split, against values computed otherwise."""

import json

import numpy as np
import pytest
from made_run import from_logits, outputs
from sklearn.metrics import precision_recall_fscore_support

from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.metrics import compute_metrics, interval


def broken_down(output, names) -> dict:
    return break_down({"test": output}, {"test": compute_metrics(output)}, names)["test"]


def test_a_class_has_its_own_metrics_and_what_its_images_are_predicted_as():
    pairs = [(0, 0)] * 6 + [(0, 1)] * 3 + [(0, 2)] + [(1, 1)] * 4 + [(2, 1)] * 2 + [(2, 2)]
    made = broken_down(outputs(pairs, 4), ["ape", "bee", "cat", "dog"])
    ape = made["classes"]["ape"]
    assert (ape["images"], ape["correct"], ape["predicted"]) == (10, 6, {"ape": 6, "bee": 3, "cat": 1})
    assert ape["recall_interval_95"] == [round(end, 6) for end in interval(0.6, 10)]
    dog = made["classes"]["dog"]
    assert (dog["images"], dog["precision"], dog["recall"], dog["f1"]) == (0, None, None, None)
    expected = precision_recall_fscore_support(*zip(*pairs, strict=True), labels=[0, 1, 2])
    for kind, values in zip(("precision", "recall", "f1"), expected, strict=False):
        assert [made["classes"][name][kind] for name in ("ape", "bee", "cat")] == pytest.approx(values, abs=1e-6)
    assert json.loads(json.dumps(made)) == made


def test_every_metric_has_its_interval():
    random = np.random.default_rng(1)
    labels = random.integers(0, 7, 400)
    logits = random.normal(0, 1, (400, 7))
    logits[np.arange(400), labels] += 2
    output = from_logits(logits, labels)
    scores, ends = compute_metrics(output), broken_down(output, list("abcdefg"))["intervals_95"]
    assert ends.keys() == scores.keys()
    for metric, value in scores.items():
        assert ends[metric][0] < value < ends[metric][1], metric
    assert ends["top5_accuracy"] == pytest.approx(interval(scores["top5_accuracy"], 400), abs=1e-6)
    # Macro-F1 of even classes strays like the accuracy; the loss like the mean of 400 numbers of its own spread.
    width = {metric: high - low for metric, (low, high) in ends.items()}
    assert width["macro_f1"] == pytest.approx(width["accuracy"], rel=0.15)
    spread = np.std(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(400), labels], ddof=1)
    assert width["loss"] == pytest.approx(2 * 1.96 * spread / 20, rel=1e-3)


def test_without_a_mistake_macro_f1_has_no_narrower_interval_than_the_accuracy():
    ends = broken_down(outputs([(0, 0)] * 5 + [(1, 1)] * 5, 2), ["cat", "dog"])["intervals_95"]
    assert ends["macro_f1"] == ends["accuracy"]
    assert ends["macro_f1"][0] < 0.8


def test_an_image_without_a_prediction_counts_for_no_class():
    whole = outputs([(0, 0)] * 6 + [(1, 1)] * 4, 2)
    logits = whole.sample[1].copy()
    logits[:2] = np.nan
    output = from_logits(logits, whole.label_ids)
    made = broken_down(output, ["cat", "dog"])
    assert made["classes"]["cat"]["recall"] == pytest.approx(4 / 6, abs=1e-6)
    assert made["classes"]["cat"]["predicted"] == {"cat": 4}
    assert "loss" not in made["intervals_95"]
    assert 0.5 < made["mean_top_score"] < 1
    low, high = made["intervals_95"]["macro_f1"]
    # The measured value counts the missing predictions as a class of its own, of which nothing is right.
    assert low < compute_metrics(output)["macro_f1"] < high
    nothing = from_logits(np.full_like(logits, np.nan), whole.label_ids)
    assert broken_down(nothing, ["cat", "dog"])["mean_top_score"] is None
