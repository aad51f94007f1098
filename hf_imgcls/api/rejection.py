"""None of these: a run's threshold set on validation, saved with the model, and measured."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_imgcls import serving
from hf_imgcls.data import Data, naming_changed
from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits, input_size, read_image
from hf_imgcls.machine import exact_float32, say
from hf_imgcls.models import head_module, load_network
from hf_imgcls.scoring import (
    NONE_OF_THESE,
    REJECTION,
    Rejection,
    Scored,
    auroc,
    confidences,
    main_split,
    measure_rejection,
    threshold_between,
    threshold_keeping,
)
from hf_imgcls.store import write_text
from hf_imgcls.words import plural

_KEEP, _BATCH = 0.95, 16
_EACH, _LARGEST = 200, 2000  # training images of a class for its mean; images of no class that are read


def check_can_reject(recipe, data: Data) -> None:
    """Before training: the threshold needs a validation split, and its label is no class."""
    if recipe.rejection.by is None:
        return
    if "validation" not in data.splits:
        raise InputError("rejection: its threshold is set on a validation split; data.validation_fraction makes one")
    if NONE_OF_THESE in data.labels:
        raise InputError(f"rejection: {NONE_OF_THESE!r} is a class of the data, which is trained as any; leave it out")
    if path := recipe.rejection.unknown_path:
        images, limits = _unknown_images(path), Limits(recipe.data.max_pixels, recipe.data.max_aspect_ratio)
        if next(serving.each_batch(lambda image: image, images, 1, limits), None) is None:
            raise _unreadable(images)


def check_network(recipe, model, size: tuple[int, int]) -> None:
    """Before training: a distance needs one feature before the head."""
    if recipe.rejection.by == "distance":
        try:
            head_module(model, size)
        except InputError as error:
            raise InputError(f"rejection.by: no distance, since {error}; score or energy") from None


def set_rejection(recipe, folder: Path, outputs: Mapping[str, Scored], data: Data, device) -> dict[str, Any] | None:
    """Set the threshold of a saved model in its config.json; returns it with what it does to each scored split.

    Args:
        outputs: the scored splits, `validation` among them.
        data: of the recipe; a distance reads its images again.
        device: to predict on.
    """
    section, rule, classifier, head = recipe.rejection, None, None, None
    if section.by is None:
        return None
    values = {split: confidences(section.by, output) for split, output in outputs.items() if section.by != "distance"}
    if section.by == "distance" or section.unknown_path:
        network, processor = load_network(str(folder))
        classifier = serving.as_classifier("", network.to(device), processor, device)
        rule = Rejection(section.by, 0.0)
    if section.by == "distance":
        head = head_module(network, input_size(processor))
        rule = _learn_distance(folder, classifier, network.get_submodule(head), data)
        values = {split: of_rows(classifier, rule, data.splits[split]) for split in outputs}
    unknown = unknown_values(classifier, rule, section.unknown_path, recipe.data) if section.unknown_path else None
    found = choose_rejection(section, values, unknown, outputs, head)
    save_rejection(folder, Rejection(section.by, found["threshold"], head))
    return found


def choose_rejection(
    section, values: Mapping[str, np.ndarray], unknown: np.ndarray | None, outputs: Mapping[str, Scored], head=None
) -> dict[str, Any]:
    """The threshold on validation, or on the one split that there is, and what it does to each scored split.

    Args:
        values: what is compared with it, of each image of each split; `unknown`: of images of no class.
    """
    by_unknown, keep = unknown is not None and section.keep is None, section.keep or _KEEP
    known = values["validation"] if "validation" in values else next(iter(values.values()))
    threshold = threshold_between(known, unknown) if by_unknown else threshold_keeping(known, keep)
    found = {**Rejection(section.by, threshold, head).settings(), "label": NONE_OF_THESE}
    found["keep"] = None if by_unknown else keep
    found["splits"] = {split: measure_rejection(values[split], threshold, outputs[split]) for split in outputs}
    if unknown is not None:
        split = main_split({"scores": outputs}) or next(iter(outputs))
        found["unknown"] = {
            "images": len(unknown),
            "rejected": int((~(unknown >= threshold)).sum()),
            "chose_threshold": by_unknown,
            "auroc": round(auroc(values[split], unknown), 6),
            "against": split,
        }
    return found


def of_rows(classifier: serving.Classifier, rule, rows) -> np.ndarray:
    """What a rule compares with its threshold, of the images of a split."""
    return np.concatenate([rule.confidences(classifier.outputs, batch)[1] for batch in _batches(classifier, rows)])


def _batches(classifier: serving.Classifier, rows) -> Iterator[list]:
    with exact_float32():
        for start in range(0, len(rows), _BATCH):
            images = rows[start : start + _BATCH]["image"]
            with naming_changed(images):
                yield [classifier.process(read_image(image)) for image in images]


def _learn_distance(folder: Path, classifier: serving.Classifier, head, data: Data) -> serving.DistanceRejection:
    """Means of the classes, of at most _EACH training images of a class; saved beside the model."""
    label_ids, random = np.array(data.splits["train"]["label"][:]), np.random.default_rng(0)
    chosen = [random.permutation(np.flatnonzero(label_ids == label))[:_EACH] for label in range(len(data.labels))]
    rows = data.splits["train"].select(np.sort(np.concatenate(chosen)))
    batches = _batches(classifier, rows)
    features = torch.cat([serving.with_features(head, classifier.outputs, batch)[1] for batch in batches])
    means = serving.ClassMeans.of(features, torch.tensor(rows["label"][:]), len(data.labels))
    means.save(folder)
    return serving.DistanceRejection(0.0, means, head)


def save_rejection(folder: Path, rejection: Rejection) -> None:
    """transformers keeps keys that it does not know, so the threshold goes wherever the model goes."""
    file = folder / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    write_text(file, json.dumps({**settings, REJECTION: rejection.settings()}, indent=2, ensure_ascii=False) + "\n")


def _unknown_images(path: str) -> list[str]:
    """A seeded sample of them, where they are many."""
    images = list(serving.find_images([os.path.expanduser(path)]))
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:_LARGEST])
    return [images[i] for i in chosen]


def unknown_values(classifier: serving.Classifier, rule, path: str, data_section) -> np.ndarray:
    images, limits = _unknown_images(path), Limits(data_section.max_pixels, data_section.max_aspect_ratio)
    with exact_float32():
        batches = serving.each_batch(classifier.process, images, _BATCH, limits)
        found = [rule.confidences(classifier.outputs, batch)[1] for batch in batches]
    values = np.concatenate(found) if found else np.zeros(0)
    if not len(values):
        raise _unreadable(images)
    if len(values) < len(images):
        say(f"rejection: {len(images) - len(values)} of {len(images)} images of unknown_path cannot be read: left out")
    return values


def _unreadable(images: Sequence[str]) -> InputError:
    return InputError(f"rejection.unknown_path: none of {plural(len(images), 'image')} there can be read")
