"""Image processors: the checkpoint's or a new one, and another input size."""

from collections.abc import Iterator
from pathlib import Path

import transformers  # its TimmWrapperImageProcessor imports timm wherever it is named, so not from here
from transformers import AutoImageProcessor, PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.models.configure import BUILT_IN
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.resizing import square_processor
from hf_imgcls.models.saved import OF_ANOTHER_FORM, read_object
from hf_imgcls.recipe import MOST_PIXELS, ModelSection, resolve_checkpoint


def get_processor(section: ModelSection, config: PreTrainedConfig):
    """The checkpoint's image processor, or a new one of the architecture's size; `model.processor` is not applied yet.

    A new one: pixels of 0 to 1 for built-in architectures and -1 to 1 for those of transformers, resized to the
    square without keeping the aspect ratio; timm's own settings for those of timm.
    """
    if "pretrained_cfg" in config.to_dict():  # of timm, or a custom head on one of timm
        return transformers.TimmWrapperImageProcessor(
            pretrained_cfg=config.pretrained_cfg, architecture=config.architecture
        )
    if section.architecture:
        size = next((part.image_size for part in _with_image_size(config)), 224)
        side = section.image_size or (size if isinstance(size, int) else size[0])
        mean, std = ([0.0] * 3, [1.0] * 3) if isinstance(config, BUILT_IN) else ([0.5] * 3, [0.5] * 3)
        return square_processor("squash", side, mean, std)
    place = resolve_checkpoint(section)
    files = [Path(place) / "preprocessor_config.json", Path(place) / "processor_config.json"]
    there = [file for file in files if file.is_file()]
    if Path(place).is_dir() and not there:
        raise InputError(
            f"model.checkpoint: {place} has no {files[0].name}; save the image processor of the model that it "
            "was made from beside it"
        )
    kind = next(iter(map(_kind, there)), None)
    try:
        with as_input_error(f"model.checkpoint: the image processor of {section.checkpoint!r}", *OF_ANOTHER_FORM):
            processor = AutoImageProcessor.from_pretrained(place, revision=section.revision, trust_remote_code=False)
    except InputError as error:
        if "Unrecognized image processor" not in str(error) or kind is None:
            raise
        raise InputError(f"model.checkpoint: {place}: transformers has no image processor {kind!r}") from None
    sizes = [getattr(processor, key, None) or {} for key in ("size", "crop_size", "pad_size")]
    largest = max((side for size in sizes for side in dict(size).values() if side), default=0)
    if largest > MOST_PIXELS:
        raise InputError(
            f"model.checkpoint: the image processor of {section.checkpoint!r} makes images of {largest} "
            f"pixels a side; the most is {MOST_PIXELS}"
        )
    return processor


def _kind(file: Path) -> str | None:
    """The class that a file of settings names; refuses the settings of a tokenizer, which would mean defaults."""
    settings = read_object(file)
    nested = settings.get("image_processor")
    settings = nested if isinstance(nested, dict) else settings
    kind = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    if kind is None and not any(key.startswith(("do_", "image_", "size", "crop_")) for key in settings):
        raise InputError(f"model.checkpoint: {file} has no settings of an image processor; take those of the model")
    return kind


def set_image_size(config, processor, side: int):
    """Set a square input of `side` pixels, under every family's own names; returns the processor (of timm a new one).

    Where the processor resizes to more than it crops (256 and 224, say), the ratio stays.
    """
    if config.model_type == "timm_wrapper":
        return _set_timm_size(config, side)
    for part in _with_image_size(config):
        part.image_size = [side, side] if isinstance(part.image_size, list | tuple) else side
    for settings in _candidates(processor, side):
        for key, value in settings.items():
            setattr(processor, key, value)
        # No family documents what its settings do together: the size of the output decides.
        try:
            if input_size(processor) == (side, side):
                return processor
        except InputError:
            continue
    raise InputError(f"model.image_size: {type(processor).__name__} cannot be set to {side}x{side}; leave it out")


def _with_image_size(config: PreTrainedConfig) -> list[PreTrainedConfig]:
    """The configurations that hold the input's size: the model's own, or that of its vision part (CLIP, SigLIP)."""
    parts = [getattr(config, name) for name in config.sub_configs if name.startswith("vision")]
    return [part for part in (config, *parts) if "image_size" in part.to_dict()]


def _candidates(processor, side: int) -> Iterator[dict]:
    """Settings that may bring a processor to the size, the likeliest first."""
    sizes = {key: value for key, value in dict(getattr(processor, "size", None) or {}).items() if value}
    crop = {key: value for key, value in dict(getattr(processor, "crop_size", None) or {}).items() if value}
    square = {"height": side, "width": side}
    if crop and sizes and getattr(processor, "do_center_crop", False):
        factor = side / crop["height"]
        yield {"size": {key: round(value * factor) for key, value in sizes.items()}, "crop_size": square}
        if "height" in sizes:  # Perceiver crops before it resizes
            factor = side / sizes["height"]
            yield {"size": square, "crop_size": {key: round(value * factor) for key, value in crop.items()}}
    if "shortest_edge" in sizes:
        yield {"size": {"shortest_edge": side}}
        yield {"size": {"shortest_edge": side}, "do_center_crop": True, "crop_size": square}
    yield {"size": square, "do_resize": True}


def _set_timm_size(config, side: int):
    settings = dict(config.pretrained_cfg, input_size=[3, side, side])
    for key in ("test_input_size", "test_crop_pct"):
        settings.pop(key, None)
    if settings.get("fixed_input_size"):
        config.model_args = {**(config.model_args or {}), "img_size": side}
    config.pretrained_cfg = settings
    return transformers.TimmWrapperImageProcessor(pretrained_cfg=settings, architecture=config.architecture)
