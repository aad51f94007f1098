"""The same network, faster: its weights laid out for its convolutions, batch normalisation folded into them."""

import contextlib
from collections import Counter

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hf_imgcls.errors import InputError
from hf_imgcls.models.ensemble import EnsembleForImageClassification
from hf_imgcls.models.trace import execution_order

_TOLERANCE = 1e-4  # of the largest logit; rounding alone makes some 1e-6


def channels_last(model: nn.Module, size: tuple[int, int], wanted: bool | None = None) -> bool:
    """Lay a convolutional network's weights out as (channels, rows, columns, inputs), in place; values stay.

    Convolutions on a CPU are about twice as fast that way (1.3 to 2.3 times in training: MobileNetV2, the built-in
    architectures), and on a GPU in half precision as well. Networks with no more convolutions than dense layers gain
    nothing and stay as they are, and so does one whose code relies on the default layout of its activations, or whose
    backward pass would write beside its memory in this one.

    With `wanted` (the recipe's `model.channels_last`) None, its layers decide. Returns whether it is laid out so now.
    """
    if isinstance(model, EnsembleForImageClassification):
        laid_out = [channels_last(network, size, wanted) for network in model.networks]
        return any(laid_out)
    kinds = [type(module) for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    mostly_convolutions = sum(issubclass(kind, nn.Conv2d) for kind in kinds) > len(kinds) / 2
    if not (mostly_convolutions if wanted is None else wanted):
        return False
    if any(map(_damages_memory, model.modules())):
        if wanted:
            raise InputError(
                "model.channels_last: on a CPU, torch's backward pass of a strided 1x1 convolution of at most 16 "
                "channels damages memory in this layout; leave it out"
            )
        return False
    model.to(memory_format=torch.channels_last)
    try:
        execution_order(model, size)
    except RuntimeError:  # a view() that wants channels first
        model.to(memory_format=torch.contiguous_format)
        if wanted:
            raise InputError(
                f"model.channels_last: {type(model).__name__} relies on channels first; leave it out"
            ) from None
        return False
    return True


def _damages_memory(module: nn.Module) -> bool:
    """Whether torch's backward pass of a layer ends the process, or writes beside its memory, channels last on a CPU.

    Seen with torch 2.15 and 1x1 convolutions of stride 2 from 3 to 15 to 4 to 16 channels, on 48 pixels and not on 16.
    """
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and max(module.in_channels, module.out_channels) <= 16
    )


def copy_layout(source: nn.Module, target: nn.Module) -> None:
    """Lay a network's weights out as those of another of the same architecture, in place; values stay."""
    kernels = [parameter for parameter in source.parameters() if parameter.ndim == 4]
    if kernels and all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels):
        target.to(memory_format=torch.channels_last)


def fold_batch_norms(model: nn.Module, size: tuple[int, int]) -> int:
    """Fold each batch normalisation into the convolution whose output it alone takes, in place.

    In evaluation the two are one linear map (Jacob et al., arXiv:1712.05877, section 3.2). On a CPU, where the
    passes over memory cost as much as the convolutions, inference is 1.3 to 1.6 times as fast (MobileNetV2). The
    logits stay the same but for rounding: this is checked, and a network of which it does not hold (an output used
    twice, a subclass that does more than convolve) gets its own modules back. The model must be in evaluation mode and
    is no longer good for training. Returns how many were folded.
    """
    names = {module: name for name, module in model.named_modules()}
    like = next(model.parameters())
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(like)
    with torch.no_grad():
        pairs, before = _pairs(model, noise)
        own = {names[module]: module for pair in pairs for module in pair}
        for convolution, norm in pairs:
            model.set_submodule(names[convolution], fuse_conv_bn_eval(convolution, norm))
            model.set_submodule(names[norm], nn.Sequential(*norm.children()))  # timm's have an activation in them
        after = model(pixel_values=noise)["logits"]
        if not (after - before).abs().max() <= _TOLERANCE * before.abs().max():
            for name, module in own.items():
                model.set_submodule(name, module)
            return 0
    return len(pairs)


def _pairs(model: nn.Module, pixels: torch.Tensor) -> tuple[list[tuple[nn.Module, nn.Module]], torch.Tensor]:
    """Convolutions with the normalisation that takes their output, each called once; and the logits."""
    calls, outputs, pairs = Counter(), {}, []

    def called(module, inputs, output):
        calls[module] += 1
        if isinstance(module, nn.Conv2d):
            outputs[id(output)] = (output, module)  # the reference keeps another tensor from getting its id
        elif id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][1], module))

    with contextlib.ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                hooks.enter_context(module.register_forward_hook(called))
        logits = model(pixel_values=pixels)["logits"]
    once = [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1]
    return [(each, norm) for each, norm in once if norm.running_mean is not None], logits
