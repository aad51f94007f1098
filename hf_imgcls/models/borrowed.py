"""The image processor of another checkpoint with a network's own mean and standard deviation (`model.processor_of`)."""

import torch
import transformers

from hf_imgcls.errors import InputError
from hf_imgcls.images import channel_order, input_size, normalization
from hf_imgcls.models.configure import get_config
from hf_imgcls.models.preprocessing import get_processor, set_image_size
from hf_imgcls.models.resizing import mean_and_deviation, normalize_as
from hf_imgcls.recipe import ModelSection

_GEOMETRY = ("input_size", "interpolation", "crop_pct", "crop_mode")  # timm's settings of what is resized and cropped


def borrow_processor(section: ModelSection, config, own):
    """The processor of `model.processor_of`, which normalises as `own` does; the input size in `config` follows it.

    Raises:
        InputError: it has no mean and standard deviation to set, another order of channels, or the network is one of
            timm, whose settings only those of another network of timm can replace.
    """
    name = section.processor_of
    other_section = ModelSection(checkpoint=name)
    other_config = get_config(other_section)
    other = get_processor(other_section, other_config)
    if section.image_size:
        other = set_image_size(other_config, other, section.image_size)
    height, width = input_size(other)
    if height != width or channel_order(other) != channel_order(own):
        raise InputError(f"model.processor_of: {name!r} takes no square images, or another order of channels")
    if input_size(own) != (height, width):
        own = set_image_size(config, own, height)
    mean, deviation = mean_and_deviation(own)
    if hasattr(other, "data_config"):
        processor = _of_timm(config, other_config, other.data_config, mean, deviation)
    elif hasattr(own, "data_config"):
        raise InputError(
            f"model.processor_of: {name!r} is not a network of timm, and {section.checkpoint!r}, which is one, has its "
            "image processor in its settings; name one of timm"
        )
    else:
        processor = normalize_as(other, mean, deviation)
    if not all(map(_close, normalization(processor), normalization(own))):
        raise InputError(f"model.processor_of: {type(processor).__name__} cannot normalise as this network needs it")
    return processor


def _of_timm(config, other_config, geometry: dict, mean: list[float], deviation: list[float]):
    kept = config.pretrained_cfg if config.model_type == "timm_wrapper" else {}
    kept = {key: value for key, value in kept.items() if not key.startswith("test_")}
    taken = {key: geometry[key] for key in _GEOMETRY}
    taken["input_size"] = list(taken["input_size"])
    config.pretrained_cfg = {**kept, **taken, "mean": mean, "std": deviation}
    if config.model_type != "timm_wrapper":  # timm's image processor is found in the model's config alone
        config.image_processor_type, config.architecture = "TimmWrapperImageProcessor", other_config.architecture
    return transformers.TimmWrapperImageProcessor(
        pretrained_cfg=config.pretrained_cfg, architecture=config.architecture
    )


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-3)
