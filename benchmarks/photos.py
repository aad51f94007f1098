"""Images to measure with: as hard to decode as photographs are, made without any.

Their detail falls with frequency as it does in photographs, so that a JPEG of them has a photograph's size in bytes:
decoding is mostly reading those bytes, and images that compress better than photos would flatter reduced decoding.
"""

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {"512x384": (512, 384), "12 megapixels": (4000, 3000)}
_FALL = 1.4  # of the amplitude with frequency
_GRAIN = 2.0  # levels


def make_photo(size: tuple[int, int], seed: int) -> Image.Image:
    """A cloud of every scale, its colours less varied than its light, with a little grain."""
    width, height = size
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / max(size)
    amplitude = frequency**-_FALL

    def cloud() -> np.ndarray:
        phase = np.exp(2j * np.pi * random.random(frequency.shape))
        values = np.fft.irfft2(amplitude * phase, s=(height, width))
        return (values - values.mean()) / values.std()

    light = 128 + 48 * cloud()
    planes = [light + 18 * cloud() + _GRAIN * random.standard_normal((height, width)) for _ in range(3)]
    return Image.fromarray(np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8))


def make_folder(folder: Path, size: tuple[int, int], count: int, quality: int = 90) -> list[Path]:
    """Write so many JPEGs into two class folders; returns their paths."""
    paths = []
    for number in range(count):
        path = folder / ("cat", "dog")[number % 2] / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_photo(size, number).save(path, quality=quality)
        paths.append(path)
    return paths


def describe(paths: list[Path]) -> str:
    """`24 JPEGs of 512x384, 66 KB on average`."""
    sizes = {Image.open(path).size for path in paths}
    width, height = next(iter(sizes))
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
    shape = f"{width}x{height}" if len(sizes) == 1 else f"{len(sizes)} sizes"
    return f"{len(paths)} JPEGs of {shape}, {kilobytes:,.0f} KB on average"
