"""Metrics against values worked out by hand and against scikit-learn."""

import socket
import subprocess
import sys

import evaluate
import numpy as np
import pytest
import torch
from made_run import from_logits
from sklearn import metrics as sklearn

from hf_imgcls.scoring.as_evaluate import evaluate_metrics
from hf_imgcls.scoring.metrics import (
    METRICS,
    can_name_a_metric,
    compute_metrics,
    interval,
    metrics_in,
    split_metrics,
)


def logits_for(predicted, classes: int) -> np.ndarray:
    """Logits whose best class is the given one."""
    return np.eye(classes, dtype=np.float32)[predicted]


def test_by_hand():
    # cats: 2 of 3 right, dogs: 1 of 1, a hen predicted as a cat; no cow among labels or predictions.
    logits, labels = logits_for([0, 0, 1, 1, 0], 4), np.array([0, 0, 0, 1, 2])
    found = compute_metrics(from_logits(logits, labels))
    assert found["accuracy"] == pytest.approx(3 / 5)
    cat, dog, hen = 2 * 2 / (2 * 2 + 1 + 1), 2 * 1 / (2 * 1 + 1 + 0), 0.0
    assert found["macro_f1"] == pytest.approx((cat + dog + hen) / 3)
    right, wrong = -np.log(np.e / (np.e + 3)), -np.log(1 / (np.e + 3))
    assert found["loss"] == pytest.approx((3 * right + 2 * wrong) / 5, abs=1e-6)
    assert "top5_accuracy" not in found


def test_top5_by_hand():
    logits = np.array([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    assert compute_metrics(from_logits(logits, np.array([4, 5, 1])))["top5_accuracy"] == pytest.approx(2 / 3)


def test_the_same_as_scikit_learn_and_torch():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(400, 12)).astype(np.float32), random.integers(0, 12, 400)
    found = compute_metrics(from_logits(logits, labels))
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, logits.argmax(1)))
    assert found["macro_f1"] == pytest.approx(sklearn.f1_score(labels, logits.argmax(1), average="macro"))
    assert found["top5_accuracy"] == pytest.approx(sklearn.top_k_accuracy_score(labels, logits, k=5))
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels)).item()
    assert found["loss"] == pytest.approx(expected, abs=2e-6)


def test_they_are_metrics_of_evaluate_and_need_no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a metric reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    metrics = evaluate_metrics()
    assert all(isinstance(metric, evaluate.Metric) for metric in metrics)
    together = evaluate.combine(metrics)
    found = together.compute(predictions=[[1, 0, 2, 3, 4], [0, 1, 2, 3, 4]], references=[1, 4])
    assert found == {"accuracy": 0.5, "macro_f1": pytest.approx(1 / 3), "top5_accuracy": 1.0}
    assert compute_metrics(from_logits(logits_for([0, 1], 2), np.array([0, 1])))["accuracy"] == 1.0


def test_the_loss_of_a_certain_prediction_is_finite():
    for label, loss in ((0, 0.0), (1, 2000.0)):
        certain = from_logits(np.array([[1000.0, -1000.0]], dtype=np.float32), np.array([label]))
        assert compute_metrics(certain)["loss"] == loss


def test_a_network_that_has_diverged_gets_nothing_right():
    logits = np.full((4, 7), np.nan, dtype=np.float32)
    found = compute_metrics(from_logits(logits, np.zeros(4, dtype=int)))
    assert found["accuracy"] == found["macro_f1"] == found["top5_accuracy"] == 0.0
    assert np.isnan(found["loss"])


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [
        (0.5, 10, 0.2366, 0.7634),  # statsmodels.stats.proportion.proportion_confint(5, 10, method="wilson")
        (0.9, 100, 0.8256, 0.9448),
        (0.0, 10, 0.0, 0.2775),
        (1.0, 10, 0.7225, 1.0),
    ],
)
def test_wilsons_interval(share, count, low, high):
    assert interval(share, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_scoring_imports_numpy_alone():
    heavy = {"torch", "datasets", "evaluate", "transformers", "accelerate"}
    script = "import sys, hf_imgcls.scoring; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "hf_imgcls.scoring.metrics" in found
    assert heavy & set(found) == set()


def test_the_majority_baseline_is_the_accuracy_of_one_class_for_all():
    metrics = compute_metrics(from_logits(logits_for([0, 0, 1, 1], 3), np.array([0, 0, 0, 2])))
    values = split_metrics({f"test_{key}": value for key, value in metrics.items()}, "test", np.array([0, 0, 0, 2]))
    assert (values["majority_baseline"], values["accuracy"], values["images"]) == (0.75, 0.5, 4)


def test_own_metrics_follow_those_of_the_table():
    split = from_logits(np.array([[0.0, 1.0], [2.0, 0.0], [np.nan, 0.0]]), np.array([1, 1, 0]))
    own = {
        "wrong": lambda predictions, label_ids: int((predictions != label_ids).sum()),
        "mean_top": lambda predictions, label_ids, probabilities: np.nanmean(probabilities.max(axis=1)),
    }
    found = compute_metrics(split, own)
    assert list(found)[-3:] == ["loss", "wrong", "mean_top"]
    assert found["wrong"] == 2.0
    assert found["mean_top"] == pytest.approx((1 / (1 + np.exp(-1)) + 1 / (1 + np.exp(-2))) / 2)
    logged = {f"eval_{key}": value for key, value in found.items()} | {"eval_runtime": 1.0, "step": 3, "loss": 2.0}
    shown = metrics_in(logged, "eval_")
    assert list(shown) == ["accuracy", "macro_f1", "loss", "wrong", "mean_top"]
    assert [shown[key].name for key in ("macro_f1", "wrong")] == ["macro-F1", "wrong"]
    assert shown["accuracy"] is METRICS["accuracy"]


def test_own_metrics_need_a_free_name():
    names = ("kappa", "accuracy", "runtime", "images", "my metric")
    assert [can_name_a_metric(name) for name in names] == [True, False, False, False, False]


def test_more_is_better_in_all_but_the_loss():
    assert [key for key, metric in METRICS.items() if not metric.greater_is_better] == ["loss"]
