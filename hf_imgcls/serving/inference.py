"""A model of any origin, opened for prediction: its scores are those of `pipeline`, for many images at a time."""

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from transformers import PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits, process_image
from hf_imgcls.models import applied_thresholds, is_multi_label
from hf_imgcls.scoring import NONE_OF_THESE, Rejection, read_rejection, sigmoid, softmax
from hf_imgcls.serving.image_list import display_name
from hf_imgcls.serving.reading import read_batches
from hf_imgcls.serving.rows import SEPARATOR, Row, labels_per_image

_DEFAULTS = Limits()


_thread = threading.local()


class Classifier(NamedTuple):
    """A model with what predictions need."""

    name: str  # and after an @ a digest that distinguishes it from others of that name
    labels: list[str]  # in the order of its outputs
    processor: Any
    logits: Callable[[torch.Tensor], torch.Tensor]  # pixels (n, 3, h, w) to logits (n, classes), float32 on the CPU
    to_scores: Callable[[np.ndarray], np.ndarray]  # logits to scores, both (n, classes)
    rejection: Any = (
        None  # a Rejection, or one by distance: the threshold below which an image shows none of the classes
    )
    thresholds: np.ndarray | None = None  # of several labels an image, shape (classes,)
    by_processes: bool = False  # whether processes read its images: a GPU is faster than the threads of one

    def process(self, image: PIL.Image.Image) -> torch.Tensor:
        return process_image(self.processor, image)

    def scores(self, pixels: list[torch.Tensor]) -> np.ndarray:
        """Scores, shape (images, classes), of processed images (3, h, w)."""
        return self.to_scores(self.outputs(pixels))

    def judge(self, pixels: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Scores of processed images, and whether each shows none of the classes, shape (images,)."""
        if self.rejection is None:
            return self.scores(pixels), np.zeros(len(pixels), bool)
        logits, confidences = self.rejection.confidences(self.outputs, pixels)
        return self.to_scores(logits), ~(confidences >= self.rejection.threshold)

    def outputs(self, pixels: list[torch.Tensor]) -> np.ndarray:
        """Logits, shape (images, classes), of processed images (3, h, w)."""
        if len({image.shape for image in pixels}) > 1:  # of a processor that does not resize to one shape
            return np.concatenate([self.outputs([image]) for image in pixels])
        try:
            return self.logits(_stack(pixels)).numpy()
        except torch.OutOfMemoryError:
            raise InputError(
                f"--batch-size: {len(pixels)} images do not fit into the device's memory; take fewer"
            ) from None

    def top(self, scores: np.ndarray, top_k: int) -> list[tuple[str, float]]:
        """The best labels for an image's scores, shape (classes,); equal scores in the order of the outputs."""
        return [(self.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:top_k]]


def _stack(images: list[torch.Tensor]) -> torch.Tensor:
    """Images of one shape as a batch, which is valid until this thread stacks the next one.

    Its memory is used again: to have new memory for each batch takes ten times as long as the copy.
    """
    shape = (len(images), *images[0].shape)
    kept = getattr(_thread, "batch", None)
    if kept is None or kept.dtype != images[0].dtype or kept.numel() < math.prod(shape):
        _thread.batch = kept = torch.empty(
            math.prod(shape), dtype=images[0].dtype, pin_memory=torch.cuda.is_initialized()
        )
    return torch.stack(images, out=kept[: math.prod(shape)].view(shape))


def chosen_labels(classifier, scores: np.ndarray) -> list[str]:
    """Of several labels an image those whose score, of shape (classes,), reaches its threshold; the best first."""
    best = np.argsort(-scores, kind="stable")
    return [classifier.labels[i] for i in best if scores[i] >= classifier.thresholds[i]]


def score_function(config: PreTrainedConfig) -> Callable[[np.ndarray], np.ndarray]:
    """The function that `pipeline` applies to a model's logits: softmax, sigmoid for multi-label models, or none."""
    functions = {"none": lambda logits: logits, "sigmoid": sigmoid}
    return functions.get(activation(config), softmax)


def activation(config: PreTrainedConfig) -> str:
    """The name of a model's score function: "softmax", "sigmoid" or "none"."""
    if config.problem_type == "regression":
        return "none"
    multi_label = config.problem_type == "multi_label_classification" or config.num_labels == 1
    return "sigmoid" if multi_label else "softmax"


def exported_rejection(config: PreTrainedConfig) -> Rejection | None:
    """The threshold that an export can have: of the logits, the only thing that it gives out."""
    found = read_rejection(config.to_dict())
    return None if found is None or found.by == "distance" else found


def model_digest(config: PreTrainedConfig, pixels: torch.Tensor, weights: Iterable[bytes | np.ndarray]) -> str:
    """A digest of all that predictions depend on: labels, weights, the size and scale of the processed images, and the
    threshold of none of these, if there is one.
    """
    digest = hashlib.blake2b(digest_size=6)
    rejection = read_rejection(config.to_dict())
    facts = [config.id2label, list(pixels.shape), round(float(pixels.mean()), 3), *([rejection] if rejection else ())]
    facts += [applied_thresholds(config).tolist()] if is_multi_label(config) else []
    digest.update(json.dumps(facts).encode())
    for content in weights:
        digest.update(content)
    return digest.hexdigest()


def predict_rows(
    classifier: Classifier, images: Iterable[str], columns: list[str], batch_size: int, limits: Limits = _DEFAULTS
) -> Iterator[list[Row]]:
    """Rows of images (files or URLs), a batch at a time, in their order; few batches are in memory."""
    for batch in read_batches(classifier.process, images, batch_size, limits, classifier.by_processes):
        yield _rows(classifier, batch, columns)


def _rows(classifier: Classifier, batch: list[tuple], columns: list[str]) -> list[Row]:
    pixels = [pixels for _, pixels, _ in batch if pixels is not None]
    scores = zip(*classifier.judge(pixels), strict=True) if pixels else iter(())
    rows, top_k = [], labels_per_image(columns)
    several = classifier.thresholds is not None
    for name, _, error in batch:
        best, chosen = [None] * (2 * top_k), [None] * several
        if error is None:
            image_scores, rejected = next(scores)
            if np.isfinite(image_scores).all():
                top = [*([(NONE_OF_THESE, None)] if rejected else ()), *classifier.top(image_scores, top_k)][:top_k]
                best = [value for label, score in top for value in (_valid(label), score)]
                if several:
                    chosen = [SEPARATOR.join(map(_valid, chosen_labels(classifier, image_scores)))]
            else:
                error = "the model's scores are not numbers"
        cells = [display_name(name), *chosen, *best, error, display_name(classifier.name)]
        rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def _valid(label: str) -> str:
    """Surrogates, which no encoding has, are escaped; all else stays."""
    return label.encode("utf-8", "backslashreplace").decode()
