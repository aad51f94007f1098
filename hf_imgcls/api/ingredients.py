"""What is averaged: finished runs and checkpoints of runs, found, and refused where they do not go together."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hf_imgcls.errors import InputError
from hf_imgcls.models import load_network, why_not_averaged
from hf_imgcls.recipe import local_path
from hf_imgcls.store import RECIPE, RESULTS, SPLITS, find_fault_of_weights, read_kept


class Ingredient(NamedTuple):
    """A model that is averaged: its name as the user wrote it, its folder, and the folder of its run."""

    name: str
    folder: Path
    run: Path


def folders_up_to_run(place: Path) -> list[Path]:
    """A model's folder and those around it, up to that of its run: checkpoints and stages lie in it."""
    place = place.resolve()
    folders = [place, *itertools.takewhile(lambda f: re.match("checkpoint-|stage-", f.name), (place, place.parent))]
    return [*folders, folders[-1].parent] if len(folders) > 1 else folders


def find_ingredients(names: Sequence[str | Path]) -> list[Ingredient]:
    """The models that are named; an InputError where one is no finished run and no whole checkpoint, or is there twice,
    or was not selected on the same images.
    """
    if len(names) < 2:
        raise InputError("average: name two or more runs, or checkpoints of a run")
    found = [_find(str(name)) for name in names]
    for position, each in enumerate(found):
        twin = next((other for other in found[:position] if other.folder == each.folder), None)
        if twin:
            raise InputError(f"average: {each.name} and {twin.name} are the same folder; name it once")
    kept = [read_kept(each.run / SPLITS).get("fingerprints", {}) for each in found]
    for each, fingerprints in zip(found, kept, strict=True):
        if not fingerprints:
            raise InputError(f"average: {each.name} was trained on a stream, whose splits cannot be compared")
        if "validation" not in fingerprints:
            raise InputError(f"average: {each.name} has no validation split, on which an average is compared")
        if other := [role for role in kept[0] if kept[0][role] != fingerprints.get(role)]:
            raise InputError(
                f"average: {each.name} had other images of {', '.join(other)} than {found[0].name}; average runs "
                "that have the same splits"
            )
    return found


def _find(name: str) -> Ingredient:
    folder = local_path(name, "average")
    if not folder.is_dir():
        raise InputError(f"average: no such folder {name!r} (looked in {Path.cwd()})")
    folder = folder.resolve()
    run = next((each for each in folders_up_to_run(folder) if (each / RECIPE).is_file()), None)
    if run is None or not (run / SPLITS).is_file():
        raise InputError(f"average: {name} is neither a run nor a checkpoint of one: it has no {RECIPE} and {SPLITS}")
    if folder != run:
        if fault := find_fault_of_weights(folder):
            raise InputError(f"average: {name} is damaged: {fault}")
    elif not (run / RESULTS).is_file():
        raise InputError(f"average: the run in {name} is not finished; run it to its end, or name its checkpoints")
    elif any(stage.get("refit") for stage in read_kept(run / RESULTS).get("stages", ())):
        raise InputError(
            f"average: {name} was refitted on its validation images, which cannot compare it with an average any more; "
            "train without refit"
        )
    return Ingredient(name, folder, run)


def other_origins(found: Sequence[Ingredient]) -> list[str]:
    """A line about each model that was not trained from the weights of the first one, as far as their recipes tell."""
    recipes = [read_kept(each.run / RECIPE) for each in found]
    origins = [(each["model"], each["model"].get("from_scratch") and each["training"].get("seed")) for each in recipes]
    return [
        f"{each.name} was not trained from the same weights as {found[0].name}: averages of such models are rarely good"
        for each, origin in zip(found, origins, strict=True)
        if each.run != found[0].run and origin != origins[0]
    ]


def open_first(found: Sequence[Ingredient]):
    """The first network with its image processor, after all others have been compared with it (InputError)."""
    first = load_network(str(found[0].folder))
    for each in found[1:]:
        if why := why_not_averaged(first, load_network(str(each.folder))):
            raise InputError(f"average: {each.name} {why}; {found[0].name} and it cannot be averaged")
    return first
