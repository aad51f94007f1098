"""A custom head in place of a network's own, at its output layer or at another of its modules."""

import copy
from collections.abc import Iterator

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.activations import ACT2FN

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.models.configure import set_labels
from hf_imgcls.models.head import network_name, output_module, random_images
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.own_head import OwnHeadConfig, OwnHeadForImageClassification, make_head
from hf_imgcls.models.trace import trace
from hf_imgcls.recipe import HeadSection

AutoConfig.register(OwnHeadConfig.model_type, OwnHeadConfig)
AutoModelForImageClassification.register(OwnHeadConfig, OwnHeadForImageClassification)
OwnHeadConfig.register_for_auto_class()
OwnHeadForImageClassification.register_for_auto_class("AutoModelForImageClassification")


def with_custom_head(
    model: PreTrainedModel, section: HeadSection, feature_point: str | None, size: tuple[int, int]
) -> OwnHeadForImageClassification:
    """A network with a new custom head; what is before it keeps its weights.

    The network's own dropout before its output layer goes with its head, where it is a module.

    Args:
        model: a stock network of transformers or timm, with its weights and labels.
        feature_point: a module's name; the output layer's input if None.
        size: height and width of the model's input, on which it is run.

    Raises:
        InputError: an unknown module or activation, a network that is not a stock one, no one output layer.
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
        config.image_processor_type = transformers.TimmWrapperImageProcessor.__name__
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
    return {key: value for key, value in config.to_dict().items() if key not in _WHERE_FROM}


_WHERE_FROM = ("_name_or_path", "transformers_version")


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
