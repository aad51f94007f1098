"""Evaluate with metrics of one's own, and choose the best checkpoint by one of them.

python examples/custom_metric.py training.num_train_epochs=3
"""

import sys

import numpy as np

from hf_imgcls import train_classifier

RECIPE = {
    "data": {"path": "recipes/digits"},
    "model": {"architecture": "convnet", "from_scratch": True, "image_size": 16, "config": {"filters": [16, 32]}},
    "training": {
        "output_dir": "runs/custom_metric",
        "num_train_epochs": 10,
        "learning_rate": 3e-3,
        "metric_for_best_model": "kappa",
    },
}


def kappa(predictions: np.ndarray, label_ids: np.ndarray) -> float:
    """Cohen's kappa: agreement beyond chance, 1 at best."""
    classes = max(predictions.max(), label_ids.max()) + 1
    by_chance = np.bincount(predictions, minlength=classes) @ np.bincount(label_ids, minlength=classes)
    expected = by_chance / len(label_ids) ** 2
    return (np.mean(predictions == label_ids) - expected) / (1 - expected)


def brier_score(predictions: np.ndarray, label_ids: np.ndarray, probabilities: np.ndarray) -> float:
    """Squared distance of the probabilities from the labels, 0 at best; asks for all probabilities by this name."""
    return np.mean(np.sum((probabilities - np.eye(probabilities.shape[1])[label_ids]) ** 2, axis=1))


def main(*overrides: str) -> dict:
    return train_classifier(RECIPE, overrides, metrics={"kappa": kappa, "brier_score": brier_score})


if __name__ == "__main__":
    main(*sys.argv[1:])
