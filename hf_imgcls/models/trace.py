"""In which order the modules of a network run: the one question that every architecture answers by itself."""

import torch
from torch import nn


@torch.no_grad()
def execution_order(model: nn.Module, size: tuple[int, int]) -> list[str]:
    """Names of the modules that a picture goes through, in the order in which each is called first.

    Args:
        model: an image classifier; run in evaluation, and left as it was.
        size: height and width of its input.
    """
    order: dict[str, None] = {}
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: order.setdefault(name))
        for name, module in model.named_modules()
        if name
    ]
    modes = {module: module.training for module in model.modules()}
    parameter = next(model.parameters())
    try:
        model.eval()(pixel_values=torch.full((1, 3, *size), 0.5, dtype=parameter.dtype, device=parameter.device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return list(order)
