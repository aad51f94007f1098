"""LoRA (Hu and others, 2021, arXiv:2106.09685) by peft: low-rank updates beside a network's layers, while it trains.

The weights of the layers stay as they are, in memory too: what is saved is a copy with the updates added, so that no
rounding collects in them.
"""

import contextlib
import re
from collections.abc import Iterator

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.machine import exact_float32
from hf_imgcls.models.head import network_name
from hf_imgcls.models.lora_targets import target_layers
from hf_imgcls.models.trace import in_evaluation, random_images
from hf_imgcls.recipe import Lora, LoraSection, Trained
from hf_imgcls.words import plural

_NAME = "default"  # of peft's only adapter
_PARTS = (".lora_A.", ".lora_B.")
_OF_A_CONVOLUTION = ("kernel_size", "stride", "padding", "dilation", "groups", "in_channels", "out_channels")
_TOLERANCE = 1e-5  # of the largest logit; rounding alone makes some 1e-6


def require_peft() -> None:
    try:
        import peft  # noqa: F401
    except ImportError:
        raise InputError('train.lora: peft is not installed; pip install "hf-imgcls[lora]"') from None


def lora_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that have an update now, by name."""
    return {name: each for name, each in model.named_modules() if type(each).__module__.startswith("peft.tuners.lora")}


def is_update(name: str) -> bool:
    """Whether a parameter is of an update, by its name."""
    return any(part in name for part in _PARTS)


def updated(name: str) -> str:
    """The parameter that a parameter of an update changes; another one is itself."""
    return re.sub(r"\.lora_[AB]\.default", "", name)


def describe_lora(model: nn.Module) -> str:
    """`LoRA of rank 16 on 72 layers`; nothing where there is none."""
    layers = list(lora_layers(model).values())
    return f"LoRA of rank {layers[0].r[_NAME]} on {plural(len(layers), 'layer')}" if layers else ""


def add_lora(model: PreTrainedModel, train: Trained, size: tuple[int, int], seed: int) -> str:
    """Give layers updates that change nothing yet, in place, drawn from the seed; without LoRA in `train` do nothing.

    Returns what is to be said of it, if anything.
    """
    if not isinstance(train, Lora):
        return ""
    from peft import inject_adapter_in_model

    names, left_out = target_layers(model, train.lora, size)
    with torch.random.fork_rng(devices=[]):  # peft draws on the CPU, wherever the network is
        torch.default_generator.manual_seed(seed)
        inject_adapter_in_model(lora_config(train.lora, names), model)
    if train.lora.save == "adapter":
        _check_peft_alone(model, size)
    for layer in lora_layers(model).values():
        _complete(layer)
    if not left_out:
        return ""
    return f"LoRA: {left_out} more layers (grouped, dilated or of a special kind) cannot have it"


def lora_config(section: LoraSection, names: list[str], **others):
    """peft's settings of updates of exactly the named layers."""
    from peft import LoraConfig

    return LoraConfig(
        r=section.rank,
        lora_alpha=section.rank if section.alpha is None else section.alpha,
        lora_dropout=section.dropout,
        target_modules="|".join(map(re.escape, names)),  # a list would match the ends of names
        **others,
    )


def _complete(layer: nn.Module) -> None:
    """Lay an update out as its layer, and give what peft puts in the layer's place what networks ask of it.

    MobileNet pads by a convolution's stride and kernel size.
    """
    base = layer.base_layer
    if isinstance(base, nn.Conv2d):
        for name in _OF_A_CONVOLUTION:
            setattr(layer, name, getattr(base, name))
        if base.weight.is_contiguous(memory_format=torch.channels_last):
            layer.to(memory_format=torch.channels_last)


def _check_peft_alone(model: PreTrainedModel, size: tuple[int, int]) -> None:
    try:
        with in_evaluation(model), torch.no_grad():
            model(pixel_values=random_images(model, 1, size))
    except AttributeError as error:
        raise InputError(
            f"train.lora.save: peft alone cannot run an adapter of {network_name(model)} ({str(error)[:100]}); leave "
            "it out, or name other train.lora.target_modules"
        ) from None


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
                change, weight = layer.get_delta_weight(_NAME), base.weight.data
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
    pixels, updates = random_images(model, 1, size), [layer.lora_B[_NAME].weight for layer in layers.values()]

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
