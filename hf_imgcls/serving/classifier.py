"""A model of any origin, opened to answer: its scores are those of `pipeline`, many images at a time."""

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
    """What answers.

    Attributes:
        name: of the model, and behind an @ what tells its answers from those of another one of that name.
        labels: in the order of its outputs.
        processor: its image processor.
        logits: takes pixels (n, 3, h, w), float32 on the CPU, to outputs (n, classes), float32 on the CPU.
        to_scores: takes outputs to scores, both (n, classes).
    """

    name: str
    labels: list[str]
    processor: Any
    logits: Callable[[torch.Tensor], torch.Tensor]
    to_scores: Callable[[np.ndarray], np.ndarray]

    def scores(self, pixels: list[torch.Tensor]) -> np.ndarray:
        """Scores of images (3, h, w) as the processor makes them; shape (images, classes).

        Raises:
            InputError: the device's memory does not hold so many at a time.
        """
        if len({image.shape for image in pixels}) > 1:  # a processor that leaves an image its shape
            return np.concatenate([self.scores([image]) for image in pixels])
        try:
            outputs = self.logits(torch.stack(pixels))
        except torch.OutOfMemoryError:
            raise InputError(f"--batch-size: the device's memory does not hold {len(pixels)} images") from None
        return self.to_scores(outputs.numpy())


def score_function(config: PreTrainedConfig) -> Callable[[np.ndarray], np.ndarray]:
    """How `pipeline` makes scores of a model's outputs: softmax, sigmoids for several labels at once, or nothing."""
    functions = {"none": lambda outputs: outputs, "sigmoid": lambda outputs: 1 / (1 + np.exp(-outputs))}
    return functions.get(activation(config), softmax)


def activation(config: PreTrainedConfig) -> str:
    """The name of a model's score function: "softmax", "sigmoid" or "none"."""
    if config.problem_type == "regression":
        return "none"
    several = config.problem_type == "multi_label_classification" or config.num_labels == 1
    return "sigmoid" if several else "softmax"


def model_digest(labels: dict[int, str], pixels: torch.Tensor, weights: Iterable[bytes | np.ndarray]) -> str:
    """What a model answers depends on: its labels, its weights, the size and the scale of the images it sees."""
    digest = hashlib.blake2b(digest_size=6)
    digest.update(json.dumps([labels, list(pixels.shape), round(float(pixels.mean()), 3)]).encode())
    for content in weights:
        digest.update(content)
    return digest.hexdigest()
