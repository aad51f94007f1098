"""Where a network ends: its output layer, and the feature that goes into it."""

import contextlib
import copy

import torch
from torch import nn
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.configure import set_labels
from hf_imgcls.models.own_head import OwnHeadForImageClassification


def head_keys(config: PreTrainedConfig) -> set[str]:
    """Names of the tensors whose shape follows the number of labels: the head, or both heads where there are two."""
    other = copy.deepcopy(config)
    set_labels(other, [*config.id2label.values(), "another label"])
    shapes = []
    for each in (config, other):
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = AutoModelForImageClassification.from_config(each)
            shapes.append({key: tensor.shape for key, tensor in model.state_dict().items()})
    return {key for key, shape in shapes[0].items() if shapes[1][key] != shape}


def head_module(model: PreTrainedModel, size: tuple[int, int]) -> str:
    """Name of the module that turns features into logits: the whole of a custom head, else the output layer.

    Args:
        size: height and width of the model's input.

    Raises:
        InputError: see `output_module`.
    """
    return "head" if isinstance(model, OwnHeadForImageClassification) else output_module(model, size)


def output_module(model: PreTrainedModel, size: tuple[int, int]) -> str:
    """Name of the one linear layer, or 1x1 convolution, whose outputs are the logits.

    Args:
        size: height and width of the model's input, on which it is run once.

    Raises:
        InputError: the model has two heads, or its logits are not exactly the output of one such layer for one input.
    """
    layers = sorted({key.rpartition(".")[0] for key in head_keys(model.config)})
    if len(layers) != 1:
        raise InputError(
            f"model: {network_name(model)} has {len(layers)} output layers ({', '.join(layers)}), so there is no one "
            "feature before its head; leave out cache_features and model.head, or take another model"
        )
    layer = model.get_submodule(layers[0])
    pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
    if not (isinstance(layer, nn.Linear) or pointwise) or not _makes_logits(model, layer, size):
        raise InputError(
            f"model: the logits of {network_name(model)} are not the output of its layer {layers[0]} "
            f"({type(layer).__name__}) for one feature; leave out cache_features and model.head, or take another model"
        )
    return layers[0]


def _makes_logits(model: PreTrainedModel, layer: nn.Module, size: tuple[int, int]) -> bool:
    calls: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, output: calls.append(output))
    try:
        with in_evaluation(model), torch.no_grad():
            logits = model(pixel_values=random_images(model, 1, size)).logits
    finally:
        hook.remove()
    return len(calls) == 1 and torch.equal(calls[0].flatten(1), logits)


def network_name(model: PreTrainedModel) -> str:
    """The network's name as people know it."""
    if model.config.model_type == "timm_wrapper":
        return f"timm's {model.config.architecture}"
    return type(model).__name__


def random_images(model: PreTrainedModel, count: int, size: tuple[int, int]) -> torch.Tensor:
    """The same noise each time, shape (count, 3, *size), as the model takes it."""
    noise = torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))
    return noise.to(model.device, model.dtype)


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
