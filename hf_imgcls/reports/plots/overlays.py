"""Maps of where a network looks, over their image. Arrays in, arrays and figures out."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from hf_imgcls.reports.plots.gallery import captioned

COLOURS = "cividis"  # dark blue to yellow: alike to colour-blind people, and ordered without any colour
_DARKEST = 70  # grey in the place of black
_COLUMNS, _SIDE, _LEAST = 3, 3.2, 0.65  # images in a row, inches of one, its least width as a part of its height


def overlay(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The image in grey under the colours of a map; pale where the map has no value.

    Args:
        image: uint8, shape (height, width, 3).
        values: 0 to 1, shape (height, width); NaN where the network does not see the image.
    """
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    known = ~np.isnan(values)
    colours = 255 * colormaps[COLOURS](np.where(known, values, 0))[..., :3]
    lighter = _DARKEST + (1 - _DARKEST / 255) * grey[..., None]  # a dark image would hide the colours
    mixed = np.where(known[..., None], (lighter + colours) / 2, 255 - 0.3 * (255 - grey[..., None]))
    return mixed.round().astype(np.uint8)


def explained(image: np.ndarray, about: str, overlays: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    """An image with lines about it, and beside it what speaks for each label."""
    margin = max(0, round(_LEAST * image.shape[0] - image.shape[1])) // 2  # of a narrow image: lines need some room
    shown = [np.pad(each, ((0, 0), (margin, margin), (0, 0)), constant_values=255) for each in (image, *overlays)]
    return captioned(shown, [about, *captions], _COLUMNS, _SIDE)
