"""A run's output folder: begun, resumed, refused, or started over; nothing in it is lost."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.store.begun import BEGUN, Beginning, differences, go_on_with, keep_begun, listed_few, read_kept
from hf_imgcls.store.files import write_json
from hf_imgcls.store.locks import LOCK, Lock, is_lock

RECIPE, SPLITS, DIGESTS, BAD_IMAGES, STAGES, RESULTS, HISTORY, PUSHED, CANDIDATES, FOLDS, SEEDS = (
    "recipe.json", "splits.json", "digests.npz", "bad_images.csv", "stages.json", "results.json", "history.json",
    "pushed.json", "candidates.json", "folds.json", "seeds.json",
)  # fmt: skip
# What folders of several runs hold, by what stands before the number in the names of these: a summary, and the runs.
SEVERAL = {"fold": (FOLDS, "the folds of a cross-validation"), "seed": (SEEDS, "the runs of several seeds")}
ADAPTER, ADAPTER_WEIGHTS = "adapter", "adapter_model.safetensors"  # a folder of the run; peft's name of its weights
TOKEN = ".launch-"  # of a file by which the processes of a launch find out whether they share a folder
# Keys that may differ in the second half of a run: they change neither the data nor the weights. A moved folder of
# images keeps its fingerprints, which are compared instead of its path.
MAY_CHANGE = {
    "$schema", "description", "data.path", "training.output_dir", "training.disable_tqdm", "training.report_to",
    "training.run_name", "training.dataloader_num_workers", "training.dataloader_pin_memory",
    "training.dataloader_prefetch_factor", "training.dataloader_persistent_workers",
    "training.push_to_hub", "training.hub_model_id", "training.hub_strategy",
    "training.hub_private_repo", "training.hub_revision", "training.hub_always_push", "training.ddp_timeout",
    "training.save_total_limit", "training.log_level", "training.project",
}  # fmt: skip


def check_run_folder(folder: Path) -> None:
    """Before anything is loaded: a folder that is no run is refused (InputError)."""
    check_is_folder(folder)
    if not folder.exists():
        return
    first = {
        f"{name}{end}" for name in (SPLITS, BEGUN, RECIPE, CANDIDATES) for end in ("", ".part")
    }  # of a run killed that early
    there = [] if (folder / RECIPE).exists() else list(folder.iterdir())
    there = [file for file in there if not (is_lock(file) or file.name.startswith(TOKEN))]
    if unit := holds_several(folder):
        raise InputError(f"training.output_dir: {folder} holds {SEVERAL[unit][1]}; name another folder")
    if {file.name for file in there} - first:
        raise InputError(f"training.output_dir: {folder} holds files that are not a run; name another folder")


def check_is_folder(folder: Path) -> None:
    """Refuse (InputError) what can be no folder."""
    if folder.is_symlink() and not folder.exists():
        raise InputError(f"training.output_dir: {folder} is a link to {folder.resolve()}, which is not there; make it")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"training.output_dir: {folder} is a file")


def holds_several(folder: Path) -> str | None:
    """`fold` or `seed`, of which a folder holds the runs, finished or not; None where it holds neither."""
    for unit, (file, _) in SEVERAL.items():
        if (folder / file).is_file() or any((run / RECIPE).is_file() for run in folder.glob(f"{unit}-*")):
            return unit
    return None


def lock_run(folder: Path, lock: Lock, key: str = "training.output_dir") -> None:
    """Take the lock of a run's folder; an InputError names the process that writes it."""
    lock.take(folder / LOCK, f"{key}: {folder}", "wait until that has ended, or name another folder")


def is_finished(folder: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether the run in a folder is finished; an InputError where that was with another recipe."""
    if not (folder / RESULTS).exists():
        return False
    if "average" in read_kept(folder / RESULTS):
        _refuse_finished(folder, "is an average of others, which no recipe trains")
    if changed := recipe_differences(read_kept(folder / RECIPE), recipe):
        _refuse_finished(folder, f"has another recipe: {listed_few(changed)}")
    return True


def check_same_data(folder: Path, splits: Mapping[str, Any]) -> None:
    """Refuse other data than those of the finished run in a folder (InputError)."""
    if changed := _changed_splits(folder, splits):
        _refuse_finished(folder, f"had other {changed}")


def _refuse_finished(folder: Path, why: str) -> None:
    raise InputError(
        f"training.output_dir: the run there is finished, and {why}; name another folder, or add --start-over, which "
        f"moves it aside ({folder})"
    )


def open_run(
    folder: Path, now: Beginning, start_over: bool = False, resume_anyway: bool = False, lock: Lock | None = None
) -> list[str]:
    """Begin a run, or go on with the unfinished one in its folder.

    Args:
        start_over: move what is there aside, to `<folder>.1`, `<folder>.2`, ...
        resume_anyway: also where `now.settings` are others than those the run was begun with.
        lock: of the folder, where it is held.

    Returns:
        A line about each thing that is not as it was when the run was begun.

    Raises:
        InputError: the unfinished run was begun with another recipe, other data or other settings.
    """
    check_run_folder(folder)
    folder = folder.resolve()  # of a link, what it leads to
    if start_over and folder.exists() and not all(map(is_lock, folder.iterdir())):
        move_aside(folder, lock or Lock())
    found = []
    if (folder / RECIPE).exists():
        _check_unfinished(folder, now)
        found = go_on_with(folder, now, resume_anyway)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        keep_begun(folder, now, [])
    write_json(folder / SPLITS, now.splits)
    write_json(folder / RECIPE, now.recipe)  # last: a folder that has one is a run
    return found


def move_aside(folder: Path, lock: Lock) -> None:
    """Rename what is there to `<folder>.1`, `<folder>.2`, ..."""
    aside = next(p for n in range(1, 10**6) if not (p := folder.with_name(f"{folder.name}.{n}")).exists())
    lock.move_aside(folder, aside)


def _check_unfinished(folder: Path, now: Beginning) -> None:
    if (folder / RESULTS).exists():
        _refuse_finished(folder, "was not when this one began")
    changed = recipe_differences(read_kept(folder / RECIPE), now.recipe)
    if images := _changed_splits(folder, now.splits):
        changed.append(f"other {images}")
    if changed:
        raise InputError(
            f"training.output_dir: the unfinished run there was begun with {listed_few(changed)}; put that back, name "
            f"another folder, or add --start-over ({folder})"
        )


def recipe_differences(before: Mapping, now: Mapping, but: str = "") -> list[str]:
    """A line about each key of two recipes that differs, if that changes data or weights; `but` is a key that may."""

    def may_change(key: str) -> bool:
        return key == but or re.sub(r"^stages\.\d+\.", "", key) in MAY_CHANGE or key.startswith("tune.")

    return differences(before, now, may_change=may_change)


def _changed_splits(folder: Path, splits: Mapping[str, Any]) -> str:
    """`images of train, validation`: the splits whose images, or their labels, are not those of the run."""
    before = read_kept(folder / SPLITS)
    old, new = before["fingerprints"], splits["fingerprints"]
    changed = [role for role in {**old, **new} if old.get(role) != new.get(role)]
    return f"images of {', '.join(changed)}" if changed else ""
