"""Metrics against values worked out by hand and against scikit-learn."""

import socket

import evaluate
import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from hf_imgcls.scoring.metrics import Accuracy, MacroF1, Top5Accuracy, compute_metrics, interval
from hf_imgcls.scoring.scored import from_logits


def logits_for(answers, classes: int) -> np.ndarray:
    """Logits whose best class is the given one."""
    return np.eye(classes, dtype=np.float32)[answers]


def test_by_hand():
    # cats: 2 of 3 right, dogs: 1 of 1, a hen taken for a cat; no cow among labels or answers.
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
    metrics = [Accuracy(), MacroF1(), Top5Accuracy()]
    assert all(isinstance(metric, evaluate.Metric) for metric in metrics)
    together = evaluate.combine(metrics)
    found = together.compute(predictions=[[1, 0, 2, 3, 4], [0, 1, 2, 3, 4]], references=[1, 4])
    assert found == {"accuracy": 0.5, "macro_f1": pytest.approx(1 / 3), "top5_accuracy": 1.0}
    assert compute_metrics(from_logits(logits_for([0, 1], 2), np.array([0, 1])))["accuracy"] == 1.0


def test_the_loss_of_a_certain_answer_is_a_number():
    for label, loss in ((0, 0.0), (1, 2000.0)):
        certain = from_logits(np.array([[1000.0, -1000.0]], dtype=np.float32), np.array([label]))
        assert compute_metrics(certain)["loss"] == loss


def test_a_network_that_has_diverged_is_right_about_nothing():
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
