"""Views of an image for test-time augmentation (TTA): the one that is evaluated first, then others, without chance."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.images.processors import normalization, process_image
from hf_imgcls.images.transforms import EvalTransform, naming_size

VIEWS = {
    ("flip",): (2, "as evaluated and mirrored"),
    ("crops",): (5, "as evaluated and four corners"),
    ("flip", "crops"): (10, "as evaluated and four corners, each also mirrored"),
}
_SIDE = 7 / 8  # of a corner, of its image, where the image processor shows more than that: 224 of 256 pixels
_WHOLE = 0.98  # a processor that shows so much of an image shows all of it


def check_views(words: str | Iterable[str]) -> tuple[str, ...]:
    """The kinds of views that words name (`flip`, `crops`), in one order; an InputError where one is no kind."""
    words = words.split(",") if isinstance(words, str) else [*words]
    known = max(VIEWS, key=len)
    for word in words:
        if word not in known:
            raise InputError(f"--tta: found {word!r}, expected flip, crops or flip,crops{nearest(word, known)}")
        if words.count(word) > 1:
            raise InputError(f"--tta: {word} is there more than once")
    return tuple(kind for kind in known if kind in words)


def describe_views(kinds: Sequence[str]) -> str:
    """`2 views of each image (as evaluated and mirrored)`."""
    count, words = VIEWS[tuple(kinds)]
    return f"{count} views of each image ({words})"


class Views:
    """All views of an image as an image processor delivers them.

    Corners have the scale of the evaluated view where the processor cuts the centre out of the image: with it they are
    the five crops, mirrored the ten crops, of torchvision. Where it shows the whole image they show 7/8 of its sides.
    """

    def __init__(self, processor, kinds: Sequence[str]):
        self.processor, self.kinds = processor, tuple(kinds)
        if "crops" in kinds:
            floats = normalization(processor)
            self.shown = _shown(processor, floats, 256)
            self.keeps_aspect = _shown(processor, floats, 512) < 0.75 * self.shown

    def __call__(self, image: Image.Image) -> list[torch.Tensor]:
        """Of an RGB image, each float of shape (3, height, width); the evaluated one first."""
        images = [image, *(self._corners(image) if "crops" in self.kinds else ())]
        pixels = [process_image(self.processor, each) for each in images]
        return pixels + [each.flip(-1) for each in pixels] if "flip" in self.kinds else pixels

    def _corners(self, image: Image.Image) -> list[Image.Image]:
        """What the processor makes the corners of an image of: it shows the middle of it."""
        whole = (min(image.size),) * 2 if self.keeps_aspect else image.size
        corner = [max(1.0, min(self.shown, _SIDE) * side) for side in whole]
        lefts, tops = ((0.0, side - part) for side, part in zip(image.size, corner, strict=True))
        return [_around(image, (left, top), corner, self.shown) for top in tops for left in lefts]


def _around(image: Image.Image, place: tuple[float, float], part: Sequence[float], shown: float) -> Image.Image:
    """Part of an image with what it needs around it, if a fraction `shown` of each side is to be that part."""
    bounds = []
    for start, size, side in zip(place, part, image.size, strict=True):
        around = (size / shown - size) / 2
        low = round(start - around)
        high = max(low + 1, round(start + size + around))
        bounds.append((max(low, 0), min(high, side), max(-low, 0), max(high - side, 0)))
    (left, right, *of_width), (top, bottom, *of_height) = bounds
    inside = image.crop((left, top, right, bottom))
    margins = [of_width[0], of_height[0], of_width[1], of_height[1]]
    return functional.pad(inside, margins, padding_mode="edge") if any(margins) else inside


def _shown(processor, floats: tuple[torch.Tensor, torch.Tensor], width: int) -> float:
    """Which fraction of the width of an image, 256 high, a processor shows: measured on a ramp.

    Args:
        floats: its `normalization`.
    """
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (256, width, 3))
    scale, shift = floats
    pixels = ((process_image(processor, Image.fromarray(ramp)) - shift) / scale)[0]
    row = pixels[len(pixels) // 2].numpy()
    middle = np.arange(len(row) // 8, -(-7 * len(row) // 8) + 1)[: len(row)]  # some pad the border
    steepness = np.polyfit(middle, row[middle], 1)[0] / (255 / (width - 1))  # columns of the image in one of the output
    shown = float(steepness) * len(row) / width
    return 1.0 if shown > _WHOLE else max(shown, 1 / width)


class ViewsTransform(EvalTransform):
    """As EvalTransform, but pixel_values are all views of an image, float of shape (views, 3, height, width)."""

    def __init__(self, processor, label_ids: Sequence[int], kinds: Sequence[str]):
        super().__init__(processor, label_ids)
        self.views = Views(processor, kinds)

    def process(self, image: Image.Image) -> torch.Tensor:
        with naming_size(self.processor, image):
            return torch.stack(self.views(image))
