"""Drawn photos, with light, shapes and fine detail, and what is done to a photo that is put among others again."""

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps


def photo(seed: int, size: tuple[int, int] = (120, 96)) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (4, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, w, h = random.integers((0, 0, 4, 4), (size[0], size[1], 40, 40))
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((x, y, x + w, y + h), fill=tuple(random.integers(0, 255, 3).tolist()))
    return image


def _crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


CHANGES = {
    "saved again": lambda image: image,
    "resized": lambda image: image.resize((96, 77), Image.Resampling.LANCZOS),
    "cropped": lambda image: _crop(image, 0.05, 0.05, 0.95, 0.95),
    "cropped at a corner": lambda image: _crop(image, 0, 0.07, 0.93, 1),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "mirrored": ImageOps.mirror,
}
