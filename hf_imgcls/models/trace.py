"""The order in which a network's parts are used, found by running it: right for any architecture; and its blocks."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

Block = list[nn.Parameter]


def trace(model: nn.Module, size: tuple[int, int]) -> list[nn.Module | nn.Parameter]:
    """What an image passes through: modules as they are called, parameters as they are used.

    Parameters are seen in the operations themselves, not in the modules that own them: a layer may be used without
    being called (`F.linear(x, self.qkv.weight)`), and a parameter of the whole network anywhere in it. Here as in all
    of these modules, `size` is height and width of the input, on which the model is run in evaluation.
    """
    met: list[nn.Module | nn.Parameter] = []
    with contextlib.ExitStack() as hooks, torch.no_grad(), _Uses(met):
        for module in model.modules():
            hooks.enter_context(module.register_forward_pre_hook(lambda called, _: met.append(called)))
        _logits(model, size)
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
    """Those of the named parameters on which the logits depend; SigLIP's do not on its pooled output, say."""
    parameters = [model.get_parameter(name) for name in names]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        for parameter in parameters:
            parameter.requires_grad_()
        with torch.enable_grad():
            total = _logits(model, size).sum()
            if not total.requires_grad:
                return set()
            gradients = torch.autograd.grad(total, parameters, allow_unused=True)
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


@contextlib.contextmanager
def in_evaluation(model: nn.Module):
    """The model in evaluation mode; afterwards each of its modules is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter has a gradient, so that the graph is that of the image alone; afterwards as it was."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_()


def random_images(model: PreTrainedModel, count: int, size: tuple[int, int]) -> torch.Tensor:
    """The same noise each time, shape (count, 3, *size), as the model takes it."""
    noise = torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))
    return noise.to(model.device, model.dtype)


def blocks(model: PreTrainedModel, size: tuple[int, int]) -> list[list[str]]:
    """Names of the parameters of each block, block by block in the order in which they run.

    timm's models say themselves what their blocks are (`group_matcher`). In others, blocks are the elements of lists
    of modules that have two weights or more each; of lists within lists (stages), the innermost count. A plain stack
    has nothing like it, and its convolutions take the place of blocks.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    place = first_uses(model, size)
    found = _timm_blocks(model) or _listed_blocks(model) or _convolutions(model)
    used = [[names[parameter] for parameter in block if names[parameter] in place] for block in found]
    return sorted(filter(None, used), key=lambda block: min(place[name] for name in block))


def _timm_blocks(model: PreTrainedModel) -> list[Block]:
    """timm's own groups of layers, without the first (the stem) and without what is in no group (the head)."""
    wrapped = [each for each in model.modules() if isinstance(each, PreTrainedModel)]
    wrapped = [each.timm_model for each in wrapped if each.config.model_type == "timm_wrapper"]
    if not wrapped or not hasattr(wrapped[0], "group_matcher"):  # which not all of timm's models have
        return []
    from timm.models._manipulate import group_with_matcher

    # None goes where everything goes that no group wants.
    objects = [*wrapped[0].named_parameters(), ("a name of no parameter", None)]
    groups = group_with_matcher(objects, wrapped[0].group_matcher(coarse=False), return_values=True)
    groups = {number: group for number, group in groups.items() if not any(each is None for each in group)}
    if all(sum(parameter.ndim > 1 for parameter in group) < 2 for group in groups.values()):
        grouped = {parameter for group in groups.values() for parameter in group}
        return [block for block in _convolutions(wrapped[0]) if block[0] in grouped]
    return [group for number, group in groups.items() if number > 0]


def _listed_blocks(model: nn.Module) -> list[Block]:
    lists = list(_lists(model))
    # A list in some of the blocks alone (the light layers of HGNet) does not make its elements blocks.
    depth = min((depth for depth, _, innermost in lists if innermost), default=0)
    return [list(block.parameters()) for level, blocks, _ in lists if level == depth for block in blocks]


def _lists(module: nn.Module, depth: int = 0) -> Iterator[tuple[int, nn.Module, bool]]:
    """Lists whose elements have two weights or more: (number of such lists around it, list, whether it is innermost)"""
    listed = isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 0
    listed = listed and all(_weights(child) > 1 for child in module)
    inner = [found for child in module.children() for found in _lists(child, depth + listed)]
    if listed:
        yield depth, module, not inner
    yield from inner


def _weights(module: nn.Module) -> int:
    return sum(isinstance(each, nn.Conv2d | nn.Linear) for each in module.modules())


def _convolutions(model: nn.Module) -> list[Block]:
    return [list(each.parameters()) for each in model.modules() if isinstance(each, nn.Conv2d)]
