"""Example images of a demo page: named ones, or of the split that a run was evaluated on."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
from huggingface_hub import constants

from hf_imgcls.data import find_rows, read_labels
from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, Limits, in_memory, open_usable, read_usable
from hf_imgcls.machine import say
from hf_imgcls.recipe import load_recipe
from hf_imgcls.store import RECIPE

_LIMITS = Limits()
_MOST = 8
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp"}  # formats browsers show


def copy_examples(named: Sequence[str] | None, model: Path, folder: Path, limits: Limits = _LIMITS) -> list[str]:
    """Copy example images, named ones or else a run's, into a folder that may be served, as none of the user's may."""
    images = [{"bytes": None, "path": name} for name in evenly_spaced(named)] if named else _run_images(model)
    copies = []
    for number, image in enumerate(images):
        with contextlib.suppress(UNREADABLE):
            image = in_memory(image)
            suffix = _SUFFIXES.get(open_usable(image, limits).format)
            if suffix:
                read_usable(image, limits)
                copy = folder / f"{number}{suffix}"
                copy.write_bytes(image["bytes"])
                copies.append(str(copy))
    if images and not copies:
        say("no examples: none of the images has a format that browsers show")
    return copies


def evenly_spaced(things: Sequence, most: int = _MOST) -> list:
    """At most so many of them, from the first to the last."""
    return [things[i] for i in np.linspace(0, len(things) - 1, min(most, len(things))).round().astype(int)]


def _run_images(folder: Path) -> list[dict]:
    """Images of the split that a run was evaluated on, its classes in turn; none where they are not found."""
    if not (folder / RECIPE).is_file():
        return []
    try:
        recipe = load_recipe(folder / RECIPE)
        if recipe.data.streaming:
            raise InputError("they are streamed")
        with _offline():
            splits = find_rows(recipe.data).splits
    except InputError as error:
        say(f"no examples: the run's images are not available ({error}); choose others with --examples")
        return []
    rows = splits.get("test", splits.get("validation", splits["train"]))
    labels = read_labels(rows)
    labels = labels.argmax(axis=1) if labels.ndim == 2 else labels  # of several the first
    by_class = [np.flatnonzero(labels == i) for i in evenly_spaced(np.unique(labels))]
    chosen = [indices[turn] for turn in range(_MOST) for indices in by_class if turn < len(indices)]
    return rows.select(chosen[:_MOST])["image"][:]


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Nobody wants to wait for the download of a dataset for the sake of examples."""
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
