"""The preprocessing of the web page, in Python: what page/pixels.js does, bit for bit."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

from hf_imgcls.errors import InputError
from hf_imgcls.images import process_image
from hf_imgcls.serving.onnx.pixels import describe_pixels, prepare, resized_size, sample_images

# Of pixels.js; torch has only two of them for images of whole numbers.
_FILTERS = {"pillow": ("box", "bilinear", "hamming", "bicubic", "lanczos"), "torch": ("bilinear", "bicubic", "lanczos")}


class PagePixels:
    """An image processor that does what the page does, by the content of preprocessing.json."""

    def __init__(self, about: dict[str, Any]):
        self.about = about

    def __call__(self, image: Image.Image, return_tensors: str = "pt") -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.from_numpy(page_pixels(image, self.about))[None]}


def page_pixels(image: Image.Image, about: dict[str, Any]) -> np.ndarray:
    """Pixels of an RGB image, float32, shape (3, height, width)."""
    if about["rounding"] == "torch":
        resize = about["resize"]
        size = resized_size(image.size, resize)
        kind = InterpolationMode(resize["resample"])
        pixels = functional.resize_image(functional.pil_to_tensor(image), size[::-1], kind, antialias=True)
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        about = {**about, "resize": {"width": size[0], "height": size[1], "resample": resize["resample"]}}
    return prepare(image, about)


def describe_page(processor) -> dict[str, Any]:
    """What `describe_pixels` returns, and how weights are rounded in resizing: `rounding`, "pillow" or "torch".

    Raises:
        InputError: the page cannot do what the image processor does.
    """
    about = describe_pixels(processor)
    resample = about["resize"] and about["resize"]["resample"]
    images = sample_images()
    expected = [process_image(processor, image).numpy() for image in images]
    distances = {}
    for rounding in (each for each, filters in _FILTERS.items() if resample in filters):
        pixels = [page_pixels(image, {**about, "rounding": rounding}) for image in images]
        distances[rounding] = max(np.abs(one - other).max() for one, other in zip(pixels, expected, strict=True))
    if not distances:
        how = f"resizes by {resample}" if resample else "prepares images in a way of its own"
        raise InputError(
            f"export: {type(processor).__name__} {how}, which the page cannot reproduce; use --format onnx"
        )
    return {**about, "rounding": min(distances, key=distances.get)}
