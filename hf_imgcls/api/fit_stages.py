"""What a fit trains after the comparison of networks: the head alone, or all weights too."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hf_imgcls.data import Data
from hf_imgcls.machine import say
from hf_imgcls.training import Candidate, choose_candidate, choose_partner, choose_rival, is_uneven
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


def choose_recipe(found: Sequence[Candidate], contents: dict[str, dict], data: Data, options: FitOptions, spent: float):
    """The content of the recipe that is trained; the reasons are printed.

    Args:
        contents: of the recipe of each candidate, by its name, without stages.
        spent: seconds so far.
    """
    chosen, images = choose_candidate(found), len(data.splits["train"])
    partner, average = None, options.preset == "best"
    if average:
        partner = choose_partner(found, chosen)
        say(
            f"fit: {partner.checkpoint} and {chosen.checkpoint} are better together than alone"
            if partner
            else "fit: no two of the networks are better together than alone"
        )
    content = contents[chosen.checkpoint]
    if is_uneven(data):
        content["training"]["metric_for_best_model"] = "macro_f1"
        if chosen.balanced:
            content["loss"] = {"class_weights": "balanced"}
    stages, spent = _stages(chosen, images, options, spent)
    networks = [{"model": content["model"], "stages": stages}]
    if len(stages) > 1 and not partner and (partner := choose_rival(found, chosen)):
        say(f"fit: {partner.checkpoint} is not shown to be worse: all its weights train too, the better one is saved")
        average = False
    if partner:
        stages, _ = _stages(partner, images, options, spent)
        if average or len(stages) > 1:
            networks.append({"model": contents[partner.checkpoint]["model"], "stages": stages})
    if len(networks) == 1:
        networks[0]["stages"][0]["refit"] = True
        return {**content, **networks[0]}
    if average and partner.timm and not chosen.timm:  # a network of timm cannot have another kind of image processor
        networks.reverse()
    return {**content, **networks[0], "ensemble": {"networks": networks[1:], "average": average}}


def _stages(chosen: Candidate, images: int, options: FitOptions, spent: float) -> tuple[list[dict], float]:
    """A solved head; and a stage for all weights, where it can be shown to pay and fits into the time."""
    everything = copy.deepcopy(ALL_WEIGHTS)
    if chosen.batch_norm:
        everything["train"] = {"last_blocks": "all", "freeze_batch_norm": True}
    epochs, what = everything["training"]["num_train_epochs"], f"fit: {chosen.checkpoint}:"
    needed = epochs * images / chosen.images_per_second[1]
    if options.preset == "fast":
        say("fit: the head is the answer of --preset fast; --preset default would train all weights too")
    elif chosen.errors < _FEWEST_ERRORS:
        say(f"{what} {chosen.errors} errors are left on validation, too few to show that more training is better")
    elif too_few_images(images, chosen.classes):
        say(f"{what} {images:,} images of {chosen.classes:,} classes are too few to train all weights on")
    elif options.minutes and spent + needed > 60 * options.minutes:
        say(f"{what} --minutes {options.minutes:g} is too little to train all weights ({duration(needed)} or so)")
    else:
        say(f"{what} trains all weights, {epochs} epochs in {duration(needed)} or so")
        return [copy.deepcopy(HEAD), everything], spent + needed
    return [copy.deepcopy(HEAD)], spent
