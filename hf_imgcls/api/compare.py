"""A comparison: scored runs, paired image by image. Nothing is scored again, and no run is changed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.data import load_data
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import check_outside, lies_in, load_recipe, local_path
from hf_imgcls.store import cache_in_use, try_place

_FILES = (".json", ".csv", ".html")


def compare_runs(
    runs: Sequence[str | Path], split: str | None = None, output: str | Path | None = None, *, common: bool = False
) -> dict[str, Any]:
    """Compare runs, or folders of `evaluate --output`, on the same images, each with the first.

    Read are the rows that their reports have of each scored image.

    Args:
        split: the test split, or else validation, if not given.
        output: a new .json, .csv or .html file, or a new folder with all three.
        common: compare the images that all of them scored, where some scored more.

    Returns:
        `split`, `images`, `whole`, `notes`, `runs`, `recipes`, `comparisons` (differences with 95 % intervals, of
        accuracies with the p-value of McNemar's exact test, corrected after Holm where there are several), and
        `differing`, the images that are not predicted alike.

    Raises:
        InputError: they were scored on other images, labels or classes, or a report is missing or damaged.
    """
    found = reports.read_runs(runs)
    if output:
        output = Path(output)
        _check_output(output, found)
    content = reports.compare_content(found, reports.pair_runs(found, split, common))
    for line in reports.describe_comparison(content, output):
        say(line)
    if output:
        images = {} if output.suffix in (".json", ".csv") else _find_images(found, content)
        on_main(lambda: reports.save_comparison(output, content, images))
        say(f"saved: {output}")
    return content


def _find_images(runs: Sequence[reports.ScoredRun], content: Mapping[str, Any]) -> dict[str, dict]:
    """The images that are not predicted alike, as `datasets.Image(decode=False)` delivers them, by name.

    They are files below the data's folder, or else rows of the data that a run was trained with, loaded again.
    """
    names = [each["file"] for each in content["differing"]]
    place = local_path(runs[0].data, "data.path") if runs[0].data else None
    if place is not None and place.exists():
        root = place if place.is_dir() else place.parent  # of a table
        files = {name: {"bytes": None, "path": os.path.join(root, name)} for name in names}
        if any(os.path.isfile(file["path"]) for file in files.values()):
            return files
    run = next((run for run in runs if "model" not in run.results), None)
    return _load_images(run, content["split"], set(names)) if run and names else {}


@cache_in_use()
def _load_images(run: reports.ScoredRun, split: str, names: set[str]) -> dict[str, dict]:
    try:
        data = load_data(load_recipe(run.recipe).data)
    except (InputError, ReadError):  # the data are not at hand: the comparison does without its images
        return {}
    if split not in data.fingerprints or data.fingerprints[split] != run.fingerprint(split):
        return {}
    rows = data.splits[split]
    known = rows["name"][:] if "name" in rows.column_names else [f"row {row}" for row in rows["row"][:]]
    return {name: rows["image"][place] for place, name in enumerate(known) if name in names}


def _check_output(place: Path, runs: Sequence[reports.ScoredRun]) -> None:
    if place.exists() and not (place.is_dir() and place.suffix not in _FILES and not any(place.iterdir())):
        raise InputError(f"--output: {place} exists already; name another file or folder")
    if not place.absolute().parent.is_dir():
        raise InputError(f"--output: there is no folder {place.parent}")
    for run in runs:
        if lies_in(place, run.folder):
            raise InputError(f"--output: {place} would lie in the run {run.folder}; name a place outside it")
        if run.data:
            check_outside(place, run.data)
    try_place(place.absolute().parent, "--output")
