"""The images that an export is checked on."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hf_imgcls.data import choose_splits, load_data, load_split, open_source
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import load_recipe
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
        model: a run's folder, or any model's name.
        labels: the model's class names, in its order.
        source: anything `data.path` may be; a split or slice (if None: test, or else validation); `data.key=value`.

    Raises:
        InputError: that data cannot be loaded, or has a label that the model does not know.
    """
    data, split, overrides = source
    other = next((override for override in overrides if not override.startswith("data.")), None)
    if other:
        raise InputError(f"override {other!r}: export takes data.key=value only")
    recipe = Path(model).expanduser() / RECIPE
    if data:
        sections = {"data": {"path": data}, "model": {"checkpoint": model}, "training": {"output_dir": "none"}}
        return _of_split(load_recipe(sections, overrides).data, split, labels)
    if not recipe.is_file():
        if split or overrides:
            raise InputError(f"export: {split or overrides[0]} needs --data, since {model} is not the folder of a run")
        return CheckImages(None, _synthetic(), None, f"{model} is not the folder of a run")
    try:
        section = load_recipe(recipe, overrides).data
        if section.streaming:
            raise InputError("data.streaming: the images are not on this machine")
        return _of_split(section, split, labels) if split else _of_run(section, labels)
    except InputError as error:
        if split or overrides:
            raise
        return CheckImages(None, _synthetic(), None, str(error))


def _of_split(section, split: str | None, labels: list[str]) -> CheckImages:
    if section.streaming:
        raise InputError("data.streaming: export needs a split whose size is known; leave it out")
    loaded = load_split(section, split, labels)
    name, rows = next(iter(loaded.splits.items()))
    return CheckImages(name, rows, np.array(rows["label"][:]))


def _of_run(section, labels: list[str]) -> CheckImages:
    """The images that the run itself was evaluated on, also where they were held out of train."""
    test = choose_splits(open_source(section)[0], section)["test"]
    if test:
        with contextlib.suppress(InputError):  # it has no labels: the run was evaluated on its validation split
            return _of_split(section, test, labels)
    loaded = load_data(section)
    name = "test" if "test" in loaded.splits else "validation"
    rows, index = loaded.splits[name], {label: i for i, label in enumerate(labels)}
    missing = [label for label in loaded.labels if label not in index]
    if missing:
        raise InputError(f"the run's data has a label that the model does not know, {missing[0]!r}")
    return CheckImages(name, rows, np.array([index[loaded.labels[i]] for i in rows["label"][:]]))


def _synthetic() -> list[dict]:
    """Soft blots of colour: noise looks the same to every network."""
    blots = np.random.default_rng(0).integers(0, 256, (32, 4, 5, 3), np.uint8)
    return [{"image": Image.fromarray(each).resize((320, 240), Image.Resampling.BICUBIC)} for each in blots]
