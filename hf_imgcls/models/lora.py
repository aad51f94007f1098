"""LoRA (Hu and others, 2021, arXiv:2106.09685) by peft: low-rank updates beside a network's layers, while it trains.

The weights of the layers stay as they are, in memory too; `lora_merged` adds the updates to them.
"""

import re

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.head import network_name
from hf_imgcls.models.lora_targets import target_layers
from hf_imgcls.models.trace import in_evaluation, random_images
from hf_imgcls.recipe import Lora, LoraSection, Trained
from hf_imgcls.words import plural

UPDATE = "default"  # of peft's only adapter
_PARTS = (".lora_A.", ".lora_B.")
_OF_A_CONVOLUTION = ("kernel_size", "stride", "padding", "dilation", "groups", "in_channels", "out_channels")


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
    return f"LoRA of rank {layers[0].r[UPDATE]} on {plural(len(layers), 'layer')}" if layers else ""


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
