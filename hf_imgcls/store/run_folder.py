"""A run's output folder: begun, resumed, refused, or started over; nothing in it is lost."""

import re
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.store.files import read_json, write_json
from hf_imgcls.store.locks import LOCK, Lock, is_lock

RECIPE, SPLITS, DIGESTS, BAD_IMAGES, STAGES, RESULTS, HISTORY = (
    "recipe.json", "splits.json", "digests.npz", "bad_images.csv", "stages.json", "results.json", "history.json",
)  # fmt: skip
# Keys that may differ in the second half of a run: they change neither the data nor the weights. A moved folder of
# images keeps its fingerprints, which are compared instead of its path.
_MAY_CHANGE = {
    "$schema", "description", "data.path", "training.output_dir", "training.disable_tqdm", "training.report_to",
    "training.run_name", "training.dataloader_num_workers", "training.dataloader_pin_memory",
    "training.dataloader_prefetch_factor", "training.dataloader_persistent_workers",
    "training.push_to_hub", "training.hub_model_id", "training.hub_strategy",
    "training.hub_private_repo", "training.hub_revision", "training.hub_always_push", "training.ddp_timeout",
    "training.save_total_limit", "training.log_level", "training.project",
}  # fmt: skip


def check_run_folder(folder: Path, start_over: bool = False) -> None:
    """Before anything is loaded: a run that is finished, or a folder that is no run, is refused (InputError)."""
    if not folder.exists():
        return
    if folder.is_file():
        raise InputError(f"training.output_dir: {folder} is a file")
    if not (folder / RECIPE).exists() and not all(map(is_lock, folder.iterdir())):
        raise InputError(f"training.output_dir: {folder} holds files that are not a run; name another folder")
    if (folder / RESULTS).exists() and not start_over:
        raise InputError(
            f"training.output_dir: the run in {folder} is finished; name another folder, or add --start-over, which "
            "moves it aside"
        )


def lock_run(folder: Path, lock: Lock, key: str = "training.output_dir") -> None:
    """Take the lock of a run's folder; an InputError names the process that writes it."""
    lock.take(folder / LOCK, f"{key}: {folder}", "wait until that has ended, or name another folder")


def open_run(
    folder: Path, recipe: dict[str, Any], splits: dict[str, Any], start_over: bool = False, lock: Lock | None = None
) -> None:
    """Begin a run, or go on with the unfinished one in its folder.

    Args:
        recipe: as run, overrides applied.
        splits: `{"fingerprints": {...}, ...}`.
        start_over: move what is there aside, to `<folder>.1`, `<folder>.2`, ...
        lock: of the folder, where it is held.

    Raises:
        InputError: the unfinished run was begun with another recipe or other data; the line names the keys.
    """
    check_run_folder(folder, start_over)
    if start_over and folder.exists() and not all(map(is_lock, folder.iterdir())):
        aside = next(p for n in range(1, 10**6) if not (p := folder.with_name(f"{folder.name}.{n}")).exists())
        (lock or Lock()).move_aside(folder, aside)
    if (folder / RECIPE).exists():
        changed = _changed_keys(read_json(folder / RECIPE), recipe)
        before = read_json(folder / SPLITS) if (folder / SPLITS).exists() else splits
        changed += [f"data (images of {r})" for r in _changed_keys(before["fingerprints"], splits["fingerprints"])]
        if changed:
            raise InputError(
                f"training.output_dir: the unfinished run in {folder} was begun with other values of "
                f"{', '.join(sorted(changed))}; put them back, name another folder, or add --start-over"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECIPE, recipe)
    write_json(folder / SPLITS, splits)


def _changed_keys(before: dict, now: dict) -> list[str]:
    old, new = dict(_flat(before)), dict(_flat(now))
    changed = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    return [key for key in changed if re.sub(r"^stages\.\d+\.", "", key) not in _MAY_CHANGE]


def _flat(section: dict | list, prefix: str = ""):
    for key, value in section.items() if isinstance(section, dict) else enumerate(section):
        if isinstance(value, dict | list) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
