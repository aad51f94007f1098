"""A saved model in a program of one's own: the labels of an image, decided as `predict` and the demo decide them."""

import math
import os
import threading
from typing import Any

import numpy as np
import PIL.Image

from hf_imgcls.errors import InputError
from hf_imgcls.images import (
    Limits,
    allow_pixels,
    check_left,
    check_size,
    open_image,
    process_image,
    read_image,
    read_usable,
    why_unreadable,
)
from hf_imgcls.machine import exact_float32
from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.serving.image_list import READ_ERRORS, display_name, read_source
from hf_imgcls.serving.inference import Classifier, chosen_labels
from hf_imgcls.serving.open import chosen_device, open_classifier

NO_LABEL = "none of the labels"
# Of bytes, which may come from anyone: not the formats that Pillow hands to other programs (EPS).
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA", "MPO")
_DEFAULTS = Limits()


class ImageClassifier:
    """A model, opened once; calls from several threads wait for each other.

    Args:
        model: what `hf-imgcls predict` opens: a run folder, an export, a Hub id.
        device: "cpu", "cuda:1", ...; None: an accelerator if there is one.
        trust_remote_code: whether code that comes with the model may be run.
        limits: larger images are refused.

    Raises:
        InputError: what keeps the model from being opened.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        device: str | None = None,
        trust_remote_code: bool = False,
        limits: Limits = _DEFAULTS,
    ):
        self._limits, self._one = limits, threading.Lock()
        allow_pixels(limits)
        self._classifier = open_classifier(os.fspath(model), chosen_device(device), trust_remote_code)

    @property
    def labels(self) -> list[str]:
        """All labels, in the order of the model's outputs."""
        return list(self._classifier.labels)

    def __call__(self, image: str | os.PathLike | bytes | PIL.Image.Image, top_k: int = 5) -> list[dict[str, Any]]:
        """The best labels with their scores: `{"label": ..., "score": ...}`, as of `pipeline(image, top_k=5)`.

        Where the model has a threshold of none of these and the image is below it, `{"label": "none of these",
        "score": None}` comes first. Of several labels an image those that reach their thresholds are returned, however
        many; where none does, the best `top_k` behind `{"label": "none of the labels", "score": None}`.

        Args:
            image: a path, a URL or another address, a file's bytes, or a Pillow image (turned by its EXIF data).

        Raises:
            InputError: the image cannot be read, or `top_k` is below 1.
            ReadError: the machine cannot read the file at present.
        """
        if top_k < 1:
            raise InputError(f"top_k: found {top_k}, expected 1 or more")
        with self._one, exact_float32():
            found = classify_image(self._classifier, self._read(image), top_k)
        if not all(each["score"] is None or math.isfinite(each["score"]) for each in found):
            raise InputError(f"{self._classifier.name}: the model's scores are not numbers")
        return found

    def _read(self, image) -> PIL.Image.Image:
        name = "the image cannot be read" if isinstance(image, bytes | PIL.Image.Image) else display_name(str(image))
        try:
            if isinstance(image, bytes):
                return _read_bytes(image, self._limits)
            if isinstance(image, PIL.Image.Image):
                check_size(image.size, self._limits)
                rgb = read_image(image)
                check_left(image, rgb)
                return rgb
            return read_source(os.fspath(image), self._limits)
        except READ_ERRORS as error:
            raise InputError(f"{name}: {why_unreadable(error)}") from None


def _read_bytes(content: bytes, limits: Limits) -> PIL.Image.Image:
    PIL.Image.init()
    known = [name for name in _FORMATS if name in PIL.Image.OPEN]  # an older Pillow has fewer
    value = {"bytes": content, "path": None}
    open_image(value, known).close()
    return read_usable(value, limits)


def classify_image(classifier: Classifier, image: PIL.Image.Image, top_k: int) -> list[dict[str, Any]]:
    """What `ImageClassifier` returns, of an RGB image; a score that is no number where the model gives out such."""
    (scores,), (rejected,) = classifier.judge([process_image(classifier.processor, image)])
    if not np.isfinite(scores).all():  # of several labels, one may be no number
        return [{"label": classifier.labels[0], "score": math.nan}]
    best = classifier.top(scores, top_k)
    none = [(NONE_OF_THESE, None)] if rejected else []
    if classifier.thresholds is not None:  # those that are predicted, or all behind a word that none is
        chosen = chosen_labels(classifier, scores)
        best, none = [each for each in classifier.top(scores, len(scores)) if each[0] in chosen] or best, []
        none = [] if chosen else [(NO_LABEL, None)]
    return [{"label": label, "score": score} for label, score in none + best]
