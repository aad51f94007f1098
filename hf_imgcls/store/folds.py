"""The folder of a cross-validation: folds.json, and a run for each fold in fold-1, fold-2, ..."""

import re
from pathlib import Path

from hf_imgcls.errors import InputError
from hf_imgcls.store.locks import Lock, is_lock
from hf_imgcls.store.places import try_place
from hf_imgcls.store.run_folder import FOLDS, RECIPE, TOKEN, check_is_folder, holds_folds, lock_run, move_aside

_FOLD = re.compile(r"fold-\d+(\.\d+)?")  # the latter of a fold that was started over by itself


def open_folds(folder: Path, start_over: bool, lock: Lock) -> None:
    """Before a cross-validation begins or goes on: lock its folder, and refuse (InputError) one with something else.

    `start_over` moves what is there aside.
    """
    check_is_folder(folder)
    try_place(folder, "training.output_dir")
    lock_run(folder, lock)
    there = [file for file in folder.iterdir() if not (is_lock(file) or file.name.startswith(TOKEN))]
    if (folder / RECIPE).exists():
        raise InputError(f"training.output_dir: {folder} is the folder of a run; name another one for the folds")
    others = [file for file in there if not (file.name.startswith(FOLDS) or _FOLD.fullmatch(file.name))]
    if others:
        raise InputError(f"training.output_dir: {folder} holds files that are not of folds; name another folder")
    if start_over and there:
        move_aside(folder.resolve(), lock)


def describe_if_folds(folder: Path) -> str | None:
    """What to do with a folder of a cross-validation where a model is wanted; None where it is none."""
    if not holds_folds(folder):
        return None
    return f"is a cross-validation, not a model; name the run of a fold ({folder / 'fold-1'}), or a final model's"
