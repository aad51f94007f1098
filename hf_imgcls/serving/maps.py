"""Where a network looks: maps of what in an image speaks for a label, by the library grad-cam.

Feature maps have HiResCAM (Draelos and Carin, 2020, arXiv:2011.08891): a layer's outputs times the gradients of the
label's logit, summed over channels. Where a network takes the mean of them it is Grad-CAM (Selvaraju and others, 2016,
arXiv:1610.02391); where a dense layer weighs each place, Grad-CAM would show places that do not matter. Tokens of a
transformer have Grad-CAM, with the mean of the gradients over them: those of single tokens are noise (docs/serving.md
has what was measured).
"""

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models import (
    EnsembleForImageClassification,
    MapLayer,
    as_input_error,
    find_map_layer,
    frozen,
    in_evaluation,
)

MISSING = 'maps need grad-cam: pip install "hf-imgcls[explain]"'
# What networks and the library were seen to raise beside what a user's model otherwise does.
_MORE = (AttributeError, IndexError, NotImplementedError)


def require_grad_cam() -> None:
    """An InputError where the library is not installed."""
    try:
        import pytorch_grad_cam  # noqa: F401
    except ImportError:
        raise InputError(MISSING) from None


class _Part(NamedTuple):
    """One network of those that are averaged, or the only one.

    Attributes:
        scale, shift: by channel, from the pixels of the image processor to the network's; None: they are the same.
        order: for each label the number of the network's output.
    """

    network: nn.Module
    layer: MapLayer
    scale: torch.Tensor | None
    shift: torch.Tensor | None
    order: Sequence[int]


class _Logits(nn.Module):
    """A network that returns its logits alone, as the library wants it."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=pixels)["logits"].float()


class MapMaker:
    """Makes maps of one network; of an ensemble the mean of those of its networks, each for its own logit.

    Attributes:
        layers: the names of the layers in which the maps are made.
    """

    def __init__(self, network: PreTrainedModel, size: tuple[int, int]):
        """An InputError where the library is missing, or the network has no such layer.

        Args:
            network: on its device; a copy in float32 of one in half precision.
            size: height and width of its input.
        """
        require_grad_cam()
        self.device = network.device
        network = network if network.dtype == torch.float32 else copy.deepcopy(network).float()
        with as_input_error("no maps of this network", *_MORE):
            self._parts = list(_parts(network, size))
        self.layers = [part.layer.name for part in self._parts]

    def __call__(self, pixels: torch.Tensor, labels: Sequence[int]) -> np.ndarray:
        """Maps of one processed image, shape (3, height, width), for labels; shape (labels, height, width).

        The largest value of each is 1; all are 0 where nothing in the image speaks for the label.
        """
        with as_input_error("no maps of this image", *_MORE):
            maps = np.mean([self._of_part(part, pixels, labels) for part in self._parts], axis=0)
        return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)

    def _of_part(self, part: _Part, pixels: torch.Tensor, labels: Sequence[int]) -> np.ndarray:
        from pytorch_grad_cam import GradCAM, HiResCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        images = pixels.to(self.device, torch.float32).expand(len(labels), -1, -1, -1)
        if part.scale is not None:
            images = images * part.scale + part.shift
        targets = [ClassifierOutputTarget(part.order[label]) for label in labels]
        with in_evaluation(part.network), frozen(part.network), torch.enable_grad():
            method = GradCAM if part.layer.grid.kind == "tokens" else HiResCAM
            layers = [part.network.get_submodule(part.layer.name)]
            cam = method(_Logits(part.network), layers, part.layer.grid.as_image)
            try:
                return cam(images.detach().clone().requires_grad_(), targets)
            finally:
                cam.activations_and_grads.release()


def _parts(network: PreTrainedModel, size: tuple[int, int]) -> Iterator[_Part]:
    if not isinstance(network, EnsembleForImageClassification):
        yield _Part(network, find_map_layer(network, size), None, None, range(network.config.num_labels))
        return
    config = network.config
    for each, *factors, order in zip(network.networks, config.scales, config.shifts, config.orders, strict=True):
        scale, shift = (torch.tensor(values, device=network.device)[:, None, None] for values in factors)
        yield _Part(each, find_map_layer(each, size), scale, shift, order)
