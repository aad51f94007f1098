"""A model's configuration, from a checkpoint or from an architecture's name."""

import copy

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForImageClassification, PreTrainedConfig

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.models.channels import check_channels, named_otherwise
from hf_imgcls.models.convnet import ConvNetConfig, ConvNetForImageClassification
from hf_imgcls.models.dropout import check_dropout, check_dropped, dropout_keys
from hf_imgcls.models.ensemble import EnsembleConfig, EnsembleForImageClassification
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.mini_xception import MiniXceptionConfig, MiniXceptionForImageClassification
from hf_imgcls.models.own_head import OwnHeadConfig, OwnHeadForImageClassification
from hf_imgcls.models.saved import CONFIG, OF_ANOTHER_FORM, check_type, read_settings, take_labels
from hf_imgcls.recipe import ModelSection, resolve_checkpoint
from hf_imgcls.scoring import REJECTION
from hf_imgcls.words import listed

BUILT_IN = (ConvNetConfig, MiniXceptionConfig)
_OURS = {
    ConvNetConfig: ConvNetForImageClassification,
    MiniXceptionConfig: MiniXceptionForImageClassification,
    OwnHeadConfig: OwnHeadForImageClassification,
    EnsembleConfig: EnsembleForImageClassification,
}
for _config, _network in _OURS.items():
    AutoConfig.register(_config.model_type, _config)
    AutoModelForImageClassification.register(_config, _network)
    # Their code is saved beside their weights, for machines where this package is not installed.
    _config.register_for_auto_class()
    _network.register_for_auto_class("AutoModelForImageClassification")

_FROM_DATA = ("num_labels", "id2label", "label2id", "problem_type", "num_classes", "label_names", "label_thresholds")


def get_config(section: ModelSection, trust_remote_code: bool = False, own_labels: bool = False) -> PreTrainedConfig:
    """The configuration of the recipe's model, with the recipe's overrides.

    Args:
        own_labels: the checkpoint's own classes are what it is loaded for: a fault in their names is an error.
    """
    check_dropout(section.config)
    if section.architecture:
        config = _architecture_config(section)
    else:
        config, foreign = _saved_config(section, trust_remote_code, own_labels)
        if foreign:
            return config
        if "image_size" in section.config:
            raise InputError("model.config.image_size: set model.image_size, which the image processor follows")
        _override(config, section.config)
    if type(config) not in AutoModelForImageClassification._model_mapping:
        name = section.architecture or section.checkpoint
        raise InputError(f"model: {name!r} is of type {config.model_type!r}, which is no image classifier")
    if isinstance(config, BUILT_IN):
        _check_built_in(config, section.image_size)
    else:
        check_channels(section, config)
    if config.model_type == "timm_wrapper" and config.model_args:
        config.model_args.pop("num_classes", None)  # timm's save_for_hf writes it, and the wrapper passes it twice
    config.architectures = config.architectures or []  # None breaks the families of two classes (DeiT, LeViT)
    if config.id2label is None:  # of PVT, whose number of labels is a field of its own, and gives them no names
        config.id2label = {i: f"LABEL_{i}" for i in range(config.num_labels)}
    check_dropped(config, section.config)
    return config


def _saved_config(section: ModelSection, trusted: bool, own_labels: bool) -> tuple[PreTrainedConfig, bool]:
    """A checkpoint's configuration, and whether the code of its network comes with it."""
    name, place = section.checkpoint, resolve_checkpoint(section)
    settings = read_settings(name, place, section.revision)
    with as_input_error(f"model.checkpoint: {name!r}", *OF_ANOTHER_FORM):
        if _foreign_code(name, settings, trusted):
            return AutoConfig.from_pretrained(place, revision=section.revision, trust_remote_code=True), True
        check_type(name, settings)
        fault = take_labels(settings)
        if fault and own_labels:
            raise InputError(f"model {name!r}: the classes in its {CONFIG} are not usable: {fault}; correct it there")
        return CONFIG_MAPPING[settings["model_type"]].from_dict(settings, name_or_path=place), False


