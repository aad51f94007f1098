"""What every image looks like: size, mode, how much its pixels differ, and a thumbnail to compare images by."""

import warnings
from typing import NamedTuple

import datasets
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.data.changed import naming_changed
from hf_imgcls.data.folds import for_all_folds
from hf_imgcls.data.rows import Data, map_cached
from hf_imgcls.images import decode_reduced, in_memory, open_image, read_image, reader_version

SIDE = 64  # pixels of a thumbnail, which is squashed to a square: crops of an image differ from it by scale and shift
_FORMAT = 1  # another number makes the cached looks of older versions be computed anew
_ROWS_PER_PROCESS = 250
_TAILS = (0.005, 0.995)  # quantiles: a few odd pixels do not count
_LOOK = datasets.Features(
    width=datasets.Value("int32"),
    height=datasets.Value("int32"),
    mode=datasets.Value("string"),
    spread=datasets.Value("float32"),
    thumbnail=datasets.Value("binary"),
)


class Looks(NamedTuple):
    """Of the images of a split, in order.

    Attributes:
        sizes: width and height as the image is shown, shape (images, 2).
        modes: Pillow's, of the file.
        spreads: levels, of 255, between the darkest and the lightest half percent of the pixels, of the channel where
            they are farthest apart; shape (images,).
        thumbnails: uint8, shape (images, 64, 64, 3).
    """

    sizes: np.ndarray
    modes: list[str]
    spreads: np.ndarray
    thumbnails: np.ndarray


def see_split(data: Data, role: str) -> Looks:
    """The looks of a checked split, read by several processes or from the cache."""
    rows = for_all_folds(data, role, lambda whole, fingerprint: _look_at(whole, fingerprint, role))
    columns = rows[:]
    pixels = np.frombuffer(b"".join(columns["thumbnail"]), np.uint8).reshape(-1, SIDE, SIDE, 3)
    sizes = np.stack([columns["width"], columns["height"]], axis=1)
    return Looks(sizes, list(columns["mode"]), np.array(columns["spread"]), pixels)


def _look_at(rows: datasets.Dataset, fingerprint: str, role: str) -> datasets.Dataset:
    return map_cached(
        "looks",
        [_FORMAT, SIDE, reader_version(), fingerprint],
        rows.select_columns(["image"]),
        look,
        _ROWS_PER_PROCESS,
        remove_columns=["image"],
        features=_LOOK,
        desc=f"looking at the images of {role}",
    )[0]


def look(row: dict) -> dict:
    """The look of a row's `image`, `{"bytes": ..., "path": ...}`; of a large JPEG decoded at a reduced size."""
    with naming_changed([row["image"]]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd files, which the check of the images has read already
        opened = open_image(in_memory(row["image"]))
        stored, mode = opened.size, opened.mode
        if isinstance(opened, JpegImageFile):
            decode_reduced(opened, min(stored) // (2 * SIDE))
        image = read_image(opened)
    turned = (image.width < image.height) != (stored[0] < stored[1])
    width, height = reversed(stored) if turned else stored
    darkest, lightest = np.quantile(np.asarray(image).reshape(-1, 3), _TAILS, axis=0)
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX if min(image.size) > 2 * SIDE else None)
    return {
        "width": width,
        "height": height,
        "mode": mode,
        "spread": float((lightest - darkest).max()),
        "thumbnail": small.tobytes(),
    }
