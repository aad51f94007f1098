"""A fit: a folder of images in; networks compared, the best one trained and checked as any run is."""

import functools
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import machine, reports
from hf_imgcls.api.check import check_recipe
from hf_imgcls.api.fit_stages import FitOptions, choose_recipe, holdout_fraction, rows_before_holdout, scoring_seconds
from hf_imgcls.api.run import Settings
from hf_imgcls.api.train import train_classifier, train_recipe
from hf_imgcls.data import Data, load_data
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.machine import say
from hf_imgcls.models import USUAL_DROPOUT, build_model, faster_in_half, strong_dropout
from hf_imgcls.recipe import as_run, check_output_dir, check_path, load_recipe
from hf_imgcls.store import (
    CANDIDATES,
    RECIPE,
    Lock,
    cache_in_use,
    check_run_folder,
    is_address,
    last_part,
    read_kept,
    try_place,
    write_json,
)
from hf_imgcls.training import PRESETS, Candidate, choose_candidate, reckon_seconds, score_candidate
from hf_imgcls.words import duration, without_secrets

_BATCH = 16
_DEFAULTS = FitOptions()


@cache_in_use()
def fit_folder(folder: str, options: FitOptions = _DEFAULTS, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Find, train, save and score the best classifier for a folder of images; no recipe is needed.

    Pretrained networks are compared by heads that are solved on their features. The one with the lowest validation
    loss is trained further where validation has errors left, and what that brings is kept only where it is better on
    validation. The recipe that was chosen is in the run folder and repeats the run without the search.

    Args:
        folder: as `data.path` of a recipe.
        overrides: `section.key=value`, of any key but the network's.

    Returns:
        The content of results.json.

    Raises:
        InputError: no network can be loaded, or what `train_classifier` raises.
    """
    begun, overrides = time.monotonic(), list(overrides)
    _check(options)
    name = last_part(folder) if is_address(folder) else Path(folder).expanduser().resolve().name
    output = options.output or Path("runs") / name
    recipe = _start(folder, output, overrides)
    check_run_folder(output)
    if (output / RECIPE).exists():
        return _go_on(folder, output, overrides)
    machine.prepare_launch()
    arguments = machine.training_arguments(recipe.training)
    with machine.first_on_machine("reads the images"):
        data = load_data(recipe.data)
    for line in reports.describe_data(data, machine.check_launch()):
        say(line)
    if "test" not in data.splits:
        say(
            "data: test: none: what validation chooses is scored on validation, which is optimistic; "
            "data.test_fraction=0.15 holds a test split out"
        )
    found, contents = _compare(recipe, data, arguments, options, begun)
    spent = time.monotonic() - begun  # which differs from process to process
    content = machine.on_main(lambda: choose_recipe(found, contents, data, options, spent))
    recipe = check_recipe(content, overrides)
    machine.on_main(lambda: _keep_candidates(output, found))
    with Lock() as lock:
        results = train_recipe(recipe, Settings(), lock, data)
    say(
        f"recipe: {output / RECIPE}; hf-imgcls train {output / RECIPE} training.output_dir={output}-again repeats this "
        "run without the search"
    )
    return results


def _check(options: FitOptions) -> None:
    if options.preset not in PRESETS:
        known = ", ".join(PRESETS)
        raise InputError(f"--preset: found {options.preset!r}, expected {known}{nearest(options.preset, PRESETS)}")
    if options.minutes is not None and not options.minutes > 0:
        raise InputError(f"--minutes: found {options.minutes:g}, expected more than 0")


def _start(folder: str, output: Path, overrides: Sequence[str]):
    """The recipe before a network is chosen, with the fraction that validation takes."""
    content = {
        "data": {"path": folder, "duplicates": "drop_from_train"},
        "model": {"checkpoint": PRESETS["fast"]["cpu"][0]},
        "training": {
            "output_dir": str(output),
            "per_device_train_batch_size": _BATCH,
            "per_device_eval_batch_size": _BATCH,
            "seed": 1,
        },
    }
    recipe = load_recipe(content, overrides)
    if recipe.model.multi_label:
        raise InputError("model.multi_label: fit compares networks with one label an image; train a recipe instead")
    if recipe.data.folds:
        raise InputError("data.folds: fit chooses with one split; then hf-imgcls train its recipe.json with data.folds")
    if recipe.data.streaming:
        raise InputError("data.streaming: fit computes features of all images; write a recipe for a stream")
    check_path(recipe.data)
    check_output_dir(recipe)
    if "validation_fraction" not in recipe.data.model_fields_set:
        images = len(rows_before_holdout(recipe.data).splits["train"])
        content["data"]["validation_fraction"] = holdout_fraction(images)
        recipe = load_recipe(content, overrides)
    return recipe


def _keep_candidates(output: Path, found: Sequence[Candidate]) -> None:
    """What was compared, before training: a run that is resumed compares nothing."""
    try_place(output, "--output")
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / CANDIDATES, [reports.describe_candidate(each) for each in found])


def _go_on(folder: str, output: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The run in a folder goes on with the recipe that was chosen, or is answered where it is finished."""
    content = read_kept(output / RECIPE)
    before = content.get("data", {}).get("path", "")
    if Path(before).expanduser().resolve() != Path(without_secrets(folder)).expanduser().resolve():
        raise InputError(f"--output: {output} is a run on {before!r}, not on {folder!r}; name another folder")
    content["data"]["path"] = folder  # which is saved without the signature of an address
    say(f"fit: the recipe of {output} is chosen already; another --output searches anew")
    return train_classifier(content, overrides)


def _names(options: FitOptions, device: str) -> Sequence[str]:
    return list(dict.fromkeys(options.checkpoints)) or PRESETS[options.preset]["cpu" if device == "cpu" else "gpu"]


def _compare(recipe, data: Data, arguments, options: FitOptions, begun: float) -> tuple[list[Candidate], dict]:
    """The candidates that can be loaded, and the recipe of each by its name; those that a user named must be.

    The first is always compared, another one where the time that is left is enough.
    """
    if "validation" not in data.splits:
        raise InputError(
            "fit: there is no validation split to compare networks on; leave data.validation_fraction out or add images"
        )
    names, found, contents, missing = _names(options, arguments.device.type), [], {}, []
    for name in names:
        try:
            own, model, processor = _open(recipe, name, data.labels, arguments.seed)
        except InputError as error:
            if options.checkpoints:
                raise
            missing.append(str(error))
            say(f"fit: {name} is left out: {error}")
            continue
        scoring = EvalTransform(processor, [model.config.label2id[label] for label in data.labels])
        # As the stages have them, of features and of all weights.
        halves = [
            functools.partial(faster_in_half, model, input_size(processor), training=each) for each in (False, True)
        ]
        both = [machine.training_arguments(own.training, half) for half in halves]
        if found and options.minutes:
            end = begun + 60 * options.minutes - max(scoring_seconds(each, data) for each in found)
            seconds = reckon_seconds(model, scoring, data, both[0])
            if line := machine.on_main(functools.partial(_too_late, end, seconds)):
                say(f"fit: {name} is not compared: {line}")
                continue
        contents[name] = as_run(own)
        say(f"fit: {name}")
        found.append(score_candidate(name, model, scoring, data, both))
    if not found:
        raise InputError(
            f"fit: none of {len(names)} networks can be loaded ({missing[0][:120]}); name one that is on this machine "
            "with --checkpoint"
        )
    chosen = choose_candidate(found)
    for line in reports.candidate_table(found, chosen):
        say(line)
    return found, contents


def _too_late(end: float, seconds: float) -> str:
    """What more time would do, where that of a comparison does not fit before `end`."""
    left = max(0.0, end - time.monotonic())
    return (
        f"it would take {duration(seconds)} or so, of which --minutes leaves {duration(left)}" if seconds > left else ""
    )


def _open(recipe, name: str, labels: list[str], seed: int):
    """The recipe with a network, the network and its image processor; a dropout too strong to fine-tune is lowered."""
    content = as_run(recipe)
    content["model"]["checkpoint"] = name
    own = load_recipe(content)
    model, processor = build_model(own.model, labels, seed)
    if strong := strong_dropout(model.config, own.model):
        own = load_recipe(content, [f"model.config.{strong[0]}={USUAL_DROPOUT}"])
        model, processor = build_model(own.model, labels, seed)
    return own, model, processor
