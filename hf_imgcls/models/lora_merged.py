"""The updates of LoRA added to the weights of their layers: a plain network, to save it or to look at it.

What is saved is a copy with the updates added, so that no rounding collects in the weights that are trained on.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.machine import exact_float32
from hf_imgcls.models.head import network_name
from hf_imgcls.models.lora import UPDATE, add_lora, lora_layers
from hf_imgcls.models.trace import in_evaluation, random_images
from hf_imgcls.recipe import Trained

_TOLERANCE = 1e-5  # of the largest logit; rounding alone makes some 1e-6


@contextlib.contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """The plain network, with the updates added to its weights; afterwards as it was, to the bit."""
    layers = lora_layers(model)
    kept = {name: layer.base_layer.weight.data for name, layer in layers.items()}
    _take_out(model, layers, add=True)
    try:
        yield
    finally:
        for name, layer in layers.items():
            layer.base_layer.weight.data = kept[name]
            model.set_submodule(name, layer)


def merge_lora(model: nn.Module) -> None:
    """Add the updates to the weights, in place: a plain network, in which these are what has been trained."""
    layers = lora_layers(model)
    _take_out(model, layers, add=True)
    for layer in layers.values():
        layer.base_layer.weight.requires_grad_()
    _forget(model)


@torch.no_grad()
def _take_out(model: nn.Module, layers: dict[str, nn.Module], add: bool) -> None:
    """Put the layers themselves in the place of peft's, with their updates added to the weights or without."""
    with exact_float32():
        for name, layer in layers.items():
            base = layer.base_layer
            if add:
                change, weight = layer.get_delta_weight(UPDATE), base.weight.data
                base.weight.data = torch.add(weight, change, out=torch.empty_like(weight))
            model.set_submodule(name, base)


def _forget(model: nn.Module) -> None:
    if hasattr(model, "peft_config"):
        del model.peft_config


@contextlib.contextmanager
def with_lora(model: PreTrainedModel, train: Trained, size: tuple[int, int]) -> Iterator[str]:
    """A network with the updates of a stage, to look at it, and a line about them; afterwards as it was.

    Raises:
        InputError: peft's updates of it cannot be added to its weights.
    """
    trains = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    added = add_lora(model, train, size, seed=0)
    layers = lora_layers(model)
    try:
        if layers:
            _check_merging(model, layers, size)
        yield added
    finally:
        _take_out(model, layers, add=False)
        if layers:
            _forget(model)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(trains[name])


@torch.no_grad()
def _check_merging(model: PreTrainedModel, layers: dict[str, nn.Module], size: tuple[int, int]) -> None:
    """Compare the logits of updates drawn at random, beside the weights and added to them; and put them back."""
    pixels, updates = random_images(model, 1, size), [layer.lora_B[UPDATE].weight for layer in layers.values()]

    def logits() -> torch.Tensor:
        return model(pixel_values=pixels)["logits"]

    with in_evaluation(model), exact_float32():
        before = logits()
        generator = torch.Generator().manual_seed(0)
        for update in updates:
            update.copy_(0.01 * torch.randn(update.shape, generator=generator))
        beside = logits()
        with merged(model):
            together = logits()
    for update in updates:
        update.zero_()
    wrong, effect = ((beside - other).abs().max() for other in (together, before))
    if not wrong <= _TOLERANCE * beside.abs().max() + 0.01 * effect:
        raise InputError(
            f"train.lora: {network_name(model)} uses the weights of some layers in a way that LoRA does not follow; "
            "name other train.lora.target_modules, or another train"
        )
