"""How deep in a network each parameter is, for learning rates that fall by layer; and what weight decay is for.

Both as timm's `param_groups_layer_decay` has them, which knows the layers of timm's own networks alone.
"""

import bisect
import contextlib
import fnmatch

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.head import network_name
from hf_imgcls.models.trace import blocks, first_uses, trace

_REST = "a name of no parameter"  # is where everything is that no group of timm's wants


def layer_numbers(model: PreTrainedModel, size: tuple[int, int]) -> dict[str, int]:
    """The layer of each parameter: 0 the stem with its embeddings, then block by block, the last one the head.

    Raises:
        InputError: the network has no blocks.
    """
    prefix, network = _timm_network(model)
    if hasattr(network, "group_matcher"):  # which not all of timm's models have
        return _numbers_of_timm(model, prefix, network)
    return _numbers_by_blocks(model, size)


def _timm_network(model: nn.Module) -> tuple[str, nn.Module | None]:
    """What stands before the names of its parameters, and timm's own network; None in a network of transformers."""
    for name, module in model.named_modules():
        if isinstance(module, PreTrainedModel) and module.config.model_type == "timm_wrapper":
            return f"{name}.timm_model.".lstrip("."), module.timm_model
    return "", None


def _numbers_of_timm(model: PreTrainedModel, prefix: str, network: nn.Module) -> dict[str, int]:
    from timm.models._manipulate import group_with_matcher

    names = [name for name, _ in model.named_parameters()]
    rest = [_REST] if not all(name.startswith(prefix) for name in names) else []  # a custom head
    objects = [(name, name) for name in [*dict(network.named_parameters()), *rest]]
    groups = group_with_matcher(objects, network.group_matcher(coarse=False), reverse=True)
    return {name: groups[name.removeprefix(prefix) if name.startswith(prefix) else _REST] for name in names}


def _numbers_by_blocks(model: PreTrainedModel, size: tuple[int, int]) -> dict[str, int]:
    """Block N is layer N + 1; what is between two blocks goes with the next one, norms alone with the one before.

    Behind the last block, what still sees maps or tokens goes with it, as a ViT's last norm does; what sees the one
    pooled feature of an image is of the last layer, as a ConvNeXt's last norm is.
    """
    place, found = first_uses(model, size), blocks(model, size)
    if not found:
        raise InputError(f"optimizer.layer_decay: {network_name(model)} has no blocks to number; leave it out")
    begins, head = [min(place[name] for name in block) for block in found], len(found) + 1
    numbers = {name: number for number, block in enumerate(found, 1) for name in block}
    begun = {name: bisect.bisect(begins, at) for name, at in place.items() if name not in numbers}
    after = [name for name, number in begun.items() if number == len(found)]
    on_maps = _on_maps(model, after, max(found[-1], key=place.get), size)
    output = max(place, key=place.get).rpartition(".")[0]
    for name, number in begun.items():
        if number in (0, len(found)):
            last = name not in on_maps or name.rpartition(".")[0] == output
            numbers[name] = head if number and last else number
        else:
            beside = [other for other in begun if begun[other] == number]
            numbers[name] = number + any(model.get_parameter(other).ndim > 1 for other in beside)
    lowest = min(numbers.values())  # 1 where there is no stem before the first block
    return {name: numbers.get(name, head) - lowest for name, _ in model.named_parameters()}


def _on_maps(model: PreTrainedModel, names: list[str], before: str, size: tuple[int, int]) -> set[str]:
    """Those of the parameters whose modules are given the maps or tokens of an image, not one feature.

    The maps of small images may be of 1 x 1 already where the parameter `before` them is used: then, what is not
    flattened counts as maps.
    """
    owners = {name: model.get_submodule(name.rpartition(".")[0]) for name in [*names, before]}
    shapes: dict[nn.Module, torch.Size] = {}

    def look(module, inputs):
        if inputs and isinstance(inputs[0], torch.Tensor):
            shapes.setdefault(module, inputs[0].shape[1:])

    with contextlib.ExitStack() as hooks:
        for module in set(owners.values()):
            hooks.enter_context(module.register_forward_pre_hook(look))
        trace(model, size)
    sides = {name: shapes.get(module, ()) for name, module in owners.items()}
    wide = {name for name in sides if sum(side > 1 for side in sides[name]) > 1}
    return wide if before in wide else {name for name in sides if len(sides[name]) > 1}


def weights_to_decay(model: PreTrainedModel) -> set[str]:
    """Names of the parameters that weight decay is for: neither norms nor biases, position embeddings or tokens."""
    prefix, network = _timm_network(model)
    never = [prefix + name for name in network.no_weight_decay()] if hasattr(network, "no_weight_decay") else []
    of_timm = network is not None
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1
        and not any(fnmatch.fnmatch(name, pattern) for pattern in never)
        and (of_timm or _is_weight(model.get_submodule(name.rpartition(".")[0]), name, parameter))
    }


def _is_weight(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether it is the matrix or kernel of a layer, not a table of embeddings, a token or a vector of shape (1, n)."""
    if isinstance(module, nn.Linear | _ConvNd):
        return True
    return name.endswith("weight") and len(parameter) > 1 and not isinstance(module, nn.Embedding)
