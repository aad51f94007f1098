"""The story of a comparison: scored runs, paired image by image. Nothing is scored again, and no run is changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.errors import InputError
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import lies_in, local_path
from hf_imgcls.store import try_place


def compare_runs(
    runs: Sequence[str | Path], split: str | None = None, output: Path | None = None, *, common: bool = False
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
        _check_output(output, found)
    content = reports.compare_content(found, reports.pair_runs(found, split, common))
    for line in reports.describe_comparison(content, output):
        say(line)
    if output:
        on_main(lambda: reports.save_comparison(output, content, _root(found)))
        say(f"saved: {output}")
    return content


def _root(runs: Sequence[reports.ScoredRun]) -> Path | None:
    """The folder that the first run's images are in, where it is one of this machine."""
    name = runs[0].data
    place = local_path(name, "data.path") if name else None
    if place is None or not place.exists():
        return None
    return place if place.is_dir() else place.parent  # of a table


def _check_output(place: Path, runs: Sequence[reports.ScoredRun]) -> None:
    if place.exists() and not (place.is_dir() and not place.suffix and not any(place.iterdir())):
        raise InputError(f"--output: {place} exists already; name another file or folder")
    if not place.absolute().parent.is_dir():
        raise InputError(f"--output: there is no folder {place.parent}")
    for run in runs:
        if lies_in(place, run.folder):
            raise InputError(f"--output: {place} would lie in the run {run.folder}; name a place outside it")
        if run.data and (data := local_path(run.data, "data.path")).is_dir() and lies_in(place, data):
            raise InputError(f"--output: {place} would lie in {data}, and be taken for data; name a place outside it")
    try_place(place.absolute().parent, "--output")
