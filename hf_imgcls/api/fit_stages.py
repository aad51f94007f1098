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
# Forward passes, at the rate of features, that a scored image takes: in float32 up to two of those in bf16, and one for
# the parity check. They took 0.95 and 1.2 times what that comes to (DeiT-tiny, 713 images, two cores).
_PASSES = 3


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


def scoring_seconds(candidate: Candidate, data: Data) -> float:
    """Of what ends a run of a network: validation and test in float32, and the parity check."""
    held_out = sum(len(rows) for split, rows in data.splits.items() if split != "train")
    return _PASSES * held_out / candidate.images_per_second[0]


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
    room = 60 * options.minutes - spent if options.minutes else math.inf
    tried, average = _which(found, chosen, data, options, room)
    ends = [scoring_seconds(each, data) for each in tried]
    if average:  # whatever is trained: so it is not a part of the training's time
        room, ends = room - _averaging_seconds(tried, data), [0.0] * len(tried)
    elif len(tried) > 1:  # the better one is scored again
        ends[1] += max(ends)
    networks = []
    for each, end in zip(tried, ends, strict=True):
        stages, room = _stages(each, end, data, options, room)
        networks.append({"model": contents[each.checkpoint]["model"], "stages": stages})
    if not average:  # a head that is not trained further is no better than the head of the one that is
        trained = [network for network in networks if len(network["stages"]) > 1]
        networks = trained or [network for network in networks if network["model"] == content["model"]]
    if len(networks) == 1:
        networks[0]["stages"][0]["refit"] = True
        return {**content, **networks[0]}
    return {**content, **networks[0], "ensemble": {"networks": networks[1:], "average": average}}


def _which(
    found: Sequence[Candidate], chosen: Candidate, data: Data, options: FitOptions, room: float
) -> tuple[list[Candidate], bool]:
    """The networks that may be trained, in this order, and whether they are averaged."""
    if options.preset == "best":
        if partner := choose_partner(found, chosen):
            # A network of timm cannot have another kind of image processor, so its own is that of both.
            both = [partner, chosen] if partner.timm and not chosen.timm else [chosen, partner]
            names = f"fit: {chosen.checkpoint} and {partner.checkpoint} are better together than alone"
            if (seconds := _averaging_seconds(both, data)) <= room:
                say(f"{names}: they are averaged")
                return both, True
            say(f"{names}; --minutes {options.minutes:g} is too little for that (another {duration(seconds)} or so)")
            return [chosen], False
        say("fit: no two of the networks are better together than alone")
    rival = None if options.preset == "fast" else choose_rival(found, chosen)
    if rival is None:
        return [chosen], False
    say(f"fit: {rival.checkpoint} may be as good as {chosen.checkpoint}: what is better after training is saved")
    return sorted([chosen, rival], key=lambda each: -each.images_per_second[1]), False


def _averaging_seconds(both: Sequence[Candidate], data: Data) -> float:
    """Each network scored alone and in their mean; features of the second one, on images prepared as for the first."""
    features = sum(len(data.splits.get(split, [])) for split in ("train", "validation"))
    return 2 * sum(scoring_seconds(each, data) for each in both) + features / both[1].images_per_second[0]


def _stages(chosen: Candidate, end: float, data: Data, options: FitOptions, room: float) -> tuple[list[dict], float]:
    """A solved head; and a stage for all weights, where it can be shown to pay and fits into the time.

    Args:
        end: seconds that a network takes after its training.
        room: seconds that are left; those that are left then are returned too.
    """
    everything = copy.deepcopy(ALL_WEIGHTS)
    if chosen.batch_norm:
        everything["train"] = {"last_blocks": "all", "freeze_batch_norm": True}
    images, validation = len(data.splits["train"]), len(data.splits.get("validation", []))
    forward, training = chosen.images_per_second
    epoch = images / training + validation / forward  # seconds
    what, most = f"fit: {chosen.checkpoint}:", everything["training"]["num_train_epochs"]
    epochs = int(min(most, (room - end) // epoch))
    if options.preset == "fast":
        say("fit: the head is the answer of --preset fast; --preset default would train all weights too")
    elif chosen.errors < _FEWEST_ERRORS:
        say(f"{what} wrong on {chosen.errors} images of validation, too few to show that more training is better")
    elif too_few_images(images, chosen.classes):
        say(f"{what} {images:,} images of {chosen.classes:,} classes are too few to train all weights on")
    elif epochs < _FEWEST_EPOCHS:
        longer = f"{most} epochs and scoring would take another {duration(most * epoch + end)} or so"
        say(f"{what} --minutes {options.minutes:g} is too little to train all weights ({longer})")
    else:
        more = f"; {most} would take {duration(most * epoch + end)}" if epochs < most else ""
        seconds = epochs * epoch + end
        say(f"{what} trains all weights, {epochs} epochs and scoring in {duration(seconds)} or so{more}")
        everything["training"]["num_train_epochs"] = epochs
        return [copy.deepcopy(HEAD), everything], room - seconds
    return [copy.deepcopy(HEAD)], room
