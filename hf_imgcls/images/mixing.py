"""MixUp and CutMix on whole batches of training images; evaluation never mixes."""

from collections.abc import Sequence

import torch
from torchvision.transforms import v2

from hf_imgcls.recipe import Transform, check_mixes, name_and_arguments


class Mixing:
    """One of the recipe's mixes, drawn anew for each batch.

    Drawn from torch's generator of the CPU, which a checkpoint keeps: a resumed run mixes alike, and all processes
    draw the same mix and mixing fraction for their parts of a batch.

    MixUp: Zhang and others, 2018 (arXiv:1710.09412); CutMix: Yun and others, 2019 (arXiv:1905.04899).
    """

    def __init__(self, specs: Sequence[Transform], classes: int):
        check_mixes(specs)
        self.mixes = [_build(*name_and_arguments(spec), classes) for spec in specs]

    def __call__(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch.

        Args:
            pixels: floats, shape (images, channels, height, width).
            labels: class ids, shape (images,).

        Returns:
            Images of the same shape, and soft labels, shape (images, classes); the labels as they came where
            Identity was drawn.
        """
        drawn = int(torch.randint(len(self.mixes), ()))
        return self.mixes[drawn](pixels, labels)


def _build(name: str, arguments: dict, classes: int) -> v2.Transform:
    return (
        v2.Identity() if name == "Identity" else getattr(v2, name)(**{"alpha": 1.0, **arguments}, num_classes=classes)
    )
