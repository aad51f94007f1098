"""The residual or transformer blocks of any network, found in its structure and in the order in which it runs."""

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.models.trace import first_uses

Block = list[nn.Parameter]


def blocks(model: PreTrainedModel, size: tuple[int, int]) -> list[list[str]]:
    """Names of the parameters of each block, block by block in the order in which they run.

    timm's models say themselves what their blocks are (`group_matcher`). In others, blocks are the elements of lists
    of modules that have two weights or more each; of lists within lists (stages), the innermost count. A plain stack
    has nothing like it, and its convolutions take the place of blocks.

    Args:
        size: height and width of the model's input, on which it is run once.
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
