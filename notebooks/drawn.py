"""Drawn images, for when the photos of a walkthrough are not at hand: four dishes, and cats and dogs.

Each image is drawn with a size, place, rotation, colours and background of its own, from a seed: small networks learn
them in a minute on a processor, and none of them is trivial to the pixel.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 128
Painter = Callable[[ImageDraw.ImageDraw, np.random.Generator], None]


def draw_folder(folder: Path, painters: Iterable[Painter], each: int, seed: int = 0) -> Path:
    """Images in class folders that are named like their painters; returns the folder."""
    for place, painter in enumerate(painters):
        (folder / painter.__name__).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            image = draw_image(painter, 100_000 * seed + 10_000 * place + number)
            image.save(folder / painter.__name__ / f"{number:03d}.jpg", quality=90)
    return folder


def draw_image(painter: Painter, seed: int) -> Image.Image:
    """One image of 128 x 128 pixels of 0 to 255, alike for the same seed."""
    random = np.random.default_rng(seed)
    ground = Image.new("RGB", (SIDE, SIDE), _colour(random, (170, 170, 170), 50))
    thing = Image.new("RGBA", (200, 200))
    painter(ImageDraw.Draw(thing), random)
    side = int(random.integers(85, 120))
    thing = thing.resize((side, side), Image.Resampling.LANCZOS)
    thing = thing.rotate(float(random.uniform(-25, 25)), expand=True, resample=Image.Resampling.BICUBIC)
    free = [max(1, SIDE - length) for length in thing.size]
    ground.paste(thing, (int(random.integers(free[0])), int(random.integers(free[1]))), thing)
    grain = np.asarray(ground.filter(ImageFilter.GaussianBlur(0.6)), np.float32) + random.normal(0, 5, (SIDE, SIDE, 3))
    return Image.fromarray(grain.clip(0, 255).astype(np.uint8))


def _colour(random: np.random.Generator, middle: tuple[int, int, int], spread: int = 30) -> tuple[int, ...]:
    return tuple(int(value) for value in (np.array(middle) + random.integers(-spread, spread + 1, 3)).clip(0, 255))


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


def _strewn(random: np.random.Generator, count: int, radius: float) -> list[tuple[float, float]]:
    """Places in a disc around the middle of the canvas."""
    angles, reach = random.uniform(0, 2 * math.pi, count), radius * np.sqrt(random.uniform(0, 1, count))
    return [(100 + r * math.cos(a), 100 + r * math.sin(a)) for a, r in zip(angles, reach, strict=True)]


def doughnut(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    _disc(draw, 100, 100, 92, _colour(random, (205, 150, 90)))
    _disc(draw, 100, 100, 80, _colour(random, (215, 110, 150), 60))
    for x, y in _strewn(random, 40, 74):
        _disc(draw, x, y, 4, _colour(random, (200, 200, 160), 55))
    _disc(draw, 100, 100, 30, (0, 0, 0, 0))


def fried_egg(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    white = _colour(random, (240, 238, 228), 12)
    for x, y in _strewn(random, 9, 45):
        _disc(draw, x, y, random.uniform(38, 55), white)
    for x, y in _strewn(random, int(random.integers(1, 3)), 30):
        _disc(draw, x, y, random.uniform(24, 32), _colour(random, (245, 175, 40), 25))


def pizza(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    _disc(draw, 100, 100, 94, _colour(random, (190, 130, 70)))
    _disc(draw, 100, 100, 82, _colour(random, (235, 190, 90), 25))
    for x, y in _strewn(random, int(random.integers(7, 14)), 68):
        _disc(draw, x, y, random.uniform(9, 14), _colour(random, (185, 45, 35), 25))
    for x, y in _strewn(random, 8, 72):
        _disc(draw, x, y, 5, _colour(random, (70, 120, 50), 25))


def watermelon(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    for radius, colour in ((94, (60, 120, 50)), (84, (225, 235, 205)), (76, (225, 70, 80))):
        draw.pieslice([100 - radius, 100 - radius, 100 + radius, 100 + radius], 0, 180, fill=_colour(random, colour))
    for x, y in _strewn(random, 14, 62):
        if y > 106:
            _disc(draw, x, y, 4, (40, 25, 20))


def _face(draw: ImageDraw.ImageDraw, random: np.random.Generator, fur, wide: float) -> None:
    """Head, eyes and nose; the nose lower and larger the wider the snout."""
    draw.ellipse([38, 45, 162, 175], fill=fur)
    draw.ellipse([100 - wide, 110, 100 + wide, 168], fill=tuple(min(255, c + 35) for c in fur))
    for x in (74, 126):
        _disc(draw, x, 92, 10, (245, 245, 235))
        _disc(draw, x + random.uniform(-3, 3), 92, 6, (25, 25, 25))
    _disc(draw, 100, 112 + wide / 4, wide / 4, (45, 30, 30))


def cat(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    fur = _colour(random, (150, 110, 75), 35)
    for x in (45, 155):
        draw.polygon([(x - 25 if x > 100 else x - 5, 80), (x, 12), (x + 5 if x > 100 else x + 25, 80)], fill=fur)
    _face(draw, random, fur, 28)
    for y in (126, 136, 146):
        for side in (-1, 1):
            draw.line([(100 + side * 18, 132), (100 + side * 82, y)], fill=(235, 235, 235), width=2)


def dog(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    fur = _colour(random, (150, 110, 75), 35)
    _face(draw, random, fur, 46)
    for x in (32, 168):
        draw.ellipse([x - 24, 48, x + 24, 150], fill=tuple(int(c * 0.7) for c in fur))
    draw.pieslice([82, 135, 118, 190], 0, 180, fill=_colour(random, (215, 90, 100), 20))


FOODS = (doughnut, fried_egg, pizza, watermelon)
PETS = (cat, dog)
