"""None of these by distance: how near the feature before the head is to the mean of a class of training images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import normalize
from transformers.utils import cached_file

from hf_imgcls.errors import InputError
from hf_imgcls.scoring import Rejection, read_rejection

FILE = "none_of_these.safetensors"


class ClassMeans(NamedTuple):
    """Of training images' features: centre and scale, shape (width,), and each class's mean of what they standardize,
    shape (classes, width)."""

    centre: torch.Tensor
    scale: torch.Tensor
    means: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, label_ids: torch.Tensor, classes: int) -> "ClassMeans":
        centre, scale = features.mean(0), features.std(0, correction=0)
        scale = torch.where(scale > 1e-6, scale, torch.ones_like(scale))
        sums = torch.zeros(classes, features.shape[1]).index_add_(0, label_ids, (features - centre) / scale)
        return cls(centre, scale, sums / torch.bincount(label_ids, minlength=classes).clamp(min=1)[:, None])

    def nearest(self, features: torch.Tensor) -> np.ndarray:
        """The highest cosine similarity with a class, float64 of shape (images,)."""
        similarity = normalize((features - self.centre) / self.scale) @ normalize(self.means).T
        return similarity.amax(dim=1).double().numpy()

    def save(self, folder: Path) -> None:
        draft = folder / f"{FILE}.part"
        save_file({name: tensor.contiguous() for name, tensor in self._asdict().items()}, draft)
        draft.replace(folder / FILE)


class DistanceRejection:
    """As a `Rejection`, which needs the logits alone."""

    def __init__(self, threshold: float, means: ClassMeans, head: nn.Module):
        self.threshold, self.means, self.head = threshold, means, head

    def confidences(self, outputs: Callable, pixels: Any) -> tuple[np.ndarray, np.ndarray]:
        """Logits of processed images, and what is compared with the threshold."""
        logits, features = with_features(self.head, outputs, pixels)
        return logits, self.means.nearest(features)


def with_features(head: nn.Module, outputs: Callable, pixels: Any) -> tuple[np.ndarray, torch.Tensor]:
    """Logits of processed images, and the features that went into the head, float32 of shape (images, width)."""
    found: list[torch.Tensor] = []
    with head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].flatten(1).float().cpu())):
        logits = outputs(pixels)
    return logits, torch.cat(found)


def open_rejection(name: str, network: nn.Module) -> Rejection | DistanceRejection | None:
    """The threshold that a saved folder or Hub model has, if any."""
    found = read_rejection(network.config.to_dict())
    if found is None or found.by != "distance":
        return found
    try:
        file = cached_file(str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name, FILE)
        means = ClassMeans(**load_file(file))
        return DistanceRejection(found.threshold, means, network.get_submodule(found.head))
    except (OSError, SafetensorError, TypeError, AttributeError):
        raise InputError(
            f"model {name!r}: its config.json has a threshold by distance, and {FILE} is missing or damaged; copy it "
            "from where the model was trained, or remove none_of_these from config.json"
        ) from None
