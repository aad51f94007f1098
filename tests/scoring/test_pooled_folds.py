"""The folds of a cross-validation as one split, against the metrics of all their images together."""

import numpy as np
import pytest
from made_run import from_logits, made_results

from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.metrics import compute_metrics, split_metrics
from hf_imgcls.scoring.parts import score_part
from hf_imgcls.scoring.several import pool_folds, spread_of

NAMES = [f"c{n}" for n in range(7)]


def fold_of(logits, labels) -> dict:
    split = from_logits(logits, labels)
    metrics = {f"validation_{key}": value for key, value in compute_metrics(split).items()}
    scores = {"validation": split_metrics(metrics, "validation", labels)}
    return {"labels": NAMES, "scores": scores, "breakdown": break_down({"validation": split}, scores, NAMES)}


def test_folds_together_score_what_all_their_images_score():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(40, 7)), random.integers(0, 7, 40)
    logits[np.arange(40), labels] += 1.5
    logits[3] = np.nan  # predicted as nothing
    results = [fold_of(logits[part], labels[part]) for part in np.split(np.arange(40), [9, 25])]
    whole, pooled = fold_of(logits, labels), pool_folds(results)
    for key in ("images", "accuracy", "macro_f1", "top5_accuracy", "accuracy_interval_95", "majority_baseline"):
        assert pooled["scores"]["validation"][key] == pytest.approx(whole["scores"]["validation"][key], abs=2e-6), key
    assert np.isnan(pooled["scores"]["validation"]["loss"])
    classes = whole["breakdown"]["validation"]["classes"]
    assert pooled["breakdown"]["validation"]["classes"] == {
        name: {"images": each["images"], "predicted": pytest.approx(each["predicted"])}
        for name, each in classes.items()
    }
    values = [each["scores"]["validation"]["accuracy"] for each in results]
    spread = spread_of(results, "folds")["validation"]["accuracy"]
    assert spread["folds"] == values
    assert (spread["mean"], spread["std"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)), abs=1e-6)


def test_images_that_their_fold_was_trained_on_are_counted_together():
    answers = [(0, 0)] * 4 + [(1, 0)] * 4
    results = [made_results(["cat", "dog"], {"validation": answers}) for _ in range(2)]
    split = from_logits(np.eye(2)[[0] * 8], np.array([label for label, _ in answers]))
    without = score_part(split, np.arange(8) >= 3)
    of_train = {"split": "validation", "other": "train", "images": 3, "different_labels": 1, "without": without}
    results[1]["duplicates"] = [of_train, {**of_train, "other": "validation"}]
    (found,) = pool_folds(results)["duplicates"]
    assert (found["images"], found["different_labels"], found["without"]["images"]) == (3, 1, 13)
    assert found["without"]["accuracy"] == pytest.approx(5 / 13, abs=1e-6)
    assert pool_folds(results[:1])["duplicates"] == []
