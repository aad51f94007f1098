"""Which layers of a network get the updates of LoRA, and which parameters are its head."""

from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.head import head_keys, network_name
from hf_imgcls.models.own_head import OwnHeadForImageClassification
from hf_imgcls.models.patterns import matching
from hf_imgcls.models.trace import trace
from hf_imgcls.recipe import LoraSection
from hf_imgcls.words import plural


def head_names(model: PreTrainedModel) -> set[str]:
    """Names of the parameters of the head, the whole of a custom one."""
    if isinstance(model, OwnHeadForImageClassification):
        return {name for name, _ in model.named_parameters() if name.startswith("head.")}
    return head_keys(model.config)


def target_layers(model: PreTrainedModel, section: LoraSection, size: tuple[int, int]) -> tuple[list[str], int]:
    """Names of the layers that get an update, and how many are left out that `section` means.

    A layer has to be called, since some networks use weights without that, and an update of it would train nothing; of
    grouped or dilated convolutions, and of types that do more with their weights, the sum of both is no such layer.
    """
    head = {name.rpartition(".")[0] for name in head_names(model)}
    called, names = set(trace(model, size)), {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and name not in head:
            names[name] = layer
    fitting = {name: layer for name, layer in names.items() if layer in called and _is_plain(layer)}
    linear = [name for name, layer in names.items() if isinstance(layer, nn.Linear)]
    if isinstance(section.target_modules, list):
        meant = {
            name
            for number, pattern in enumerate(section.target_modules)
            for name in matching(names, pattern, f"train.lora.target_modules.{number}", "layer before the head")
        }
    elif section.target_modules or _weights(names, linear) >= _weights(names, set(names) - set(linear)):
        meant = set(linear)
    else:
        meant = set(names)
    if not meant & fitting.keys():
        found = f"fits none of the {plural(len(meant), 'layer')} that are meant" if meant else "finds no linear layer"
        raise InputError(
            f"train.lora.target_modules: LoRA {found} in {network_name(model)}; name others, or leave it out"
        )
    return [name for name in fitting if name in meant], len(meant - fitting.keys())


def _weights(layers: dict[str, nn.Module], names) -> int:
    return sum(layers[name].weight.numel() for name in names)


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is nn.Linear:
        return True
    return (
        type(layer) is nn.Conv2d and layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    )
