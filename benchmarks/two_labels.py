"""Several labels an image from class folders: up to two photos side by side, with a table of their classes.

    python benchmarks/two_labels.py CLASS_FOLDERS NEW_FOLDER [--train 1500] [--validation 300] [--test 500] [--seed 0]

CLASS_FOLDERS has train, validation and test with a folder per class. The new folder has images and, for each split, a
metadata.csv with the columns file_name and labels: `dress|hat`, one class alone, or nothing on an empty image. Photos
of a split come from the same split.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
PHOTOS = (0.05, 0.25, 0.7)  # fractions of images with no photo, one, two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    for split, count in {"train": 1500, "validation": 300, "test": 500}.items():
        parser.add_argument(f"--{split}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for number, split in enumerate(("train", "validation", "test")):
        random = np.random.default_rng([options.seed, number])
        make_split(options.source / split, options.target / split, getattr(options, split), random)


def make_split(source: Path, target: Path, count: int, random: np.random.Generator) -> None:
    photos = sorted(file for file in source.glob("*/*") if file.is_file())
    target.mkdir(parents=True)
    with (target / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "labels"])
        for number in range(count):
            chosen = [photos[i] for i in random.integers(0, len(photos), random.choice(3, p=PHOTOS))]
            side_by_side(chosen, random).save(target / f"{number:05d}.jpg", quality=90)
            table.writerow([f"{number:05d}.jpg", "|".join(sorted({photo.parent.name for photo in chosen}))])


def side_by_side(photos: list[Path], random: np.random.Generator) -> Image.Image:
    """Each photo as large as its half of a grey square allows; one alone lies in either half."""
    canvas = Image.new("RGB", (SIDE, SIDE), tuple(random.integers(60, 200, 3).tolist()))
    halves = random.permutation(2)
    for half, photo in zip(halves, photos, strict=False):
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
        image.thumbnail((SIDE // 2, SIDE))
        canvas.paste(image, (half * SIDE // 2 + (SIDE // 2 - image.width) // 2, (SIDE - image.height) // 2))
    return canvas


if __name__ == "__main__":
    main()
