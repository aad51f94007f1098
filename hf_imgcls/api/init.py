"""A starting recipe for a folder of images, with the reason for each of its values; nothing is trained."""

import copy
import itertools
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache

from hf_imgcls.api.fit_stages import ALL_WEIGHTS, HEAD, holdout_fraction, rows_before_holdout, too_few_images
from hf_imgcls.api.train import check_recipe
from hf_imgcls.data import Data, find_rows
from hf_imgcls.errors import InputError
from hf_imgcls.machine import say, use_hub
from hf_imgcls.recipe import SCHEMA, DataSection, as_run, check_path, lies_in, load_recipe, local_path
from hf_imgcls.store import is_address, last_part, write_json
from hf_imgcls.training import PRESETS, is_uneven
from hf_imgcls.words import plural

_BATCH = 16
_WIDEST = 36  # column of values; longer ones push the reason to the right
_WHY = {
    "data.validation_fraction": "no validation split: held out of train, stratified, to choose the best weights by",
    "data.duplicates": "what validation or test has byte for byte is not trained on",
    "stages.0.train": "first a head for these classes, on the network as it is",
    "stages.0.cache_features": "what the network makes of an image is computed once",
    "stages.0.augmentation": "none, since features are computed once",
    "stages.0.averaging": "none, since the head is solved at once; that of the recipe is for the stage after it",
    "stages.0.optimizer": "none, since the head is solved at once; that of the recipe is for the stage after it",
    "stages.0.logistic_regression": "the head is solved, in seconds, without epochs and learning rate",
    "stages.1.train": "then all weights, from that head",
    "stages.1.only_if_better": "the head alone is kept where this does not help on validation",
    "stages.1.early_stopping.patience": "epochs in a row that are not better on validation end the stage",
    "stages.1.augmentation.train": "crops and flips; no flip where left and right matter (digits, text)",
    "stages.1.training.num_train_epochs": "a start; more where the validation loss still falls at the end",
    "stages.1.training.learning_rate": "usual for all weights of a pretrained network; less where the loss jumps",
    "stages.1.training.weight_decay": "usual for fine-tuning with AdamW",
    "stages.1.training.label_smoothing_factor": "usual; against overconfidence",
    "stages.1.training.lr_scheduler_type": "the learning rate falls to 0 along a cosine",
    "stages.1.training.warmup_steps": "a tenth of the steps, in which the learning rate rises",
    "training.per_device_eval_batch_size": "speed and memory alone; the result is the same",
    "training.per_device_train_batch_size": "a start; half of it where memory runs out, more on a large GPU",
}


def write_recipe(
    folder: str, file: Path | None = None, checkpoint: str | None = None, overrides: Iterable[str] = ()
) -> dict[str, Any]:
    """Write a recipe for a folder of images that `check` and `train` take as it is, and print why its values are so.

    No image is opened, and no network is loaded.

    Args:
        folder: as `data.path` of a recipe.
        file: a new one; `<name of the folder>.json` in the working directory if None.
        checkpoint: the network, a Hub id or a folder; the first one that `fit_folder` tries on this machine if None.
        overrides: `section.key=value`, which are written too.

    Returns:
        The content of the recipe.

    Raises:
        InputError: the file exists or lies in the images, or the recipe is none that `check_recipe` accepts.
    """
    overrides = list(overrides)
    place = local_path(folder, "data.path").resolve()
    name = Path(last_part(folder)).stem if is_address(folder) else place.stem if place.is_file() else place.name
    name = name or "recipe"
    network, why_network = (checkpoint, "as given") if checkpoint is not None else _network()
    output, why_output = _free(Path("runs", name))
    why = {**_WHY, "model.checkpoint": why_network, "training.output_dir": why_output}
    start = {
        "data": {"path": folder, "duplicates": "drop_from_train"},
        "model": {"checkpoint": network},
        "stages": [HEAD, ALL_WEIGHTS],
        "training": {
            "output_dir": str(output),
            "per_device_train_batch_size": _BATCH,
            "per_device_eval_batch_size": _BATCH,
        },
    }
    section = load_recipe(start, overrides).data
    file = file or Path(f"{name}.json")
    _check_file(file, local_path(section.path, "data.path"))
    found, data = _fit_to_data(start, section, overrides, why)
    content = as_run(check_recipe(found, overrides))
    trained = ", then ".join(map(_trained, content.get("stages") or [{}]))
    schema = {"$schema": SCHEMA} if file.with_name(SCHEMA).is_file() else {}
    content = {**schema, "description": f"{plural(len(data.labels), 'class')} of {name}: {trained}", **content}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, content)
    for line in [*_reasons(content, why, overrides), *_notes(data)]:
        say(line)
    say(f"written: {file}; read it, change it, then hf-imgcls train {shlex.quote(str(file))}")
    return content


