"""What a fit trains after the comparison of networks: the head alone, or all weights too."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hf_imgcls.data import Data, find_rows
from hf_imgcls.machine import say
from hf_imgcls.recipe import DataSection, PerSplit
from hf_imgcls.training import Candidate, choose_candidate, choose_partner, choose_rival, is_uneven
from hf_imgcls.words import duration

_NONE = {"augmentation": {}, "averaging": {}, "optimizer": {}}  # of what overrides may ask of the stage after it
HEAD = {"train": "head", "cache_features": True, **_NONE, "logistic_regression": True}
# LP-FT: all weights from a head that is solved already, at a rate that keeps what the network knows (arXiv:2202.10054).
ALL_WEIGHTS = {
    "train": "all",
    "only_if_better": True,
    "early_stopping": {"patience": 2},
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
# Wrong answers on validation below which more training is not tried: a sign test shows a gain (p < 0.05) from six that
# are corrected where none is broken, 40 % of 15. And images of a class below which the head is the answer.
_FEWEST_ERRORS, _FEWEST_IMAGES = 15, 20
_FEWEST_EPOCHS = 2  # where the time is short; after one of the three, validation was no better than the head's


class FitOptions(NamedTuple):
    """How a fit searches; `output` is runs/<name of the folder> if None, `minutes` None for no limit."""

    checkpoints: Sequence[str] = ()
    preset: str = "default"
    minutes: float | None = None
    output: Path | None = None


def holdout_fraction(images: int) -> float:
    """The fraction of train that validation takes where the folder has none: AutoGluon's rule below 5,000 images."""
    return round(max(0.1, min(0.2, 500 / max(images, 1))), 4)


def rows_before_holdout(section: DataSection) -> Data:
    """The rows of the splits that a source brings, before any are held out of train."""
    limits = {key: PerSplit(train=getattr(section, key).train) for key in ("max_samples", "samples_per_class")}
    return find_rows(section.model_copy(update={"validation_fraction": 0.0, "test_fraction": None, **limits}))


def too_few_images(images: int, classes: int) -> bool:
    """Whether train has too few images of a class, on average, to train all weights on."""
    return images < _FEWEST_IMAGES * classes


def choose_recipe(found: Sequence[Candidate], contents: dict[str, dict], data: Data, options: FitOptions, spent: float):
    """The content of the recipe that is trained; the reasons are printed.

    Args:
        contents: of the recipe of each candidate, by its name, without stages.
        spent: seconds so far.
    """
    chosen = choose_candidate(found)
    content = contents[chosen.checkpoint]
    if is_uneven(data):
        content["training"]["metric_for_best_model"] = "macro_f1"
        if chosen.balanced:
            content["loss"] = {"class_weights": "balanced"}
    tried, average = _which(found, chosen, options)
    networks = []
    for each in tried:
        stages, spent = _stages(each, len(data.splits["train"]), options, spent)
        networks.append({"model": contents[each.checkpoint]["model"], "stages": stages})
    if not average:  # a head that is not trained further is no better than the head of the one that is
        trained = [network for network in networks if len(network["stages"]) > 1]
        networks = trained or [network for network in networks if network["model"] == content["model"]]
    if len(networks) == 1:
        networks[0]["stages"][0]["refit"] = True
        return {**content, **networks[0]}
    return {**content, **networks[0], "ensemble": {"networks": networks[1:], "average": average}}


def _which(found: Sequence[Candidate], chosen: Candidate, options: FitOptions) -> tuple[list[Candidate], bool]:
    """The networks that may be trained, in this order, and whether they are averaged."""
    if options.preset == "best":
        if partner := choose_partner(found, chosen):
            say(f"fit: {chosen.checkpoint} and {partner.checkpoint} are better together than alone: they are averaged")
            # A network of timm cannot have another kind of image processor, so its own is that of both.
            return ([partner, chosen] if partner.timm and not chosen.timm else [chosen, partner]), True
        say("fit: no two of the networks are better together than alone")
    rival = None if options.preset == "fast" else choose_rival(found, chosen)
    if rival is None:
        return [chosen], False
    say(f"fit: {rival.checkpoint} may be as good as {chosen.checkpoint}: what is better after training is saved")
    return sorted([chosen, rival], key=lambda each: -each.images_per_second[1]), False


def _stages(chosen: Candidate, images: int, options: FitOptions, spent: float) -> tuple[list[dict], float]:
    """A solved head; and a stage for all weights, where it can be shown to pay and fits into the time."""
    everything = copy.deepcopy(ALL_WEIGHTS)
    if chosen.batch_norm:
        everything["train"] = {"last_blocks": "all", "freeze_batch_norm": True}
    what, most = f"fit: {chosen.checkpoint}:", everything["training"]["num_train_epochs"]
    epoch = images / chosen.images_per_second[1]  # seconds
    room = 60 * options.minutes - spent if options.minutes else math.inf
    epochs = int(min(most, room // epoch))
    if options.preset == "fast":
        say("fit: the head is the answer of --preset fast; --preset default would train all weights too")
    elif chosen.errors < _FEWEST_ERRORS:
        say(f"{what} wrong on {chosen.errors} images of validation, too few to show that more training is better")
    elif too_few_images(images, chosen.classes):
        say(f"{what} {images:,} images of {chosen.classes:,} classes are too few to train all weights on")
    elif epochs < _FEWEST_EPOCHS:
        longer = f"{most} epochs would take another {duration(most * epoch)} or so"
        say(f"{what} --minutes {options.minutes:g} is too little to train all weights ({longer})")
    else:
        more = f"; {most} would take {duration(most * epoch)}" if epochs < most else ""
        say(f"{what} trains all weights, {epochs} epochs in {duration(epochs * epoch)} or so{more}")
        everything["training"]["num_train_epochs"] = epochs
        return [copy.deepcopy(HEAD), everything], spent + epochs * epoch
    return [copy.deepcopy(HEAD)], spent
