"""Thresholds of a saved model, set anew by `evaluate`: those of several labels an image, or that of none of these."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hf_imgcls import reports
from hf_imgcls.api.rejection import choose_rejection, of_rows, save_rejection, unknown_values
from hf_imgcls.api.seen import new_to_model
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.machine import say
from hf_imgcls.models import is_multi_label, keep_thresholds, set_thresholds, thresholds_by_label
from hf_imgcls.recipe import check_unknown_path, load_recipe, local_path
from hf_imgcls.scoring import (
    NONE_OF_THESE,
    REJECTION,
    Rejection,
    best_thresholds,
    confidences,
    read_rejection,
    set_metrics,
)
from hf_imgcls.serving import as_classifier, open_rejection
from hf_imgcls.store import RECIPE, RESULTS, Lock, is_launched, lock_run, read_json, read_kept, try_place, write_json
from hf_imgcls.words import listed, plural

_OPTION, _LATER = "--set-thresholds", "the thresholds were set later"


class Setting(NamedTuple):
    """A model and the split that it was scored on: metrics and scored split by its name."""

    folder: Path
    network: Any
    processor: Any
    data: Data
    scores: dict[str, dict]
    outputs: dict[str, Any]

    @property
    def split(self) -> str:
        return next(iter(self.scores))

    @property
    def where(self) -> str:
        return f"{plural(len(self.outputs[self.split]), 'image')} of {self.split}"


def check_can_set(model: str, recipe, views: Any) -> None:
    """Before anything is opened: a folder whose config.json can have thresholds, and an image as it is."""
    if not (local_path(model, "model") / "config.json").is_file():
        raise InputError(f"{_OPTION}: {model} is no model in a folder of this machine, whose config.json gets them")
    if views:
        raise InputError(f"{_OPTION}: thresholds are those of the image as it is; leave --tta out")
    if is_launched():
        raise InputError(f"{_OPTION}: it is the work of one process; start it without a launcher")
    check_unknown_path(recipe)
    try_place(local_path(model, "model"), _OPTION)


def kept_rule(model: Path, overrides: Sequence[str]) -> list[str]:
    """What a model's threshold is compared with, as an override, where other keys of `rejection` are given alone."""
    given = [each.partition("=")[0] for each in overrides if each.startswith("rejection.")]
    if not given or "rejection.by" in given:
        return []
    try:
        settings = read_json(model.expanduser() / "config.json")
        found = read_rejection(settings) if isinstance(settings, dict) else None
    except (OSError, ValueError):  # which is said where the model is opened
        return []
    return [f"rejection.by={found.by}"] if found else []


def check_rule(config, recipe) -> None:
    """Before an image is read: what an image's label, or labels, may be decided by."""
    if is_multi_label(config):
        if recipe.rejection.by:
            raise InputError("rejection: the model has several labels an image, or none of them; leave it out")
        return
    before = read_rejection(config.to_dict())
    by = recipe.rejection.by or (before and before.by)
    if by is None:
        raise InputError(
            f"{_OPTION}: the model has one label an image and no threshold of {NONE_OF_THESE}; name what it is to be "
            "compared with, rejection.by=score or rejection.by=energy"
        )
    if NONE_OF_THESE in config.id2label.values():
        raise InputError(f"{_OPTION}: {NONE_OF_THESE!r} is a class of the model, which is predicted as any")
    if by == "distance" and (before is None or before.by != by):
        raise InputError("rejection.by: distance is that to means of training images, which a training computes; score")
    if by == "energy" and hasattr(config, "networks"):
        raise InputError("rejection.by: averaged probabilities have no energy, it is 0 for every image; score")