def _trained(stage: dict) -> str:
    trained = stage.get("train", "all")
    return {"head": "a head", "all": "all weights"}.get(trained, "layers") if isinstance(trained, str) else "layers"


def _check_file(file: Path, place: Path) -> None:
    if str(file) == "-":
        raise InputError("--recipe: found '-', expected a file; the screen shows the reasons of the values")
    if file.exists():
        raise InputError(f"--recipe: {file} exists already; name another file")
    if place.is_dir() and lies_in(file, place):
        raise InputError(
            f"--recipe: {file} would lie in {place}, and be taken for data; name a file outside it, or run this in "
            "another folder"
        )


def _network() -> tuple[str, str]:
    """The network that is tried first on this machine, of those in the cache where there is no other way; and why."""
    gpu = torch.cuda.is_available()
    names = PRESETS["default"]["gpu" if gpu else "cpu"]
    cached = [name for name in names if isinstance(try_to_load_from_cache(name, "config.json"), str)]
    why = f"the first that hf-imgcls fit tries on a {'GPU' if gpu else 'CPU'}"
    if names[0] in cached or use_hub():
        return names[0], why
    if cached:
        return cached[0], f"{why}, of those in the cache: the Hub cannot be reached"
    return names[0], f"{why}; not in the cache, and the Hub cannot be reached: train needs it, or a folder"


def _free(output: Path) -> tuple[Path, str]:
    """A run folder that is not there yet, and why it is that one."""
    why = "the run: model, metrics, plots, card"
    if not output.exists():
        return output, why
    others = (output.with_name(f"{output.name}-{number}") for number in itertools.count(2))
    return next(each for each in others if not each.exists()), f"{why}; {output} is there already"


def _fit_to_data(start: dict, section: DataSection, overrides: list[str], why: dict[str, str]) -> tuple[dict, Data]:
    """The recipe with what follows from the images that are there; adds the reasons."""
    if section.multi_label:
        raise InputError("model.multi_label: init counts one label an image; begin with recipes/celeba_attributes.json")
    if section.streaming:
        raise InputError("data.streaming: init counts the images; write the recipe of a stream by hand")
    check_path(section)
    content, whole = copy.deepcopy(start), rows_before_holdout(section)
    if "validation" not in whole.splits and "validation_fraction" not in section.model_fields_set:
        content["data"]["validation_fraction"] = holdout_fraction(len(whole.splits["train"]))
    data = find_rows(load_recipe(content, overrides).data)
    images = Counter(data.splits["train"]["label"][:])
    sizes = ", ".join(f"{len(rows):,} {role}" for role, rows in data.splits.items())
    why["data.path"] = f"{sizes} images of {plural(len(data.labels), 'class')}, counted without opening them"
    if is_uneven(data):
        least, most = min(images, key=images.get), max(images, key=images.get)
        content["training"]["metric_for_best_model"] = "macro_f1"
        why["training.metric_for_best_model"] = (
            f"uneven classes: {images[most]:,} {data.labels[most]!r}, {images[least]:,} {data.labels[least]!r}; "
            'loss.class_weights "balanced" is worth a try'
        )
    few = too_few_images(images.total(), len(data.labels))
    if few and not any(override.startswith("stages") for override in overrides):
        content["stages"] = content["stages"][:1]
        why["stages.0.train"] = f"the head alone: {images.total():,} images are few to train all weights on"
    return content, data


def _notes(data: Data) -> list[str]:
    """What a training will say of the data, and that nothing is left to score what was chosen by validation."""
    notes = [f"data: {note}" for note in data.notes]
    if "test" not in data.splits:
        notes.append("data: test: none; data.test_fraction=0.15 would hold one out, which nothing is chosen by")
    return notes


def _reasons(content: dict, why: Mapping[str, str], overrides: Iterable[str]) -> list[str]:
    """A line for each value: key, value, why."""
    given = [override.partition("=")[0] for override in overrides]
    rows = []
    for key, value in _values(content):
        as_given = any(f"{key}.".startswith(f"{each}.") or f"{each}.".startswith(f"{key}.") for each in given)
        reason = "as given" if as_given else why.get(key, "as hf-imgcls fit has it")
        rows.append((key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), reason))
    keys, values = max(len(key) for key, *_ in rows), min(_WIDEST, max(len(value) for _, value, _ in rows))
    return [f"{key:{keys}}  {value:{values}}  {reason}" for key, value, reason in rows]


def _values(content: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """The values of a recipe under their dotted keys; a list is one value, but for the stages."""
    if isinstance(content, dict) and content:
        items = content.items()
    elif isinstance(content, list) and key == "stages":
        items = enumerate(content)
    else:
        yield key, content
        return
    for name, value in items:
        if key or name not in ("$schema", "description"):
            yield from _values(value, f"{key}.{name}" if key else str(name))
