"""Train with a transform of one's own: a Python class that `augmentation.train` names like one of torchvision's.

python examples/custom_transform.py training.num_train_epochs=3
"""

import sys

import torch

from hf_imgcls import train_classifier


class Salt(torch.nn.Module):
    """Set a fraction of the pixels to white. Random numbers come from torch, so a resumed run draws the same."""

    def __init__(self, fraction: float = 0.05):
        super().__init__()
        self.fraction = fraction

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """A uint8 image of shape (3, height, width), to another of this shape."""
        return image.masked_fill(torch.rand(image.shape[1:]) < self.fraction, 255)


RECIPE = {
    "data": {"path": "recipes/digits"},
    "model": {"architecture": "convnet", "from_scratch": True, "image_size": 16, "config": {"filters": [16, 32]}},
    "augmentation": {"train": [{"Salt": {"fraction": 0.1}}]},
    "training": {"output_dir": "runs/custom_transform", "num_train_epochs": 10, "learning_rate": 3e-3},
}


def main(*overrides: str) -> dict:
    return train_classifier(RECIPE, overrides, transforms={"Salt": Salt})


if __name__ == "__main__":
    main(*sys.argv[1:])
