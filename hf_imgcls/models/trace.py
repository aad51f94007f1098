"""The order in which a network's modules and parameters are used, found by running it: right for any architecture."""

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from hf_imgcls.models.head import in_evaluation


def trace(model: nn.Module, size: tuple[int, int]) -> list[nn.Module | nn.Parameter]:
    """What an image passes through: modules as they are called, parameters as they are used.

    Parameters are seen in the operations themselves, not in the modules that own them: a layer may be used without
    being called (`F.linear(x, self.qkv.weight)`), and a parameter of the whole network anywhere in it.

    Args:
        model: an image classifier; run in evaluation, and left as it was.
        size: height and width of its input.
    """
    met: list[nn.Module | nn.Parameter] = []
    hooks = [each.register_forward_pre_hook(lambda module, _: met.append(module)) for each in model.modules()]
    try:
        with torch.no_grad(), _Uses(met):
            _logits(model, size)
    finally:
        for hook in hooks:
            hook.remove()
    return met


def execution_order(model: nn.Module, size: tuple[int, int]) -> list[str]:
    """Names of the modules that an image goes through, in the order in which each is called first."""
    names = {module: name for name, module in model.named_modules()}
    called = dict.fromkeys(names[each] for each in trace(model, size) if isinstance(each, nn.Module))
    return [name for name in called if name]


def first_uses(model: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    """For each parameter that is used, its place in the order of first use."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    used = dict.fromkeys(names[each] for each in trace(model, size) if isinstance(each, nn.Parameter))
    return {name: place for place, name in enumerate(used)}


def that_affect_logits(model: nn.Module, names: list[str], size: tuple[int, int]) -> set[str]:
    """Those of the named parameters on which the logits depend.

    Some networks compute what their classifier does not use, as SigLIP its pooled output.
    """
    parameters = [model.get_parameter(name) for name in names]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            gradients = torch.autograd.grad(_logits(model, size).sum(), parameters, allow_unused=True)
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


def _logits(model: nn.Module, size: tuple[int, int]) -> torch.Tensor:
    """Of a grey image, in evaluation, shape (1, labels)."""
    like = next(model.parameters())
    grey = torch.full((1, 3, *size), 0.5, dtype=like.dtype, device=like.device)
    with in_evaluation(model):
        # train() throws away what some networks (LeViT) compute of their parameters and keep in evaluation: before,
        # so that the parameters are used, and after, so that nothing is kept of parameters that will change.
        logits = model.train().eval()(pixel_values=grey)["logits"]
        model.train()
    return logits


class _Uses(TorchFunctionMode):
    """Notes the parameters that operations take; asking one for its shape or type is no use of it."""

    def __init__(self, met: list):
        super().__init__()
        self.met = met

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if any(isinstance(each, torch.Tensor) for each in tree_leaves(result)):
            self.met += [each for each in tree_leaves((args, kwargs)) if isinstance(each, nn.Parameter)]
        return result
