"""The layer of a network in which a map of "where it looks" is made: found by running it, right for any architecture.

It is the last one whose output is laid out as the image is, on whose places the logits depend, and through which all of
the image goes: the last stage of a convolutional network before its mean, say. Of a vision transformer with a class
token it is the block before the last: behind the last one, the logits depend on the class token alone. What is beside
the main path (the norm before an attention) is not taken: its map may show the opposite of what the network uses.
"""

import contextlib
import math
from collections import Counter
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.head import network_name
from hf_imgcls.models.trace import frozen, in_evaluation, random_images

_ENOUGH = 16  # places of a map; a layer with fewer is taken where there is none with as many

Edge = tuple[torch.autograd.graph.Node, int]  # a tensor of the graph: what made it, and the number of its output


class Grid(NamedTuple):
    """How a tensor is laid out: `kind` is "channels first", "channels last" or "tokens"; the last of those are rows."""

    kind: str
    height: int
    width: int

    def as_image(self, tensor: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels, height, width); tokens before those of the image, such as a class token, are left out."""
        if self.kind == "channels first":
            return tensor
        if self.kind == "channels last":
            return tensor.permute(0, 3, 1, 2)
        tokens = tensor[:, -self.height * self.width :]
        return tokens.transpose(1, 2).unflatten(2, (self.height, self.width))


class MapLayer(NamedTuple):
    """A module of a network, and how its output is laid out."""

    name: str
    grid: Grid


class _Output(NamedTuple):
    module: nn.Module
    tensor: torch.Tensor
    edge: Edge  # as it was made: a later operation may change the tensor in place
    grid: Grid


def find_map_layer(model: PreTrainedModel, size: tuple[int, int]) -> MapLayer:
    """The layer of a network for images of this height and width; an InputError where it has none."""
    names = {module: name for name, module in model.named_modules()}
    pixels = random_images(model, 1, size).requires_grad_()
    with in_evaluation(model), frozen(model), torch.enable_grad():
        outputs, logits = _outputs(model, pixels)
        found = _choose(outputs, logits) if logits.requires_grad else None
    if found is None:
        raise InputError(
            f"no maps of {network_name(model)}: none of its layers is laid out as the image is and decides its logits"
        )
    return MapLayer(names[found.module], found.grid)


def grid_of(shape: torch.Size, size: tuple[int, int]) -> Grid | None:
    """How a tensor of one image is laid out, where it is as the image of this height and width is."""
    if len(shape) == 4 and shape[0] == 1:
        for kind, (height, width) in (("channels first", shape[2:]), ("channels last", shape[1:3])):
            if height * width > 1 and _in_proportion(height, width, size):
                return Grid(kind, height, width)
    if len(shape) == 3 and shape[0] == 1 and shape[2] > 1:  # (1, channels, 1) is a mean over places
        height, width = _of_tokens(shape[1], size)
        if height * width > 1 and shape[1] - height * width <= 2 * max(height, width):
            return Grid("tokens", height, width)
    return None


def _in_proportion(height: int, width: int, size: tuple[int, int]) -> bool:
    """Whether a map may be one of an image; convolutions without padding leave a little less of the shorter side."""
    if size[0] == size[1]:
        return height == width <= size[0]
    return height <= size[0] and width <= size[1] and abs(height * size[1] - width * size[0]) <= 2 * max(size)


def _of_tokens(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the image's tokens, behind a few others."""
    ratio = size[1] / size[0]
    rows = range(1, math.isqrt(int(count / ratio)) + 2)
    pairs = [(each, max(1, round(each * ratio))) for each in rows]
    return max((pair for pair in pairs if math.prod(pair) <= count), key=math.prod, default=(0, 0))


def _outputs(model: PreTrainedModel, pixels: torch.Tensor) -> tuple[list[_Output], torch.Tensor]:
    """Outputs that are laid out as the image is, of modules that are called once, in their order; and the logits."""
    found, calls, size = [], Counter(), tuple(pixels.shape[-2:])

    def called(module: nn.Module, inputs: tuple, output) -> None:
        calls[module] += 1
        if isinstance(output, torch.Tensor) and output.grad_fn and (grid := grid_of(output.shape, size)):
            found.append(_Output(module, output, (output.grad_fn, output.output_nr), grid))

    with contextlib.ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(module.register_forward_hook(called))
        logits = model(pixel_values=pixels)["logits"]
    return [each for each in found if calls[each.module] == 1], logits


def _choose(outputs: list[_Output], logits: torch.Tensor) -> _Output | None:
    """The last one with enough places; without any, the last one of those with the most."""
    best = None
    signs = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).to(logits)  # no two classes cancel
    value = (logits * signs).sum()
    for each in reversed(outputs):
        places = each.grid.height * each.grid.width
        if best and places <= best.grid.height * best.grid.width:
            continue
        if _all_goes_through(each.edge, logits) and _depends_on_places(value, each):
            best = each
            if places >= _ENOUGH:
                break
    return best


def _all_goes_through(tensor: Edge, logits: torch.Tensor) -> bool:
    """Whether the logits have nothing of the image but by this tensor, in the graph of the image alone."""
    waiting, seen = [logits.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if not node.next_functions:  # the image
            return False
        waiting += [each for each, number in node.next_functions if (each, number) != tensor]
    return True


def _depends_on_places(value: torch.Tensor, output: _Output) -> bool:
    (gradient,) = torch.autograd.grad(value, output.tensor, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(output.grid.as_image(gradient).any())
