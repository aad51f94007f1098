"""Digits in chalk: the handwritten digits of recipes/digits, each on a board of its own.

Size, place, rotation, colours and grain are drawn from a seed. Some are faint, and some cannot be told apart by anyone:
a small network makes mistakes on them that are worth looking at.
"""

import io
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

SIDE = 48
SOURCE = Path(__file__).parents[1] / "recipes" / "digits"


def draw_digits(
    folder: Path, each: int, split: str = "train", first: int = 0, digits: Iterable[int] = range(10)
) -> Path:
    """Write a folder anew: class folders with so many images of each digit, from the first-th in a split of SOURCE."""
    shutil.rmtree(folder, ignore_errors=True)
    table = pq.read_table(SOURCE / f"{split}.parquet").to_pydict()
    for digit in digits:
        place = folder / str(digit)
        place.mkdir(parents=True)
        rows = [row for row, label in enumerate(table["label"]) if label == digit]
        for row in rows[first : first + each]:
            with Image.open(io.BytesIO(table["image"][row]["bytes"])) as file:
                draw_digit(file.convert("L"), row).save(place / f"{split}_{row:04d}.jpg", quality=90)
    return folder


def draw_digit(strokes: Image.Image, seed: int) -> Image.Image:
    """A board of 48 x 48 pixels with the digit, alike for the same seed; `strokes` is white on black."""
    random = np.random.default_rng(seed)
    side = int(random.integers(26, 40))
    mask = strokes.resize((side, side), Image.Resampling.BICUBIC)
    mask = mask.rotate(float(random.uniform(-20, 20)), Image.Resampling.BICUBIC)
    board = Image.new("RGB", (SIDE, SIDE), _colour(random, 20, 90))
    corner = tuple(int(place) for place in random.integers(0, SIDE - side, 2))
    board.paste(Image.new("RGB", mask.size, _colour(random, 110, 230)), corner, mask)
    grain = np.asarray(board, np.float32) + random.normal(0, random.uniform(8, 36), (SIDE, SIDE, 1))
    return Image.fromarray(grain.clip(0, 255).astype(np.uint8))


def _colour(random: np.random.Generator, darkest: int, lightest: int) -> tuple[int, ...]:
    return tuple(int(value) for value in random.integers(darkest, lightest) + random.integers(-20, 21, 3))
