"""Another input size than the checkpoint's: the processor and the config carry it, position embeddings follow."""

import torch
import transformers
from torch.nn.functional import interpolate

from hf_imgcls.recipe import InputError


def set_image_size(config, processor, side: int):
    """Set a square input of `side` pixels, in every family's own words.

    Where the processor resizes to more than it crops (256 and 224, say), the proportion is kept.

    Returns:
        The processor, changed in place; for timm a new one, since its size lives in the model's config.
    """
    if config.model_type == "timm_wrapper":
        return _set_timm_size(config, side)
    sizes = {key: value for key, value in dict(processor.size).items() if value}
    crop = dict(getattr(processor, "crop_size", None) or {})
    if crop.get("height") and getattr(processor, "do_center_crop", False):
        factor = side / crop["height"]
        processor.crop_size = {"height": side, "width": side}
        processor.size = {key: round(value * factor) for key, value in sizes.items()}
    elif "shortest_edge" in sizes:
        processor.size = {"shortest_edge": side}
    else:
        processor.size = {"height": side, "width": side}
    if "image_size" in config.to_dict():
        config.image_size = [side, side] if isinstance(config.image_size, list | tuple) else side
    return processor


def _set_timm_size(config, side: int):
    settings = dict(config.pretrained_cfg, input_size=[3, side, side])
    for key in ("test_input_size", "test_crop_pct"):
        settings.pop(key, None)
    if settings.get("fixed_input_size"):
        config.model_args = {**(config.model_args or {}), "img_size": side}
    config.pretrained_cfg = settings
    return transformers.TimmWrapperImageProcessor(pretrained_cfg=settings, architecture=config.architecture)


def resize_positions(model, resized):
    """Copy a model's weights into one of another input size; position embeddings are interpolated (bicubic).

    Args:
        model: with the trained weights.
        resized: the same architecture at the wanted size; filled in place.

    Raises:
        InputError: another tensor than a square grid of positions depends on the size.
    """
    state, wanted = model.state_dict(), resized.state_dict()
    for key, tensor in state.items():
        if tensor.shape == wanted[key].shape:
            continue
        grids = _grid(tensor.shape), _grid(wanted[key].shape)
        if "pos" not in key or None in grids:
            raise InputError(
                f"model.image_size: {key} of {type(model).__name__} is tied to the checkpoint's own size; leave it out"
            )
        state[key] = _interpolate(tensor, *grids)
    resized.load_state_dict(state)
    return resized


def _grid(shape: torch.Size) -> int | None:
    """Side of the square grid in (1, prefix + side * side, width), with up to two tokens before it."""
    sides = [side for side in range(1, 512) if len(shape) == 3 and 0 <= shape[1] - side * side <= 2]
    return sides[0] if sides else None


def _interpolate(positions: torch.Tensor, side: int, new_side: int) -> torch.Tensor:
    prefix = positions.shape[1] - side * side
    grid = positions[:, prefix:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(new_side, new_side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :prefix], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
