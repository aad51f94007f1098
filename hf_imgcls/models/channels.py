"""Channels of a network's input: where a family's configuration has their number, and three where it is another one."""

from typing import Any

import transformers  # its TimmWrapperImageProcessor imports timm wherever it is named, so not from here
from transformers import PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import ModelSection


def input_channels(config: PreTrainedConfig) -> int:
    found = _value(config.to_dict(), _place(config))
    return 3 if found is None else found


def says_channels(section: ModelSection, config: PreTrainedConfig) -> bool:
    """Whether the recipe sets the number of channels, to which a checkpoint is then adapted."""
    return _value(section.config, _place(config)) is not None


def set_channels(config: PreTrainedConfig, channels: int) -> None:
    *parts, key = _place(config)
    if parts == ["model_args"]:
        config.model_args = {**(config.model_args or {}), key: channels}
    else:
        setattr(getattr(config, parts[0]) if parts else config, key, channels)


def check_channels(section: ModelSection, config: PreTrainedConfig) -> None:
    """Refuse (InputError) a network of other channels than the three that `pipeline` delivers."""
    found, key = input_channels(config), ".".join(["model.config", *_place(config)])
    if found == 3:
        return
    why = f"{key}: found {found}, must be 3: pipeline delivers red, green and blue of any image"
    if section.checkpoint and not says_channels(section, config):
        raise InputError(f"{why}; {key}=3 adapts the checkpoint's first convolution to train it")
    if found == 1:
        raise InputError(f"{why}, a grey one's three equal, on which three channels see what one would; leave it out")
    raise InputError(f"{why}; choose three channels, and save each image as RGB")


def as_rgb(config: PreTrainedConfig, processor):
    """A processor whose mean and standard deviation are of three channels: repeated or cut off, as the stem's weights.

    Those of timm are settings in `config`, which follow.
    """
    if not hasattr(processor, "data_config"):
        for key in ("image_mean", "image_std"):
            if isinstance(values := getattr(processor, key, None), list | tuple):
                setattr(processor, key, _three(values))
        return processor
    known = processor.data_config
    settings = {"input_size": [3, *known["input_size"][1:]], **{key: _three(known[key]) for key in ("mean", "std")}}
    config.pretrained_cfg = {**config.pretrained_cfg, **settings}
    return transformers.TimmWrapperImageProcessor(
        pretrained_cfg=config.pretrained_cfg, architecture=config.architecture
    )


def named_otherwise(config: PreTrainedConfig, key: str) -> str:
    """A hint at the name that num_channels has in a family."""
    place = _place(config)
    return f"; it is {'.'.join(place)} there" if key == "num_channels" and place != [key] else ""


def _three(values) -> list[float]:
    return (list(values) * 3)[:3]


def _place(config: PreTrainedConfig) -> list[str]:
    """Where the number stands in the configuration: the vision part has it in CLIP and SigLIP."""
    if config.model_type == "timm_wrapper":
        return ["model_args", "in_chans"]
    known = config.to_dict()
    vision = next((name for name in config.sub_configs if name.startswith("vision")), None)
    if vision and "num_channels" not in known:
        return [vision, "num_channels"]
    return ["stem_num_channels" if "stem_num_channels" in known else "num_channels"]  # the first of TextNet


def _value(settings: Any, place: list[str]) -> Any:
    for key in place:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings
