"""Train with a loss of one's own: focal loss (Lin and others, 2017, arXiv:1708.02002).

python examples/custom_loss.py training.num_train_epochs=3
"""

import sys

import torch
from torch.nn.functional import cross_entropy

from hf_imgcls import train_classifier

RECIPE = {
    "data": {"path": "recipes/digits"},
    "model": {"architecture": "convnet", "from_scratch": True, "image_size": 16, "config": {"filters": [16, 32]}},
    "training": {"output_dir": "runs/custom_loss", "num_train_epochs": 10, "learning_rate": 3e-3},
}


def focal_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One value for each image: images that are predicted well already count for less."""
    losses = cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-losses)) ** 2 * losses


def main(*overrides: str) -> dict:
    return train_classifier(RECIPE, overrides, loss=focal_loss)


if __name__ == "__main__":
    main(*sys.argv[1:])
