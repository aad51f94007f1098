"""What an image processor does to an image, measured: its size, its normalisation, its order of channels.

Every family has its own names for these, and the names do not always tell everything: the output decides.
"""

import torch
from PIL import Image

from hf_imgcls.errors import InputError


def process_image(processor, image: Image.Image) -> torch.Tensor:
    """One RGB image through an image processor: float, shape (3, height, width).

    What gives colour tokens (ImageGPT) or patches (SigLIP 2 NaFlex) is refused.
    """
    pixels = processor(image, return_tensors="pt").get("pixel_values")
    if pixels is None or pixels.ndim != 4:
        raise InputError(
            f"model: its image processor, {type(processor).__name__}, does not turn an image into one array of pixels"
        )
    return pixels[0]


def input_size(processor) -> tuple[int, int]:
    """Height and width of a processor's output, measured on a wide and a tall image, for which it must be the same."""
    wide, tall = (process_image(processor, Image.new("RGB", size)).shape[-2:] for size in ((640, 480), (480, 640)))
    if wide != tall:
        raise InputError(
            f"model: its image processor does not resize images to one size (a wide one became {tuple(wide)}, "
            f"a tall one {tuple(tall)}); set model.image_size"
        )
    return tuple(wide)


def normalization(processor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift that take a uint8 image to the processor's floats, each of shape (3, 1, 1).

    Measured on a black and a white image, which holds for any rescale factor, mean and standard deviation. They
    belong to the processor's channels: see `channel_order`.
    """
    black = _colour(processor, "black")
    return (_colour(processor, "white") - black) / 255, black


def channel_order(processor) -> list[int]:
    """Which of red, green and blue each of the processor's channels is: [2, 1, 0] where a model wants BGR."""
    black = _colour(processor, "black")
    pure = [(_colour(processor, name) - black).abs().flatten() for name in ("red", "lime", "blue")]
    return torch.stack(pure).argmax(dim=0).tolist()


def _colour(processor, name: str) -> torch.Tensor:
    """A processor's output for a colour, shape (3, 1, 1), in the middle, since some pad the border."""
    height, width = input_size(processor)
    pixels = process_image(processor, Image.new("RGB", (width, height), name))
    return pixels[:, height // 2, width // 2, None, None]
