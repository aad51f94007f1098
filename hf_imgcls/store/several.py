"""The folder of several runs of one recipe: a summary, and a run for each fold (`fold-1`) or seed (`seed-1`)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.store.begun import listed_few, read_kept
from hf_imgcls.store.locks import Lock, is_lock
from hf_imgcls.store.places import try_place
from hf_imgcls.store.run_folder import (
    RECIPE,
    SEVERAL,
    TOKEN,
    check_is_folder,
    holds_several,
    lock_run,
    move_aside,
    recipe_differences,
)

_KEYS = {"fold": "data.fold", "seed": "training.seed"}


def open_several(folder: Path, unit: str, recipe: Mapping[str, Any], start_over: bool, lock: Lock) -> None:
    """Before several runs begin or go on: lock their folder, and refuse (InputError) one with something else.

    Args:
        unit: `fold` or `seed`.
        recipe: of all of them, but for the fold or the seed.
        start_over: move what is there aside.
    """
    check_is_folder(folder)
    try_place(folder, "training.output_dir")
    lock_run(folder, lock)
    there = [file for file in folder.iterdir() if not (is_lock(file) or file.name.startswith(TOKEN))]
    if (folder / RECIPE).exists():
        raise InputError(f"training.output_dir: {folder} is the folder of a run; name another one for the {unit}s")
    # A run that was started over by itself has left `fold-1.1`, an average lies beside its first model.
    if any(not re.fullmatch(rf"{unit}s\..+|{unit}-\d+(-average)?(\.\d+)?", file.name) for file in there):
        raise InputError(f"training.output_dir: {folder} holds files that are not of {unit}s; name another folder")
    if start_over and there:
        return move_aside(folder.resolve(), lock)
    for run in there:
        if (run / RECIPE).is_file() and re.fullmatch(rf"{unit}-\d+", run.name):
            _check_same(run, recipe, _KEYS[unit])


def _check_same(run: Path, recipe: Mapping[str, Any], but: str) -> None:
    """Refuse (InputError) a run of another recipe: mean and deviation would be of two of them."""
    if changed := recipe_differences(read_kept(run / RECIPE), recipe, but):
        raise InputError(
            f"training.output_dir: {run} has another recipe: {listed_few(changed)}; name another folder, or add "
            "--start-over, which moves all of them aside"
        )


def describe_if_several(folder: Path) -> str | None:
    """What to do with a folder of several runs where a model is wanted; None where it is none."""
    unit = holds_several(folder)
    if unit is None:
        return None
    run = next(iter(sorted(folder.glob(f"{unit}-*"))), folder / f"{unit}-1")
    if unit == "fold":
        return f"is a cross-validation, not a model; name the run of a fold ({run}), or a final model's"
    return f"holds {SEVERAL[unit][1]}, none of them chosen; name one ({run})"
