"""MixUp and CutMix on whole batches of training images; evaluation never mixes."""

from collections.abc import Sequence

import torch
from torchvision.transforms import v2

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import MIXES, Transform


class Mixing:
    """One of the recipe's mixes, drawn anew for each batch.

    Drawn from torch's generator of the CPU, which a checkpoint keeps: a resumed run mixes alike, and all processes
    draw the same mix and share for their parts of a batch.

    MixUp: Zhang and others, 2018 (arXiv:1710.09412); CutMix: Yun and others, 2019 (arXiv:1905.04899).
    """

    def __init__(self, specs: Sequence[Transform], classes: int):
        self.mixes = [_build(spec, classes, f"augmentation.mix.{i}") for i, spec in enumerate(specs)]

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


def _build(spec: Transform, classes: int, key: str) -> v2.Transform:
    name, arguments = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
    if isinstance(spec, dict) and len(spec) != 1:
        raise InputError(f"{key}: one mix a section, found {len(spec)}; write them as a list")
    if name not in MIXES:
        raise InputError(f"{key}: found {name!r}, expected one of {', '.join(MIXES)}{nearest(name, MIXES)}")
    known = [] if name == "Identity" else ["alpha"]
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{key}.{name}.{argument}: unknown argument{nearest(argument, known)}")
    if name == "Identity":
        return v2.Identity()
    alpha = arguments.get("alpha", 1.0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
        raise InputError(f"{key}.{name}.alpha: found {alpha!r}, expected a number greater than 0")
    return getattr(v2, name)(alpha=alpha, num_classes=classes)