def _foreign_code(name: str, settings: dict, trusted: bool) -> bool:
    """Whether a checkpoint brings the code of its network; that of the built-in architectures is installed."""
    code = (settings.get("auto_map") or {}).get("AutoModelForImageClassification")
    if code is None or settings.get("model_type") in CONFIG_MAPPING:
        return False
    if not trusted:
        raise InputError(
            f"model {name!r}: brings the code of its network ({code.partition('.')[0]}.py), which training never runs; "
            "to predict, if you trust it, add --trust-remote-code"
        )
    return True


def set_labels(config: PreTrainedConfig, labels: list[str], multi_label: bool = False) -> None:
    """Make `labels` the classes of a configuration, in this order; an image may have several of them, or has one."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: i for i, name in enumerate(labels)}
    config.num_labels = len(labels)  # follows by itself but where it is a field of its own (PVT)
    config.problem_type = f"{'multi' if multi_label else 'single'}_label_classification"
    for key in (REJECTION, "label_thresholds"):  # of the model that this one is trained from
        if hasattr(config, key):
            delattr(config, key)
    if hasattr(config, "label_names"):  # timm's own list, in what was saved before; it wins when this is loaded
        config.label_names = list(labels)


def _check_built_in(config: PreTrainedConfig, image_size: int | None) -> None:
    """Build a built-in architecture on the meta device: its constructor names the setting that is wrong."""
    config = copy.deepcopy(config)
    config.image_size = image_size or config.image_size
    with as_input_error("model.config"), torch.device("meta"):
        try:
            AutoModelForImageClassification.from_config(config)
        except ValueError as error:
            key, colon, _ = str(error).partition(": ")
            raise InputError(f"model.config{'.' if colon and key in config.to_dict() else ': '}{error}") from None


def _architecture_config(section: ModelSection) -> PreTrainedConfig:
    name, overrides = section.architecture, section.config
    if name.startswith("timm/"):
        return _timm_config(name.removeprefix("timm/"), overrides)
    if name not in CONFIG_MAPPING:
        raise InputError(f"model.architecture: transformers has no {name!r}{nearest(name, CONFIG_MAPPING)}")
    config = CONFIG_MAPPING[name]()
    _override(copy.deepcopy(config), overrides)  # unknown keys are found here; dependent ones are set below
    with as_input_error("model.config"):
        config = CONFIG_MAPPING[name](**overrides)
    if type(config) in AutoModelForImageClassification._model_mapping:
        classes = AutoModelForImageClassification._model_mapping[type(config)]
        config.architectures = [(classes[0] if isinstance(classes, tuple) else classes).__name__]
    return config


def _timm_config(architecture: str, overrides: dict) -> PreTrainedConfig:
    try:
        import timm
    except ImportError:
        raise InputError('model.architecture: timm is not installed; pip install "hf-imgcls[timm]"') from None
    if not timm.is_model(architecture):
        raise InputError(f"model.architecture: timm has no {architecture!r}{nearest(architecture, timm.list_models())}")
    config = transformers.TimmWrapperConfig(architecture=architecture)
    config.pretrained_cfg = timm.get_pretrained_cfg(architecture).to_dict()
    config.pretrained_cfg.pop("num_classes", None)
    _override(config, overrides)
    return config


def _override(config: PreTrainedConfig, overrides: dict, section: str = "model.config") -> None:
    for key, value in overrides.items():
        if key in _FROM_DATA:
            raise InputError(f"{section}.{key}: the labels come from the data (data.label_names names them)")
        known = [*config.to_dict(), *config.attribute_map]
        if key not in known:
            hint = named_otherwise(config, key) or nearest(key, known)
            if config.model_type == "timm_wrapper" and not hint:
                hint = '; what timm builds the network with goes into "model_args"'
            elif "drop" in key and not hint:
                hint = f"; what it drops is set by {listed(dropout_keys(known)) or 'nothing'}"
            raise InputError(f"{section}.{key}: {config.model_type} has no such setting{hint}")
        if key in config.sub_configs and isinstance(value, dict):
            _override(getattr(config, key), value, f"{section}.{key}")
            continue
        if key == "model_args" and isinstance(value, dict):  # beside those that the checkpoint's network is built with
            value = {**(config.model_args or {}), **value}
        with as_input_error(f"{section}.{key}"):
            setattr(config, key, value)
