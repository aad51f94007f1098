"""The images that an export is checked on, and that measure what int8 costs."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hf_imgcls.data import choose_splits, load_data, load_split, open_source, read_labels
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection, load_recipe
from hf_imgcls.store import RECIPE


class CheckImages(NamedTuple):
    """Images to check an export on; synthetic ones have neither split nor labels."""

    split: str | None
    rows: Sequence[dict]  # each has `image`, undecoded or an image
    labels: np.ndarray | None  # ids in the model's order, shape (images,)
    reason: str = ""  # why they are synthetic


def evaluation_images(
    model: str, labels: list[str], source: tuple[str | None, str | None, Sequence[str]] = (None, None, ())
) -> CheckImages:
    """The images of `data`, or else of the split that a run was evaluated on, or else synthetic ones.

    Args:
        labels: the model's class names, in its order.
        source: anything `data.path` may be; a split or slice (if None: test, or else validation); `data.key=value`.
    """
    data, split, overrides = source
    other = next((override for override in overrides if not override.startswith("data.")), None)
    if other:
        raise InputError(f"override {other!r}: export takes data.key=value only")
    recipe = Path(model).expanduser() / RECIPE
    if data:
        return _of_split(data_section(model, source), split, labels)
    if not recipe.is_file():
        if split or overrides:
            raise InputError(f"export: {split or overrides[0]} needs --data, since {model} is not the folder of a run")
        return CheckImages(None, _synthetic(), None, f"{model} is not the folder of a run")
    try:
        section = data_section(model, source)
        if section.streaming:
            raise InputError("data.streaming: the images are not on this machine")
        return _of_split(section, split, labels) if split else _of_run(section, labels)
    except InputError as error:
        if split or overrides:
            raise
        return CheckImages(None, _synthetic(), None, str(error))


def data_section(model: str, source: tuple[str | None, str | None, Sequence[str]]) -> DataSection:
    """What is said of the data of `evaluation_images`, by its arguments or else by the run's recipe."""
    data, _, overrides = source
    sections = {"data": {"path": data}, "model": {"checkpoint": model}, "training": {"output_dir": "none"}}
    return load_recipe(sections if data else Path(model).expanduser() / RECIPE, overrides).data


def _of_split(section, split: str | None, labels: list[str]) -> CheckImages:
    if section.streaming:
        raise InputError("data.streaming: export needs a split whose size is known; leave it out")
    loaded = load_split(section, split, labels)
    name, rows = next(iter(loaded.splits.items()))
    return CheckImages(name, rows, read_labels(rows))


def _of_run(section, labels: list[str]) -> CheckImages:
    """The images that the run itself was evaluated on, also where they were held out of train."""
    test = choose_splits(open_source(section)[0], section)["test"]
    if test:
        with contextlib.suppress(InputError):  # it has no labels: the run was evaluated on its validation split
            return _of_split(section, test, labels)
    loaded = load_data(section)
    name = next(name for name in ("test", "validation", "train") if name in loaded.splits)
    rows, index = loaded.splits[name], {label: i for i, label in enumerate(labels)}
    missing = [label for label in loaded.labels if label not in index]
    if missing:
        raise InputError(f"the run's data has a label that the model does not know, {missing[0]!r}")
    # On images of train there are outputs to compare, but there is no accuracy.
    if name == "train":
        return CheckImages(name, rows, None)
    found, order = read_labels(rows), np.array([index[label] for label in loaded.labels])
    return CheckImages(name, rows, found[:, np.argsort(order)] if found.ndim == 2 else order[found])


def _synthetic() -> list[dict]:
    """Soft blots of colour: noise looks the same to every network."""
    blots = np.random.default_rng(0).integers(0, 256, (32, 4, 5, 3), np.uint8)
    return [{"image": Image.fromarray(each).resize((320, 240), Image.Resampling.BICUBIC)} for each in blots]
