"""RandomErasing with noise: where is drawn with each image, the noise comes on the device, where there are floats.

Zhong and others, 2020 (arXiv:1708.04896), of whose fillings noise did best.
"""

import torch
from torchvision.transforms import v2


def is_noise(transform) -> bool:
    """Whether it is `{"RandomErasing": {"value": "random"}}`: noise around zero, which bytes cannot hold."""
    return isinstance(transform, v2.RandomErasing) and transform.value is None  # torchvision's "random"


def take_noise(chain: list[v2.Transform]) -> v2.RandomErasing | None:
    """Take it off the end of a chain; what is returned draws the boxes alone, and leaves the noise to the device."""
    if not chain or not is_noise(chain[-1]):
        return None
    noise = chain.pop()
    return v2.RandomErasing(noise.p, noise.scale, noise.ratio)


def draw_box(erasing: v2.RandomErasing, image: torch.Tensor) -> torch.Tensor:
    """Top, left, height and width of what is erased of an image, drawn by torchvision; zeros where nothing is."""
    drawn = erasing.make_params([image]) if torch.rand(1) < erasing.p else {"v": None}
    if drawn["v"] is None:  # also where no box of ten tries fits
        return torch.zeros(4, dtype=torch.int64)
    return torch.tensor([drawn["i"], drawn["j"], drawn["h"], drawn["w"]])


def fill_with_noise(pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """A batch whose boxes are noise of mean 0 and deviation 1, in the floats that the model sees.

    The noise is drawn from the device's own generator, as dropout is, which a checkpoint keeps.

    Args:
        pixels: normalised, shape (images, channels, height, width).
        boxes: top, left, height and width of each image's, shape (images, 4).
    """
    top, left, height, width = boxes[:, :, None].unbind(1)
    rows, columns = (torch.arange(side, device=pixels.device) for side in pixels.shape[-2:])
    in_rows = (rows >= top) & (rows < top + height)
    in_columns = (columns >= left) & (columns < left + width)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return torch.where(inside, torch.randn_like(pixels), pixels)
