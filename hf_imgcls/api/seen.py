"""Which images a model has seen while it was trained, from what its run has left beside it."""

from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError, HTTPError

from hf_imgcls.api.ingredients import folders_up_to_run
from hf_imgcls.data import Data, Overlap, read_digests
from hf_imgcls.machine import use_hub
from hf_imgcls.recipe import check_outside
from hf_imgcls.scoring import Scored, score_part
from hf_imgcls.store import DIGESTS, RECIPE, RESULTS, SPLITS, read_json, read_kept


def find_seen(model: str, data: Data, output: Scored) -> tuple[list[dict[str, Any]], list[str]]:
    """How many of the scored images the model has seen while it was trained, where its run has left that beside it.

    Returns:
        Overlaps with its train and validation split, as `collect_duplicates` has them, and what could not be compared.
    """
    (split,) = data.digests
    by_role, notes = _seen_by_role(model, data)
    found = []
    for role, seen in by_role.items():
        if seen.any():
            overlap = Overlap(split, f"the model's {role} split", int(seen.sum()), 0, [])
            found.append({**overlap._asdict(), "without": score_part(output, ~seen)})
    return found, notes


def new_to_model(model: str, data: Data) -> tuple[np.ndarray, bool]:
    """Which images of the one split a model was not trained on, shape (images,), and whether they are its own run's.

    Where its whole validation split is among them, and images of train that it does not have, the split is what both
    were made of: then they are those of its validation split, unless its run ended by training on these too.
    """
    by_role, _ = _seen_by_role(model, data)
    trained, validation = by_role["train"], by_role["validation"]
    run = Path(model).expanduser() / RESULTS
    if run.is_file() and any(stage.get("refit") for stage in read_kept(run).get("stages", ())):
        return ~(trained | validation), False
    ((_, digests),) = data.digests.items()
    held_out = read_seen(model)[1].get("validation", np.zeros(0))
    own = bool((trained & ~validation).any() and len(held_out) and np.isin(held_out, digests).all())
    return validation & ~trained if own else ~trained, own


def check_outside_trained(place: Path, model: str) -> None:
    """Refuse a place for pictures in the folder of images that a run was trained on, which they would be among."""
    folder = Path(model).expanduser()
    files = [each / RECIPE for each in folders_up_to_run(folder)] if folder.is_dir() else []
    file = next(filter(Path.is_file, files), None)
    if path := file and read_kept(file).get("data", {}).get("path"):
        check_outside(place, path)


def _seen_by_role(model: str, data: Data) -> tuple[dict[str, np.ndarray], list[str]]:
    """Which images of the one split a model's train and validation split have; and what is not known."""
    ((split, digests),) = data.digests.items()
    fingerprints, kept, notes = read_seen(model)
    found = {}
    for role in ("train", "validation"):
        if role in kept:
            found[role] = np.isin(digests, kept[role])
        else:
            found[role] = np.full(len(digests), fingerprints.get(role) == data.fingerprints[split])
    return found, notes


def read_seen(model: str) -> tuple[dict[str, str], dict[str, np.ndarray], list[str]]:
    """Fingerprints and digests of what a model was trained on, by split; empty where its folder does not have them."""
    place = Path(model).expanduser()
    if place.is_dir():
        folders = folders_up_to_run(place)
        splits, digests = (next((f / n for f in folders if (f / n).is_file()), None) for n in (SPLITS, DIGESTS))
    else:
        splits, digests = _download(model), None
    fingerprints, kept, notes = {}, {}, []
    try:
        fingerprints = read_json(splits)["fingerprints"] if splits else {}
        kept = read_digests(digests) if digests else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())[:100]
        notes.append(f"whether these images were trained on is not known: {SPLITS} or {DIGESTS} is damaged ({why})")
    return fingerprints if isinstance(fingerprints, dict) else {}, kept, notes


def _download(model: str) -> Path | None:
    try:
        return Path(hf_hub_download(model, SPLITS, local_files_only=not use_hub()))
    except (HTTPError, OSError, HFValidationError):  # most models have none
        return None
