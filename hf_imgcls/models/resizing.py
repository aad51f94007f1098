"""How images come to the network's input (`model.processor`): squashed, cropped or padded, by what `pipeline` opens."""

import copy
from collections.abc import Sequence

import torch
import transformers
from transformers import JanusImageProcessor, ViTImageProcessor

from hf_imgcls.errors import InputError
from hf_imgcls.images import channel_order, input_size, normalization
from hf_imgcls.recipe import ProcessorSection

_RGB = [0, 1, 2]
_OF_TIMM = {"squash": "squash", "crop": "center", "pad": "border"}


def square_processor(resize: str, side: int, mean: list[float], std: list[float], resample: int | None = None):
    """An image processor of transformers for a square input.

    Padding is that of JanusImageProcessor, the one class that `pipeline` opens without code from elsewhere which scales
    the longer side to the input, centres the image and fills the rest with the mean colour.

    Args:
        resize: squash, crop or pad.
        mean, std: by channel, of pixels in 0 to 1.
        resample: number of one of Pillow's filters; ViT's, bilinear, if not given.
    """
    square = {"height": side, "width": side}
    own = {
        "squash": {"size": square},
        "crop": {"size": {"shortest_edge": side}, "do_center_crop": True, "crop_size": square},
        "pad": {"size": square, "min_size": 1},  # a panorama may become a line of one pixel
    }
    family = JanusImageProcessor if resize == "pad" else ViTImageProcessor
    return family(
        **own[resize],
        resample=ViTImageProcessor.resample if resample is None else resample,
        image_mean=mean,
        image_std=std,
        do_normalize=(mean, std) != ([0.0] * 3, [1.0] * 3),
    )


def apply_section(section: ProcessorSection, config, processor):
    """The processor as `model.processor` says it; what is not said stays. The settings of timm in `config` follow.

    Raises:
        InputError: the network takes another order of channels, or images that are not square.
    """
    said = section.model_dump(exclude_none=True)
    if hasattr(processor, "data_config"):
        return _of_timm(said, config, processor)
    mean, std = mean_and_deviation(processor)
    mean, std = said.get("image_mean", mean), said.get("image_std", std)
    _check_colour(said, mean)
    if "resize" not in said:
        return normalize_as(processor, mean, std)
    side = _square_side(processor, said["resize"])
    if channel_order(processor) != _RGB:
        raise InputError(
            f"model.processor.resize: this network takes blue, green and red in that order, which only its own "
            f"{type(processor).__name__} makes; leave it out"
        )
    return square_processor(said["resize"], side, mean, std, getattr(processor, "resample", None))


def normalize_as(processor, mean: list[float], std: list[float]):
    """A copy of a processor of transformers that normalises with this mean and standard deviation."""
    processor = copy.deepcopy(processor)
    if isinstance(processor, JanusImageProcessor):  # the colour it pads with is the mean, as it is opened again
        processor.background_color = tuple(int(value * 255) for value in mean)
    processor.image_mean, processor.image_std = mean, std
    processor.do_rescale, processor.rescale_factor, processor.do_normalize = True, 1 / 255, True
    for key in ("rescale_offset", "include_top"):
        if hasattr(processor, key):
            setattr(processor, key, False)
    if not torch.allclose(torch.tensor(mean_and_deviation(processor)), torch.tensor([mean, std]), rtol=1e-3, atol=1e-3):
        raise InputError(f"model: {type(processor).__name__} cannot normalise with another mean or standard deviation")
    return processor


def mean_and_deviation(processor) -> tuple[list[float], list[float]]:
    """Of pixels in 0 to 1, by channel, measured."""
    scale, shift = normalization(processor)
    deviation = 1 / (255 * scale)
    return tuple([round(float(x), 6) + 0.0 for x in values.flatten()] for values in (-shift * deviation, deviation))


def _square_side(processor, resize: str) -> int:
    height, width = input_size(processor)
    if height != width:
        raise InputError(
            f"model.processor.resize: {resize} is for square inputs, and this network's is {width}x{height}; leave it "
            "out, or set model.image_size"
        )
    return height


def _check_colour(said: dict, mean: Sequence[float]) -> None:
    if said.get("resize") == "pad" and not all(0 <= value <= 1 for value in mean):
        raise InputError(
            f"model.processor.resize: pad fills with the mean colour, and this network's mean, {[*mean]}, is no colour "
            "(0 to 1 for each channel)"
        )


def _of_timm(said: dict, config, processor):
    """timm's settings live in the model's configuration, and are applied by its own transforms."""
    settings = {key: value for key, value in config.pretrained_cfg.items() if not key.startswith("test_")}
    settings |= {key: said[f"image_{key}"] for key in ("mean", "std") if f"image_{key}" in said}
    if "resize" in said:
        _square_side(processor, said["resize"])
        _check_colour(said, said.get("image_mean", processor.data_config["mean"]))
        settings |= {"crop_mode": _OF_TIMM[said["resize"]], "crop_pct": 1.0}
    config.pretrained_cfg = settings
    return transformers.TimmWrapperImageProcessor(pretrained_cfg=settings, architecture=config.architecture)
