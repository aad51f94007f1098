"""A model of any origin, opened for prediction: its scores are those of `pipeline`, for many images at a time."""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.scoring import softmax


class Classifier(NamedTuple):
    """A model with what predictions need."""

    name: str  # and after an @ a digest that distinguishes it from others of that name
    labels: list[str]  # in the order of its outputs
    processor: Any
    logits: Callable[[torch.Tensor], torch.Tensor]  # pixels (n, 3, h, w) to logits (n, classes), float32 on the CPU
    to_scores: Callable[[np.ndarray], np.ndarray]  # logits to scores, both (n, classes)

    def scores(self, pixels: list[torch.Tensor]) -> np.ndarray:
        """Scores, shape (images, classes), of processed images (3, h, w)."""
        if len({image.shape for image in pixels}) > 1:  # of a processor that does not resize to one shape
            return np.concatenate([self.scores([image]) for image in pixels])
        try:
            logits = self.logits(torch.stack(pixels))
        except torch.OutOfMemoryError:
            raise InputError(
                f"--batch-size: {len(pixels)} images do not fit into the device's memory; take fewer"
            ) from None
        return self.to_scores(logits.numpy())

    def top(self, scores: np.ndarray, top_k: int) -> list[tuple[str, float]]:
        """The best labels for an image's scores, shape (classes,); equal scores in the order of the outputs."""
        return [(self.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:top_k]]


def score_function(config: PreTrainedConfig) -> Callable[[np.ndarray], np.ndarray]:
    """The function that `pipeline` applies to a model's logits: softmax, sigmoid for multi-label models, or none."""
    functions = {"none": lambda logits: logits, "sigmoid": lambda logits: 1 / (1 + np.exp(-logits))}
    return functions.get(activation(config), softmax)


def activation(config: PreTrainedConfig) -> str:
    """The name of a model's score function: "softmax", "sigmoid" or "none"."""
    if config.problem_type == "regression":
        return "none"
    multi_label = config.problem_type == "multi_label_classification" or config.num_labels == 1
    return "sigmoid" if multi_label else "softmax"


def model_digest(labels: dict[int, str], pixels: torch.Tensor, weights: Iterable[bytes | np.ndarray]) -> str:
    """A digest of all that predictions depend on: labels, weights, and the size and scale of the processed images."""
    digest = hashlib.blake2b(digest_size=6)
    digest.update(json.dumps([labels, list(pixels.shape), round(float(pixels.mean()), 3)]).encode())
    for content in weights:
        digest.update(content)
    return digest.hexdigest()
