"""Prepared copies (`data.cache_size`): each training image once in small, so that every epoch reads it faster.

A copy is upright and RGB, its shorter side has `cache_size` pixels. An image that is no larger stays as it is, byte
for byte. Only training reads copies: evaluation reads and resizes the originals, as `pipeline` does.
"""

import io
import os

import datasets
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.data.changed import naming_changed
from hf_imgcls.data.rows import map_cached
from hf_imgcls.errors import InputError
from hf_imgcls.images import decode_reduced, in_memory, open_image, read_image, reader_version
from hf_imgcls.machine import say
from hf_imgcls.words import megabytes

# Another number makes the cached copies of older versions be made anew.
FORMAT = 1
# Next to nothing is lost: colours at full resolution, and two to four bits a pixel more than a camera spends.
_AS_JPEG = {"format": "JPEG", "quality": 95, "subsampling": 0}
_COPY = datasets.Features({"image": datasets.Image(decode=False)})
_ROWS_PER_PROCESS = 50  # below this, starting another process costs more than it saves


def check_cache_size(cache_size: int, size: tuple[int, int]) -> None:
    """An InputError where copies would have to be enlarged to the model's input, of this height and width."""
    if cache_size < max(size):
        raise InputError(
            f"data.cache_size: {cache_size} is less than the model's input, {size[0]}x{size[1]} pixels; "
            f"{_fitting(size)} leaves some room for crops"
        )


def prepared_copies(rows: datasets.Dataset, fingerprint: str, cache_size: int) -> datasets.Dataset:
    """A training split with copies in place of its images, made by several processes or read from the cache.

    Args:
        fingerprint: of the split, over the contents of its images: the same images are not copied twice,
            wherever they lie.
        cache_size: shorter side of a copy.
    """
    copies, known = map_cached(
        "copies",
        [FORMAT, reader_version(), fingerprint, cache_size, _AS_JPEG],
        rows.select_columns(["image"]),
        prepare,
        _ROWS_PER_PROCESS,
        fn_kwargs={"cache_size": cache_size},
        features=_COPY,
        desc=f"copies of {cache_size} pixels",
    )
    size = megabytes(sum(os.path.getsize(file["filename"]) for file in copies.cache_files))
    how = "read from the cache" if known else "made and cached"
    say(f"prepared copies: {len(copies)} of {cache_size} pixels {how}, {size} (hf-imgcls cache)")
    for name in rows.column_names:
        if name != "image":
            copies = copies.add_column(name, rows[name][:], feature=rows.features[name])
    return copies


def prepare(row: dict, cache_size: int) -> dict:
    """A row's `image`, `{"bytes": ..., "path": ...}`, as a copy."""
    with naming_changed([row["image"]]):
        image = in_memory(row["image"])
        data, opened = image["bytes"], open_image(image)
        if min(opened.size) > cache_size:
            data = _small(opened, cache_size)
    return {"image": {"bytes": data, "path": None}}


def _small(image: Image.Image, cache_size: int) -> bytes:
    if isinstance(image, JpegImageFile):
        decode_reduced(image, min(image.size) // (2 * cache_size))  # twice the size is left for the good filter
    image = read_image(image)
    shorter = min(image.size)
    size = tuple(round(side * cache_size / shorter) for side in image.size)
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(stream, **_AS_JPEG)
    return stream.getvalue()


def average_pixels(rows: datasets.Dataset, count: int = 64) -> float:
    """Pixels of a split's images, from the headers of so many, evenly spread."""
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    images = rows.select(chosen)["image"]
    with naming_changed(images):
        sizes = [open_image(image).size for image in images]
    return float(np.mean([width * height for width, height in sizes]))


def advised_size(pixels: float, epochs: float, size: tuple[int, int]) -> int | None:
    """The `data.cache_size` for images of so many pixels and a model's input of this height and width.

    It pays where reading takes less than half as long, making the copies included; else None.
    """
    # From benchmarks/prepared_copies.py and training_crops.py: reading takes 1 ms an image and 2 ms a megapixel,
    # making a copy 3 ms and 3 ms a megapixel.
    megapixels = pixels / 1e6
    reading, from_copy, making = 1e-3 + 2e-3 * megapixels, 1.2e-3, 3e-3 + 3e-3 * megapixels
    saved = epochs * (reading - from_copy) - making
    return _fitting(size) if saved > epochs * reading / 2 else None


def _fitting(size: tuple[int, int]) -> int:
    """An eighth more than the input, in steps of 32: 256 for 224."""
    return -(-max(size) * 8 // 7 // 32) * 32
