"""A checkpoint's weights in a network of another input: position embeddings interpolated, the stem adapted."""

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import interpolate

from hf_imgcls.errors import InputError


def channels_of_stem(reshaped: dict[str, tuple]) -> int | None:
    """Channels of the first convolution in a checkpoint, where the network's has another number of them.

    Args:
        reshaped: by tensor, the shapes there and in the network.
    """
    found = {there[1] for there, here in reshaped.values() if len(there) == 4 and _but_channels(there, here)}
    return found.pop() if len(found) == 1 else None


def fit_to_input(model, resized):
    """Copy a model's weights into `resized`, the same of another input: positions interpolated, the stem adapted."""
    state, wanted = model.state_dict(), resized.state_dict()
    for key, tensor in state.items():
        if tensor.shape == wanted[key].shape:
            continue
        fitted = None
        if tensor.ndim == 4 and _but_channels(tensor.shape, wanted[key].shape):
            fitted = _fit_channels(tensor, wanted[key].shape[1])
        elif key.endswith("relative_position_bias_table"):
            fitted = _fit_distances(tensor, wanted[key].shape)
        elif "pos" in key:
            fitted = _fit_positions(tensor, wanted[key].shape, antialias=model.config.model_type == "timm_wrapper")
        if fitted is None:
            raise InputError(
                f"model.image_size: {key} of {type(model).__name__} is tied to the checkpoint's own size; leave it out"
            )
        state[key] = fitted
    resized.load_state_dict(state)
    return resized


def _but_channels(there: Sequence[int], here: Sequence[int]) -> bool:
    """Whether two shapes of a convolution differ in its input's channels alone."""
    return (there[0], *there[2:]) == (here[0], *here[2:]) and there[1] != here[1]


def _fit_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Channels repeated or cut off, and scaled so that their sum stays: timm's `adapt_input_conv`.

    From one to three, a grey image gives what it gave.
    """
    own = weight.shape[1]
    return weight.repeat(1, -(-channels // own), 1, 1)[:, :channels] * (own / channels)


def _fit_positions(positions: torch.Tensor, shape: torch.Size, antialias: bool) -> torch.Tensor | None:
    """Embeddings (1, tokens + side * side, width), up to two tokens before the grid.

    Bicubic, as the models themselves would do it on an image of another size: transformers without antialiasing,
    timm with it.
    """
    if len(shape) != 3 or positions.ndim != 3:
        return None
    for tokens in range(3):
        fitted = _interpolate(positions[:, tokens:], shape[1] - tokens, mode="bicubic", antialias=antialias)
        if fitted is not None:
            return torch.cat([positions[:, :tokens], fitted], dim=1)
    return None


def _fit_distances(table: torch.Tensor, shape: torch.Size) -> torch.Tensor | None:
    """Biases (side * side + three for the class token, heads), or without the three; bilinear, as BEiT's own."""
    for others in (0, 3):
        count = len(table) - others
        fitted = _interpolate(table[None, :count], shape[0] - others, mode="bilinear")
        if fitted is not None:
            return torch.cat([fitted[0], table[count:]])
    return None


def _interpolate(grid: torch.Tensor, count: int, **options) -> torch.Tensor | None:
    """Shape (1, side * side, width) to (1, count, width); None where one of the two is no square."""
    side, new_side = math.isqrt(grid.shape[1]), math.isqrt(max(count, 0))
    if 0 in (side, new_side) or (side**2, new_side**2) != (grid.shape[1], count):
        return None
    grid = grid.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(new_side, new_side), align_corners=False, **options)
    return grid.permute(0, 2, 3, 1).flatten(1, 2)
