"""The images that int8 is calibrated on: of train, and none of those that its accuracy is measured on."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from hf_imgcls.data import find_rows
from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, read_image
from hf_imgcls.serving.export.images import CheckImages, data_section

_MOST = 300  # NNCF's default


class CalibrationImages(NamedTuple):
    """Images to calibrate on; none for a format that needs none."""

    split: str
    rows: Sequence[dict]  # each has `image`, undecoded


def calibration_images(
    model: str, images: CheckImages, source: tuple[str | None, str | None, Sequence[str]], seed: int = 42
) -> CalibrationImages:
    """A seeded sample of train, or else of validation, of the data that `evaluation_images` are of.

    Args:
        images: those of `evaluation_images`, which are left out.
        source: as of `evaluation_images`.
    """
    section = data_section(model, source)
    measured = {_identity(row["image"]) for row in images.rows}
    try:
        splits = find_rows(section).splits
    except InputError as error:
        raise InputError(f"export: --quantize is calibrated on images of train: {error}") from None
    for split in ("train", "validation"):
        rows, chosen = splits.get(split, ()), []
        for i in np.random.default_rng(seed).permutation(len(rows)).tolist():
            row = rows[i]
            if _identity(row["image"]) not in measured and _is_readable(row["image"]):
                chosen.append(row)
            if len(chosen) == _MOST:
                break
        if chosen:
            return CalibrationImages(split, chosen)
    raise InputError(
        f"export: --quantize needs images to calibrate on besides the {images.split} ones that measure its accuracy; "
        "name data that has a train split too, or a slice for --split"
    )


def _identity(image: dict) -> bytes | str:
    return image["path"] if image["bytes"] is None else sha256(image["bytes"]).digest()


def _is_readable(image: dict) -> bool:
    try:
        read_image(image)
    except UNREADABLE:
        return False
    return True
