"""The layers of a network: what each makes of an image, its parameters and its operations, found by running it."""

import contextlib
import math
from collections import Counter, defaultdict
from typing import NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from hf_imgcls.models.trace import in_evaluation, random_images


class Layer(NamedTuple):
    """A module with all that is in it.

    Attributes:
        name: dotted, as a recipe's `feature_point` and regular expressions of parameters have it; "" for the network.
        output: shape of its first output for one image, without the batch; None where it is not called by itself.
        flops: floating-point operations for one image, of convolutions, matrix products and attention; a
            multiplication and an addition are two, so that they are twice the MACs.
    """

    name: str
    kind: str
    depth: int
    output: tuple[int, ...] | None
    parameters: dict[str, int]
    flops: int


def describe_layers(model: PreTrainedModel, size: tuple[int, int]) -> list[Layer]:
    """Every module that is used or has parameters, from the network down, in its own order; as in evaluation."""
    flops, shapes = _run(model, size)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    inside = defaultdict(dict)
    for name, count in sizes.items():
        parts = name.split(".")
        for length in range(len(parts)):
            inside[".".join(parts[:length])][name] = count
    layers = []
    for name, module in model.named_modules():
        used = module in shapes or inside[name] or any(True for _ in module.children())
        if used and not isinstance(module, nn.Identity):
            depth = name.count(".") + 1 if name else 0
            layer = Layer(name, type(module).__name__, depth, shapes.get(module), inside[name], flops[module])
            layers.append(layer)
    return layers


def count_operations(model: PreTrainedModel, size: tuple[int, int]) -> tuple[int, int]:
    """Multiply-accumulates of one image, and how many values its convolutions and dense layers put out."""
    flops, shapes = _run(model, size)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return flops[model] // 2, sum(math.prod(shapes.get(layer) or (0,)) for layer in layers)


def _run(model: PreTrainedModel, size: tuple[int, int]) -> tuple[Counter, dict[nn.Module, tuple[int, ...] | None]]:
    """Operations and output shape of each module that is called; those of a list are those of its elements."""
    flops, begun, shapes = Counter(), {}, {}

    def begin(module, inputs):
        begun[module] = counter.get_total_flops()

    def end(module, inputs, output):
        flops[module] += counter.get_total_flops() - begun[module]
        tensors = [each for each in tree_leaves(output) if isinstance(each, torch.Tensor)]
        shapes[module] = tuple(tensors[0].shape[1:]) if tensors else None  # a feature point is left before its network

    with contextlib.ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(module.register_forward_pre_hook(begin))
            hooks.enter_context(module.register_forward_hook(end, always_call=True))
        with in_evaluation(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(pixel_values=random_images(model, 1, size))
    for module in reversed(list(model.modules())):
        if module not in shapes:
            flops[module] = sum(flops[child] for child in module.children())
    return flops, shapes
