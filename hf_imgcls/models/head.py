"""Where a network ends: its output layer, and a custom head in its place or at another of its modules."""

import copy
from collections.abc import Iterator

import torch
from torch import nn
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.models.configure import set_labels
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.own_head import OwnHeadConfig, OwnHeadForImageClassification, make_head
from hf_imgcls.models.trace import in_evaluation, random_images, trace
from hf_imgcls.recipe import HeadSection


def head_keys(config: PreTrainedConfig) -> set[str]:
    """Names of the tensors whose shape follows the number of labels: the head, or both heads where there are two."""
    other = copy.deepcopy(config)
    set_labels(other, [f"LABEL_{i}" for i in range(config.num_labels + 1)])
    shapes = []
    for each in (config, other):
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = AutoModelForImageClassification.from_config(each)
            shapes.append({key: tensor.shape for key, tensor in model.state_dict().items()})
    return {key for key, shape in shapes[0].items() if shapes[1][key] != shape}


def head_module(model: PreTrainedModel, size: tuple[int, int]) -> str:
    """Name of the module that turns features into logits: the whole of a custom head, else the output layer."""
    return "head" if isinstance(model, OwnHeadForImageClassification) else output_module(model, size)


def output_module(model: PreTrainedModel, size: tuple[int, int]) -> str:
    """Name of the one linear layer, or 1x1 convolution, called once, whose output is exactly the logits."""
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
    watched = layer.register_forward_hook(lambda _, inputs, output: calls.append(output))
    with watched, in_evaluation(model), torch.no_grad():
        logits = model(pixel_values=random_images(model, 1, size)).logits
    return len(calls) == 1 and torch.equal(calls[0].flatten(1), logits)


def network_name(model: PreTrainedModel) -> str:
    """The network's name as people know it."""
    if model.config.model_type == "timm_wrapper":
        return f"timm's {model.config.architecture}"
    return type(model).__name__


def with_custom_head(
    model: PreTrainedModel, section: HeadSection, feature_point: str | None, size: tuple[int, int]
) -> OwnHeadForImageClassification:
    """A network with a new custom head; what is before it keeps its weights.

    The network's own dropout before its output layer goes with its head, where it is a module.

    Args:
        model: a stock network of transformers or timm, with its weights and labels.
        feature_point: a module's name; the output layer's input if None.
    """
    _check(model, section, feature_point)
    config = OwnHeadConfig(
        backbone=_settings(model),
        feature_point=feature_point,
        unused=[] if feature_point else [output_module(model, size)],
        hidden_size=section.hidden_size,
        activation=section.activation,
        dropout=section.dropout,
        id2label=model.config.id2label,
        label2id=model.config.label2id,
        problem_type=model.config.problem_type,
    )
    if model.config.model_type == "timm_wrapper":  # timm's image processor is found in the model's config alone
        config.image_processor_type = "TimmWrapperImageProcessor"
        config.pretrained_cfg, config.architecture = model.config.pretrained_cfg, model.config.architecture
    own = OwnHeadForImageClassification(config)
    config.feature_size = _feature_size(own, size)
    own.head = make_head(config)
    config.unused = [*config.unused, *_unused(own, size)]
    own.leave_out(config.unused)
    state = model.state_dict()
    own.backbone.load_state_dict({key: state[key] for key in own.backbone.state_dict()}, strict=True)
    return own.to(model.device)


def _check(model: PreTrainedModel, section: HeadSection, feature_point: str | None) -> None:
    if not type(model).__module__.startswith("transformers."):
        key = "model.feature_point" if feature_point else "model.head"
        raise InputError(f"{key}: {type(model).__name__} is not a network of transformers or timm; leave {key} out")
    if section.activation not in ACT2FN:
        near = nearest(section.activation, ACT2FN)
        raise InputError(f"model.head.activation: transformers has no {section.activation!r} in ACT2FN{near}")
    names = [name for name, _ in model.named_modules() if name]
    if feature_point and feature_point not in names:
        near = nearest(feature_point, names)
        raise InputError(f"model.feature_point: {network_name(model)} has no module {feature_point!r}{near}")


def _settings(model: PreTrainedModel) -> dict:
    """A network's configuration without its labels, and without the place that it came from."""
    config = copy.deepcopy(model.config)
    set_labels(config, ["0", "1"])
    config.architectures = [type(model).__name__]
    settings = config.to_dict()
    return {key: settings[key] for key in settings if key not in ("_name_or_path", "transformers_version")}


def _feature_size(own: OwnHeadForImageClassification, size: tuple[int, int]) -> int:
    """Numbers in the feature of one image."""
    point = own.config.feature_point
    with as_input_error(f"model.feature_point: {point!r}"), torch.no_grad():
        two = own.eval().features(random_images(own, 2, size))
    if len(two) != 2 or not two.is_floating_point():
        shape = tuple(two.shape)
        raise InputError(f"model.feature_point: {point!r} gives shape {shape} for two images, not a feature of each")
    return two[0].numel()


def _unused(own: OwnHeadForImageClassification, size: tuple[int, int]) -> list[str]:
    """Modules of the backbone that the feature does not depend on, and dropout between it and the head.

    A module counts as used where its weights are, too: some are used without a call.
    """
    met, point = trace(own, size), own.config.feature_point
    if point and own.backbone.get_submodule(point) not in met:
        raise InputError(f"model.feature_point: {point!r} is never called by itself; name a module in it or around it")
    weights = set(own.backbone.parameters())
    last = max(place for place, each in enumerate(met) if each in weights)
    late = set(met[last:]) - set(met[:last])
    dropouts = [name for name, each in own.backbone.named_modules() if isinstance(each, nn.Dropout) and each in late]
    return [name for name in dropouts if name != point] + list(_not_used(own.backbone, set(met)))


def _not_used(module: nn.Module, met: set, path: str = "") -> Iterator[str]:
    """Names of the largest modules with weights of which nothing was used."""
    for name, child in module.named_children():
        inside = {*child.modules(), *child.parameters()}
        if child.state_dict() and not inside & met:
            yield path + name
        else:
            yield from _not_used(child, met, f"{path}{name}.")
