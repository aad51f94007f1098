"""Photos to train on, in a folder of their own: the first of each class, as they are or of 12 megapixels."""

import itertools
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

_SIZE, _GRAIN = (4000, 3000), 5.0  # pixels; deviation in levels, with which a JPEG has about 2.5 MB


def first_photos(split: Path, count: int | None) -> Iterator[Path]:
    """As many of each class as of any other."""
    classes = [sorted(path for path in folder.iterdir() if path.is_file()) for folder in sorted(split.iterdir())]
    turns = (path for turn in itertools.zip_longest(*classes) for path in turn if path)
    return itertools.islice(turns, count)


def copy_photos(data: Path, place: Path, count: int | None) -> Path:
    """Train and validation of a folder; of `count` photos of train, a third as many of validation."""
    for split, most in (("train", count), ("validation", count and max(2, count // 3))):
        for path in first_photos(data / split, most):
            target = place / split / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return place


def enlarge(folder: Path, place: Path, count: int) -> Path:
    """So many photos of train, of 4000x3000 pixels, and validation as it is."""
    shutil.copytree(folder / "validation", place / "validation")
    pairs = []
    for path in first_photos(folder / "train", count):
        target = place / "train" / path.parent.name / f"{path.stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        pairs.append((path, target, len(pairs)))
    with ProcessPoolExecutor() as pool:
        list(pool.map(_enlarge, pairs))
    return place


def _enlarge(job: tuple[Path, Path, int]) -> None:
    path, target, seed = job
    image = np.asarray(Image.open(path).convert("RGB").resize(_SIZE, Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(seed).standard_normal((*image.shape[:2], 1), np.float32)
    Image.fromarray(np.clip(image + _GRAIN * grain, 0, 255).astype(np.uint8)).save(target, quality=90)
