"""Data of a recipe, loaded, and what is in it."""

import datasets
from conftest import COLOURS, make_image
from datasets import ClassLabel, Dataset, Features, Image

from hf_imgcls.data.load import load_data
from hf_imgcls.recipe.sections import DataSection

NAMES = list(COLOURS)


def load(path, **keys):
    return load_data(DataSection(path=str(path), **keys))


def sizes(data) -> dict[str, int]:
    return {split: len(rows) for split, rows in data.splits.items()}


def encoded(name: str, number: int) -> dict:
    return {"bytes": (make_image(name, number, (8, 6))._repr_png_()), "path": None}


def rows(labels: list, order: list[str] | None = None) -> Dataset:
    """Images of the colours that the labels number, in the given order; blue for a missing one."""
    feature = ClassLabel(names=order) if order else datasets.Value("int64")
    names = order or NAMES
    images = [encoded(names[n] if n is not None and n >= 0 else "blue", i) for i, n in enumerate(labels)]
    return Dataset.from_dict(
        {"image": images, "label": labels}, features=Features({"image": Image(), "label": feature})
    )
