"""Where an evaluation is written: a .json file, or a folder as that of a run; only an earlier one is replaced."""

from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.data import BadImage
from hf_imgcls.errors import InputError
from hf_imgcls.store import (
    BAD_IMAGES,
    LOCK,
    RESULTS,
    Lock,
    is_lock,
    lock_beside,
    read_json,
    try_place,
    write_csv,
    write_json,
)


def check_output(place: Path) -> None:
    """Before anything is scored: refuse (InputError) what would replace anything but an earlier evaluation."""
    if place.suffix == ".json":
        taken = place.is_dir() or (place.exists() and not _is_evaluation(place))
    else:
        in_use = place.is_dir() and not all(map(is_lock, place.iterdir()))
        taken = place.is_file() or (in_use and not _is_evaluation(place / RESULTS))
    if taken:
        raise InputError(f"--output: {place} is there, and not of an evaluation; name another file or folder")
    if not place.absolute().parent.is_dir():
        raise InputError(f"--output: there is no folder {place.parent}")
    try_place(place.absolute().parent, "--output")


def save_evaluation(result: dict[str, Any], place: Path, subject: reports.Subject) -> None:
    """Write an evaluation into a .json file, or a folder: results.json, bad_images.csv, plots and report, as a run has.

    Of two at the same moment the second is written after the first.
    """
    is_file = place.suffix == ".json"
    if not is_file:
        place.mkdir(exist_ok=True)
    with Lock() as lock:
        lock.wait_for(lock_beside(place) if is_file else place / LOCK, f"--output: {place}")
        _write(result, place, subject)


def _write(result: dict[str, Any], place: Path, subject: reports.Subject) -> None:
    if place.suffix == ".json":
        return write_json(place, result)
    write_csv(
        place / BAD_IMAGES, BadImage._fields, ([bad[f] for f in BadImage._fields] for bad in result["bad_images"])
    )
    reports.draw_classes(place, result["breakdown"]["classes"], result["split"])
    reports.write_report(place, subject)
    write_json(place / RESULTS, result)


def _is_evaluation(file: Path) -> bool:
    try:
        return {"model", "data", "split", "scores"} <= read_json(file).keys()
    except (OSError, ValueError, AttributeError):
        return False
