"""Which part of an image a processor makes the network's input of, measured on images whose colours are places.

Processors crop, squash and pad under names of their own: the output decides, as in `processors.py`.
"""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from hf_imgcls.images.processors import channel_order, normalization, process_image

_SAME = 0.02  # of a side: what differs less is rounding
_ROUNDING = 0.01  # of the network's input: an edge that is as near to the image's is the same


class Placing(NamedTuple):
    """Where the edges of the network's input lie in an image, in its pixels.

    Beyond the image where the processor pads it, within it where it crops.

    Attributes:
        size: width and height of the image.
        input_size: height and width of the network's input.
    """

    left: float
    top: float
    right: float
    bottom: float
    size: tuple[int, int]
    input_size: tuple[int, int]

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """The part of the image that the network sees: left, top, right, bottom in pixels."""
        width, height = self.size
        return max(self.left, 0.0), max(self.top, 0.0), min(self.right, width), min(self.bottom, height)

    def place(self, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A map of the network's input on the image at this width and height; NaN where the network does not see it.

        Args:
            values: shape (rows, columns), of any number of them.
        """
        (width, height), (rows, columns) = size, values.shape
        x, y = self.size[0] / width, self.size[1] / height  # pixels of the image in one of the result
        across, down = columns / (self.right - self.left), rows / (self.bottom - self.top)
        edged = Image.fromarray(np.pad(values.astype(np.float32), 1, mode="edge"))  # Pillow has 0 beyond the last one
        matrix = (x * across, 0, 1 - self.left * across, 0, y * down, 1 - self.top * down)
        found = np.array(edged.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
        left, top, right, bottom = self.seen
        centres = (np.arange(height) + 0.5)[:, None] * y, (np.arange(width) + 0.5) * x
        inside = (top <= centres[0]) & (centres[0] <= bottom) & (left <= centres[1]) & (centres[1] <= right)
        return np.where(inside, found, np.nan)

    def describe(self) -> str:
        """What becomes of the image's frame, in words; empty where it is only scaled."""
        (width, height), (left, top, right, bottom) = self.size, self.seen
        across, down = self.right - self.left, self.bottom - self.top
        part_of_width, part_of_height = (right - left) / width, (bottom - top) / height
        words = []
        if min(part_of_width, part_of_height) < 1 - _SAME:
            words.append(f"cropped: {100 * part_of_width * part_of_height:.0f} % is seen")
        if across - (right - left) > _SAME * across or down - (bottom - top) > _SAME * down:
            words.append("padded")
        stretched = across * self.input_size[0] / (down * self.input_size[1])
        if max(stretched, 1 / stretched) > 1 + _SAME:
            words.append("squashed")
        return ", ".join(words)


class Placer:
    """Measures a processor's Placing of images of a width and height, once for each."""

    def __init__(self, processor):
        self.processor, (self.scale, self.shift) = processor, normalization(processor)
        self.order = channel_order(processor)
        self._known: dict[tuple[int, int], Placing] = {}

    def __call__(self, size: tuple[int, int]) -> Placing:
        if size not in self._known:
            self._known[size] = self._measure(*size)
        return self._known[size]

    def _measure(self, width: int, height: int) -> Placing:
        # Red grows from left to right, green from top to bottom; blue is 0, then 255, but for padding.
        coordinates = np.zeros((height, width, 3), np.uint8)
        coordinates[..., 0] = np.round(_step(width) * np.arange(width))
        coordinates[..., 1] = np.round(_step(height) * np.arange(height))[:, None]
        without = self._colours(coordinates)
        coordinates[..., 2] = 255
        red, green, blue = self._colours(coordinates)
        inside = blue - without[2] > 128
        inside |= not inside.any()  # an image too narrow to be seen at all
        columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
        left, right = _edges(red[rows].mean(axis=0), columns, width)
        top, bottom = _edges(green[:, columns].mean(axis=1), rows, height)
        return Placing(left, top, right, bottom, (width, height), blue.shape)

    def _colours(self, image: np.ndarray) -> np.ndarray:
        """Red, green and blue of the network's input, 0 to 255, shape (3, height, width)."""
        pixels = (process_image(self.processor, Image.fromarray(image)) - self.shift) / self.scale
        return pixels[[self.order.index(channel) for channel in range(3)]].to(torch.float64).numpy()


def _step(side: int) -> float:
    """By which a ramp grows from pixel to pixel; not rounded where it can be, which would bend it."""
    return 255 / (side - 1) if side > 256 else 255 // max(side - 1, 1)


def _edges(ramp: np.ndarray, inside: np.ndarray, side: int) -> tuple[float, float]:
    """Where the first and the last pixel of the input begin and end in the image, along one of its sides.

    Args:
        ramp: what became of a ramp, by the pixels of the input.
        inside: those that show the image, in their order; without a slope that can be measured they show all of it.
    """
    count = len(inside)
    margin = min(count // 4, max(count // 10, 2 * count // side + 1))  # at its edges an image is interpolated with less
    middle = inside[margin : count - margin]
    slope, start = (
        np.polyfit(middle + 0.5, ramp[middle] / _step(side) + 0.5, 1) if min(len(middle), side) > 1 else (0, 0)
    )
    if not slope > 0:
        slope = side / count
        start = -inside[0] * slope
    end = start + slope * len(ramp)
    close = _ROUNDING * slope * len(ramp)
    return 0.0 if abs(start) < close else float(start), float(side if abs(end - side) < close else end)
