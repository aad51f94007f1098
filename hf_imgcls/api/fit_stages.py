"""What a fit trains after the comparison of networks: the head alone, or all weights too."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hf_imgcls.machine import say
from hf_imgcls.training import Candidate
from hf_imgcls.words import duration

_NONE = {"augmentation": {}, "averaging": {}, "optimizer": {}}  # of what overrides may ask of the stage after it
HEAD = {"train": "head", "cache_features": True, **_NONE, "logistic_regression": True}
# LP-FT: all weights from a head that is solved already, at a rate that keeps what the network knows (arXiv:2202.10054).
ALL_WEIGHTS = {
    "train": "all",
    "only_if_better": True,
    "augmentation": {"train": [{"RandomResizedCrop": {"scale": [0.5, 1.0]}}, "RandomHorizontalFlip"]},
    "training": {
        "num_train_epochs": 3,
        "learning_rate": 1e-4,
        "weight_decay": 0.05,
        "label_smoothing_factor": 0.1,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
    },
}
# Wrong answers on validation below which no training can show that it is better, and images of a class below which the
# head is the answer.
_FEWEST_ERRORS, _FEWEST_IMAGES = 10, 20
_BACKWARD = 3  # a step of training takes so many times a forward pass


class FitOptions(NamedTuple):
    """How a fit searches; `output` is runs/<name of the folder> if None, `minutes` None for no limit."""

    checkpoints: Sequence[str] = ()
    preset: str = "default"
    minutes: float | None = None
    output: Path | None = None


def holdout_fraction(images: int) -> float:
    """The fraction of train that validation takes where the folder has none: AutoGluon's rule below 5,000 images."""
    return round(max(0.1, min(0.2, 500 / max(images, 1))), 4)


def too_few_images(images: int, classes: int) -> bool:
    """Whether train has too few images of a class, on average, to train all weights on."""
    return images < _FEWEST_IMAGES * classes


def choose_stages(chosen: Candidate, images: int, options: FitOptions, spent: float) -> list[dict]:
    """A solved head; and a stage for all weights, where it can be shown to pay and fits into the time; the reason is
    printed.

    Args:
        images: of train.
        spent: seconds so far.
    """
    epochs = ALL_WEIGHTS["training"]["num_train_epochs"]
    needed = _BACKWARD * epochs * images / chosen.images_per_second
    if options.preset == "fast":
        say("fit: the head is the answer of --preset fast; --preset default would train all weights too")
    elif chosen.errors < _FEWEST_ERRORS:
        say(f"fit: {chosen.errors} errors are left on validation, too few to show that more training is better")
    elif too_few_images(images, chosen.classes):
        say(f"fit: {images:,} images of {chosen.classes:,} classes are too few to train all weights on")
    elif options.minutes and spent + needed > 60 * options.minutes:
        say(f"fit: --minutes {options.minutes:g} is too little to train all weights ({duration(needed)} or so)")
    else:
        say(f"fit: trains all weights, {epochs} epochs in {duration(needed)} or so")
        return [HEAD, copy.deepcopy(ALL_WEIGHTS)]
    return [HEAD]
