"""None of these: a run's threshold set on validation, saved with the model, and measured."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hf_imgcls import serving
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits
from hf_imgcls.machine import exact_float32, say
from hf_imgcls.scoring import (
    NONE_OF_THESE,
    REJECTION,
    Rejection,
    Scored,
    auroc,
    confidences,
    main_split,
    measure_rejection,
    scored_logits,
    threshold_between,
    threshold_keeping,
)
from hf_imgcls.store import write_text

_KEEP, _BATCH, _LARGEST = 0.95, 16, 2000  # of the images of no class so many are read


def check_can_reject(recipe, data: Data) -> None:
    """Before training: the threshold needs a validation split, and its label is no class."""
    if recipe.rejection.by is None:
        return
    if "validation" not in data.splits:
        raise InputError("rejection: its threshold is set on a validation split; data.validation_fraction makes one")
    if NONE_OF_THESE in data.labels:
        raise InputError(f"rejection: {NONE_OF_THESE!r} is a class of the data, which is trained as any; leave it out")
    if recipe.rejection.unknown_path:
        _unknown_images(recipe.rejection.unknown_path)


def set_rejection(recipe, folder: Path, outputs: Mapping[str, Scored], device) -> dict[str, Any] | None:
    """Set the threshold of a saved model in its config.json; returns it with what it does to each scored split.

    Args:
        outputs: the scored splits, `validation` among them.
        device: for the images of no class.
    """
    section = recipe.rejection
    if section.by is None:
        return None
    known = confidences(section.by, outputs["validation"])
    unknown, skipped = None, 0
    if section.unknown_path:
        unknown, skipped = _unknown_confidences(folder, section, recipe.data, device)
    by_unknown, keep = unknown is not None and section.keep is None, section.keep or _KEEP
    threshold = threshold_between(known, unknown) if by_unknown else threshold_keeping(known, keep)
    rejection = Rejection(section.by, threshold)
    _save(folder, rejection)
    found = {**rejection._asdict(), "label": NONE_OF_THESE, "keep": None if by_unknown else keep}
    found["splits"] = {split: measure_rejection(rejection, output) for split, output in outputs.items()}
    if unknown is not None:
        split = main_split({"scores": outputs})
        found["unknown"] = {
            "images": len(unknown),
            "skipped": skipped,
            "rejected": int((~(unknown >= threshold)).sum()),
            "chose_threshold": by_unknown,
            "auroc": round(auroc(confidences(section.by, outputs[split]), unknown), 6),
            "against": split,
        }
    return found


def _save(folder: Path, rejection: Rejection) -> None:
    """transformers keeps keys that it does not know, so the threshold goes wherever the model goes."""
    file = folder / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    write_text(file, json.dumps({**settings, REJECTION: rejection._asdict()}, indent=2, ensure_ascii=False) + "\n")


def _unknown_images(path: str) -> list[str]:
    """A seeded sample of them, where they are many."""
    images = list(serving.find_images([os.path.expanduser(path)]))
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:_LARGEST])
    return [images[i] for i in chosen]


def _unknown_confidences(folder: Path, section, data_section, device) -> tuple[np.ndarray, int]:
    """Of the images of no class, predicted by the saved model; and how many could not be read."""
    images = _unknown_images(section.unknown_path)
    classifier = serving.open_classifier(str(folder), device)
    limits = Limits(data_section.max_pixels, data_section.max_aspect_ratio)
    with exact_float32():
        logits, unreadable = serving.predict_logits(classifier, images, _BATCH, limits)
    if not len(logits):
        raise InputError(f"rejection.unknown_path: none of its {len(images)} images can be read")
    if unreadable:
        say(f"rejection: {unreadable} of {len(images)} images of unknown_path cannot be read and are left out")
    output = scored_logits(logits, logits.argmax(dim=1))
    return confidences(section.by, output), unreadable