def leave_out_trained(model: str, data: Data) -> None:
    """Take the images that a model was trained on out of a split, in place: scores on them are too high.

    Of the data of its own run only the validation images stay: test chooses nothing.
    """
    (split,) = data.splits
    fresh, own = new_to_model(model, data)
    if not fresh.any():
        raise InputError(
            f"{_OPTION}: the model was trained on all {plural(len(fresh), 'image')} of {split}, whose scores are too "
            "high to set a threshold; name other images"
        )
    if not fresh.all():
        data.splits[split] = data.splits[split].select(np.flatnonzero(fresh))
        data.digests[split] = data.digests[split][fresh]
        data.files[split] = [file for file, stays in zip(data.files[split], fresh, strict=True) if stays]
        left_out = f"{int((~fresh).sum()):,} of {plural(len(fresh), 'image')} left out"
        why = "they are not of the model's validation split" if own else "the model was trained on them"
        data.notes.append(f"{left_out}, since {why}")


def set_anew(found: Setting, recipe) -> str:
    """Set the thresholds on what was scored, in config.json, and score with them; returns a caution beside the scores.

    Where the folder is that of a run, its results and card follow.

    Raises:
        InputError: there is nothing to set a threshold by.
    """
    with Lock() as lock:
        lock_run(found.folder, lock, _OPTION)
        if is_multi_label(found.network.config):
            return _set_labels(found)
        return _set_rejection(found, recipe)


def _set_labels(found: Setting) -> str:
    output, config = found.outputs[found.split], found.network.config
    if not output.label_ids.any():
        raise InputError(f"{_OPTION}: none of the {found.where} has a label")
    before, thresholds = thresholds_by_label(config) or {}, best_thresholds(output)
    set_thresholds(config, thresholds)
    now = thresholds_by_label(config)
    keep_thresholds(found.folder, config)
    found.outputs[found.split] = dataclasses.replace(output, thresholds=thresholds)
    found.scores[found.split] = set_metrics(found.outputs[found.split])
    changed = [f"{name} {before.get(name, 0.5):.3g} to {value:.3g}" for name, value in now.items()]
    say(f"thresholds: set on {found.where}, saved in {found.folder}: {listed(changed, 8)}")
    later = f"{_LATER}, on {found.where}: F1, precision and recall are those of the ones before"
    _follow(found, {"thresholds": now}, later)
    return "the thresholds were set on these images, so F1, precision and recall are optimistic"


def _set_rejection(found: Setting, recipe) -> str:
    output, config = found.outputs[found.split], found.network.config
    before = read_rejection(config.to_dict())
    by = recipe.rejection.by or (before and before.by)
    section = recipe.rejection.model_copy(update={"by": by})
    rule = open_rejection(str(found.folder), found.network) if by == "distance" else Rejection(by, 0.0)
    classifier = as_classifier("", found.network, found.processor, found.network.device)
    rows = found.data.splits[found.split]
    values = of_rows(classifier, rule, rows) if by == "distance" else confidences(by, output)
    unknown = unknown_values(classifier, rule, section.unknown_path, recipe.data) if section.unknown_path else None
    head = before.head if by == "distance" else None
    chosen = choose_rejection(section, {found.split: values}, unknown, found.outputs, head)
    rejection = Rejection(by, chosen["threshold"], head)
    setattr(config, REJECTION, rejection.settings())
    save_rejection(found.folder, rejection)
    was = f"{before.by} below {before.threshold:.6g}" if before else "no threshold"
    now = f"{by} below {chosen['threshold']:.6g}"
    say(f"{NONE_OF_THESE}: {now}, set on {found.where}, saved in {found.folder} (was: {was})")
    _follow(found, {"rejection": {**chosen, "set_on": f"the {found.where}"}})
    return f"the threshold of {NONE_OF_THESE} was set on these images"


def _follow(found: Setting, changed: dict[str, Any], caution: str = "") -> None:
    """Let results and card of a run say what its thresholds are now; its scores stay those of its end."""
    if not all((found.folder / name).is_file() for name in (RESULTS, RECIPE)):
        return
    results = {**read_kept(found.folder / RESULTS), **changed}
    if caution:
        before = {split: results.get("cautions", {}).get(split, []) for split in results["scores"]}
        earlier = {split: [each for each in old if _LATER not in each] for split, old in before.items()}
        results["cautions"] = {split: [*old, caution] for split, old in earlier.items()}
    reports.write_card(found.folder, load_recipe(found.folder / RECIPE), results)
    write_json(found.folder / RESULTS, results)
