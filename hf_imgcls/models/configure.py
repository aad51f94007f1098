"""A model's configuration and image processor, from a checkpoint or from an architecture's name."""

import copy
from pathlib import Path

import torch
import transformers
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedConfig,
)

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.machine import use_hub
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.preprocessing import new_processor, timm_settings
from hf_imgcls.models.registry import BUILT_IN
from hf_imgcls.recipe import ModelSection, ProcessorSection, resolve_checkpoint

_BUILT_IN = tuple(BUILT_IN)
_TIMM = "timm/"
_FROM_DATA = ("num_labels", "id2label", "label2id", "problem_type", "num_classes", "label_names")


def get_config(section: ModelSection, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The configuration of the recipe's model, with the recipe's overrides.

    Args:
        trust_remote_code: whether code that comes with a checkpoint may be run.

    Raises:
        InputError: nothing there, no image classifier, code that is not trusted, or an override that does not fit.
    """
    if section.architecture:
        config = _architecture_config(section)
    else:
        place = resolve_checkpoint(section)
        if not Path(place).is_dir():
            use_hub()
        with as_input_error(f"model.checkpoint: {section.checkpoint!r}"):
            foreign = _foreign_code(section.checkpoint, place, section.revision, trust_remote_code)
            config = AutoConfig.from_pretrained(place, revision=section.revision, trust_remote_code=foreign)
        if foreign:
            return config
        if "image_size" in section.config:
            raise InputError("model.config.image_size: set model.image_size, which the image processor follows")
        _override(config, section.config)
    if type(config) not in AutoModelForImageClassification._model_mapping:
        name = section.architecture or section.checkpoint
        raise InputError(f"model: {name!r} is of type {config.model_type!r}, which is no image classifier")
    if isinstance(config, _BUILT_IN):
        _check_built_in(config, section.image_size)
    elif config.to_dict().get("num_channels", 3) != 3:
        raise InputError("model.config.num_channels: must be 3, which is what the pipeline delivers for any image")
    if config.model_type == "timm_wrapper" and config.model_args:
        config.model_args.pop("num_classes", None)  # timm's save_for_hf writes it, and the wrapper passes it twice
    config.architectures = config.architectures or []  # None breaks the families of two classes (DeiT, LeViT)
    return config


def _foreign_code(name: str, place: str, revision: str | None, trusted: bool) -> bool:
    """Whether a checkpoint brings the code of its network; that of the built-in architectures is installed."""
    settings, _ = PreTrainedConfig.get_config_dict(place, revision=revision)
    code = (settings.get("auto_map") or {}).get("AutoModelForImageClassification")
    if code is None or settings.get("model_type") in CONFIG_MAPPING:
        return False
    if not trusted:
        raise InputError(
            f"model {name!r}: brings the code of its network ({code.partition('.')[0]}.py), which training never runs; "
            "to predict, if you trust it, add --trust-remote-code"
        )
    return True


def check_model(section: ModelSection) -> None:
    """Check the `model` section without loading weights or asking the Hub.

    Raises:
        InputError: no such folder or architecture, no image classifier, or an override that does not fit.
    """
    if section.architecture or Path(resolve_checkpoint(section)).is_dir():
        get_config(section)


def set_labels(config: PreTrainedConfig, labels: list[str]) -> None:
    """Make `labels` the classes of a configuration, in this order."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: i for i, name in enumerate(labels)}
    config.num_labels = len(labels)  # follows by itself but where it is a field of its own (PVT)
    config.problem_type = "single_label_classification"
    if hasattr(config, "label_names"):  # timm's own list, in what was saved before; it wins when this is loaded
        config.label_names = list(labels)


def with_image_size(config: PreTrainedConfig) -> list[PreTrainedConfig]:
    """The configurations that hold the input's size: the model's own, or that of its vision part (CLIP, SigLIP)."""
    parts = [getattr(config, name) for name in config.sub_configs if name.startswith("vision")]
    return [part for part in (config, *parts) if "image_size" in part.to_dict()]


def get_processor(section: ModelSection, config: PreTrainedConfig):
    """The checkpoint's image processor, or a new one of the architecture's size from `model.processor`.

    By default: pixels of 0 to 1 for built-in architectures and -1 to 1 for those of transformers, resized to the
    square without keeping the aspect ratio; timm's own settings for those of timm.

    Raises:
        InputError: the checkpoint has none.
    """
    if "pretrained_cfg" in config.to_dict():  # of timm, or a custom head on one of timm
        return transformers.TimmWrapperImageProcessor(
            pretrained_cfg=config.pretrained_cfg, architecture=config.architecture
        )
    if section.architecture:
        size = next((part.image_size for part in with_image_size(config)), 224)
        side = section.image_size or (size if isinstance(size, int) else size[0])
        return new_processor(section.processor or ProcessorSection(), side, isinstance(config, _BUILT_IN))
    place = resolve_checkpoint(section)
    if Path(place).is_dir() and not any((Path(place) / name).is_file() for name in _PROCESSOR_FILES):
        raise InputError(
            f"model.checkpoint: {place} has no {_PROCESSOR_FILES[0]}; save the image processor of the model that it "
            "was made from beside it"
        )
    with as_input_error(f"model.checkpoint: the image processor of {section.checkpoint!r}"):
        return AutoImageProcessor.from_pretrained(place, revision=section.revision, trust_remote_code=False)


_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


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
    if name.startswith(_TIMM):
        config = _timm_config(name.removeprefix(_TIMM), overrides)
        # The settings of timm's image processor live in the model's configuration.
        config.pretrained_cfg.update(timm_settings(section.processor))
        return config
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
            hint = nearest(key, known)
            if config.model_type == "timm_wrapper" and not hint:
                hint = '; what timm builds the network with goes into "model_args"'
            raise InputError(f"{section}.{key}: {config.model_type} has no such setting{hint}")
        if key in config.sub_configs and isinstance(value, dict):
            _override(getattr(config, key), value, f"{section}.{key}")
            continue
        with as_input_error(f"{section}.{key}"):
            setattr(config, key, value)
